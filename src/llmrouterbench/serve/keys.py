"""Client keys: who may ask, how often, and for how much money."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from llmrouterbench.serve.config import AUTO, KeyConfig, TeamConfig
from llmrouterbench.serve.ledger import Grant, Ledger
from llmrouterbench.serve.managed_keys import read_managed
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import Mirror, State

BURST_SHARE = 6.0
"""A key that was idle may send this part of a minute's requests at once."""
NOBODY = "-"
"""The key's name where the config has no keys."""


def new_key() -> tuple[str, str]:
    """A key of 256 random bits for a client, and its sha256 for the config."""
    key = f"lrb-{secrets.token_urlsafe(32)}"
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """Hex sha256 of a key. Keys are random and long, so that a slow hash would protect nothing more.

    >>> hash_key("lrb-1")[:12]
    '3cbc8ae8fee1'
    """
    return hashlib.sha256(key.encode()).hexdigest()


def period_start(period: str, now: float) -> float:
    """When the period that holds `now` began, in seconds since 1970 (UTC).

    >>> datetime.fromtimestamp(period_start("month", 1e9), UTC).isoformat()
    '2001-09-01T00:00:00+00:00'
    """
    if period == "ever":
        return 0.0
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day if period == "day" else day.replace(day=1)).timestamp()


class Account:
    """What one key has used: a bucket of requests, and the USD of the running period in the books."""

    def __init__(
        self,
        config: KeyConfig,
        state: State | None = None,
        clock: Callable[[], float] = time.time,
        team: TeamConfig | None = None,
    ) -> None:
        self.name = config.name
        self.config = config
        self.team = team
        self._state = state or State()
        self._ledger = Ledger(self._state)
        self._clock = clock

    async def admit(self) -> None:
        """Count one request. Raises RefusedError: the key asks too often (429), nobody can tell whether (503)."""
        if self.config.tokens_per_minute is not None:
            await self._admit_tokens(self.config.tokens_per_minute)
        per_minute = self.config.requests_per_minute
        if per_minute is None:
            return
        most = max(1.0, per_minute / BURST_SHARE)

        def change(bucket: Any, now: float) -> tuple[Any, float]:
            held, filled = bucket or (most, now)
            held = min(most, held + max(0.0, now - filled) * per_minute / 60.0)
            return [held - (held >= 1.0), now], held

        try:
            held = await self._state.update(f"rate:{self.name}", change)
        except OSError:
            raise _unreachable() from None
        if held < 1.0:
            wait = (1.0 - held) * 60.0 / per_minute
            raise RefusedError(
                429, f"key {self.name!r} may send {per_minute:g} requests a minute", "rate_limit_exceeded", wait
            )

    async def _admit_tokens(self, per_minute: float) -> None:
        """Raises RefusedError while the calls that have ended used more than there is."""
        try:
            held = await self._state.update(f"tokens:{self.name}", partial(_tokens_left, per_minute, 0))
        except OSError:
            raise _unreachable() from None
        if held <= 0.0:
            wait = (1.0 - held) * 60.0 / per_minute
            raise RefusedError(
                429, f"key {self.name!r} may use {per_minute:g} tokens a minute", "rate_limit_exceeded", wait
            )

    def use_tokens(self, tokens: int) -> None:
        """Count what a call used, soon."""
        if self.config.tokens_per_minute is not None and tokens:
            self._state.owe(f"tokens:{self.name}", partial(_tokens_left, self.config.tokens_per_minute, tokens))

    def permit(self, asked: str, moving: Sequence[str] = ()) -> None:
        """Raises RefusedError (403) where this key may not ask for a model, route by a policy, or say a field.

        `moving` are the fields that could change who serves it, or pay for more than tokens of text.
        """
        name, _, words = asked.partition(":")
        config = self.config
        if moving and (self.limited or config.models):
            said = f"{moving[0]} could change who serves this and what it costs, which a key with a budget or a list"
            raise RefusedError(403, f"{said} of models, as {self.name!r}, must not; leave it out", "field_not_allowed")
        if name == AUTO and words and config.policies and words not in config.policies:
            said = f"key {self.name!r} may name the policies {', '.join(config.policies)}, got {words[:100]!r}"
            raise RefusedError(403, said, "policy_not_allowed")
        if name != AUTO and config.models and asked not in config.models:
            said = f"key {self.name!r} may ask {', '.join(config.models)}, got {asked[:100]!r}"
            raise RefusedError(403, said, "model_not_allowed")

    @property
    def limited(self) -> bool:
        """Whether the key or its team has a budget."""
        return self.config.budget is not None or self.team is not None

    @property
    def period(self) -> float:
        """When the running period of its budget began."""
        return period_start(self.config.budget_period, self._clock())

    async def reserve(self, most: float, least: float) -> Grant | None:
        """Set USD aside for a call, `least` at least; None for a key without a budget.

        Raises RefusedError: the budget does not hold that (429), nobody can tell whether it does (503).
        """
        config, team = self.config, self.team
        own = None
        if config.budget is not None:
            own = await self._take(f"key {self.name!r}", self.name, config.budget, config.budget_period, most, least)
        if team is None:
            return own
        try:
            room = most if own is None else own.usd
            its = await self._take(
                f"team {team.name!r}", books_of(team), team.budget, team.budget_period, room, min(least, room)
            )
        except BaseException:
            await self.settle(own, 0.0)
            raise
        return its if own is None else replace(own, usd=its.usd, also=its)

    async def _take(self, whose: str, books: str, limit: float, period: str, most: float, least: float) -> Grant:
        try:
            grant = await self._ledger.take(books, period_start(period, self._clock()), limit, most, least)
        except OSError:
            raise _unreachable() from None
        if grant is None:
            named = {"ever": "life"}.get(period, period)
            said = f"{whose} has no room left for this request in its budget of ${limit:g} a {named}"
            raise RefusedError(429, said, "insufficient_quota")
        return grant

    async def settle(self, grant: Grant | None, cost: float) -> None:
        """Replace what was set aside by what it cost."""
        while grant is not None:
            await self._ledger.settle(grant, cost)
            grant = grant.also

    async def know(self, usd: float) -> None:
        """At least so many USD of the running period were spent."""
        await self._ledger.know(self.name, self.period, usd)

    async def know_team(self, usd: float) -> None:
        """At least so many USD of its team's running period were spent."""
        if (team := self.team) is not None:
            await self._ledger.know(books_of(team), period_start(team.budget_period, self._clock()), usd)

    async def spent(self) -> float:
        """USD of the running period that are settled."""
        return await self._ledger.spent(self.name, self.period)

    async def spent_by_team(self) -> float:
        """The same of its team; 0 for a key without one."""
        team = self.team
        if team is None:
            return 0.0
        return await self._ledger.spent(books_of(team), period_start(team.budget_period, self._clock()))


