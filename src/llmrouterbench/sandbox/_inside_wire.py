"""Runs inside the sandboxes: messages of plain data over two pipes.

Few imports, here and in the files that follow it: json, enum and re take as long as the start of Python.
"""

from __future__ import annotations

import builtins
import posix  # what `os` is made of: to import that too takes time in every run
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

LONGEST = 1 << 26
"""Bytes of the longest message."""


class Broken(BaseException):
    """The other side ended, or says what is no message."""


def _json() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """To JSON and back, by what the module json itself is made of."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner
    except ImportError:
        from json import dumps, loads

        return dumps, loads

    class Reading:
        strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int
        parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
        memo: ClassVar[dict[str, str]] = {}

    encoding: Any = make_encoder
    scanning: Any = make_scanner
    encoder = encoding(None, None, encode_basestring_ascii, None, ":", ",", False, False, True)
    scanner = scanning(Reading)

    def read(text: str) -> Any:
        try:
            value, end = scanner(text, 0)
        except StopIteration:
            end = -1
        if end != len(text):
            raise ValueError("a message must be JSON")
        return value

    return lambda value: "".join(encoder(value, 0)), read


to_json, from_json = _json()


class Wire:
    """Messages over two pipes, each a length and that many bytes."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self.write = read, write

    def say(self, text: str) -> None:
        """Send a text."""
        self.send(text.encode(errors="replace"))

    def send(self, message: bytes) -> None:
        """Send one message. Raises Broken where nobody listens."""
        rest = memoryview(len(message).to_bytes(8, "big") + message)
        try:
            while rest:
                rest = rest[posix.write(self.write, rest) :]
        except OSError:
            raise Broken("the other side ended") from None

    def hear(self) -> str:
        """The next message. Raises Broken where the other side ended."""
        return self.take().decode()

    def take(self) -> bytes:
        """The next message as it came. Raises Broken where the other side ended."""
        return self._bytes(int.from_bytes(self._bytes(8), "big"))

    def _bytes(self, length: int) -> bytes:
        parts = []
        while length > 0:
            part = posix.read(self.read, min(length, 1 << 20))
            if not part:
                raise Broken("the other side ended")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def wire_of_standard_files() -> Wire:
    """The wire that the sandbox gave; from here on standard input, output and error are nowhere."""
    wire = Wire(posix.dup(0), posix.dup(1))
    null = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(null, number)
    posix.close(null)
    return wire


def as_elsewhere(program: str) -> None:
    """Give a program what it finds in any Python that has loaded a few modules."""
    sys.set_int_max_str_digits(0)
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # else of the module site, which is not imported
    if ".abc" in program:
        __import__("collections.abc")  # then it is found where `collections` alone is imported
