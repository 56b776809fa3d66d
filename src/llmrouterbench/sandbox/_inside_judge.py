"""Runs inside a sandbox, after `_inside_wire.py`: tests, put to a solution that runs in another one.

One process waits for tests and forks for each of them, so that nothing of one solution is there when the next comes.
Between the two sandboxes the harness carries messages to and fro.
"""

from __future__ import annotations

import builtins
import gc
import os
import select
import sys

from llmrouterbench.sandbox._inside_peer import Mirror, Peer, StandIn, _here
from llmrouterbench.sandbox._inside_values import ARITHMETIC, COMPARISONS, FUNCTION, Codec, is_standard
from llmrouterbench.sandbox._inside_wire import (
    LONGEST,
    Broken,
    Wire,
    from_json,
    to_json,
    wire_of_standard_files,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOADED = (
    "collections contextlib copy dataclasses datetime decimal enum fractions functools heapq io itertools json math"
    " operator random re statistics string typing"
)
_STANDARD = {"stdin": sys, "stdout": sys, "stderr": sys, "input": builtins, "print": builtins}
_STANDARD["open"] = builtins
_NAMED = ("__name__", "__qualname__", "__doc__", "__module__")
_CLOSED = "function method builtin_function_or_method method_descriptor module code frame traceback generator coroutine"
_CLOSED += " async_generator"
"""Types of which the solution sees no attribute, but what they are called: by others it would reach the tests."""


class Unjudged(BaseException):
    """The tests want something that cannot be done between two sandboxes: nobody's fault."""


class TooLarge:
    """A value that is too long to be handed over: it equals nothing that is shorter."""

    def __init__(self, length: int | None) -> None:
        vars(self)["_length"] = length

    def __len__(self) -> int:
        length: int | None = vars(self)["_length"]
        return self.refuse() if length is None else length

    def __eq__(self, other: object) -> bool:
        try:
            apart = Codec(0)  # what is only measured is not handed over
            longest = len(apart.written({"ok": apart.pack(other)}))
        except Exception:
            longest = 0
        return False if longest < LONGEST and not isinstance(other, TooLarge) else self.refuse()

    __hash__ = None  # type: ignore[assignment]

    def refuse(self, *given: Any) -> Any:
        return _here.peer.refuse(f"look into a value of more than {LONGEST >> 20} MiB")

    __getattr__ = __getitem__ = __iter__ = __contains__ = __bool__ = __str__ = refuse
    __class__ = property(refuse)


class Judge(Peer):
    """The tests' side. It asks a stand-in nothing whose answer would be the verdict itself."""

    def __init__(self, wire: Wire, tests: str) -> None:
        super().__init__(0, wire)
        self.why, self.broken = "", ""
        self._stops = "StopIteration" in tests or "StopAsyncIteration" in tests
        self._standard = {name: getattr(place, name) for name, place in _STANDARD.items()}
        self._made: set[int] = set()  # objects that the tests made themselves, of a class that they name
        self._derived: set[int] = set()  # objects whose class is derived from one of Python's own
        self._classes_named: set[int] = set()
        self._theirs: dict[int, BaseException] = {}

    def hear(self) -> dict[str, Any]:
        """The next message of the solution."""
        said = super().hear()
        if "ended" in said:
            self.broken = self.broken or said["ended"]
            raise Broken(self.broken)
        return said

    def broken_by(self, wrong: Exception) -> Broken:
        """What is raised where the solution says what is no message; the tests cannot go on after it."""
        self.broken = self.broken or str(super().broken_by(wrong))
        return Broken(self.broken)

    def say(self, message: dict[str, Any]) -> None:
        """Send a message, unless the conversation is over."""
        if self.broken or self.why:
            raise Broken("it is over")
        text = self.written(message)
        if len(text) > LONGEST:
            self.refuse(f"hand over more than {LONGEST >> 20} MiB")
        self.wire.say(text)

    def refuse(self, what: str) -> Any:
        """Say that these tests cannot be judged here."""
        self.why = self.why or f"the tests {what}, which cannot be done between two sandboxes"
        raise Unjudged(self.why)

    def around(self) -> dict[str, Any]:
        """Standard files and functions that the tests have replaced."""
        now = {name: getattr(place, name) for name, place in _STANDARD.items()}
        put = {name: self.pack(thing) for name, thing in now.items() if thing is not self._standard[name]}
        return {"around": put} if put else {}

    def outcome(self, said: dict[str, Any]) -> Any:
        """The value of an answer."""
        return TooLarge(said["huge"]) if "huge" in said else super().outcome(said)

    def name_of(self, value: Any) -> Any:
        """Where the solution finds the same function, class or module of the standard library."""
        if isinstance(value, type(sys)):
            return [value.__name__, ""] if is_standard(value.__name__) else None
        if not isinstance(value, (type, FUNCTION, type(len), type(str.upper))):
            return None
        module = getattr(value, "__module__", None) or "builtins"
        found: Any = sys.modules.get(module) if is_standard(module) else None
        for name in value.__qualname__.split("."):
            found = getattr(found, name, None)
        return [module, value.__qualname__] if found is value else None

    def act(self, verb: str, thing: Any, name: str, given: list[Any], more: dict[str, Any]) -> Any:
        """Do to an object of the tests what the solution may ask: call it, use it, look at what is public."""
        if (
            verb in ("get", "set", "del")
            and (name.startswith("_") or type(thing).__name__ in _CLOSED.split())
            and name not in _NAMED
        ):
            raise AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}")
        if verb in ("set", "del") and isinstance(thing, type):
            raise AttributeError(f"cannot set {name!r} of a class of the tests")
        return super().act(verb, thing, name, given, more)

    def tried(self, said: dict[str, Any]) -> dict[str, Any]:
        """What comes of a question of the solution."""
        answer = super().tried(said)
        if self.why:
            raise Unjudged(self.why)
        return answer

    def special(self, thing: Any, name: str, given: tuple[Any, ...]) -> Any:
        """What a special method of a solution's object gives, where its answer is not the verdict itself."""
        own = self.numbers.get(id(thing)) in self._made
        foreign = any(not isinstance(each, (StandIn, Mirror)) for each in given)
        if name in ("__eq__", "__ne__") and foreign and own and self.number(thing) in self._derived:
            return getattr(self.ask("content", self.number(thing)), name)(*given)
        if name in COMPARISONS and foreign:
            return self.refuse("compare an object of the solution's class with a value") if own else NotImplemented
        if name in ARITHMETIC and foreign and not own:
            return NotImplemented
        if name == "__contains__" and foreign and not own:
            return any(part is given[0] or part == given[0] for part in thing)
        said = super().special(thing, name, given)
        return self._own(said) if name in ARITHMETIC and own else said

    def construct(self, kind: Any, given: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """A new object of the solution's class."""
        if (number := self.numbers[id(kind)]) not in self._classes_named:
            return super().construct(kind, given, more)
        return self._own(self.ask("make", number, "", given, more))

    def new(self, number: int, of: int, backing: Any) -> Any:
        """Take in an object of the solution."""
        if backing is True:
            self._derived.add(number)
            backing = None
        return super().new(number, of, backing)

    def _own(self, thing: Any) -> Any:
        if isinstance(thing, StandIn):
            self._made.add(self.numbers[id(thing)])
        return thing

    def entry(self, at: int, name: str) -> Any:
        """What the solution defines under a name that the tests use."""
        found = self.ask("get", at, name)
        if isinstance(found, Mirror) and name[:1].isupper() and any(map(str.islower, name)):
            self._classes_named.add(self.numbers[id(found)])
        return found

    def raised(self, verb: str, name: str, error: BaseException) -> BaseException:
        """What is raised here: the end of an iteration only where one was asked for, else it would end one of ours."""
        ends = isinstance(error, (StopIteration, StopAsyncIteration)) and not self._stops
        if not ends or verb in ("next", "send", "throw") or name == "__next__":
            return error
        return self._told(RuntimeError(f"the program raised {type(error).__name__}"))

    def new_error(self, *told: Any) -> Any:
        """Take in an exception of the solution."""
        return self._told(super().new_error(*told))

    def _told(self, error: BaseException) -> BaseException:
        self._theirs[id(error)] = error
        return error

    def blames(self, error: BaseException) -> bool:
        """Whether an error was raised by the solution."""
        return id(error) in self._theirs


def examined(judge: Judge, job: dict[str, Any]) -> dict[str, str]:
    """Run the tests against the solution; how it went."""
    module = sys.modules["__main__"] = type(sys)("__main__")
    space = vars(module)
    try:
        programs = [compile(job[part], f"{part}.py", "exec") for part in ("before", "tests")]
        ready = judge.hear()
        if ready["failed"] and job["entries"][0] not in ready["given"]:
            return {"failed": f"the program fails when it is loaded: {ready['failed']}"}
        exec(programs[0], space)
        space |= {name: __import__(name) for name in job["modules"]}
        for name in job["entries"]:
            space.pop(name, None)
            if name in ready["given"]:
                space[name] = judge.entry(ready["at"], name)
        exec(programs[1], space)
        failed = ""
    except (Broken, Unjudged) as error:
        failed = str(error)
    except (ImportError, SyntaxError) as error:
        if judge.blames(error):
            failed = brief(error)
        else:
            judge.why = judge.why or f"the tests cannot be run: {brief(error)}"
    except BaseException as error:
        left = isinstance(error, SystemExit) and not error.code and not judge.blames(error)
        failed = "" if left else brief(error)
    if judge.broken:
        return {"failed": judge.broken}
    return {"unjudged": judge.why} if judge.why else {"failed": failed}


def brief(error: BaseException) -> str:
    """An error in a line."""
    said = " ".join(str(error).split())[:200]
    return type(error).__name__ + (f": {said}" if said else "")


def main() -> None:
    """Fork for every set of tests; end when nobody is there any more."""
    wire = wire_of_standard_files()
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # else of the module site, which is not imported
    for name in _LOADED.split():
        __import__(name)
    gc.freeze()  # no fork has a need to look through all this
    while True:
        try:
            job = from_json(wire.hear())
        except Broken:
            os._exit(0)
        ended, alive = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                sys.set_int_max_str_digits(0)
                wire.say(to_json({"verdict": examined(Judge(wire, job["tests"]), job)}))
                status = 0
            finally:
                os._exit(status)
        os.close(alive)
        waiting = select.poll()
        waiting.register(wire.read, 0)  # says when nobody is there any more
        waiting.register(ended, 0)
        if any(fd != ended for fd, _ in waiting.poll()):
            os._exit(0)
        os.close(ended)
        if os.waitpid(child, 0)[1] != 0:
            wire.say(to_json({"verdict": {"failed": "the tests broke off"}}))
