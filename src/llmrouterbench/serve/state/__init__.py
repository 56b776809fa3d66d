"""What the workers of a server know together: budgets, rates, conversations, breakers. In memory, or in a store.

A store keeps small values under names, and replaces one only where it still is what was read: all that is counted is
written down once, as a change of a value, and holds in memory, SQLite, Redis and PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

T = TypeVar("T")

Change = Callable[[Any, float], tuple[Any, T]]
"""(value or None, seconds on the store's clock) -> (new value or None, result); made again on a newer value."""

SECONDS = (2.0, 5.0)
"""Seconds to connect to a store, and for an answer: a request is waiting."""
_REST = 0.5
"""Seconds for which a store that failed is not asked again: those who wait in line fail at once."""
_LONGEST = 10.0
"""Seconds that a request waits for the store at most."""
_EVERY = 1.0
"""Seconds between two looks at what others have written."""
_SWEEP = 60
"""So many looks between two sweeps of what has ended."""


class Store(Protocol):
    """Bytes under names, for many processes. Every method raises OSError where the store cannot be reached.

    A clock of the store's own is read with the values, so that machines need not agree on the time.
    """

    def read(self, names: Sequence[str]) -> tuple[list[bytes | None], float]:
        """The values under some names, and the seconds on the store's clock."""

    def swap(self, name: str, old: bytes | None, new: bytes | None, seconds: float | None) -> bool:
        """Replace a value by another (None: no value), which ends after `seconds`; False where it was not `old`."""

    def sweep(self) -> None:
        """Remove what has ended."""

    def close(self) -> None:
        """End the connection."""


def open_store(address: str) -> Store:
    """The store at an address: redis://HOST, postgresql://HOST/DATABASE, or the path of a SQLite file.

    Raises ConnectionError where no server answers, OSError, ImportError without the extra.
    """
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in ("redis", "rediss", "unix"):
        from llmrouterbench.serve.state.redis import RedisStore

        return RedisStore(address)
    if scheme in ("postgresql", "postgres"):
        from llmrouterbench.serve.state.postgres import PostgresStore

        return PostgresStore(address)
    if scheme:
        raise ValueError(f"state must be a path, redis:// or postgresql://, got {scheme}://")
    from llmrouterbench.serve.state.sqlite import SqliteStore

    return SqliteStore(Path(address))


class State:
    """Values under names as one event loop uses them: in memory at once, in a store from a thread of its own.

    tell        is told (level, sentence) when the store is away, and when it is back
    store       where other processes read and write them too; None: in memory, `remembered` passing values at most
    """

    def __init__(
        self,
        store: Store | None = None,
        remembered: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str, str], None] = lambda level, said: None,
    ) -> None:
        self._store = store
        self._remembered = remembered
        self._clock = clock
        self._say = tell
        self._values: dict[str, Any] = {}
        self._passing: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "state")
        self._ahead = 0.0
        self._down_until = float("-inf")
        self._down: OSError | None = None
        self._owed: deque[tuple[str, Change[Any]]] = deque()
        self._mirrors: dict[str, Mirror] = {}
        self._keeping_up: asyncio.Task[None] | None = None

    @property
    def shared(self) -> bool:
        """Whether other processes read and write it too."""
        return self._store is not None

    @property
    def away(self) -> bool:
        """Whether the store did not answer when it was last asked."""
        return self._down is not None

    def now(self) -> float:
        """Seconds on the clock of the values, as last heard."""
        return self._clock() + self._ahead

    async def update(self, name: str, change: Change[T], seconds: float | None = None) -> T:
        """Change the value under a name, which then ends after `seconds`; None: never. Raises OSError.

        Where the caller is cancelled the change is made all the same.
        """
        if self._store is None:
            return self._in_memory(name, change, seconds)
        return await self._aside(lambda: self._in_store(name, change, seconds))

    async def read(self, name: str) -> Any:
        """The value under a name, None where there is none. Raises OSError."""
        if self._store is None:
            return self._held(name)
        (value,), _ = await self._aside(partial(self._store.read, [name]))
        return None if value is None else orjson.loads(value)

    async def surely(self, name: str, change: Change[T]) -> T | None:
        """Change a value even where the caller is cancelled, which is then told late; None: owed, the store is away."""
        if self._store is None:
            return self._in_memory(name, change, None)
        changing = asyncio.ensure_future(self._or_owe(name, change))
        try:
            return await asyncio.shield(changing)
        except asyncio.CancelledError:
            await asyncio.wait([changing])
            raise

    async def _or_owe(self, name: str, change: Change[T]) -> T | None:
        try:
            return await self.update(name, change)
        except OSError:
            self.owe(name, change)
            return None

    def later(self, name: str, change: Change[Any], seconds: float | None = None) -> None:
        """Change a value soon, unless the store is away."""
        if self._store is None:
            self._in_memory(name, change, seconds)
        else:
            self._thread.submit(self._unless_down, lambda: self._in_store(name, change, seconds))

    def owe(self, name: str, change: Change[Any]) -> None:
        """Change a value as soon as the store takes it, after what the thread already has to do."""
        if self._store is None:
            self._in_memory(name, change, None)
            return
        self._owed.append((name, change))
        self._thread.submit(self._pay)

    def mirror(self, name: str) -> Mirror:
        """A value that is known here without asking, at most a second late."""
        return self._mirrors.setdefault(name, Mirror(self, name))

    def tell(self, mirror: Mirror, change: Change[Any]) -> None:
        """Make a change that a mirror made in the store too, unless that is away."""
        if self._store is not None:
            self._thread.submit(self._unless_down, lambda: self._in_mirror(mirror, change))

    async def ask(self, mirror: Mirror, change: Change[T]) -> T:
        """Make a change in the store, and then in the mirror. Raises OSError."""
        return await self._aside(lambda: self._in_mirror(mirror, change))

    def begin(self, look: Callable[[], None] = lambda: None) -> None:
        """From now on see each second what others have written, and `look`; within the event loop."""
        if self._store is not None:
            self._keeping_up = asyncio.create_task(self._keep_up(look))

    async def close(self) -> None:
        """End the connection, after what is still to be written."""
        if self._keeping_up is not None:
            self._keeping_up.cancel()
        if self._store is not None:
            self._thread.submit(self._pay)
        await asyncio.to_thread(self._thread.shutdown)
        if self._store is not None:  # after the last work, which would connect again
            self._store.close()

    # --- in memory ---------------------------------------------------------------------------------------------------

    def _in_memory(self, name: str, change: Change[T], seconds: float | None) -> T:
        now = self._clock()
        new, result = change(self._held(name), now)
        if seconds is None:
            self._values[name] = new  # one for each key and period, or for each key: few
        elif new is not None:
            self._passing[name] = now + seconds, new
            self._passing.move_to_end(name)
            if len(self._passing) > self._remembered:
                self._passing.popitem(last=False)
        return result

    def _held(self, name: str) -> Any:
        until, value = self._passing.get(name, (0.0, None))
        return value if self._clock() < until else self._values.get(name)

    # --- in a store --------------------------------------------------------------------------------------------------

    async def _aside(self, work: Callable[[], T]) -> T:
        """What some work in the store's thread gives."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._unless_down, work)
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else may be there to see
        try:
            return await asyncio.wait_for(asyncio.shield(running), _LONGEST)
        except TimeoutError:
            raise ConnectionError(f"the state must answer within {_LONGEST:g} seconds, got no answer") from None

    def _unless_down(self, work: Callable[[], T]) -> T:
        if time.monotonic() < self._down_until and self._down is not None:
            raise self._down
        try:
            done = work()
        except OSError as error:
            if self._down is None:
                self._say("error", f"{error}; keys with limits are refused until it answers")
            self._down, self._down_until = error, time.monotonic() + _REST
            raise
        if self._down is not None:
            self._say("info", "the state answers again")
            self._down = None
        return done

    def _in_store(self, name: str, change: Change[T], seconds: float | None = None) -> T:
        assert self._store is not None
        while True:
            (old,), now = self._store.read([name])
            self._ahead = now - self._clock()
            value, result = change(None if old is None else orjson.loads(old), now)
            new = None if value is None else orjson.dumps(value)
            if (new == old and seconds is None) or self._store.swap(name, old, new, seconds):
                return result

    def _in_mirror(self, mirror: Mirror, change: Change[T]) -> T:
        def both(value: Any, now: float) -> tuple[Any, tuple[Any, T]]:
            new, result = change(value, now)
            return new, (new, result)

        mirror.value, result = self._in_store(mirror.name, both)
        return result

    def _pay(self) -> None:
        """Make the changes that are owed, in their order, as far as the store takes them."""
        with suppress(OSError):
            while self._owed:
                name, change = self._owed[0]
                self._unless_down(lambda name=name, change=change: self._in_store(name, change))  # type: ignore[misc]
                self._owed.popleft()

    async def _keep_up(self, look: Callable[[], None]) -> None:
        """Each second: what others have written of what is mirrored here; what is owed; at times, a sweep."""
        looks = 0
        while True:
            look()
            with suppress(OSError):
                await self._aside(self._look)
                if self._owed:
                    await self._aside(self._pay)
                if (looks := looks + 1) % _SWEEP == 0 and self._store is not None:
                    await self._aside(self._store.sweep)
            await asyncio.sleep(_EVERY)

    def _look(self) -> None:
        mirrors = list(self._mirrors.values())
        if self._store is None or not mirrors:
            return
        values, now = self._store.read([one.name for one in mirrors])
        self._ahead = now - self._clock()
        for mirror, value in zip(mirrors, values, strict=True):
            mirror.value = None if value is None else orjson.loads(value)


class Mirror:
    """A value of a `State` that is known without asking; while the store is away it goes on alone."""

    def __init__(self, state: State, name: str) -> None:
        self.name = name
        self.value: Any = None
        self._state = state

    def now(self) -> float:
        """Seconds on the clock of the value."""
        return self._state.now()

    def change(self, change: Change[Any]) -> None:
        """Change the value here, and soon for everybody."""
        self.value, _ = change(self.value, self.now())
        self._state.tell(self, change)

    async def ask(self, change: Change[T]) -> T:
        """Change the value for everybody, now; while the store is away, here alone."""
        if self._state.shared:
            with suppress(OSError):
                return await self._state.ask(self, change)
        self.value, result = change(self.value, self.now())
        return result
