"""Client keys: who may ask, how often, and for how much money."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from llmrouterbench.serve.config import KeyConfig
from llmrouterbench.serve.ledger import Grant, Ledger
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.state import State

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

    def __init__(self, config: KeyConfig, state: State | None = None, clock: Callable[[], float] = time.time) -> None:
        self.name = config.name
        self.config = config
        self._state = state or State()
        self._ledger = Ledger(self._state)
        self._clock = clock

    async def admit(self) -> None:
        """Count one request. Raises RefusedError: the key asks too often (429), nobody can tell whether (503)."""
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

    @property
    def limited(self) -> bool:
        """Whether the key has a budget."""
        return self.config.budget is not None

    @property
    def period(self) -> float:
        """When the running period of its budget began."""
        return period_start(self.config.budget_period, self._clock())

    async def reserve(self, most: float, least: float) -> Grant | None:
        """Set USD aside for a call, `least` at least; None for a key without a budget.

        Raises RefusedError: the budget does not hold that (429), nobody can tell whether it does (503).
        """
        limit = self.config.budget
        if limit is None:
            return None
        try:
            grant = await self._ledger.take(self.name, self.period, limit, most, least)
        except OSError:
            raise _unreachable() from None
        if grant is None:
            period = {"ever": "life"}.get(self.config.budget_period, self.config.budget_period)
            said = f"key {self.name!r} has no room left for this request in its budget of ${limit:g} a {period}"
            raise RefusedError(429, said, "insufficient_quota")
        return grant

    async def settle(self, grant: Grant | None, cost: float) -> None:
        """Replace what was set aside by what it cost."""
        if grant is not None:
            await self._ledger.settle(grant, cost)

    async def know(self, usd: float) -> None:
        """At least so many USD of the running period were spent."""
        await self._ledger.know(self.name, self.period, usd)

    async def spent(self) -> float:
        """USD of the running period that are settled."""
        return await self._ledger.spent(self.name, self.period)


def _unreachable() -> RefusedError:
    return RefusedError(503, "what this key has used cannot be looked up just now; try again", "state_unreachable", 1.0)


class Keyring:
    """The accounts of all client keys; without any key, one account for everybody."""

    def __init__(self, keys: Iterable[KeyConfig], state: State | None = None) -> None:
        self._accounts = [(key.sha256.encode(), Account(key, state)) for key in keys]
        self._everybody = Account(KeyConfig(name=NOBODY, sha256="0" * 64))

    @property
    def open(self) -> bool:
        """Whether anybody may ask."""
        return not self._accounts

    @property
    def limited(self) -> list[Account]:
        """The accounts with a budget."""
        return [account for _, account in self._accounts if account.limited]

    def account(self, authorization: str) -> Account:
        """Whose key an Authorization header holds. Raises RefusedError (401).

        All keys are compared, each in constant time.
        """
        if self.open:
            return self._everybody
        scheme, _, key = authorization.partition(" ")
        digest = hash_key(key.strip()).encode()
        found: Account | None = None
        for stored, account in self._accounts:
            if hmac.compare_digest(stored, digest):
                found = account
        if found is None or scheme.lower() != "bearer":
            raise RefusedError(401, "Authorization must be Bearer and a key of this server's config", "invalid_api_key")
        return found
