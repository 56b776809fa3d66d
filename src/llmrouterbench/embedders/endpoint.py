"""Embeddings from an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from typing import Self

import numpy as np

from llmrouterbench.calling.apart import Apart
from llmrouterbench.calling.calls import LARGEST_REPLY, CallError, Embeddings, Endpoint, Kind, check_url
from llmrouterbench.calling.client import Client
from llmrouterbench.calling.retrying import with_retries
from llmrouterbench.embedders.vectors import unit_rows
from llmrouterbench.table import BoolArray, FloatArray

_LONGEST_WAIT, _PATIENCE = 30.0, 120.0
_AWAY: frozenset[Kind] = frozenset({"connection", "timeout", "rate_limit", "server", "broken_stream"})
"""Kinds of failure that pass by themselves."""


class EndpointEmbedder:
    """A model behind `POST {base_url}/embeddings`, asked in batches, several at a time.

    api_key_env  environment variable with the key; no key is sent where it is not set
    dimensions   width to ask the server for; None leaves it to the server
    max_chars    longer texts are cut to their first max_chars characters, and counted; None sends them whole
    concurrency  requests under way at the same time
    timeout      seconds for one request
    attempts     tries per batch on 408, 409, 425, 429, 5xx and broken connections, waiting as Retry-After says
    reply_bytes  largest reply that is read

    An empty text is sent as one space, because servers refuse an empty string. What the server itself cuts, and a
    model it exchanges under the same name, cannot be seen from here. Raises ConnectionError, PermissionError (401,
    403) or ValueError (other refusals, malformed answers).
    """

    fitted_on_train = False

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        *,
        dimensions: int | None = None,
        batch_size: int = 64,
        max_chars: int | None = None,
        concurrency: int = 4,
        timeout: float = 60.0,
        attempts: int = 6,
        reply_bytes: int = LARGEST_REPLY,
    ) -> None:
        try:
            check_url(base_url)
        except ValueError as error:
            raise ValueError(f"base_{error}") from None
        for name, value in (("batch_size", batch_size), ("concurrency", concurrency), ("attempts", attempts)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.url = base_url.rstrip("/").removesuffix("/embeddings") + "/embeddings"
        self.model = model
        self.api_key_env = api_key_env
        self.dimensions = dimensions
        self.batch_size = batch_size
        self.max_chars = max_chars
        self.concurrency = concurrency
        self.timeout = timeout
        self.attempts = attempts
        self.reply_bytes = reply_bytes

    @property
    def key(self) -> str:
        """Address, model and what was asked of it."""
        return f"endpoint {self.url} model={self.model} dimensions={self.dimensions} max_chars={self.max_chars}"

    def fit(self, texts: Sequence[str]) -> Self:
        """Change nothing: the model is pretrained."""
        return self

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        """Which texts (n,) are longer than max_chars."""
        return np.array([self.max_chars is not None and len(text) > self.max_chars for text in texts], dtype=np.bool_)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors (n, d) of one or more texts."""
        sent = [text[: self.max_chars] or " " for text in texts]
        batches = [sent[i : i + self.batch_size] for i in range(0, len(sent), self.batch_size)]
        client, apart = Client(), Apart("embedder")
        try:
            parts = [np.array(part.vectors) for part in apart.run(self._ask_all(client, batches))]
        except CallError as error:
            raise self._explained(error) from None
        finally:
            apart.close(client.close())
        widths = sorted({part.shape[1] for part in parts})
        if len(widths) != 1:
            raise ValueError(f"{self.url} must return vectors of one width, got {widths}")
        if self.dimensions not in (None, widths[0]):
            raise ValueError(f"{self.url} must return {self.dimensions} numbers a text, got {widths[0]}")
        return unit_rows(np.concatenate(parts), self.url)

    async def _ask_all(self, client: Client, batches: Sequence[list[str]]) -> list[Embeddings]:
        """The vectors of every batch; the first one that fails ends the others. Raises CallError."""
        key = os.environ.get(self.api_key_env, "")
        url = self.url.removesuffix("/embeddings")
        endpoint = Endpoint(
            self.url, url, key, timeout=self.timeout, concurrency=self.concurrency, reply_bytes=self.reply_bytes
        )  # fmt: skip

        async def ask(batch: list[str]) -> Embeddings:
            call = partial(client.embed, endpoint, self.model, batch, dimensions=self.dimensions)
            found, _, _ = await with_retries(
                call, attempts=self.attempts, longest_wait=_LONGEST_WAIT, patience=_PATIENCE
            )  # fmt: skip
            return found

        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(ask(batch)) for batch in batches]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in asked]

    def _explained(self, error: CallError) -> Exception:
        """The error to raise for a call that failed; its sentence begins with the address and never shows the key."""
        if error.kind == "auth":
            return PermissionError(f"{error.fact}; set ${self.api_key_env} to a key that it accepts")
        if error.kind in _AWAY:
            return ConnectionError(f"{error.reason}, in {error.attempts} attempts")
        if error.kind == "not_found":
            return ValueError(f"{error.fact}; it must serve model {self.model!r}: check the URL and the name")
        if error.kind == "bad_request":
            return ValueError(f"{error.fact}; a text may be too long, see max_chars")
        return ValueError(error.reason)
