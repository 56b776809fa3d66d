"""Runs inside the sandbox: a solution on many inputs. What it answers is compared outside, so nothing here is secret.

Standard input holds {"code", "entry", "cases": [[input, most bytes of output]], "names", "seconds"}; one line of JSON a
case goes out: {"out": answer} or {"failed": why}; a case that fails is the last one.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import selectors
import signal
import sys
import time

TYPE_CHECKING = False  # importing them takes longer than most solutions
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

_CHUNK = 1 << 16
_RECURSION = 50_000
_AS_IF_IMPORTED = [
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "typing"),
]


class Child:
    """A forked process that runs `work(file to read, file to write)`."""

    def __init__(self, work: Callable[[int, int], None], text: str) -> None:
        (self._given, self.feed), (self.read, self._said) = os.pipe(), os.pipe()
        self.unfed, self.unread = memoryview(text.encode(errors="replace")), bytearray()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(work)
        os.close(self._given)
        os.close(self._said)
        os.set_blocking(self.feed, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.feed, selectors.EVENT_WRITE)
        self.selector.register(self.read, selectors.EVENT_READ)

    def _become(self, work: Callable[[int, int], None]) -> None:
        os.close(self.feed)
        os.close(self.read)
        status = 1
        try:
            sys.setrecursionlimit(_RECURSION)
            work(self._given, self._said)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)

    def answer(self, seconds: float, most: int, line: bool) -> str:
        """Its next line, or all it says. Raises TimeoutError, OverflowError, EOFError where it ended with no line."""
        end = time.monotonic() + seconds
        while self.selector.get_map():
            if line and b"\n" in self.unread:
                break
            if len(self.unread) > most:
                raise OverflowError("output limit")
            if (left := end - time.monotonic()) <= 0:
                raise TimeoutError("time limit")
            for key, _ in self.selector.select(left):
                (self._read if key.fd == self.read else self._feed)()
        said, mark, self.unread = self.unread.partition(b"\n") if line else (self.unread, b"", bytearray())
        if line and not mark:
            raise EOFError("the program ended")
        return bytes(said).decode(errors="replace")

    def _feed(self) -> None:
        try:
            self.unfed = self.unfed[os.write(self.feed, self.unfed[:_CHUNK]) :]
        except BrokenPipeError:
            self.unfed = self.unfed[:0]
        if not self.unfed:
            self.selector.unregister(self.feed)
            os.close(self.feed)

    def _read(self) -> None:
        chunk = os.read(self.read, _CHUNK)
        self.unread += chunk
        if not chunk:
            self.selector.unregister(self.read)

    def end(self, kill: bool = True) -> int:
        """Its exit status."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        for file in list(self.selector.get_map().values()):
            if file.fd == self.feed:
                os.close(self.feed)
        self.selector.close()
        os.close(self.read)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def supplied(names: list[str]) -> dict[str, Any]:
    """Names a solution may use without importing them: those modules, and all that is in them."""
    modules = {name: __import__(name) for name in _AS_IF_IMPORTED} if names else {}
    space: dict[str, Any] = {}
    for module in modules.values():
        public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        space |= {name: getattr(module, name) for name in public if name in names and not hasattr(builtins, name)}
    return space | {name: module for name, module in modules.items() if name in names}


def run_program(code: CodeType, space: dict[str, Any], given: int, said: int) -> None:
    """The program with an input of its own; to exit is its right."""
    os.dup2(given, 0)
    os.dup2(said, 1)
    os.close(said)
    os.close(given)
    sys.stdin, sys.stdout = os.fdopen(0, "r", encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout  # type: ignore[misc]
    with contextlib.suppress(SystemExit):
        exec(code, _module("__main__", space).__dict__)
    sys.stdout.flush()


def run_calls(code: CodeType, space: dict[str, Any], spec: dict[str, Any], said: int) -> None:
    """One solution object, called for case after case; an answer is a line of JSON."""
    module = _module("solution", space)
    exec(code, module.__dict__)
    owner = module.Solution() if hasattr(module, "Solution") else module
    with os.fdopen(said, "w") as file:
        for text, _ in spec["cases"]:
            arguments = [json.loads(line) for line in text.split("\n") if line.strip()]
            file.write(json.dumps(getattr(owner, spec["entry"])(*arguments), default=list) + "\n")
            file.flush()


def _module(name: str, space: dict[str, Any]) -> ModuleType:
    module = sys.modules[name] = type(sys)(name)
    module.__dict__.update(space)
    return module


def on_input(code: CodeType, space: dict[str, Any], spec: dict[str, Any]) -> None:
    """A process for every case."""
    for text, most in spec["cases"]:
        child = Child(lambda given, said: run_program(code, space, given, said), text)
        try:
            out = child.answer(spec["seconds"], most, line=False)
        except (TimeoutError, OverflowError) as error:
            child.end()
            return report({"failed": str(error)})
        if child.end(kill=False) != 0:
            return report({"failed": "the program fails"})
        report({"out": out})


def on_calls(code: CodeType, space: dict[str, Any], spec: dict[str, Any]) -> None:
    """One process for all cases."""
    child = Child(lambda given, said: run_calls(code, space, spec, said), "")
    try:
        for _, most in spec["cases"]:
            report({"out": child.answer(spec["seconds"], most, line=True)})
    except (TimeoutError, OverflowError) as error:
        report({"failed": str(error)})
    except EOFError:
        report({"failed": "the program fails"})
    child.end()


def report(line: dict[str, str]) -> None:
    """Send what became of one case."""
    print(json.dumps(line), flush=True)


def main() -> None:
    """Read what there is to do, and do it."""
    spec = json.loads(sys.stdin.read())
    sys.set_int_max_str_digits(0)
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # else of the module site, which is not imported
    try:
        code = compile(spec["code"], "solution.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return report({"failed": f"{type(error).__name__}: {error}"})
    (on_calls if spec["entry"] else on_input)(code, supplied(spec["names"]), spec)


if __name__ == "__main__":
    main()
