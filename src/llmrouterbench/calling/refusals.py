"""What went wrong, in a server's own words: refusals, errors inside a 200, content filters, and how long to wait."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llmrouterbench.calling.calls import CallError, Endpoint, Kind, Usage

_SHOWN, _READ = 200, 10_000
"""Characters of a server's words that are shown, and those that are looked at for it."""
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|(?:prompt|input) is too long"
    r"|maximum model length|maximum input length"
    r"|exceeds? [^.]{0,80}\bcontext (?:length|window|size|limit)|longer than [^.]{0,40}\bcontext (?:length|window)"
    r"|context (?:length|window|size|limit) (?:is only|exceeded)|input token count [^.]{0,60}exceeds"
    r"|too many input tokens",
    re.IGNORECASE,
)
"""A prompt that this model's window does not hold, as OpenAI, Anthropic, Google, Bedrock, OpenRouter, vLLM, SGLang,
llama.cpp and Ollama say it."""
_UNSUPPORTED = re.compile(
    r"unsupported[_ ](?:parameter|value|content|field)|(?:is|are) not supported|does(?: not|n't) support"
    r"|not a multimodal model|requires --enable|cannot both be specified|at most 0 (?:image|audio|video)",
    re.IGNORECASE,
)
"""A field or a kind of content that this model does not take."""
_NO_MODEL = re.compile(
    r"model_not_found|\bmodel\b[^.]{0,80}(?:does not exist|not exist|not found)|not a valid model|invalid model\b"
    r"|unknown model|no such model|model identifier is invalid",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(
    r"insufficient[_ ](?:quota|balance|credit)|credit balance is too low|exceeded your [^.]{0,20}quota", re.IGNORECASE
)
LARGEST_REFUSAL = 1_000_000
"""Bytes of a refusal that are read, and passed on."""


def bad_reply(endpoint: Endpoint, what: str, **facts: Any) -> CallError:
    """The error for a reply that cannot be read; it may have been billed."""
    return endpoint.failed("bad_reply", f"must answer like the OpenAI API, got {what}", **facts)


def raise_error_body(
    endpoint: Endpoint, data: Mapping[str, Any], usage: Usage, *, billed: bool, raw: bytes = b""
) -> None:
    """Raise the error that a 200, or the event of a stream, holds, if it does; `billed`: whether a reply had begun."""
    if not data.get("error") and data.get("finish_reason") != "error":
        return
    failed = refusal(endpoint, error_code(data) or 500, data, raw)
    failed.usage = usage if usage != Usage() else None
    failed.billed = billed
    raise failed


def error_code(data: Any) -> int:
    """The HTTP status named inside an error body, 0 where there is none."""
    code = shown(inner(data, "error").get("code"))
    number = int(code) if len(code) == 3 and code.isdecimal() else 0
    return number if 400 <= number < 600 else 0


def refusal(
    endpoint: Endpoint,
    status: int,
    data: Any,
    body: bytes = b"",
    retry_after: float | None = None,
    content_type: str = "application/json",
) -> CallError:
    """The error for a status of 400 and above, with what the server said (`data` is the body as JSON, if it is)."""
    said_all = endpoint.hide((error_text(data) or body[:_READ].decode("utf-8", "replace"))[:_READ]).strip()
    said = said_all[:_SHOWN]
    words = (shown(inner(data, "error").get("code")) + " " + said_all) if status < 500 else ""
    kind, meaning, remedy = _meaning(status, data, words)
    about_model = kind != "content_filter" and (_TOO_LONG.search(words) or _UNSUPPORTED.search(words))
    return endpoint.failed(
        kind,
        f"answered with status {status}{meaning}" + (f": {said!r}" if said else ""),
        remedy=remedy,
        status=status,
        elsewhere=True if status == 413 or about_model else None,
        too_long=status == 413 or bool(_TOO_LONG.search(words)),
        retry_after=retry_after,
        body=_masked(endpoint, body) if isinstance(data, Mapping) else None,
        content_type=endpoint.hide(content_type),
    )


def _meaning(status: int, data: Any, words: str) -> tuple[Kind, str, str]:
    """Kind of a refusal, what its status and words mean, and what the owner of the endpoint can do."""
    if filtered(status, data):
        return "content_filter", "", "change the request"
    if status == 400 and _NO_CREDIT.search(words):
        return "payment", " (nothing left to spend)", "add credit at the provider"
    if status == 400 and _NO_MODEL.search(words):
        return "not_found", " (not found)", "check the model's name"
    if status in (401, 403):
        return "auth", " (key refused)", "check the key in its environment variable"
    if status == 402 or (status == 429 and "insufficient_quota" in shown(data)):
        return "payment", " (nothing left to spend)", "add credit at the provider"
    if status == 404:
        return "not_found", " (not found)", "check the url and the model's name"
    if status == 429:
        return "rate_limit", " (rate limit)", ""
    if status == 408:
        return "timeout", " (time-out)", ""
    if status >= 500 or status in (409, 425):
        return "server", "", ""
    return "bad_request", "", "change the request"


def _masked(endpoint: Endpoint, body: bytes) -> bytes | None:
    """The body without secrets, else byte for byte as it came.

    None where a secret could hide in its encoding, and for what is too long to be somebody's words.
    """
    if not 0 < len(body) <= LARGEST_REFUSAL or json.detect_encoding(body) != "utf-8":
        return None
    return endpoint.hide(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def error_text(data: Any) -> str:
    """What a server says went wrong: `error.message`, `error`, `message` or `detail`.

    >>> error_text({"error": {"message": "no such model"}}), error_text({"detail": [1]}), error_text("x")
    ('no such model', '[1]', '')
    """
    if not isinstance(data, Mapping):
        return ""
    error = data.get("error") or data.get("message") or data.get("detail") or ""
    if isinstance(error, Mapping):
        raw = inner(error, "metadata").get("raw")
        error = error.get("message") or error.get("type") or error
        error = f"{shown(error)} ({shown(raw)})" if raw else error
    return shown(error)


def shown(value: Any) -> str:
    """A value as text that can be stored; of one that is nested too deeply only what it is."""
    try:
        return str(value).encode("utf-8", "replace").decode()
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        return type(value).__name__


def retry_after_seconds(header: str) -> float | None:
    """Seconds of a Retry-After header (a number or a date); None where there is none or it is neither.

    >>> retry_after_seconds("1.5"), retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT"), retry_after_seconds("soon")
    (1.5, 0.0, None)
    """
    try:
        seconds = float(header)
    except ValueError:
        try:
            when = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def filtered(status: int, data: Any) -> bool:
    """Whether a refusal is a content filter: Azure and OpenAI say it with 400, OpenRouter with 403."""
    error = inner(data, "error")
    metadata = inner(error, "metadata")
    return status in (400, 403) and (
        shown(error.get("code")) in ("content_filter", "content_policy_violation")
        or bool(metadata.get("flagged_input") or metadata.get("reasons"))
    )


def inner(data: Any, name: str) -> Mapping[str, Any]:
    """The object under a key, {} where there is none."""
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, Mapping) else {}
