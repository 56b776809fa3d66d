"""The nouns of a call to a model: where it goes, what is asked, what came back, and why it failed."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal[
    "rate_limit", "timeout", "connection", "server", "bad_request", "content_filter", "auth", "payment", "not_found",
    "broken_stream", "bad_reply", "busy",
]  # fmt: skip
"""What sort of failure a call ended with."""
RETRYABLE: frozenset[Kind] = frozenset({"rate_limit", "timeout", "connection", "server", "broken_stream", "bad_reply"})
"""Another attempt at the same place can succeed."""
HOPELESS: frozenset[Kind] = frozenset({"bad_request", "content_filter"})
"""The request itself is refused: another provider would do no better."""
BILLED: frozenset[Kind] = frozenset({"broken_stream", "bad_reply"})
"""A reply had begun, so that it may have been billed."""
LARGEST_REPLY = 100_000_000


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
    api          what it speaks: chat completions, or what `apis/` makes look like them
    reply_bytes  largest reply that is read, after decompression

    connect_timeout is seconds until a connection stands; first_token_timeout and idle_timeout are seconds that a stream
    may be silent before and after its first token; queue_timeout is seconds that a call waits for a connection. None
    sets no limit of its own.
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    timeout: float = 600.0
    concurrency: int = 64
    transport: Literal["http", "litellm"] = "http"
    api: Literal["chat", "messages", "responses"] = "chat"
    reply_bytes: int = LARGEST_REPLY
    connect_timeout: float = 20.0
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    queue_timeout: float | None = None

    def __post_init__(self) -> None:
        try:
            if self.transport == "http" or self.url:
                check_url(self.url)
            for name in ("timeout", "connect_timeout", "first_token_timeout", "idle_timeout", "queue_timeout"):
                if (seconds := getattr(self, name)) is not None and not seconds > 0:
                    raise ValueError(f"{name} must be above 0 seconds, got {seconds}")
            for name in ("concurrency", "reply_bytes"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
            if not (self.key.isascii() and (self.key.isprintable() or not self.key)) or self.key != self.key.strip():
                raise ValueError("the key must be printable ASCII without blanks around it")
        except ValueError as error:
            raise ValueError(f"endpoint {self.name!r}: {error}") from None

    def hide(self, text: str) -> str:
        r"""The text without this endpoint's key and header values, however JSON, an address or base64 spell them.

        >>> Endpoint("mine", "http://localhost:1/v1", key="sk-secret").hide(r'bad key sk-secret, "\u0073k-secret"')
        'bad key ***, "***"'
        >>> Endpoint("mine", "http://localhost:1/v1", key="sk-secret").hide("Basic bWU6c2stc2VjcmV0")
        'Basic bWU6***'
        """
        return hide(text, (self.key, *self.headers.values()))

    def failed(self, kind: Kind, what: str, **facts: Any) -> CallError:
        """The error of a call to this endpoint, without its secrets; `facts` are fields of CallError."""
        return CallError(self.hide(f"{self.name} {what}"), kind, **facts)


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with *** in the place of every secret of more than three characters, escaped ones too."""
    for secret in secrets:
        if len(secret) > 3:
            text = _spellings(secret).sub("***", text)
    return text


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    r"""A secret, each character as it is, as \u0073 in JSON (in JSON within JSON too), %73 or &#115;; or all of it in
    base64, wherever it begins there, or hexadecimal.
    """
    encoded = "|".join(map(_encoded, range(3), [secret.encode()] * 3))
    return re.compile("".join(map(_spelled, secret)) + f"|{encoded}|(?i:{secret.encode().hex()})")


def _encoded(before: int, secret: bytes) -> str:
    """Base64 of a secret behind so many bytes, but for the characters that others than its own are part of."""
    text = b64encode(bytes(before) + secret).decode().rstrip("=")
    own = text[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
    return "".join({"+": "[+-]", "/": "[/_]"}.get(one, one) for one in own)


def _spelled(one: str) -> str:
    code, slashes = ord(one), r"\\{1,64}+"  # never given back: a text of backslashes alone is read in one pass
    plain = slashes if one == "\\" else f"(?:{slashes})?{re.escape(one)}"
    return rf"(?:{plain}|(?i:{slashes}u{code:04x}|%(?:25)*{code:02x}|&#0*{code};|&#x0*{code:x};))"


def check_url(url: str) -> None:
    """Raise ValueError for what is no address of a server, and for one that holds a secret."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        raise ValueError(f"url must look like https://host/v1, got {shown!r}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("url must hold no user, password or query; keys come from the environment")


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

    tokens_cached (read from the provider's cache) and tokens_cache_write (written into it) are parts of tokens_in,
    tokens_reasoning is part of tokens_out; provider_cost is USD.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    provider_cost: float | None = None
    tokens_cache_write: int | None = None


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
    """A call that failed, said in one sentence without any secret.

    fact         the sentence; `reason` adds what the owner of the endpoint can do
    kind         what sort of failure
    status       of HTTP, 0 where there was none
    retryable    whether another attempt here can succeed
    elsewhere    whether another provider may do better
    too_long     whether the prompt is too long for this model, and perhaps not for another
    billed       whether it may have been billed: a refusal is not, a reply that broke off may be
    usage        what the failed attempt used, where the server said so
    retry_after  seconds the server asks to wait, None where it does not say
    body         the server's own words in JSON, as they may be passed on; None where there are none
    told         headers of the reply that name the call at its provider, or its limits
    attempts     calls made and `cost` (USD of them all, None: unknown); set by `with_retries`

    What is not said follows from the kind: RETRYABLE, HOPELESS, BILLED.
    """

    def __init__(
        self,
        fact: str,
        kind: Kind,
        *,
        remedy: str = "",
        status: int = 0,
        retryable: bool | None = None,
        elsewhere: bool | None = None,
        billed: bool | None = None,
        usage: Usage | None = None,
        retry_after: float | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        too_long: bool = False,
    ) -> None:
        self.fact = fact.encode("utf-8", "replace").decode()  # a server may send half a character
        self.reason = f"{self.fact}; {remedy}" if remedy else self.fact
        super().__init__(self.reason)
        self.kind: Kind = kind
        self.status = status
        self.retryable = kind in RETRYABLE if retryable is None else retryable
        self.elsewhere = kind not in HOPELESS if elsewhere is None else elsewhere
        self.billed = kind in BILLED if billed is None else billed
        self.usage = usage
        self.retry_after = retry_after
        self.body = body
        self.content_type = content_type
        self.too_long = too_long
        self.told: Mapping[str, str] = {}
        self.attempts = 1
        self.cost: float | None = None