def books_of(team: TeamConfig) -> str:
    """The name of a team's books, which no key has: a line break is in it."""
    return f"team\n{team.name}"


def _tokens_left(per_minute: float, used: int, bucket: Any, now: float) -> tuple[Any, float]:
    """A bucket that holds the tokens of a minute, and what it holds."""
    held, filled = bucket or (per_minute, now)
    held = min(per_minute, held + max(0.0, now - filled) * per_minute / 60.0)
    return [held - used, now], held


def _unreachable() -> RefusedError:
    return RefusedError(503, "what this key has used cannot be looked up just now; try again", "state_unreachable", 1.0)


class Keyring:
    """The accounts of all client keys; without any key, one account for everybody.

    managed  what `llmrouterbench keys` keeps (`serve/managed_keys.py`), at most a second late; None: nothing counts
    """

    def __init__(
        self,
        keys: Iterable[KeyConfig],
        state: State | None = None,
        teams: Iterable[TeamConfig] = (),
        managed: Mirror | None = None,
    ) -> None:
        self._keys, self._teams, self._state, self._managed = tuple(keys), tuple(teams), state, managed
        self._seen: Any = None
        self._accounts = self._opened(self._keys, self._teams)
        self._everybody = Account(KeyConfig(name=NOBODY, sha256="0" * 64))

    def _opened(self, keys: Iterable[KeyConfig], teams: Iterable[TeamConfig]) -> list[tuple[bytes, Account]]:
        """The accounts of keys; one whose team is not there is not let in."""
        named = {team.name: team for team in teams}
        known = [key for key in keys if not key.team or key.team in named]
        return [(key.sha256.encode(), Account(key, self._state, team=named.get(key.team))) for key in known]

    @property
    def open(self) -> bool:
        """Whether anybody may ask."""
        return not self._keys and self._managed is None

    def _all(self) -> list[tuple[bytes, Account]]:
        """The accounts as the managed keys are now."""
        managed = self._managed
        if managed is not None and managed.value is not self._seen:
            if managed.value != self._seen:
                keys, teams = read_managed(managed.value)
                ours = {key.name for key in self._keys}  # the config's go before
                keys = [key for key in keys if key.name not in ours]
                self._accounts = self._opened((*self._keys, *keys), (*teams, *self._teams))
            self._seen = managed.value
        return self._accounts

    async def begin(self, spent: Callable[[str, float], float] | None) -> None:
        """Look up the managed keys, and what all have spent in the running period, as a log tells. Raises OSError."""
        if self._managed is not None and self._state is not None:
            self._managed.value = await self._state.read(self._managed.name)
        if spent is None:
            return
        accounts = [account for _, account in self._all()]
        for account in accounts:
            if account.config.budget is not None:
                await account.know(spent(account.name, account.period))
        for team in {account.team.name: account.team for account in accounts if account.team is not None}.values():
            ours = [account for account in accounts if account.team == team]
            start = period_start(team.budget_period, time.time())
            await ours[0].know_team(sum(spent(account.name, start) for account in ours))

    @property
    def limited(self) -> list[Account]:
        """The accounts with a budget."""
        return [account for _, account in self._all() if account.limited]

    def account(self, authorization: str) -> Account:
        """Whose key an Authorization header holds. Raises RefusedError (401).

        All keys are compared, each in constant time.
        """
        if self.open:
            return self._everybody
        scheme, _, key = authorization.partition(" ")
        digest = hash_key(key.strip()).encode()
        found: Account | None = None
        for stored, account in self._all():
            if hmac.compare_digest(stored, digest):
                found = account
        if found is None or scheme.lower() != "bearer":
            raise RefusedError(401, "Authorization must be Bearer and a key of this server", "invalid_api_key")
        return found
