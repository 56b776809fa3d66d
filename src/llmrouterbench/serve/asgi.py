"""The server's side of a connection: bodies with limits, replies, and word of a client that left."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from llmrouterbench.serve.config import LimitsConfig
from llmrouterbench.serve.refusals import RefusedError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_FORWARDED = (b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-host")
Headers = Iterable[tuple[str, str]]


class ClientLeftError(Exception):
    """The client closed its connection before it had its reply."""


def header(scope: Scope, name: bytes) -> str:
    """The value of a request header, "" where it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def client_key(scope: Scope) -> str:
    """The Authorization header, which Anthropic's clients call x-api-key."""
    key = header(scope, b"x-api-key")
    return header(scope, b"authorization") or (f"Bearer {key}" if key else "")


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine itself, and not through a proxy on it."""
    host = (scope.get("client") or ("", 0))[0]
    return is_loopback(host) and not any(header(scope, name) for name in _FORWARDED)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("::1")
    (True, True, False, True)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_this_machine(scope: Scope) -> bool:
    """Whether the Host header is a loopback name: not of a host that its name server led here (DNS rebinding)."""
    try:
        return is_loopback(urlsplit(f"//{header(scope, b'host')}").hostname or "")
    except ValueError:
        return False


def is_own_page(scope: Scope) -> bool:
    """Whether a page asks that this server gave to this machine itself."""
    return names_this_machine(scope) and header(scope, b"origin") == f"http://{header(scope, b'host')}"


async def read_body(scope: Scope, receive: Receive, limits: LimitsConfig) -> bytes:
    """The body of a request. Raises RefusedError (408, 413), ClientLeftError."""
    length = header(scope, b"content-length")
    if length.isascii() and length.isdecimal() and int(length[:20]) > limits.body_bytes:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeftError
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise RefusedError(408, f"the body must come within {limits.body_seconds:g} seconds", "body_timeout") from None


def _too_large(limits: LimitsConfig) -> RefusedError:
    return RefusedError(413, f"the body must be at most {limits.body_bytes:,} bytes", "body_too_large")


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Run the block as long as the client is there; when it leaves, cancel the block and raise ClientLeftError."""
    task = asyncio.current_task()
    assert task is not None
    watcher = asyncio.ensure_future(_disconnected(receive))
    left = False

    def leave(_: asyncio.Future[None]) -> None:
        nonlocal left
        left = True
        task.cancel()

    watcher.add_done_callback(leave)
    try:
        yield
    except asyncio.CancelledError:
        if not left or task.uncancel() > 0:
            raise
        raise ClientLeftError from None
    finally:
        watcher.remove_done_callback(leave)
        watcher.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_head(send: Send, status: int, content_type: str, headers: Headers, length: int | None = None) -> None:
    """Send status and headers."""
    pairs = [(b"content-type", content_type.encode("latin-1", "replace"))]
    if length is not None:
        pairs.append((b"content-length", b"%d" % length))
    pairs += [(name.encode("ascii"), _plain(value)) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def send_whole(send: Send, status: int, body: bytes, headers: Headers, content_type: str) -> None:
    """Send a whole reply."""
    await send_head(send, status, content_type, headers, len(body))
    await send({"type": "http.response.body", "body": body})


def _plain(value: str) -> bytes:
    """A header's value: printable ASCII, so that no name can write a header of its own."""
    return "".join(one if " " <= one <= "~" else "?" for one in value).encode("ascii")
