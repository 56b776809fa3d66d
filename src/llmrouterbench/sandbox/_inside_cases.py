"""Runs inside a sandbox, after `_inside_wire.py`: a solution on inputs that come one by one.

What it answers is compared outside, so nothing here is secret, and nothing here is believed.
"""

from __future__ import annotations

import builtins
import os
import select
import sys

from llmrouterbench.sandbox._inside_values import Codec
from llmrouterbench.sandbox._inside_wire import as_elsewhere, from_json, wire_of_standard_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

_CHUNK = 1 << 16
_RECURSION = 50_000
_AS_IF_IMPORTED = [
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "typing"),
]


def supplied(names: list[str]) -> dict[str, Any]:
    """Names a solution may use without importing them: those modules, and all that is in them."""
    modules = {name: __import__(name) for name in _AS_IF_IMPORTED} if names else {}
    space: dict[str, Any] = {}
    for module in modules.values():
        public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        space |= {name: getattr(module, name) for name in public if name in names and not hasattr(builtins, name)}
    return space | {name: module for name, module in modules.items() if name in names}


def loaded(name: str, code: CodeType, space: dict[str, Any]) -> Any:
    """The program as a module of that name."""
    module = sys.modules[name] = type(sys)(name)
    module.__dict__.update(space)
    exec(code, module.__dict__)
    return module


def brief(error: BaseException) -> str:
    """An error in a line."""
    return f"the program fails: {type(error).__name__}: {str(error)[:300]}"


def printed(code: CodeType, space: dict[str, Any], given: str, most: int) -> tuple[bytes, bytes]:
    """What the program prints when it reads the input, in a process of its own."""
    (read, feed), (answer, said), (complaint, why) = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for number, fd in enumerate((read, said)):
                os.dup2(fd, number)
            os.closerange(3, why)
            run_program(code, space)
            status = 0
        except BaseException as error:
            os.write(why, brief(error).encode(errors="replace"))
        finally:
            os._exit(status)
    for fd in (read, said, why):
        os.close(fd)
    try:
        out = exchanged(feed, answer, given.encode(errors="replace"), most)
        if out is None:
            os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]
        os.set_blocking(complaint, False)
        if out is None:
            return b"F", b"output limit"
        if status != 0:
            return b"F", _read(complaint) or b"the program fails"
        return b"O", out
    finally:
        os.close(answer)
        os.close(complaint)
        _reap()


def run_program(code: CodeType, space: dict[str, Any]) -> None:
    """The program with an input of its own; to exit is its right."""
    sys.stdin, sys.stdout = os.fdopen(0, "r", encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout  # type: ignore[misc]
    try:
        loaded("__main__", code, space)
    except SystemExit:
        sys.stdout.flush()
    sys.stdout.flush()


def exchanged(feed: int, answer: int, given: bytes, most: int) -> bytes | None:
    """All that is said on `answer` while `given` goes to `feed`; None where it is more than `most` bytes."""
    rest, out = memoryview(given), bytearray()
    os.set_blocking(feed, False)
    waiting = select.poll()
    waiting.register(answer, select.POLLIN)
    waiting.register(feed, select.POLLOUT)
    fed = False
    while True:
        for fd, _ in waiting.poll():
            if fd == answer:
                chunk = os.read(answer, _CHUNK)
                out += chunk
                if not chunk or len(out) > most:
                    if not fed:
                        os.close(feed)
                    return None if chunk else bytes(out)
                continue
            try:
                rest = rest[os.write(feed, rest[:_CHUNK]) :]
            except BrokenPipeError:
                rest = rest[:0]
            if not rest:
                waiting.unregister(feed)
                os.close(feed)
                fed = True


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return b""


def _reap() -> None:
    """What a program left behind and has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def returned(owner: Any, entry: str, given: str) -> tuple[bytes, bytes]:
    """What the method returns when it is called with the input's lines."""
    try:
        value = getattr(owner, entry)(*[from_json(line.strip()) for line in given.split("\n") if line.strip()])
        codec = Codec(1)
        text = codec.written({"ok": codec.pack(value)})
    except BaseException as error:
        return b"F", brief(error).encode(errors="replace")
    return b"V", text.encode()


def prepared(told: dict[str, Any]) -> Callable[[str, int], tuple[bytes, bytes]]:
    """What answers a case."""
    code, space = compile(told["code"], "solution.py", "exec"), supplied(told["names"])
    sys.setrecursionlimit(_RECURSION)
    if not told["entry"]:
        return lambda given, most: printed(code, space, given, most)
    module = loaded("solution", code, space)
    owner = module.Solution() if hasattr(module, "Solution") else module
    return lambda given, most: returned(owner, told["entry"], given)


def main() -> None:
    """Read what there is to do, and do it."""
    wire = wire_of_standard_files()
    try:
        told = from_json(wire.hear())
        as_elsewhere(told["code"])
        answer = prepared(told)
        why = ""
    except BaseException as error:
        why = brief(error)
    wire.say(why)
    while not why:
        told = from_json(wire.hear())
        kind, content = answer(told["given"], told["most"])
        if len(content) > told["most"]:
            kind, content = b"F", b"output limit"
        wire.send(kind + content)
