"""One attempt on a connection: what is sent, and what comes back within the limits of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from time import perf_counter

import httpcore2

from llmrouterbench.calling.apis import Api
from llmrouterbench.calling.calls import CallError, Endpoint
from llmrouterbench.calling.refusals import LARGEST_REFUSAL, bad_reply

Connection = httpcore2.AsyncHTTPConnection | httpcore2.AsyncHTTPProxy
_BREAKS = (
    httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.ProxyError,
)  # fmt: skip
"""What a connection may raise, all of it without the request's headers."""

_TOLD = (b"x-request-id", b"request-id"), (b"x-ratelimit-", b"anthropic-ratelimit-")
"""Headers, and beginnings of headers, that say which call it was, and how many more a provider takes."""
_LAST_SECONDS = 0.5
"""Time for what follows a reply that is whole, so that its connection can be used again."""
_LONGEST = 200
"""Characters of a header that are passed on."""
_INFLATED = 262_144
"""Bytes that are decompressed at once."""


class Response:
    """One attempt on a connection: the head of the reply, then its body, decompressed and within the limits.

    status, content_type  of the head; is_good: whether the status is that of a reply
    is_events             whether it comes as server-sent events; body: of a good reply that does not
    api                   what the server speaks, where that is not chat completions: body and pieces are made of it
    came                  then that body, or the whole events of the last piece, as the server sent them
    patience              seconds of silence that end the attempt, None: only its whole time limit does
    """

    def __init__(self, endpoint: Endpoint, *, stream: bool, api: Api | None = None) -> None:
        self.endpoint = endpoint
        self._api = api
        self.status, self.content_type, self.body, self.came = 0, "", b"", b""
        self.is_good = self.is_events = False
        self.patience = endpoint.first_token_timeout if stream else None
        self._headers: dict[bytes, bytes] = {}
        self._sent_at = perf_counter()
        self._quiet_since: float | None = asyncio.get_running_loop().time()
        self._ends = self._quiet_since + endpoint.timeout
        self._raw: httpcore2.Response | None = None
        self._at_end = False

    async def open(self, connection: Connection, request: httpcore2.Request) -> None:
        """Send the request, read the head and the body of a good reply that is no stream. Raises CallError."""
        try:
            async with asyncio.timeout_at(self._until()):
                self._raw = await self._send(connection, request)
                headers = {name.lower(): value for name, value in reversed(self._raw.headers)}
                self.status, self._headers = self._raw.status, headers
                self.is_good = 200 <= self.status < 300
                self.content_type = self.header(b"content-type")
                self.is_events = self.content_type.partition(";")[0].strip().lower() == "text/event-stream"
                self._pieces = self._read(self._raw)
                if self.is_good and not self.is_events:
                    self.body = b"".join([piece async for piece in self._pieces])
                    self._at_end = True
                    if self._api is not None:
                        self.came = self.body
                        self.body = self._translated(partial(self._api.completion_of, self.body))
                self._events = None if self._api is None or not self.is_good else self._api.Events()
        except TimeoutError:
            raise self._late() from None

    async def _send(self, connection: Connection, request: httpcore2.Request) -> httpcore2.Response:
        endpoint = self.endpoint
        try:
            return await connection.handle_async_request(request)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError) as error:
            what = f"cannot be reached ({_short(error)})"
            raise endpoint.failed("connection", what, remedy="check that it runs and its url") from None
        except httpcore2.LocalProtocolError as error:
            what = f"needs headers that are plain text ({type(error).__name__})"
            raise endpoint.failed("bad_request", what) from None
        except _BREAKS as error:
            what = f"closed the connection without a reply ({_short(error)})"
            raise endpoint.failed("connection", what, billed=True) from None

    def header(self, name: bytes) -> str:
        """The first header of that name (lower case), "" where there is none."""
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def told(self) -> dict[str, str]:
        """What the head says of the call itself: its id at the provider, and the limits of rates; without secrets."""
        names, beginnings = _TOLD
        return {
            name.decode("latin-1"): self.endpoint.hide(value.decode("latin-1"))[:_LONGEST]
            for name, value in self._headers.items()
            if name in names or name.startswith(beginnings)
        }

    @property
    def seconds(self) -> float:
        """Seconds since the request was sent."""
        return perf_counter() - self._sent_at

    async def piece(self) -> bytes | None:
        """The next bytes of the body, None at its end. Raises CallError."""
        try:
            async with asyncio.timeout_at(self._until()):
                piece = await anext(self._pieces, None)
        except TimeoutError:
            raise self._late() from None
        self._quiet_since, self._at_end = None, piece is None
        if self._events is None:
            return piece
        made = self._translated(self._events.close if piece is None else partial(self._events.feed, piece))
        self.came = self._events.came()
        return made if piece is not None else made or None

    def _translated(self, translate: Callable[[], bytes]) -> bytes:
        """What is made of bytes of another API. Raises CallError for what is none of its replies."""
        try:
            return translate()
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise bad_reply(self.endpoint, f"what is no reply of its api {self.endpoint.api!r}") from None

    async def refused(self) -> bytes:
        """The body of a refusal, as much of it as came: what counts is the status."""
        body = bytearray()
        with suppress(CallError):
            while len(body) < LARGEST_REFUSAL and (piece := await self.piece()) is not None:
                body += piece
        return bytes(body[:LARGEST_REFUSAL])

    async def drain(self) -> None:
        """Read what follows a whole reply, so that the connection can be used again; a server may leave it open."""
        if not self._at_end:
            with suppress(TimeoutError, CallError):
                async with asyncio.timeout(_LAST_SECONDS):
                    async for _ in self._pieces:
                        pass

    async def close(self) -> None:
        """End it; the connection stays open where the whole body was read."""
        if self._raw is not None:
            await self._pieces.aclose()
            await self._raw.aclose()

    def _until(self) -> float:
        """When silence becomes too long, in the loop's time."""
        if self.patience is None:
            return self._ends
        since = asyncio.get_running_loop().time() if self._quiet_since is None else self._quiet_since
        return min(self._ends, since + self.patience)

    def _late(self) -> CallError:
        if self.patience is None or asyncio.get_running_loop().time() >= self._ends:
            what = f"did not finish within {self.endpoint.timeout:g} seconds"
        else:
            what = f"fell silent for {self.patience:g} seconds"
        return self.endpoint.failed("timeout", what, billed=True)

    async def _read(self, raw: httpcore2.Response) -> AsyncGenerator[bytes]:
        """The body, decompressed, up to the largest that is read."""
        endpoint, length, size = self.endpoint, self.header(b"content-length"), 0
        encoding = self.header(b"content-encoding").strip().lower()
        if length.isdecimal() and int(length) > endpoint.reply_bytes:
            raise self._too_large()
        try:
            inflated = None if encoding in ("", "identity") else _Inflated(encoding)
            async with aclosing(raw.aiter_stream()) as pieces:
                async for piece in pieces:
                    for part in (piece,) if inflated is None else inflated.parts(piece):
                        size += len(part)
                        if size > endpoint.reply_bytes:
                            raise self._too_large()
                        yield part
            if inflated is not None:
                inflated.check_end()
        except _BREAKS as error:
            what = f"broke its reply off ({_short(error)})"
            raise endpoint.failed("broken_stream", what, billed=self.status < 300) from None
        except ValueError as error:
            raise bad_reply(endpoint, str(error)) from None

    def _too_large(self) -> CallError:
        what = f"a reply of more than {self.endpoint.reply_bytes:,} bytes"
        return bad_reply(self.endpoint, what, retryable=False, remedy="see reply_bytes of the endpoint")


class _Inflated:
    """A body out of its content encoding, in parts of a size that does no harm: a bomb is stopped by the limit."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise ValueError(f"content-encoding {encoding[:20]!r} where identity was asked for")
        self._encoding = encoding
        self._stream = _inflater()

    def parts(self, piece: bytes) -> Iterator[bytes]:
        """What these bytes say. Raises ValueError."""
        part = b""
        while piece or len(part) == _INFLATED:
            if self._stream.eof:  # one compressed file may follow another
                self._stream = _inflater()
            try:
                part = self._stream.decompress(piece, _INFLATED)
            except zlib.error:
                raise ValueError(f"bytes that are no {self._encoding}") from None
            piece = self._stream.unconsumed_tail or self._stream.unused_data
            yield part

    def check_end(self) -> None:
        """Raise ValueError where the body ended too early."""
        if not self._stream.eof:
            raise ValueError(f"half of a body in {self._encoding}")


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS + 32)


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:100]
