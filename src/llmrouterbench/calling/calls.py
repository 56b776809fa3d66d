"""The nouns of a call to a model: where it goes, what is asked, what came back, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal[
    "rate_limit", "timeout", "connection", "server", "bad_request", "auth", "payment", "not_found", "broken_stream",
    "bad_reply",
]  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    name         what the config calls it
    url          base address, such as https://api.openai.com/v1 or http://localhost:8000/v1; "" for litellm
    key          API key, from an environment variable; never shown, never part of a cache key
    headers      sent with every request; never shown
    timeout      seconds for one whole attempt, from sending to the last byte
    concurrency  connections kept open at the same time
    transport    "http", or "litellm" for providers that speak another protocol (extra litellm)
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    timeout: float = 600.0
    concurrency: int = 64
    transport: Literal["http", "litellm"] = "http"

    def __post_init__(self) -> None:
        if self.transport == "http" or self.url:
            _check_url(self.url, self.name)
        if self.timeout <= 0:
            raise ValueError(f"endpoint {self.name!r}: timeout must be above 0 seconds, got {self.timeout}")
        if self.concurrency < 1:
            raise ValueError(f"endpoint {self.name!r}: concurrency must be at least 1, got {self.concurrency}")
        if not (self.key.isascii() and (self.key.isprintable() or not self.key)) or self.key != self.key.strip():
            raise ValueError(f"endpoint {self.name!r}: the key must be printable ASCII without blanks around it")

    def hide(self, text: str) -> str:
        r"""The text without this endpoint's key and header values, however JSON or an address spell them.

        >>> Endpoint("mine", "http://localhost:1/v1", key="sk-secret").hide(r'bad key sk-secret, "\u0073k-secret"')
        'bad key ***, "***"'
        """
        return hide(text, (self.key, *self.headers.values()))


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with *** in the place of every secret of more than three characters, escaped ones too."""
    for secret in secrets:
        if len(secret) > 3:
            text = _spellings(secret).sub("***", text)
    return text


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    r"""A secret with each character as it is, as \u0073 in JSON (in JSON within JSON too), %73 or &#115;."""
    return re.compile("".join(map(_spelled, secret)))


def _spelled(one: str) -> str:
    code = ord(one)
    return rf"(?:\\*{re.escape(one)}|(?i:\\+u{code:04x}|%(?:25)*{code:02x}|&#0*{code};|&#x0*{code:x};))"


def _check_url(url: str, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        raise ValueError(f"endpoint {name!r}: url must look like https://host/v1, got {shown!r}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"endpoint {name!r}: url must hold no user, password or query; keys come from the environment")


@dataclass(frozen=True)
class Request:
    """One chat completion to ask for. The defaults for temperature and top_p are the paper's preset.

    endpoint          name of the Endpoint
    model             the provider's own id of the model
    messages          role and content each; content is text or parts, images as data addresses
    temperature ...   None leaves a setting out of the request, for models that refuse it
    provider          OpenRouter: one provider by name, without fallback, or the whole `provider` object
    extra             further fields of the request body, as they are
    stream            ask for a stream, to measure the first token

    Source: Li et al. 2026, arXiv 2601.07206, section 4 (temperature 0.2, top_p 1.0).
    """

    endpoint: str
    model: str
    messages: tuple[Mapping[str, Any], ...] = ()
    temperature: float | None = 0.2
    top_p: float | None = 1.0
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    provider: str | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    stream: bool = False


@dataclass(frozen=True)
class Usage:
    """Tokens and cost as billed, None where the provider did not say.

    tokens_cached is part of tokens_in, tokens_reasoning part of tokens_out; provider_cost is USD.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    provider_cost: float | None = None


@dataclass(frozen=True)
class Answer(Usage):
    """What one successful attempt brought.

    reason               "" or what a reader must know: "length", "content_filter", "empty"
    finish_reason        as the provider says it, "" where it does not
    seconds              wall time of the attempt; first_token_seconds only where it was streamed
    model                the model id in the answer, "" where there is none
    note                 what was wrong with the usage, "" where nothing was
    """

    text: str = ""
    finish_reason: str = ""
    reason: str = ""
    seconds: float = 0.0
    first_token_seconds: float | None = None
    model: str = ""
    note: str = ""


@dataclass(frozen=True)
class Embeddings(Usage):
    """Vectors (n, d) in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...] = ()
    seconds: float = 0.0
    model: str = ""


class CallError(Exception):
    """An attempt that failed, said in one sentence without any secret.

    reason       the sentence
    kind         what sort of failure; `retryable`: whether a second try can succeed
    retry_after  seconds the server asks to wait, None where it does not say
    usage        what the failed attempt used, where the server said so
    billed       whether it may have been billed: a refusal is not, a reply that broke off may be
    attempts     calls made and `cost` (USD of them all, None: unknown); set by complete_with_retries
    """

    def __init__(
        self,
        reason: str,
        kind: Kind,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        usage: Usage | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind: Kind = kind
        self.retryable = retryable
        self.retry_after = retry_after
        self.usage = usage
        self.billed = billed
        self.attempts = 1
        self.cost: float | None = None
