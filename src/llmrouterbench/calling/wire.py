"""The OpenAI chat format: a Request as a request body, and what servers send back as an Answer or a CallError."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from llmrouterbench.calling.calls import Answer, Embeddings, Endpoint, Request, Usage
from llmrouterbench.calling.counting import text_bytes, tokens_of
from llmrouterbench.calling.refusals import bad_reply, inner, raise_error_body, shown

_OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
"""Tokens written into a provider's cache, as OpenRouter and LiteLLM (among the details, and beside them) say."""
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
    """What servers call JSON: NaN and half a surrogate pair (a text cut inside an emoji) occur.

    Raises ValueError and nothing else, also for what is nested too deeply.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except (RecursionError, MemoryError):
        raise ValueError(f"JSON must not be nested so deeply, got {len(data)} bytes") from None


def read_answer(endpoint: Endpoint, data: Any, seconds: float = 0.0) -> Answer:
    """The Answer in a completion that took so many seconds, its first choice. Raises as `judge_completion` does."""
    usage, note = judge_completion(endpoint, data)
    choice = data["choices"][0]
    message = choice["message"]
    text = read_text(message.get("content")) or read_text(message.get("refusal"))
    return make_answer(text, choice.get("finish_reason"), usage, note, data.get("model"), seconds)


def judge_completion(endpoint: Endpoint, data: Any, raw: bytes = b"") -> tuple[Usage, str]:
    """Usage of a completion, which came as `raw`, and a note on it.

    Raises CallError for an error body and for what is no completion.
    """
    usage, note = _judge_object(endpoint, data, raw)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise bad_reply(endpoint, "a reply without choices", usage=usage)
    for choice in choices:
        _judge_choice(endpoint, choice, usage)
        if not isinstance(choice.get("message"), dict):
            raise bad_reply(endpoint, "a choice without a message", usage=usage)
        _judge_message(endpoint, choice["message"], usage)
    return usage, note


def judge_embeddings(endpoint: Endpoint, data: Any, raw: bytes = b"") -> Usage:
    """Usage of a reply with vectors, which came as `raw`.

    Raises CallError for an error body and for what holds no vectors.
    """
    usage, _ = _judge_object(endpoint, data, raw)
    rows = data.get("data")
    if not isinstance(rows, list) or not rows:
        raise bad_reply(endpoint, "a reply without embeddings", usage=usage)
    if not all(isinstance(row, dict) and isinstance(row.get("embedding"), list | str) for row in rows):
        raise bad_reply(endpoint, "a row without its embedding", usage=usage)
    return usage


def read_embeddings(endpoint: Endpoint, data: Any, n: int) -> Embeddings:
    """The vectors (n, d) of n texts, in their order. Raises CallError for any others."""
    usage = judge_embeddings(endpoint, data)
    try:
        rows = sorted((int(row["index"]), _floats(row["embedding"])) for row in data["data"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise bad_reply(endpoint, "embeddings that are no lists of numbers with an index", usage=usage) from None
    if [index for index, _ in rows] != list(range(n)):
        raise bad_reply(endpoint, f"{len(rows)} vectors for {n} texts", usage=usage)
    if len(widths := {len(vector) for _, vector in rows}) > 1:
        raise bad_reply(endpoint, f"vectors of widths {sorted(widths)[:3]}, not of one", usage=usage)
    return Embeddings(**vars(usage), vectors=tuple(vector for _, vector in rows), model=_words(data.get("model")))


def _floats(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise TypeError("a vector must be a list")
    return tuple(map(float, values))


def _judge_object(endpoint: Endpoint, data: Any, raw: bytes) -> tuple[Usage, str]:
    """Usage and a note on it. Raises CallError for what is no object, and for an error in it."""
    if not isinstance(data, dict):
        raise bad_reply(endpoint, f"JSON that is no object but {type(data).__name__}")
    usage, note = read_usage(data.get("usage"))
    raise_error_body(endpoint, data, usage, billed=False, raw=raw)
    return usage, note


def _judge_choice(endpoint: Endpoint, choice: Any, usage: Usage) -> None:
    if not isinstance(choice, dict):
        raise bad_reply(endpoint, f"a choice that is no object but {type(choice).__name__}", usage=usage)
    raise_error_body(endpoint, choice, usage, billed=True)


def _judge_message(endpoint: Endpoint, message: dict[str, Any], usage: Usage) -> None:
    """Raise CallError where the content or the tool calls of a message, or of a delta, cannot be read."""
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | list):
        raise bad_reply(endpoint, f"a content that is no text but {type(content).__name__}", usage=usage)
    if calls is not None and not (isinstance(calls, list) and all(isinstance(one, dict) for one in calls)):
        raise bad_reply(endpoint, "tool calls that are no list of objects", usage=usage)


def make_answer(
    text: str, finish: Any, usage: Usage, note: str, model: Any, seconds: float, first_token: float | None = None
) -> Answer:
    """An Answer with the reason that its finish_reason and its text give."""
    finish, text = _words(finish), _mend(text)
    reason = finish if finish in ("content_filter", "length") else "" if text.strip() else "empty"
    return Answer(
        **vars(usage), text=text, finish_reason=finish, reason=reason, seconds=seconds,
        first_token_seconds=first_token, model=_words(model), note=note,
    )  # fmt: skip


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


def _words(value: Any) -> str:
    """A text that can be stored, "" for what is no text."""
    return _mend(value) if isinstance(value, str) else ""


def _mend(text: str) -> str:
    """The text with half surrogate pairs joined, or replaced where the other half is missing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


