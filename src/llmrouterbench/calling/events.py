"""Server-sent events, as the standard has them, out of bytes that come in pieces of any size.

Source: WHATWG HTML, section 9.2.6. Differs: what stands at the end of the stream without a blank line is an event too,
because servers leave the last one out.
"""

from __future__ import annotations

from typing import NamedTuple

_BLANK = (b"\n", b"\r\n", b"\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """Whole lines of a stream as they came; `data` is their text, b"" where they are comments or a sign of life."""

    raw: bytes
    data: bytes


class EventReader:
    r"""Gives the events of a stream; the bytes of all of them are those of the stream, but for a byte order mark.

    Every byte is looked at once, however long an event is and however small its pieces are.

    >>> reader = EventReader()
    >>> reader.feed(b': hello\n\ndata: {"a":\r\ndata: 1}\r')
    [Event(raw=b': hello\n\n', data=b'')]
    >>> reader.feed(b'\n\r\ndata: [DONE]')
    [Event(raw=b'data: {"a":\r\ndata: 1}\r\n\r\n', data=b'{"a":\n1}')]
    >>> reader.close()
    [Event(raw=b'data: [DONE]', data=b'[DONE]')]
    """

    def __init__(self) -> None:
        self._begun = False
        self._after_return = False
        self._line: list[bytes] = []
        self._raw: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that end in this piece."""
        if self._after_return and piece[:1] == b"\n":  # the other half of a line end
            self._raw.append(b"\n")
            self._after_return, piece = False, piece[1:]
        if not piece:
            return []
        self._after_return = piece[-1:] == b"\r"
        lines = piece.splitlines(keepends=True)  # bytes are split at \n, \r and \r\n alone
        last = b"" if piece[-1:] in _BLANK else lines.pop()
        if self._line and lines:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line.clear()
        if last:
            self._line.append(last)
        return [event for line in lines if (event := self._add(line)) is not None]

    def close(self) -> list[Event]:
        """What is left at the end of the stream."""
        if self._line:
            self._add(b"".join(self._line))
        self._line.clear()
        return [self._take()] if self._raw else []

    def _add(self, line: bytes) -> Event | None:
        """Take a line; the event that it ends."""
        if not self._begun:
            self._begun, line = True, line.removeprefix(_BOM)
        self._raw.append(line)
        if line in _BLANK:
            return self._take()
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif line.rstrip() == b"data":
            self._data.append(b"")
        return None

    def _take(self) -> Event:
        event = Event(b"".join(self._raw), b"\n".join(self._data).strip())
        self._raw, self._data = [], []
        return event
