"""Runs inside the sandboxes, after `_inside_values.py`: objects of the other side, and questions about them.

An object of the other side is a stand-in here, of a class with the same name, that asks for what it is asked.
"""

from __future__ import annotations

import _thread
import sys

from llmrouterbench.sandbox._inside_values import _BACKED, _TEXTS, _TYPES, SPECIAL, Codec, is_standard
from llmrouterbench.sandbox._inside_wire import Broken, Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ASKED = "name qualname doc module dict wrapped annotations defaults self func members match_args cause code signature"
_ASKED += " version args origin"
"""Names with underscores that a stand-in asks for: by none of them does a library take it for something else."""
_UNTRUSTED = ("unittest", "doctest")
"""Modules whose exceptions do not fail a test."""
_ACCESS: dict[str, Any] = {"get": getattr, "set": setattr, "del": delattr}
_ONE_BY_ONE, _AT_ONCE = 1000, 256


class _Here:
    """What is here: what a stand-in asks, with no name of its own in the way of a class's."""

    peer: Peer

    def ask(self, verb: str, thing: Any, name: str = "", given: Any = (), more: Any = None) -> Any:
        return self.peer.ask(verb, self.peer.number(thing), name, given, more)


_here = _Here()


class StandIn:
    """An object of the other side."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return _here.peer.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _here.ask("set", self, name, [value])

    def __delattr__(self, name: str) -> None:
        _here.ask("del", self, name)

    def __copy__(self) -> Any:
        return _here.ask("copy", self)

    def __deepcopy__(self, memo: Any) -> Any:
        return _here.ask("deepcopy", self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _here.peer.refuse("pickle an object of the solution's")


class Mirror(type):
    """A class of the other side."""

    def __new__(meta, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
        return _here.peer.refuse("derive a class from one of the solution's")

    def __call__(cls, /, *given: Any, **more: Any) -> Any:
        return _here.peer.construct(cls, given, more)

    def __getattr__(cls, name: str) -> Any:
        return _here.peer.get(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        _here.ask("set", cls, name, [value])

    def __iter__(cls) -> Any:
        return _here.peer.special(cls, "__iter__", ())

    def __len__(cls) -> Any:
        return _here.peer.special(cls, "__len__", ())

    def __getitem__(cls, key: Any) -> Any:
        return _here.ask("item", cls, "", [key])

    def __contains__(cls, key: Any) -> Any:
        return _here.peer.special(cls, "__contains__", (key,))


class _Doc:
    def __get__(self, thing: Any, kind: Any) -> Any:
        return _here.ask("get", kind if thing is None else thing, "__doc__")


def _forwarding(name: str) -> Callable[..., Any]:
    def forward(self: Any, *given: Any) -> Any:
        return _here.peer.special(self, name, given)

    return forward


def _calling(self: Any, /, *given: Any, **more: Any) -> Any:
    return _here.ask("call", self, "", given, more)


def _leaving(self: Any, kind: Any, error: Any, trace: Any) -> Any:
    return _here.ask("exit", self, "", [error])


def _said(error: Any) -> str:
    return str(error._said)


def _generator(peer: Peer, number: int) -> Any:
    """A generator that is the other side's: asked for one part at a time, and for many once it has given a thousand."""
    verb, taken = "next", 0
    given: list[Any] = [1]
    while True:
        try:
            parts, end = peer.ask(verb, number, "", given)
        except StopIteration as ended:
            return ended.value
        taken += len(parts)
        verb, given = "next", [1 if taken < _ONE_BY_ONE else _AT_ONCE]
        for part in parts:
            try:
                sent = yield part
            except GeneratorExit:
                peer.ask("close", number)
                raise
            except Exception as error:
                verb, given = "throw", [error]
            else:
                verb, given = (verb, given) if sent is None else ("send", [sent])
        if end is not None:
            if isinstance(end, StopIteration):
                return end.value
            raise end


async def _coroutine(peer: Peer, number: int) -> Any:
    """A coroutine that runs on the other side, to its end."""
    return peer.ask("await", number)


def _stepped(generator: Any, verb: str, given: list[Any]) -> Any:
    """Parts of a generator, and the error it ended with."""
    if verb != "next":
        return [getattr(generator, verb)(*given)], None
    parts: list[Any] = []
    try:
        for _ in range(given[0]):
            parts.append(next(generator))  # noqa: PERF401
    except BaseException as error:
        if not parts:
            raise
        return parts, error
    return parts, None