Says = Literal["something", "usage", "nothing"]
"""What an event of a stream is for a client: a chunk, the usage alone, or a sign of life."""


class StreamedReply:
    """What a streamed completion says, judged event by event and, with `keep_text`, put together.

    begun    whether a token has come: anything in a delta beyond its role
    finish   the finish_reason, "" before; done: whether [DONE] has come
    usage    what the provider said so far, and a note on it
    """

    def __init__(self, endpoint: Endpoint, *, keep_text: bool = True) -> None:
        self.endpoint = endpoint
        self.text: list[str] = []
        self.begun = self.done = False
        self.finish = ""
        self.model = ""
        self.usage = Usage()
        self.note = ""
        self._keep_text = keep_text
        self._pieces = self._bytes = 0
        self._first: Any = None
        self._chosen = False

    def read(self, event: bytes) -> Says:
        """Take the data of one event. Raises CallError for an error in it, and for what is no chunk."""
        if event == b"[DONE]":
            self.done = True
            return "something"
        try:
            chunk = decode_json(event)
        except ValueError:
            raise bad_reply(self.endpoint, "a chunk that is no whole JSON", usage=self.usage) from None
        return self.add(chunk, event)

    def add(self, chunk: Any, event: bytes = b"") -> Says:
        """Take one chunk, which came as `event`. Raises CallError as `read` does."""
        if chunk is None:
            return "nothing"
        if not isinstance(chunk, dict):
            raise bad_reply(self.endpoint, "a chunk that is no JSON object", usage=self.usage)
        usage, choices = chunk.get("usage"), chunk.get("choices")
        if usage is not None:
            self.usage, self.note = read_usage(usage)
        raise_error_body(self.endpoint, chunk, self.usage, billed=True, raw=event)
        if choices is None:
            return "usage" if usage else "nothing"
        if not isinstance(choices, list):
            raise bad_reply(self.endpoint, "a chunk whose choices are no list", usage=self.usage)
        self.model = chunk.get("model") or self.model
        for choice in choices:
            self._add_choice(choice)
        return "usage" if usage and not choices else "something"

    def _add_choice(self, choice: Any) -> None:
        _judge_choice(self.endpoint, choice, self.usage)
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise bad_reply(self.endpoint, "a choice whose delta is no object", usage=self.usage)
        _judge_message(self.endpoint, delta, self.usage)
        self._first = self._first if self._chosen else choice.get("index")
        self._chosen = True
        self.finish = choice.get("finish_reason") or self.finish
        if said := [value for name, value in delta.items() if value and name != "role"]:
            self.begun = True
            self._pieces += 1
            self._bytes += text_bytes(said)
        if self._keep_text and choice.get("index") == self._first:
            self.text.append(read_text(delta.get("content")) or read_text(delta.get("refusal")))

    @property
    def counted_tokens(self) -> int:
        """Tokens that came, as counted from what they say: for a stream that does not tell its usage."""
        return tokens_of(self._bytes, self._pieces)

    def end(self) -> None:
        """Take the end of the stream. Raises CallError where it is no whole reply."""
        if not self._chosen:
            raise bad_reply(self.endpoint, "a stream without choices", usage=self.usage)
        if not (self.done or self.finish):
            raise self.endpoint.failed("broken_stream", "ended its stream without [DONE]", usage=self.usage)

    def answer(self, seconds: float = 0.0, first_token: float | None = None) -> Answer:
        """The whole reply, with its times."""
        text = "".join(self.text)
        return make_answer(text, self.finish, self.usage, self.note, self.model, seconds, first_token)


