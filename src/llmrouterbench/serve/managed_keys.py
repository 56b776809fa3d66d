"""Client keys and teams that are made, changed and revoked while servers run: one value in their state.

The value holds what the config of a server would: names, limits, the sha256 of each key. Servers with `managed_keys`
read it each second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from llmrouterbench.naming import did_you_mean
from llmrouterbench.serve.config import KeyConfig, ServeConfig, TeamConfig
from llmrouterbench.serve.state import State, open_store
from llmrouterbench.strict import parse_strict

C = TypeVar("C", KeyConfig, TeamConfig)
MANAGED = "keys"
"""The name of the value: {"keys": {name: ...}, "teams": {name: ...}}."""


def read_managed(value: Any) -> tuple[list[KeyConfig], list[TeamConfig]]:
    """Keys and teams of the value, but for what this version cannot read: such a key is not let in."""
    held = value or {}
    return list(_readable(KeyConfig, held.get("keys"))), list(_readable(TeamConfig, held.get("teams")))


def _readable(kind: type[C], held: Mapping[str, Any] | None) -> Iterator[C]:
    for one in (held or {}).values():
        with suppress(ValueError):
            yield kind.model_validate(one)


class ManagedKeys:
    """The keys and teams in the state of a server's config. Every method raises OSError where it does not answer.

    Raises ValueError for a config without `managed_keys`.
    """

    def __init__(self, config: ServeConfig) -> None:
        if not config.managed_keys:
            raise ValueError("the config must say `managed_keys: true`, so that its servers know of these keys")
        self._config = config

    def all(self) -> tuple[list[KeyConfig], list[TeamConfig]]:
        """Keys and teams as they are now."""
        return read_managed(self._update(lambda value: value))

    def make(self, key: Mapping[str, Any]) -> KeyConfig:
        """Add a key. Raises ValueError for a name or a hash that is taken, and for limits that cannot be."""
        made = parse_strict(KeyConfig, dict(key), "key")

        def change(value: dict[str, Any]) -> dict[str, Any]:
            taken = [*value["keys"], *(one.name for one in self._config.keys)]
            if made.name in taken:
                raise ValueError(f"key {made.name!r} is there already; change or revoke it, or take another name")
            return self._with_key(value, made)

        self._update(change)
        return made

    def change(self, name: str, **changes: Any) -> KeyConfig:
        """Change limits of a key. Raises ValueError for one that is not there, and for limits that cannot be."""
        changed: list[KeyConfig] = []

        def change(value: dict[str, Any]) -> dict[str, Any]:
            self._known(name, value["keys"])
            changed[:] = [parse_strict(KeyConfig, {**value["keys"][name], **changes}, "key")]
            return self._with_key(value, changed[0])

        self._update(change)
        return changed[0]

    def revoke(self, name: str) -> None:
        """Take a key away. Raises ValueError for one that is not there."""

        def change(value: dict[str, Any]) -> dict[str, Any]:
            self._known(name, value["keys"])
            return {**value, "keys": {other: one for other, one in value["keys"].items() if other != name}}

        self._update(change)

    def team(self, name: str, budget: float, budget_period: str) -> TeamConfig:
        """Make a team, or change its budget. Raises ValueError for a budget that cannot be."""
        said = {"name": name, "budget": budget, "budget_period": budget_period}
        made = parse_strict(TeamConfig, said, "team")
        if any(team.name == name for team in self._config.teams):
            raise ValueError(f"team {name!r} stands in the config; change it there")
        self._update(lambda value: {**value, "teams": {**value["teams"], name: made.model_dump()}})
        return made

    def _with_key(self, value: dict[str, Any], key: KeyConfig) -> dict[str, Any]:
        self._config.check_key(key, [*value["teams"], *(team.name for team in self._config.teams)])
        return {**value, "keys": {**value["keys"], key.name: key.model_dump()}}

    def _known(self, name: str, keys: Mapping[str, Any]) -> None:
        if name in keys:
            return
        if any(key.name == name for key in self._config.keys):
            raise ValueError(f"key {name!r} stands in the config; change it there, and send SIGHUP")
        raise ValueError(f"no key named {name!r}{did_you_mean(name, list(keys))}")

    def _update(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """The value after a change, which is made anew where somebody else was faster."""

        async def update() -> dict[str, Any]:
            state = State(open_store(self._config.state_address()))
            try:

                def both(value: Any, _: float) -> tuple[Any, dict[str, Any]]:
                    new = change({"keys": {}, "teams": {}, **(value or {})})
                    return new, new

                return await state.update(MANAGED, both)
            finally:
                await state.close()

        return asyncio.run(update())
