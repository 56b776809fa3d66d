"""Runs inside a sandbox, after `_inside_wire.py`: a solution, which does what its tests ask from another sandbox.

Nothing in this process is believed: whatever it says is taken as an answer of the solution.
"""

from __future__ import annotations

import builtins
import posix
import sys

from llmrouterbench.sandbox._inside_peer import Peer
from llmrouterbench.sandbox._inside_values import container, is_standard, manner
from llmrouterbench.sandbox._inside_wire import LONGEST, Broken, as_elsewhere, wire_of_standard_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_WATCHED = 1 << 18
"""Bytes of all containers that are watched from one question to the next."""
_HELD_ONCE = {0: list[int]()}
_ALONE = sys.getrefcount(_HELD_ONCE[0])


class _Packed:
    """A value that is plain data already."""

    def __init__(self, said: Any) -> None:
        self.said = said


class Solution(Peer):
    """The solution's side."""

    def say(self, message: dict[str, Any]) -> None:
        """Send a message; a value that is too long for one is only said to be so."""
        text = self.written(message)
        if len(text) > LONGEST:
            if "ok" not in message:
                raise MemoryError("a value is too long to be handed over")
            text = self.written({"ok": None, "huge": self._length(message["ok"])})
            if len(text) > LONGEST:  # containers that the tests hold have grown too long
                raise Broken("too long")
        self.wire.say(f'{text[:-1]},"gone":{self._loose()}}}')

    def _length(self, said: Any) -> int | None:
        """Parts of a value, where it has any."""
        value = self.things.get(said["thing"]) if isinstance(said, dict) and "thing" in said else said
        return len(value) if isinstance(value, list | dict | set | bytearray | str) else None

    def _loose(self) -> list[int]:
        """Containers that the solution does not hold on to: neither side need watch them any longer."""
        gone = []
        for number in list(self.texts):
            if sys.getrefcount(self.things[number]) <= _ALONE:
                gone.append(number)
                self.drop(number)
        watched = sum(map(len, self.texts.values()))
        for number, text in list(self.texts.items()):
            if watched > _MOST_WATCHED:
                watched -= len(text)
                gone.append(number)
                self.drop(number)
        return gone

    def named(self, module: str, name: str) -> Any:
        """The thing of that name in the standard library."""
        __import__(module)
        found: Any = sys.modules[module]
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
        return found

    def act(self, verb: str, thing: Any, name: str, given: list[Any], more: dict[str, Any]) -> Any:
        """As any side, and for the tests alone: make an object of a class that they name, say its content."""
        if verb == "make":
            return self.made(thing(*given, **more))
        if verb == "content":
            del self.numbers[id(thing)]  # as if it were new
            try:
                return _Packed(self.pack(thing))
            finally:
                self.numbers[id(thing)] = next(number for number, one in self.things.items() if one is thing)
        return super().act(verb, thing, name, given, more)

    def made(self, value: Any) -> Any:
        """An object of a class derived from list, dict, int and the like stays one: the tests know its methods."""
        kind = type(value)
        derived = not is_standard(kind.__module__) and (container(value) or manner(kind) == "flat")
        if not derived or id(value) in self.numbers:
            return value
        return _Packed({"new": [self.show(value), self._class(kind), True]})

    def pack(self, value: Any) -> Any:
        """A value as plain data."""
        return value.said if type(value) is _Packed else super().pack(value)

    def answer(self, said: dict[str, Any]) -> None:
        """Do what the tests ask, with the standard files that they put in their place."""
        put = {name: self.unpack(part) for name, part in said.get("around", {}).items()}
        places = {name: sys if name.startswith("std") else builtins for name in put}
        before = {name: getattr(place, name) for name, place in places.items()}
        for name, place in places.items():
            setattr(place, name, put[name])
        try:
            message = self.tried(said)
        finally:
            for name, place in places.items():
                setattr(place, name, before[name])
        self.say(message)


def main(code: str, entries: list[str]) -> None:
    """Run the solution, say what it defines, then do what is asked."""
    solution = Solution(1, wire_of_standard_files())
    as_elsewhere(code)
    module = sys.modules["solution"] = type(sys)("solution")
    at, failed = solution.show(module), ""
    try:
        exec(compile(code, "solution.py", "exec"), module.__dict__)
    except BaseException as error:
        failed = f"{type(error).__name__}: {str(error)[:200]}"
    given = [name for name in entries if hasattr(module, name)]
    try:
        solution.say({"at": at, "given": given, "failed": failed})
        while True:
            solution.answer(solution.hear())
    finally:
        posix._exit(0)
