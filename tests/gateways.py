"""For tests of the server: a small fitted router, and a server of it on loopback, in a thread of this process."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import orjson
import polars as pl
import uvicorn
from openai import OpenAI

from llmrouterbench import Outcomes, simulate
from llmrouterbench.decision_log import DecisionFrames, DecisionLog, read_decisions
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.serve.app import Front
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.gateway import Gateway
from llmrouterbench.serve.log_lines import LogLines

MODELS = ("gpt-5", "glm-4.6", "gemini-2.5-flash")
_TLS = httpx2.create_ssl_context()
PRICE = {"input": 1.0, "output": 2.0}
REAL_COST = 0.0012
"""USD of every reply of tests/upstream.py at that price: 1,000 tokens in, 100 out."""


@cache
def outcomes() -> Outcomes:
    """SIMULATED outcomes of three models."""
    return simulate("performance-cost", scale=0.05).select(list(MODELS))


@cache
def fitted() -> FittedRouter:
    """A TF-IDF router of them."""
    return fit(outcomes(), FitSettings(router="knn", policy="cheapest --min-quality 0.5"))


@dataclass
class Running:
    """A server: its address, its gateway, and what it logged."""

    url: str
    gateway: Gateway
    folder: Path | None
    stream: io.BytesIO
    http: httpx2.Client
    clients: list[OpenAI] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The address without /v1."""
        return self.url.removesuffix("/v1")

    def client(self, key: str = "none", **more: Any) -> Any:
        """OpenAI's own client, without retries, closed with the server; its types know less than servers take."""
        self.clients.append(OpenAI(base_url=self.url, api_key=key, **{"max_retries": 0, **more}))
        return self.clients[-1]

    def ask(self, text: str = "What is 6 times 7?", model: str = "auto", **more: Any) -> httpx2.Response:
        """One chat completion, raw; `headers` are those of the request."""
        headers = more.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.http.post(f"{self.url}/chat/completions", json=body, headers=headers)

    def lines(self) -> list[dict[str, Any]]:
        """The log lines of requests."""
        return [orjson.loads(line) for line in self.stream.getvalue().splitlines() if b'"event":"request"' in line]

    def frames(self, rows: int = 1) -> DecisionFrames:
        """The decision log, once it has so many rows."""
        assert self.folder is not None
        for _ in range(400):
            frames = read_decisions(self.folder)
            if len(frames.decisions) >= rows:
                return frames
            time.sleep(0.05)
        raise TimeoutError(f"the log must have {rows} rows, got {len(frames.decisions)}")

    def row(self, rows: int = 1) -> dict[str, Any]:
        """The newest of so many decisions."""
        return self.frames(rows).decisions.row(-1, named=True)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all series with these labels."""
        total = 0.0
        self.gateway.meters.look()
        for family in self.gateway.meters.registry.collect():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    total += sample.value
        return total


def config_of(urls: dict[str, str], **more: Any) -> dict[str, Any]:
    """A config with a provider an address, and each of the models at the next of them."""
    names = list(urls)
    models = [
        {"name": model, "provider": names[i % len(names)], "price": PRICE, **more.pop(model, {})}
        for i, model in enumerate(MODELS)
    ]
    provider = more.pop("provider", {})
    providers = {name: {"url": url, **provider} for name, url in urls.items()}
    return {"providers": providers, "models": models, "port": 0, **more}


def wait_for(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds; fails where it never does."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise AssertionError("the condition never came true")
        time.sleep(0.02)


@contextmanager
def running(config: dict[str, Any], log: Path | None = None, **more: Any) -> Iterator[Running]:
    """A server in a thread; `more` are arguments of the Gateway."""
    with ExitStack() as stack:
        lost: list[str] = []
        store = stack.enter_context(DecisionLog(log, lambda rows, said: lost.append(said))) if log else None
        stream = io.BytesIO()
        router = more.pop("router", None) or fitted()
        gateway = Gateway(router, parse_serve_config(config), log=store, lines=LogLines(stream), **more)
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        settings = uvicorn.Config(
            Front(gateway), log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        http = stack.enter_context(httpx2.Client(timeout=60, verify=_TLS))
        made = Running(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", gateway, log, stream, http)
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()
            server.should_exit = True
            thread.join()
        assert not lost, lost


def total(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """Rows by a column's value."""
    return dict(frame[column].value_counts().iter_rows())