# --- usage -----------------------------------------------------------------------------------------------------------


def read_usage(usage: Any) -> tuple[Usage, str]:
    """Usage as billed, and a note on figures that cannot be true; these count as not said.

    Providers that count reasoning apart from the completion (their total says so) get it added to tokens_out.

    >>> read_usage({"prompt_tokens": -3, "completion_tokens": 7})
    (Usage(tokens_in=None, tokens_out=7, tokens_cached=None, tokens_reasoning=None, provider_cost=None, \
tokens_cache_write=None), 'prompt_tokens was -3')
    """
    if not isinstance(usage, Mapping):
        return Usage(), "" if usage is None else f"usage was {type(usage).__name__}"
    notes: list[str] = []
    details_in, details_out = inner(usage, "prompt_tokens_details"), inner(usage, "completion_tokens_details")
    tokens_in = _count(usage, "prompt_tokens", notes)
    tokens_out = _count(usage, "completion_tokens", notes)
    cached = _count(details_in, "cached_tokens", notes)
    if cached is None:
        cached = _count(usage, "prompt_cache_hit_tokens", notes)
    written = _first_count(notes, (details_in, _CACHE_WRITES[:2]), (usage, _CACHE_WRITES[2:]))
    reasoning = _count(details_out, "reasoning_tokens", notes)
    if tokens_in is not None and tokens_out is not None and reasoning:
        total = _count(usage, "total_tokens", notes)
        tokens_out += reasoning if total == tokens_in + tokens_out + reasoning else 0
    if cached is not None and tokens_in is not None and cached > tokens_in:
        notes.append(f"cached_tokens was {cached} of {tokens_in}")
        cached = None
    if written is not None and tokens_in is not None and written + (cached or 0) > tokens_in:
        notes.append(f"tokens written into the cache were {written} of {tokens_in}")
        written = None
    if reasoning is not None and tokens_out is not None and reasoning > tokens_out:
        notes.append(f"reasoning_tokens was {reasoning} of {tokens_out}")
        reasoning = None
    return Usage(tokens_in, tokens_out, cached, reasoning, _cost(usage, notes), written), "; ".join(notes)


def _first_count(notes: list[str], *places: tuple[Mapping[str, Any], Sequence[str]]) -> int | None:
    """The first figure that stands under one of several names."""
    found = (_count(said, name, notes) for said, names in places for name in names)
    return next((value for value in found if value is not None), None)


def _count(usage: Mapping[str, Any], name: str, notes: list[str]) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # NaN and infinity are not
    if isinstance(value, bool) or not whole or not 0 <= value <= _MOST_TOKENS:
        notes.append(f"{name} was {shown(value)[:20]}")
        return None
    return int(value)


def _cost(usage: Mapping[str, Any], notes: list[str]) -> float | None:
    """USD as OpenRouter (`cost`, with its own key: plus the provider's bill) or Perplexity (`cost.total_cost`) say."""
    value = usage.get("cost")
    value = value.get("total_cost") if isinstance(value, Mapping) else value
    if value is None:
        return None
    upstream = inner(usage, "cost_details").get("upstream_inference_cost") if usage.get("is_byok") else None
    parts = [value] if upstream is None else [value, upstream]
    if any(isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= _MOST_USD for part in parts):
        notes.append(f"cost was {' and '.join(shown(part)[:20] for part in parts)}")
        return None
    return float(sum(parts))
