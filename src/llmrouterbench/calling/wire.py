"""The OpenAI chat format: a Request as a request body, and what servers send back as an Answer or a CallError."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request, Usage

_OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})
_SHOWN = 200
_MOST_USD, _MOST_TOKENS = 1e9, 10**15
"""What one call is billed at most; more cannot be true."""


# --- what is sent ----------------------------------------------------------------------------------------------------


def request_body(request: Request, url: str) -> dict[str, Any]:
    """The JSON body of a request to the server at `url`; settings that are None are left out.

    Raises ValueError where `extra` holds a field that the client itself sets.

    >>> request_body(Request("mine", "m", provider="novita/fp8", top_p=None), "http://localhost:1/v1")
    {'model': 'm', 'messages': [], 'temperature': 0.2, 'provider': {'order': ['novita/fp8'], 'allow_fallbacks': False}}
    """
    host = urlsplit(url).hostname or ""
    body: dict[str, Any] = {"model": request.model, "messages": list(request.messages)}
    provider = request.provider
    settings = {
        "temperature": None if request.temperature is None else float(request.temperature),
        "top_p": None if request.top_p is None else float(request.top_p),
        # OpenAI's reasoning models refuse the older name, other servers may not know the newer.
        "max_completion_tokens" if host == "api.openai.com" else "max_tokens": request.max_tokens,
        "reasoning_effort": request.reasoning_effort,
        "provider": {"order": [provider], "allow_fallbacks": False} if isinstance(provider, str) else provider,
        # OpenRouter tells the cost of a reply only when asked.
        "usage": {"include": True} if host == "openrouter.ai" else None,
    }
    body.update((name, value) for name, value in settings.items() if value is not None)
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if clash := sorted(_OWN_FIELDS & request.extra.keys()):
        raise ValueError(f"extra must not hold {', '.join(clash)}; these are settings of the request itself")
    body.update(request.extra)
    return body


def encode_json(body: Mapping[str, Any], *, sorted_keys: bool = False) -> bytes:
    """A request body as bytes; ValueError where it is no JSON (a lone surrogate in a prompt, an object)."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS if sorted_keys else None)
    except TypeError as error:
        raise ValueError(f"a request must be JSON, got {error}") from error


# --- what came back --------------------------------------------------------------------------------------------------


def decode_json(data: bytes) -> Any:
    """What servers call JSON: NaN and half a surrogate pair (a text cut inside an emoji) occur. Raises ValueError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def read_answer(endpoint: Endpoint, data: Any) -> Answer:
    """The Answer in a completion; raises CallError for an error body and for what is no completion."""
    if not isinstance(data, Mapping):
        raise bad_reply(endpoint, f"JSON that is no object but {type(data).__name__}")
    usage, note = read_usage(data.get("usage"))
    raise_error_body(endpoint, data, usage, billed=False)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise bad_reply(endpoint, "a reply without choices", usage=usage)
    raise_error_body(endpoint, choices[0], usage, billed=True)
    message = choices[0].get("message")
    if not isinstance(message, Mapping):
        raise bad_reply(endpoint, "a choice without a message", usage=usage)
    text = read_text(message.get("content")) or read_text(message.get("refusal"))
    return make_answer(text, choices[0].get("finish_reason"), usage, note, data.get("model"))


def make_answer(text: str, finish: Any, usage: Usage, note: str, model: Any) -> Answer:
    """An Answer with the reason that its finish_reason and its text give."""
    finish = finish if isinstance(finish, str) else ""
    text = _mend(text)
    reason = finish if finish in ("content_filter", "length") else "" if text.strip() else "empty"
    model = model if isinstance(model, str) else ""
    return Answer(**vars(usage), text=text, finish_reason=finish, reason=reason, model=model, note=note)


def read_text(content: Any) -> str:
    """The text of a message's content, which is text, parts, or null.

    >>> read_text([{"type": "thinking", "thinking": []}, {"type": "text", "text": "42"}]), read_text(None)
    ('42', '')
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def _mend(text: str) -> str:
    """The text with half surrogate pairs joined, or replaced where the other half is missing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class StreamedReply:
    """The chunks of a streamed completion, put together."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.text: list[str] = []
        self.begun = False
        self.finish = ""
        self.model = ""
        self.usage = Usage()
        self.note = ""

    def add(self, chunk: Any) -> None:
        """Take one chunk; raises CallError for an error in the middle of the stream."""
        if not isinstance(chunk, Mapping):
            raise bad_reply(self.endpoint, "a chunk that is no JSON object", usage=self.usage)
        if isinstance(chunk.get("usage"), Mapping):
            self.usage, self.note = read_usage(chunk["usage"])
        raise_error_body(self.endpoint, chunk, self.usage, billed=True)
        self.model = chunk.get("model") or self.model
        for choice in chunk.get("choices") or ():
            self._add_choice(choice)

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        raise_error_body(self.endpoint, choice, self.usage, billed=True)
        self.finish = choice.get("finish_reason") or self.finish
        delta = choice.get("delta") or {}
        said = read_text(delta.get("content")) or read_text(delta.get("refusal"))
        if said:
            self.text.append(said)
        if said or delta.get("reasoning_content") or delta.get("reasoning"):
            self.begun = True

    def answer(self) -> Answer:
        """The whole reply."""
        return make_answer("".join(self.text), self.finish, self.usage, self.note, self.model)


