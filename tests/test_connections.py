"""Connections: taken again, opened anew where the server closed them, and through a proxy where there is one."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
import uvloop

from llmrouterbench.calling.calls import Endpoint, Request
from llmrouterbench.calling.client import CallError, Client
from llmrouterbench.calling.connections import proxy_of
from provider import Provider

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class ForwardProxy:
    """A forward proxy on loopback, one request a connection: what it was asked, and who asked."""

    heads: list[str] = field(default_factory=list)

    def __enter__(self) -> ForwardProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._forward(client)

    def _forward(self, client: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"}"):
            data += client.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head.decode())
        method, url, version = head.split(b"\r\n", 1)[0].decode().split(" ")
        parts = urlsplit(url)
        lines = [f"{method} {parts.path} {version}".encode(), b"connection: close", *head.split(b"\r\n")[1:]]
        with socket.create_connection((parts.hostname, parts.port)) as server:
            server.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            while piece := server.recv(65536):
                client.sendall(piece)


Runner = Callable[[Coroutine[Any, Any, Any]], Any]
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
"""The loops that collections and the server run on."""


def ask(endpoint: Endpoint, *waits: float, run: Runner = asyncio.run) -> Any:
    """The texts of one call before each wait and one after the last, all by one client."""

    async def all_of_them() -> list[str]:
        async with Client() as client:
            texts = [(await client.complete(endpoint, _request())).text]
            for seconds in waits:
                await asyncio.sleep(seconds)
                texts.append((await client.complete(endpoint, _request())).text)
            return texts

    return run(all_of_them())


def _request() -> Request:
    return Request("fake", "m", ({"role": "user", "content": "hello"},))


def test_a_call_goes_through_the_proxy_of_the_environment(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{proxy.address}")
        assert ask(Endpoint("fake", provider.url), 0.0) == ["The reply to hello"] * 2
    assert len(proxy.heads) == 2
    assert proxy.heads[0].startswith(f"POST {provider.url}/chat/completions HTTP/1.1")
    assert base64.b64encode(b"me:p@ss").decode() in proxy.heads[0]


def test_no_proxy_is_kept(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(CallError, match="cannot be reached"):
        ask(Endpoint("fake", provider.url))
    monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
    assert ask(Endpoint("fake", provider.url)) == ["The reply to hello"]


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, ("http://proxy:3128", None)),
        ({"https_proxy": "proxy:3128"}, ("http://proxy:3128", None)),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"all_proxy": "http://me:secret@proxy:3128"}, ("http://proxy:3128", ("me", "secret"))),
        ({"all_proxy": "http://proxy:3128", "no_proxy": "api.example.org"}, None),
    ],
)
def test_which_proxy_a_url_has(environment: dict[str, str], proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of("https://api.example.org/v1") == proxy


def test_a_proxy_of_another_protocol_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:secret@proxy:1080")
    with pytest.raises(ValueError, match="a proxy must be http:// or https://, got socks5://") as caught:
        proxy_of("https://api.example.org/v1")
    assert "secret" not in str(caught.value)


@LOOPS
def test_a_connection_that_the_server_closed_is_opened_anew(run: Runner, provider: Provider) -> None:
    async def two() -> list[str]:
        async with Client() as client:
            endpoint = Endpoint("fake", provider.url)
            first = await client.complete(endpoint, _request())
            for transport in list(provider._transports.values()):
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.1)
            return [first.text, (await client.complete(endpoint, _request())).text]

    assert run(two()) == ["The reply to hello"] * 2


def test_headers_that_are_no_plain_text_are_refused(provider: Provider) -> None:
    with pytest.raises(CallError, match="needs headers that are plain text") as caught:
        ask(Endpoint("fake", provider.url, headers={"x-title": "two\nlines"}))
    assert not caught.value.retryable


# --- TLS -------------------------------------------------------------------------------------------------------------

LONG = "A long reply. " * 100_000


class TlsHandler(BaseHTTPRequestHandler):
    """Answers with a text of 1.4 MB; a model named "stalls" gets half of it and then nothing."""

    protocol_version = "HTTP/1.1"
    peers: set[Any]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": LONG}
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.peers.add(self.client_address)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        stalls = asked["model"] == "stalls"
        self.wfile.write(body[: len(body) // 2] if stalls else body)
        if stalls:
            self.rfile.read(1)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def tls_server(authority: trustme.CA) -> Iterator[tuple[str, set[Any]]]:
    """The address of an HTTPS server on loopback, and the connections it had."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    peers: set[Any] = set()
    handler = type("Handler", (TlsHandler,), {"peers": peers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}/v1", peers
        finally:
            server.shutdown()
            thread.join()


@LOOPS
def test_long_replies_over_tls_on_one_connection(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with tls_server(authority) as (url, peers):
        assert ask(Endpoint("secure", url), 0.0, 0.0, run=run) == [LONG] * 3
        assert len(peers) == 1


@LOOPS
def test_a_stalled_tls_reply_ends_in_time(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def stalled(url: str) -> None:
        async with Client() as client:
            await client.complete(Endpoint("secure", url, timeout=1.0), Request("secure", "stalls"))

    with tls_server(authority) as (url, _), pytest.raises(CallError, match="did not finish within 1 seconds"):
        run(stalled(url))


@LOOPS
def test_a_certificate_of_nobody_known_is_refused(run: Runner) -> None:
    with tls_server(trustme.CA()) as (url, peers):
        with pytest.raises(CallError, match="secure cannot be reached .*certificate"):
            ask(Endpoint("secure", url), run=run)
        assert not peers


class TunnelProxy(ForwardProxy):
    """A proxy that opens a tunnel to wherever it is asked to (CONNECT)."""

    def _forward(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.heads.append(head.decode())
        host, _, port = head.split(b" ")[1].decode().partition(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pipe, args=(server, client))
            back.start()
            _pipe(client, server)
            back.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    """Pass everything on until one side is gone."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@LOOPS
def test_tls_goes_through_the_tunnel_of_a_proxy(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with tls_server(authority) as (url, peers), TunnelProxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@{proxy.address}")
        assert ask(Endpoint("secure", url), 0.0, run=run) == [LONG] * 2
        assert len(peers) == len(proxy.heads) == 1
    assert proxy.heads[0].startswith(f"CONNECT localhost:{urlsplit(url).port} HTTP/1.1")
    assert base64.b64encode(b"me:p@ss").decode() in proxy.heads[0]
