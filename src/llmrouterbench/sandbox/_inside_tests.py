"""Runs inside the sandbox: a solution in one process, its tests in another, and only plain data between them.

`_code_runs.py` adds the call of `main` with the solution to this text. The tests come on standard input, after the
solution's process has begun, so that they are nowhere in its memory; the kernel keeps it from looking into this one
(PR_SET_DUMPABLE 0, and a seccomp filter where there is one). What the solution returns is read as JSON, its objects
stay where they are: none can claim to be equal to an expected value.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import struct
import sys

TYPE_CHECKING = False  # importing them takes longer than most solutions
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PR_SET_DUMPABLE = 4
_ENDED = "the program ended before its tests did"
_REBUILT = {"Decimal": "decimal", "Fraction": "fractions", "deque": "collections", "datetime": "datetime"}
_REBUILT |= {"date": "datetime", "time": "datetime", "timedelta": "datetime"}


class Wire:
    """Messages over two pipes, each a length and JSON."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self.write = os.fdopen(read, "rb"), os.fdopen(write, "wb")

    def say(self, message: Any) -> None:
        """Send one message."""
        text = json.dumps(message).encode()
        try:
            self.write.write(struct.pack("=Q", len(text)) + text)
            self.write.flush()
        except BrokenPipeError:
            raise EOFError(_ENDED) from None

    def hear(self) -> Any:
        """The next message. Raises EOFError where the other side ended."""
        head = self.read.read(8)
        if len(head) < 8:
            raise EOFError(_ENDED)
        return json.loads(self.read.read(struct.unpack("=Q", head)[0]))


def encode(value: Any, handle: Callable[[Any], Any]) -> Any:
    """Plain data as JSON with tags; anything else as what `handle` makes of it."""
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in kinds:
        if isinstance(value, kind):
            return {kind.__name__: [encode(part, handle) for part in kind.__iter__(value)]}
    if isinstance(value, dict):
        return {"dict": [[encode(k, handle), encode(v, handle)] for k, v in dict.items(value)]}
    return _rare(value, handle)