# --- usage -----------------------------------------------------------------------------------------------------------


def read_usage(usage: Any) -> tuple[Usage, str]:
    """Usage as billed, and a note on figures that cannot be true; these count as not said.

    Providers that count reasoning apart from the completion (their total says so) get it added to tokens_out.

    >>> read_usage({"prompt_tokens": -3, "completion_tokens": 7})
    (Usage(tokens_in=None, tokens_out=7, tokens_cached=None, tokens_reasoning=None, provider_cost=None), \
'prompt_tokens was -3')
    """
    if not isinstance(usage, Mapping):
        return Usage(), ""
    notes: list[str] = []
    details_in, details_out = _table(usage, "prompt_tokens_details"), _table(usage, "completion_tokens_details")
    tokens_in = _count(usage, "prompt_tokens", notes)
    tokens_out = _count(usage, "completion_tokens", notes)
    cached = _count(details_in, "cached_tokens", notes)
    if cached is None:
        cached = _count(usage, "prompt_cache_hit_tokens", notes)
    reasoning = _count(details_out, "reasoning_tokens", notes)
    if tokens_in is not None and tokens_out is not None and reasoning:
        total = _count(usage, "total_tokens", notes)
        tokens_out += reasoning if total == tokens_in + tokens_out + reasoning else 0
    if cached is not None and tokens_in is not None and cached > tokens_in:
        notes.append(f"cached_tokens was {cached} of {tokens_in}")
        cached = None
    if reasoning is not None and tokens_out is not None and reasoning > tokens_out:
        notes.append(f"reasoning_tokens was {reasoning} of {tokens_out}")
        reasoning = None
    return Usage(tokens_in, tokens_out, cached, reasoning, _cost(usage, notes)), "; ".join(notes)


