"""Connections: taken again, opened anew where the server closed them, and through a proxy where there is one."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmrouterbench.collecting._connections import proxy_of
from llmrouterbench.collecting.calls import Endpoint, Request
from llmrouterbench.collecting.client import CallError, Client
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


def ask(endpoint: Endpoint, *waits: float) -> list[str]:
    """The texts of one call before each wait and one after the last, all by one client."""

    async def all_of_them() -> list[str]:
        async with Client() as client:
            texts = [(await client.complete(endpoint, _request())).text]
            for seconds in waits:
                await asyncio.sleep(seconds)
                texts.append((await client.complete(endpoint, _request())).text)
            return texts

    return asyncio.run(all_of_them())


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


def test_a_connection_that_the_server_closed_is_opened_anew(provider: Provider) -> None:
    async def two() -> list[str]:
        async with Client() as client:
            endpoint = Endpoint("fake", provider.url)
            first = await client.complete(endpoint, _request())
            for transport in list(provider._transports.values()):
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.1)
            return [first.text, (await client.complete(endpoint, _request())).text]

    assert asyncio.run(two()) == ["The reply to hello"] * 2


def test_headers_that_are_no_plain_text_are_refused(provider: Provider) -> None:
    with pytest.raises(CallError, match="headers must be plain text") as caught:
        ask(Endpoint("fake", provider.url, headers={"x-title": "two\nlines"}))
    assert not caught.value.retryable