def _method(thing: Any, name: str) -> Any:
    """A special method, found as Python itself finds it: in the class."""
    for base in type(thing).__mro__:
        if name in vars(base):
            found = vars(base)[name]
            return found.__get__(thing, type(thing)) if hasattr(type(found), "__get__") else found
    raise TypeError(f"{type(thing).__name__!r} object has no {name}")


class _Code:
    """As much of a function's code as can be told."""

    def __init__(self, names: list[str], skipped: int, before: int, places: int, named: int, flags: int, *_: Any):
        self.co_varnames, self.co_argcount, self.co_kwonlyargcount = tuple(names), places, named
        self.co_posonlyargcount, self.co_flags, self.co_nlocals = before, flags, len(names)


def _signature(
    names: list[str], skipped: int, before: int, places: int, named: int, flags: int, given: int, given_named: list[str]
) -> Any:
    from inspect import Parameter, Signature

    kinds: list[Any] = [Parameter.POSITIONAL_ONLY] * before + [Parameter.POSITIONAL_OR_KEYWORD] * (places - before)
    kinds += [Parameter.KEYWORD_ONLY] * named
    kinds += [Parameter.VAR_POSITIONAL] * bool(flags & 4) + [Parameter.VAR_KEYWORD] * bool(flags & 8)
    known = set(names[places - given : places]) | set(given_named)
    parameters = [
        Parameter(name, kind, default=None if name in known else Parameter.empty)
        for name, kind in zip(names, kinds, strict=True)
    ]
    return Signature(sorted(parameters[skipped:], key=lambda parameter: parameter.kind))


