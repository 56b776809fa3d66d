"""Embeddings from an OpenAI-compatible server."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import numpy as np
import orjson
import stamina

from llmrouterbench.calling.calls import hide
from llmrouterbench.embedders.vectors import unit_rows
from llmrouterbench.table import BoolArray, FloatArray

_RETRIED = frozenset({408, 409, 429, *range(500, 600)})
_LONGEST_WAIT = 120.0


class EndpointEmbedder:
    """A model behind `POST {base_url}/embeddings`, asked in batches, several at a time.

    api_key_env  environment variable with the key; no key is sent where it is not set
    dimensions   width to ask the server for; None leaves it to the server
    max_chars    longer texts are cut to their first max_chars characters, and counted; None sends them whole
    concurrency  requests under way at the same time
    timeout      seconds for one request
    attempts     tries per batch on 408, 409, 429, 5xx and broken connections, waiting as Retry-After says

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
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url must look like https://host/v1, got {parts._replace(netloc='...').geturl()!r}")
        if "@" in parts.netloc or parts.query:
            raise ValueError(f"base_url must hold no user, password or query; put the key into ${api_key_env}")
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
        pool = ThreadPoolExecutor(self.concurrency)
        with httpx2.Client(timeout=self.timeout, headers=self._headers()) as client:
            try:
                parts = list(pool.map(lambda batch: self._embed_batch(client, batch), batches))
            finally:
                pool.shutdown(cancel_futures=True)
        widths = sorted({part.shape[1] for part in parts})
        if len(widths) != 1:
            raise ValueError(f"{self.url} must return vectors of one width, got {widths}")
        return unit_rows(np.concatenate(parts), self.url)

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.api_key_env)
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _embed_batch(self, client: httpx2.Client, batch: list[str]) -> FloatArray:
        asked: dict[str, Any] = {"model": self.model, "input": batch, "encoding_format": "float"}
        if self.dimensions is not None:
            asked["dimensions"] = self.dimensions
        try:
            for attempt in stamina.retry_context(
                _worth_another, attempts=self.attempts, timeout=None, wait_initial=0.5, wait_max=30.0
            ):
                with attempt:
                    response = client.post(self.url, json=asked).raise_for_status()
        except httpx2.HTTPStatusError as error:
            raise self._refusal(error.response) from error
        except httpx2.TransportError as error:
            raise ConnectionError(
                f"{self.url} must answer, got {type(error).__name__} in {self.attempts} attempts;"
                " check the address and that the server runs"
            ) from error
        return self._vectors(response.content, len(batch))

    def _refusal(self, response: httpx2.Response) -> Exception:
        """The error to raise for a status; never shows the key."""
        status = response.status_code
        if status in (401, 403):
            return PermissionError(
                f"{self.url} refused the key (status {status}); set ${self.api_key_env} to one that it accepts"
            )
        if status == 404:
            return ValueError(f"{self.url} must serve model {self.model!r}, got status 404; check the URL and the name")
        if status in _RETRIED:
            return ConnectionError(f"{self.url} must answer, got status {status} after retries; try again later")
        said = hide(response.text, [os.environ.get(self.api_key_env, "")])[:200]
        return ValueError(f"{self.url} refused the request with status {status}: {said!r}; a text may be too long,"
                          " see max_chars")  # fmt: skip

    def _vectors(self, body: bytes, n: int) -> FloatArray:
        """Vectors (n, d) of an answer, in the order of `index`."""
        try:
            data = orjson.loads(body)["data"]
            index = [int(item["index"]) for item in data]
            vectors = np.array([item["embedding"] for item in data], dtype=np.float64)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.url} must answer like the OpenAI embeddings API, got {error!r}") from error
        if sorted(index) != list(range(n)):
            raise ValueError(f"{self.url} must return one vector for each of {n} texts, got {len(index)} of them")
        if vectors.ndim != 2 or self.dimensions not in (None, vectors.shape[1]):
            raise ValueError(f"{self.url} must return {self.dimensions or 'd'} numbers a text, got {vectors.shape[1:]}")
        return vectors[np.argsort(index)]


def _worth_another(error: Exception) -> bool | float:
    """Whether to try again; seconds to wait where the server says so."""
    if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code in _RETRIED:
        wait = _retry_after(error.response.headers.get("retry-after", ""))
        if wait is None:
            return True
        return wait if wait <= _LONGEST_WAIT else False
    return isinstance(error, httpx2.TransportError)


def _retry_after(header: str) -> float | None:
    """Seconds of a Retry-After header (a number or a date); None where there is none or it is neither.

    >>> _retry_after("1.5"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after("soon")
    (1.5, 0.0, None)
    """
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