def _table(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = usage.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(usage: Mapping[str, Any], name: str, notes: list[str]) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # NaN and infinity are not
    if isinstance(value, bool) or not whole or not 0 <= value <= _MOST_TOKENS:
        notes.append(f"{name} was {str(value)[:20]}")
        return None
    return int(value)


def _cost(usage: Mapping[str, Any], notes: list[str]) -> float | None:
    """USD as OpenRouter (`cost`, with its own key: plus the provider's bill) or Perplexity (`cost.total_cost`) say."""
    value = usage.get("cost")
    value = value.get("total_cost") if isinstance(value, Mapping) else value
    if value is None:
        return None
    upstream = _table(usage, "cost_details").get("upstream_inference_cost") if usage.get("is_byok") else None
    parts = [value] if upstream is None else [value, upstream]
    if any(isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= _MOST_USD for part in parts):
        notes.append(f"cost was {' and '.join(str(part)[:20] for part in parts)}")
        return None
    return float(sum(parts))


# --- errors ----------------------------------------------------------------------------------------------------------


def bad_reply(endpoint: Endpoint, what: str, *, retryable: bool = True, usage: Usage | None = None) -> CallError:
    """The error for a reply that cannot be read; it may have been billed."""
    sentence = f"{endpoint.name} must answer like the OpenAI chat API, got {what}"
    return CallError(endpoint.hide(sentence), "bad_reply", retryable=retryable, usage=usage, billed=True)


def raise_error_body(endpoint: Endpoint, data: Mapping[str, Any], usage: Usage, *, billed: bool) -> None:
    """Raise the error that a 200 or a chunk of a stream holds, if it does; `billed`: whether a reply had begun."""
    error = data.get("error")
    if not error and data.get("finish_reason") != "error":
        return
    failed = refusal(endpoint, error_code(data) or 500, data, "")
    failed.usage = usage if usage != Usage() else None
    failed.billed = billed
    raise failed


def error_code(data: Any) -> int:
    """The HTTP status named inside an error body, 0 where there is none."""
    error = data.get("error") if isinstance(data, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    number = int(str(code)) if str(code).isdecimal() else 0
    return number if 400 <= number < 600 else 0


def refusal(endpoint: Endpoint, status: int, data: Any, text: str, retry_after: float | None = None) -> CallError:
    """The error for a status of 400 and above, with what the server said (`data` is the body as JSON, if it is)."""
    said = endpoint.hide(error_text(data) or text).strip()[:_SHOWN]
    quoted = f": {said!r}" if said else ""
    begin = f"{endpoint.name} answered with status {status}"
    if status in (401, 403):
        return CallError(f"{begin} (key refused){quoted}; check the key in its environment variable", "auth")
    if status == 402 or (status == 429 and "insufficient_quota" in str(data)):
        return CallError(f"{begin} (nothing left to spend){quoted}; add credit at the provider", "payment")
    if status == 404:
        return CallError(f"{begin} (not found){quoted}; check the url and the model's name", "not_found")
    if status == 429:
        return CallError(f"{begin} (rate limit){quoted}", "rate_limit", retryable=True, retry_after=retry_after)
    if status == 408:
        return CallError(f"{begin} (time-out){quoted}", "timeout", retryable=True, retry_after=retry_after)
    if status >= 500 or status in (409, 425):
        return CallError(f"{begin}{quoted}", "server", retryable=True, retry_after=retry_after)
    return CallError(f"{begin}{quoted}; change the request", "bad_request")


def error_text(data: Any) -> str:
    """What a server says went wrong: `error.message`, `error`, `message` or `detail`.

    >>> error_text({"error": {"message": "no such model"}}), error_text({"detail": [1]}), error_text("x")
    ('no such model', '[1]', '')
    """
    if not isinstance(data, Mapping):
        return ""
    error = data.get("error") or data.get("message") or data.get("detail") or ""
    if isinstance(error, Mapping):
        raw = _table(error, "metadata").get("raw")
        error = error.get("message") or error.get("type") or error
        error = f"{error} ({raw})" if raw else error
    return str(error)


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
    error = data.get("error") if isinstance(data, Mapping) else None
    if status not in (400, 403) or not isinstance(error, Mapping):
        return False
    metadata = _table(error, "metadata")
    return str(error.get("code")) in ("content_filter", "content_policy_violation") or bool(
        metadata.get("flagged_input") or metadata.get("reasons")
    )


def timed(answer: Answer, seconds: float, first_token: float | None = None) -> Answer:
    """The answer with its times."""
    return replace(answer, seconds=seconds, first_token_seconds=first_token)