class Peer(Codec):
    """One side of the conversation: asks the other, and answers while it waits."""

    def __init__(self, side: int, wire: Wire) -> None:
        super().__init__(side)
        self.wire, self._lock = wire, _thread.RLock()
        self._manners: dict[int, str] = {}
        self._parameters: dict[int, Any] = {}
        _here.peer = self

    # --- questions and answers ---

    def ask(self, verb: str, at: int, name: str = "", given: Any = (), more: Any = None) -> Any:
        """Have something done over there; an exception there is one here, of a class with the same name and bases."""
        named = {key: self.pack(value) for key, value in (more or {}).items()}
        with self._lock:
            self.say({"do": [verb, at, name, [self.pack(value) for value in given], named], **self.around()})
            while "do" in (said := self.hear()):
                self.answer(said)
            try:
                error = self.unpack(said["error"]) if "error" in said else None
                value = None if "error" in said else self.outcome(said)
            except Exception as wrong:
                raise self.broken_by(wrong) from None
        if error is not None:
            raise self.raised(verb, name, error)
        return value

    def say(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.wire.say(self.written(message))

    def hear(self) -> dict[str, Any]:
        """The next message. Raises Broken for what is none."""
        try:
            return dict(self.read(self.wire.hear()))
        except Exception as wrong:
            raise self.broken_by(wrong) from None

    def answer(self, said: dict[str, Any]) -> None:
        """Do what the other side asks, and say what came of it."""
        self.say(self.tried(said))

    def tried(self, said: dict[str, Any]) -> dict[str, Any]:
        """What comes of a question."""
        try:
            verb, at, name, given, more = said["do"]
            named = {key: self.unpack(part) for key, part in more.items()}
            return {"ok": self.pack(self.act(verb, self.things[at], name, list(map(self.unpack, given)), named))}
        except Broken:
            raise
        except BaseException as error:
            return {"error": self.pack(error)}

    def act(self, verb: str, thing: Any, name: str, given: list[Any], more: dict[str, Any]) -> Any:
        """Do one thing to an object of this side."""
        if verb == "call":
            return thing(*given, **more)
        if verb in _ACCESS:
            return _ACCESS[verb](thing, name, *given)
        if verb == "special" and name in SPECIAL:
            return _method(thing, name)(*given)
        if verb == "item":
            return thing[given[0]]
        if verb == "exit":
            error = given[0]
            return _method(thing, "__exit__")(None if error is None else type(error), error, None)
        if verb in ("next", "send", "throw"):
            return _stepped(thing, verb, given)
        if verb == "close":
            return thing.close()
        if verb in ("copy", "deepcopy"):
            return getattr(__import__("copy"), verb)(thing)
        if verb == "await":
            return __import__("asyncio").run(thing)
        raise ValueError(f"nobody can {verb!r}")

    # --- what each side does in its own way ---

    def around(self) -> dict[str, Any]:
        """What goes with a question."""
        return {}

    def outcome(self, said: dict[str, Any]) -> Any:
        """The value of an answer."""
        return self.unpack(said["ok"])

    def raised(self, verb: str, name: str, error: BaseException) -> BaseException:
        """What is raised here where `error` was raised there."""
        return error

    def broken_by(self, wrong: Exception) -> Broken:
        """What is raised where the other side says what is no message."""
        return Broken(f"the program says what is no value ({type(wrong).__name__})")

    def refuse(self, what: str) -> Any:
        """Say that this cannot be done from here."""
        raise TypeError(f"a solution cannot {what} here")

    def special(self, thing: Any, name: str, given: tuple[Any, ...]) -> Any:
        """What a special method of the other side's object gives."""
        return self.ask("special", self.number(thing), name, given)

    def construct(self, kind: Any, given: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """A new object of the other side's class."""
        return self.ask("call", self.number(kind), "", given, more)

    # --- stand-ins ---

    def number(self, thing: Any) -> int:
        """The number of a stand-in."""
        try:
            return self.numbers[id(thing)]
        except KeyError:
            raise AttributeError("an object must come from the other side") from None

    def get(self, thing: Any, name: str) -> Any:
        """An attribute of the other side's object."""
        if name[:2] == "__" and name[2:-2] not in _ASKED.split():
            raise AttributeError(name)
        number = self.number(thing)
        if name in ("__code__", "__signature__") and number in self._parameters:
            parameters = self._parameters[number]
            return _Code(*parameters) if name == "__code__" else _signature(*parameters)
        return self.ask("get", number, name)

    def mirror(self, number: int, module: str, name: str, bases: Any, special: Any, fields: Any, how: str) -> None:
        """Take in a class of the other side."""
        own = tuple(map(self.unpack, bases))
        space: dict[str, Any] = {"__module__": "solution", "__doc__": _Doc()}
        if how == "error":
            real = getattr(sys.modules.get(module), name, None) if is_standard(module) else None
            if isinstance(real, type) and issubclass(real, BaseException) and not module.startswith(_UNTRUSTED):
                self.keep(real, number)
                return
            own = own or (Exception,)
            if not all(issubclass(base, BaseException) for base in own):
                raise ValueError("an exception must be derived from exceptions")
            space |= {"__str__": _said, "__getattr__": StandIn.__getattr__}
        elif how in _BACKED:
            own, space = (StandIn, _TYPES[how]), space | {text: _forwarding(text) for text in _TEXTS}
        else:
            own = tuple(base for base in own if isinstance(base, Mirror) and issubclass(base, StandIn)) or (StandIn,)
            ways = {"__call__": _calling, "__exit__": _leaving}
            space |= {text: ways.get(text) or _forwarding(text) for text in special if text in SPECIAL}
            space["__slots__"] = ()
        if fields:
            from dataclasses import make_dataclass

            space["__dataclass_fields__"] = vars(make_dataclass(name, fields))["__dataclass_fields__"]
        try:
            made: Any = type.__new__(Mirror, name, own, space)
        except TypeError:  # bases that fit no order here
            made = type.__new__(Mirror, name, own[:1], space)
        self.keep(made, number)
        self._manners[number] = how

    def new(self, number: int, of: int, backing: Any) -> Any:
        """Take in an object of the other side."""
        how, kind = self._manners[of], self.things[of]
        if how in _BACKED:
            return self.keep(_TYPES[how].__new__(kind, self.unpack(backing)), number)
        if how in ("generator", "coroutine"):
            made: Any = _generator if how == "generator" else _coroutine
            return self.keep(made(self, number), number)
        if backing is not None:
            self._parameters[number] = backing
        return self.keep(object.__new__(kind), number)

    def new_error(self, number: int | None, kind: Any, given: Any, text: str, cause: Any, state: Any) -> Any:
        """Take in an exception of the other side."""
        kind, values = self.unpack(kind), list(map(self.unpack, given))
        if not issubclass(kind, BaseException):
            raise ValueError("an exception must be one")
        try:
            error = kind(*values) if number is None else kind.__new__(kind, *values)
        except Exception:
            error = BaseException.__new__(kind)
            error.args = tuple(values)
        error.__cause__ = self.unpack(cause)
        if number is not None:
            vars(error).update({name: self.unpack(part) for name, part in state.items()}, _said=text)
            self.keep(error, number)
        return error