def _rare(value: Any, handle: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind in (bytes, bytearray):
        return {kind.__name__: value.hex()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is range:
        return {"range": [value.start, value.stop, value.step]}
    if _REBUILT.get(kind.__name__) == kind.__module__:
        return {kind.__name__: [encode(part, handle) for part in _parts(value)]}
    if hasattr(kind, "__index__"):
        return int(value.__index__())
    return {"object": handle(value)}


def _parts(value: Any) -> list[Any]:
    if type(value).__name__ in ("Decimal", "Fraction"):
        return [str(value)]
    if type(value).__name__ == "deque":
        return [list(value)]
    names = "days seconds microseconds" if type(value).__name__ == "timedelta" else "year month day"
    if type(value).__name__ == "datetime":
        names += " hour minute second microsecond"
    if type(value).__name__ == "time":
        names = "hour minute second microsecond"
    return [getattr(value, name) for name in names.split()]


def decode(value: Any, thing: Callable[[Any], Any]) -> Any:
    """What `encode` made, back as a value; `thing` gives the object of a handle."""
    if not isinstance(value, dict):
        return value
    ((kind, said),) = value.items()
    if kind == "object":
        return thing(said)
    if kind == "dict":
        return {decode(k, thing): decode(v, thing) for k, v in said}
    if kind in ("bytes", "bytearray"):
        return getattr(builtins, kind).fromhex(said)
    parts = [decode(part, thing) for part in said]
    if kind in ("list", "tuple", "set", "frozenset"):
        return getattr(builtins, kind)(parts)
    if kind in ("complex", "range"):
        return getattr(builtins, kind)(*parts)
    return getattr(__import__(_REBUILT[kind]), kind)(*parts)


def serve(wire: Wire, solution: str, entries: list[str]) -> None:
    """The solution's process: run the program, then do what the tests' process asks."""
    module = type(sys)("solution")
    sys.modules["solution"] = module
    things: list[Any] = [module]

    def handle(value: Any) -> int:
        things.append(value)
        return len(things) - 1

    failed: list[str] = []
    try:
        exec(compile(solution, "solution.py", "exec"), module.__dict__)
    except BaseException as error:
        failed = [type(error).__name__, str(error)[:200]]
    given = [name for name in entries if hasattr(module, name)]
    if failed and entries[0] not in given:
        return wire.say({"error": failed})
    wire.say({"ok": given})  # an example of its use that fails below a definition does not count against it
    while True:
        verb, at, names, arguments, named = wire.hear()
        given = [decode(argument, things.__getitem__) for argument in arguments]
        more = {name: decode(argument, things.__getitem__) for name, argument in named.items()}
        try:
            wire.say({"ok": encode(_act(verb, things[at], names, given, more), handle)})
        except BaseException as error:
            wire.say({"error": [type(error).__name__, str(error)[:200]]})


def _act(verb: str, thing: Any, name: str, given: list[Any], more: dict[str, Any]) -> Any:
    if verb == "call":
        return thing(*given, **more)
    if verb == "get":
        return getattr(thing, name)
    if verb == "set":
        return setattr(thing, name, given[0])
    return getattr(builtins, verb)(thing) if not given else getattr(type(thing), name)(thing, *given)


class Tests:
    """The tests' side of the wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def ask(self, verb: str, at: int, name: str = "", given: Any = (), more: Any = None) -> Any:
        """Have something done over there; an exception there is one here, of the same builtin type."""
        named = {key: encode(value, _handle) for key, value in (more or {}).items()}
        self.wire.say([verb, at, name, [encode(value, _handle) for value in given], named])
        return self.answer()

    def answer(self) -> Any:
        """The value of the next message. Raises what it says was raised."""
        said = self.wire.hear()
        if "error" in said:
            kind: Any = getattr(builtins, str(said["error"][0]), None)
            known = isinstance(kind, type) and issubclass(kind, Exception)
            raise (kind if known else RuntimeError)(": ".join(map(str, said["error"])))
        return decode(said["ok"], lambda at: Remote(self, int(at)))


class Remote:
    """An object of the solution. It equals itself and nothing else."""

    def __init__(self, tests: Tests, at: int) -> None:
        self.__dict__["_remote"] = (tests, at)

    def _ask(self, verb: str, name: str = "", given: Any = (), more: Any = None) -> Any:
        tests, at = self._remote
        return tests.ask(verb, at, name, given, more)

    def __call__(self, *given: Any, **more: Any) -> Any:
        return self._ask("call", "", given, more)

    def __getattr__(self, name: str) -> Any:
        return self._ask("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", name, [value])

    def __iter__(self) -> Any:
        return self._ask("iter")

    def __next__(self) -> Any:
        return self._ask("next")

    def __len__(self) -> int:
        return int(self._ask("len"))

    def __str__(self) -> str:
        return str(self._ask("str"))

    def __bool__(self) -> bool:
        return bool(self._ask("bool"))

    def __getitem__(self, key: Any) -> Any:
        return self._ask("item", "__getitem__", [key])

    def __contains__(self, key: Any) -> bool:
        return bool(self._ask("item", "__contains__", [key]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self._remote == other._remote

    def __hash__(self) -> int:
        return hash(self._remote[1])


def _handle(value: Any) -> int:
    if isinstance(value, Remote):
        return int(value._remote[1])
    raise TypeError(f"a test hands over a {type(value).__name__}, which cannot leave its process")


def judge(wire: Wire, entries: list[str]) -> dict[str, Any]:
    """Read the tests, run them against the solution, say how it went."""
    said = json.loads(sys.stdin.read())
    tests = Tests(wire)
    try:
        given = tests.answer()
    except Exception as error:
        return {"token": said["token"], "failed": f"the program fails when it is loaded: {_brief(error)}"}
    space: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(said["before"], "before.py", "exec"), space)
        space |= {name: __import__(name) for name in said["modules"]}
        for name in entries:
            space.pop(name, None)
            if name in given:
                space[name] = tests.ask("get", 0, name)
        exec(compile(said["tests"], "tests.py", "exec"), space)
    except Exception as error:
        return {"token": said["token"], "failed": _brief(error)}
    return {"token": said["token"], "failed": ""}


def _brief(error: Exception) -> str:
    said = " ".join(str(error).split())[:200]
    return type(error).__name__ + (f": {said}" if said else "")


def main(solution: str, entries: list[str]) -> None:
    """Split into the two processes, the solution's first."""
    sys.set_int_max_str_digits(0)
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # else of the module site, which is not imported
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), ctypes.c_ulong(0), 0, 0)
    (heard, ask), (listened, answer) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(ask)
        os.close(listened)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        try:
            serve(Wire(heard, answer), solution, entries)
        finally:
            os._exit(0)
    os.close(heard)
    os.close(answer)
    print("\n" + json.dumps(judge(Wire(listened, ask), entries)), flush=True)
    os._exit(0)
