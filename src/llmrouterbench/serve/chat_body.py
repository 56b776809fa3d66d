"""A chat request as it came: what of it decides, and how it goes on, byte for byte but for its model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import orjson

from llmrouterbench.calling.counting import tokens_of_request
from llmrouterbench.calling.wire import decode_json, read_text
from llmrouterbench.serve.config import Need, ParametersConfig, ServedProviderConfig
from llmrouterbench.serve.refusals import RefusedError, short

_MODEL = re.compile(rb'"model"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")')
_ESCAPED = re.compile(rb'"(?!model)(?:m|\\u006[dD])(?:o|\\u006[fF])(?:d|\\u0064)(?:e|\\u0065)(?:l|\\u006[cC])"\s*:')
"""The key "model" with an escape in it."""
_OPEN = re.compile(rb"^[ \t\r\n]*\{")
LIMITS = ("max_tokens", "max_completion_tokens")
PRICED = ("service_tier",)
"""What changes the price of a call, which the config has for the standard tier: it is taken out."""
_MOVING = (
    "models", "route", "provider", "fallbacks", "plugins", "web_search_options", "search_parameters", "enable_search",
    "audio",
)  # fmt: skip
"""Fields by which OpenRouter, LiteLLM, OpenAI, xAI or Alibaba let a request choose who serves it, or pay for more than
tokens of text."""
_OWN_TOOLS = ("function", "custom")
_MOST_CHOICES = 1e9
_COSTLY_NAMES = frozenset({*LIMITS, "n", "best_of", "stream", "stream_options"})
_COSTLY = re.compile(rb'"(max_tokens|max_completion_tokens|n|best_of|stream|stream_options)"[ \t\r\n]*:')
_ESCAPED_NAME = re.compile(
    rb'"(?:[a-z_]|\\u00[5-7][0-9a-fA-F]){0,21}\\u00[5-7][0-9a-fA-F](?:[a-z_]|\\u00[5-7][0-9a-fA-F])*"\s*:'
)
"""A key that may be one of these with an escape in it."""
_BLANKS = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


AS_THEY_ARE = ParametersConfig()


@dataclass(frozen=True)
class ChatBody:
    """One request for a chat completion.

    raw     the body as it came; model: what it names
    texts   the text of every user turn, in order
    needs   what it needs of a model beyond text
    stream  whether it asks for a stream; usage: whether also for the usage in it
    most_tokens  tokens out of a choice at most, None where it does not say; choices: replies at once
    limits  the fields that say so; stream_options: as they came
    left_out  fields that were taken out of it, as its price depends on them; moving: those by which it could
            change who serves it, or pay for more than tokens of text
    turns   the messages up to the first of the user; follow_up: whether a model has spoken since
    """

    raw: bytes
    model: str
    texts: tuple[str, ...]
    needs: frozenset[Need]
    stream: bool
    usage: bool
    turns: tuple[Any, ...]
    follow_up: bool
    most_tokens: int | None = None
    choices: int = 1
    limits: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    stream_options: Mapping[str, Any] | None = None

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Tokens in, as counted and at most."""
        return tokens_of_request(self.raw)

    def deciding_text(self, context: int, most: int = 16_000) -> str:
        r"""The last user turn, with earlier ones before it as long as these fit into so many characters.

        Of more than `most` characters the first and the last ones: what is asked stands at either end of a long text.

        >>> turns = b'[{"role": "user", "content": "Hi"}, {"role": "user", "content": "Why?"}]'
        >>> body = parse_chat(b'{"model": "auto", "messages": %b}' % turns)
        >>> [body.deciding_text(0), body.deciding_text(2)]
        ['Why?', 'Hi\n\nWhy?']
        """
        if not self.texts:
            return ""
        kept = [self.texts[-1]]
        for text in reversed(self.texts[:-1]):
            context -= len(text)
            if context < 0:
                break
            kept.append(text)
        whole = "\n\n".join(reversed(kept))
        return whole if len(whole) <= most else f"{whole[: most - most // 2]}{whole[len(whole) - most // 2 :]}"

    def sent(
        self,
        model: str,
        provider: ServedProviderConfig,
        parameters: ParametersConfig = AS_THEY_ARE,
        most_tokens: int | None = None,
    ) -> bytes:
        """The body with another model and its parameters, usage asked for, no more tokens out than are given."""
        raw = with_model(self.raw, model)
        changes: dict[str, Any] = {}
        if provider.stream_usage and self.stream and not self.usage:
            changes["stream_options"] = {**(self.stream_options or {}), "include_usage": True}
        if most_tokens is None and not self.limits:  # a dialect says it without one of these fields
            most_tokens = self.most_tokens
            if most_tokens is None and provider.api == "messages":  # which have no other end
                most_tokens = int(parameters.clamp["max_tokens"])
        if most_tokens is not None:
            host = urlsplit(provider.url).hostname
            names = self.limits or ("max_completion_tokens" if host == "api.openai.com" else "max_tokens",)
            changes |= dict.fromkeys(names, most_tokens)
        return with_values(raw, changes, parameters)

    def opening(self) -> str:
        """Hash of how the conversation began: equal in all of its turns. Raises RefusedError (400) for deep nesting."""
        try:
            return hashlib.sha256(json.dumps(self.turns, sort_keys=True).encode()).hexdigest()
        except RecursionError:
            raise _too_deep(self.raw) from None


def parse_chat(raw: bytes) -> ChatBody:
    """A chat body. Raises RefusedError (400) for what no server could answer; all else is the provider's to judge."""
    data = parse_object(raw)
    raw = said_once(raw, data)
    if priced := tuple(name for name in PRICED if name in data):
        raw = with_values(raw, {}, ParametersConfig(drop=list(priced)))
    return replace(chat_body(raw, data), left_out=priced)


def chat_body(raw: bytes, data: Mapping[str, Any]) -> ChatBody:
    """The chat body in `raw`, which says `data`. Raises RefusedError (400)."""
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, f"messages must be a list of at least one message, got {short(messages)}")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RefusedError(400, f"messages[{number}] must be an object with a role, got {short(message)}")
    stream = data.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise RefusedError(400, f"stream must be true or false, got {short(stream)}")
    first = next((number for number, one in enumerate(messages) if one["role"] == "user"), len(messages) - 1)
    return ChatBody(
        raw=raw,
        model=named_model(data),
        texts=tuple(_texts(messages)),
        needs=_needs(data, messages),
        stream=bool(stream),
        usage=isinstance(options := data.get("stream_options"), dict) and options.get("include_usage") is True,
        stream_options=options if isinstance(options, dict) else None,
        most_tokens=_most_tokens(data),
        choices=max(_whole(data.get("n")), _whole(data.get("best_of"))),
        limits=tuple(name for name in LIMITS if name in data),
        moving=moving(data),
        turns=tuple(messages[: first + 1]),
        follow_up=any(one["role"] == "assistant" for one in messages),
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises RefusedError (400)."""
    try:
        data = decode_json(raw)
    except ValueError:
        raise RefusedError(400, f"the body must be JSON, got {len(raw)} bytes that are not") from None
    if not isinstance(data, dict):
        raise RefusedError(400, f"the body must be a JSON object, got {type(data).__name__}")
    return data


def _most_tokens(data: Mapping[str, Any]) -> int | None:
    """The most tokens out that a body asks for; None where it does not say, or says it in a way of its own."""
    said = [value for name in LIMITS if (value := data.get(name)) is not None]
    known = all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in said)
    return max(said) if said and known else None


def moving(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields of a body by which it could change who serves it, or pay for more than tokens of text."""
    tools = data.get("tools")
    run_there = isinstance(tools, list) and any(
        isinstance(one, dict) and one.get("type", "function") not in _OWN_TOOLS for one in tools
    )
    named = [name for name in _MOVING if data.get(name) is not None]
    return (*named, "tools") if run_there else tuple(named)


def _whole(value: Any) -> int:
    """A number of choices as providers read it, 1 where it is none."""
    try:
        return max(1, int(min(float(value), _MOST_CHOICES)))
    except OverflowError:  # a whole number of 400 digits
        return int(_MOST_CHOICES) if value > 0 else 1
    except (TypeError, ValueError):
        return 1


def said_once(raw: bytes, data: Mapping[str, Any]) -> bytes:
    """The body, written anew where it says a field that costs money twice, or in an encoding of its own.

    Servers read such a body differently: a client could show us one number and the provider another.
    """
    if json.detect_encoding(raw) == "utf-8":
        names = _COSTLY.findall(raw)
        if len(names) == len(set(names)) and not (b"\\u00" in raw and _ESCAPED_NAME.search(raw)):
            return raw
        said = [name for name, _ in _deep(raw) if name in _COSTLY_NAMES]
        if len(said) == len(set(said)):
            return raw
    return as_json(data)


def all_said_once(raw: bytes, data: Mapping[str, Any]) -> bytes:
    """The body, written anew where it says any of its fields twice, or in an encoding of its own."""
    return raw if json.detect_encoding(raw) == "utf-8" and len(_deep(raw)) == len(data) else as_json(data)


def _deep(raw: bytes) -> list[tuple[str, tuple[int, int]]]:
    try:
        return list(_members(raw))
    except RecursionError:
        raise _too_deep(raw) from None


def with_values(raw: bytes, changes: Mapping[str, Any], parameters: ParametersConfig = AS_THEY_ARE) -> bytes:
    """A JSON object's bytes with other top-level values, then with a model's parameters; other values stay as they are.

    Fields that it does not have stand at its beginning.

    >>> with_values(b'{"n": 1e400, "max_tokens": 9}', {"max_tokens": 5, "stream_options": {"include_usage": True}})
    b'{"stream_options":{"include_usage":true},"n":1e400,"max_tokens":5}'
    >>> with_values(b'{"top_k": 1, "temperature": 2}', {}, ParametersConfig(drop=["top_k"], clamp={"temperature": 1}))
    b'{"temperature":1}'
    """
    drop, rename, clamp = parameters.drop, parameters.rename, parameters.clamp
    new = {name: as_json(value) for name, value in changes.items()}
    if not _any_named(raw, (*changes, *drop, *rename, *clamp)):
        text = _written(new, parameters)[1:-1]
        return _OPEN.sub(lambda _: b"{" + text + b",", raw, count=1) if text else raw
    said = {name: raw[start:end] for name, (start, end) in _deep(raw)}
    if (
        said
        and not new
        and all(
            name not in drop and name not in rename and _clamped(value, clamp.get(name)) == value
            for name, value in said.items()
        )
    ):
        return raw
    return _written({name: b"" for name in changes if name not in said} | said | new, parameters)


def _written(values: Mapping[str, bytes], parameters: ParametersConfig) -> bytes:
    """An object of these values in JSON, as a model takes them."""
    kept = {parameters.rename.get(name, name): _clamped(value, parameters.clamp.get(name))
            for name, value in values.items() if name not in parameters.drop}  # fmt: skip
    return b"{" + b",".join(orjson.dumps(name) + b":" + value for name, value in kept.items()) + b"}"


def _clamped(value: bytes, most: float | None) -> bytes:
    """A value in JSON; a number that is larger than `most` is that."""
    if (
        most is None
        or not isinstance(said := decode_json(value), int | float)
        or isinstance(said, bool)
        or said <= most
    ):
        return value
    return orjson.dumps(int(most) if isinstance(said, int) and most.is_integer() else most)


def _any_named(raw: bytes, names: Iterable[str]) -> bool:
    return any(f'"{name}"'.encode() in raw or b"\\u00" in raw for name in names)


def as_json(value: Any) -> bytes:
    """A value that came as JSON, as JSON again. Raises RefusedError (400) for deep nesting."""
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair, a number of 20 digits, 255 levels
        pass
    try:
        return json.dumps(value).encode()
    except RecursionError:
        raise RefusedError(400, "the body must not be nested so deeply") from None


def named_model(data: Mapping[str, Any]) -> str:
    """The model that a body names. Raises RefusedError (400)."""
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise RefusedError(400, f"model must be the name of a model, or auto, got {short(model)}")
    return model.encode("utf-8", "replace").decode()


def with_model(raw: bytes, model: str) -> bytes:
    """A JSON object's bytes with another top-level model; every other byte stays.

    Only where its model is written twice, so that servers could read it differently, is the object written anew.
    Raises RefusedError (400) where the object is nested too deeply for that.

    >>> with_model(b'{ "seed": 1e400, "model":"auto", "x": {"model": "y"} }', "gpt-5")
    b'{ "seed": 1e400, "model":"gpt-5", "x": {"model": "y"} }'
    >>> with_model(b'{"model": "dear", "model": "auto"}', "cheap")
    b'{"model": "cheap"}'
    """
    spans = list(_models(raw))
    if len(spans) == 1 and not (b"\\u00" in raw and _ESCAPED.search(raw)):
        return _spliced(raw, spans[0], model)
    try:
        mine = [span for name, span in _members(raw) if name == "model"]
        if len(mine) == 1:
            return _spliced(raw, mine[0], model)
        return json.dumps({**decode_json(raw), "model": model}).encode()
    except RecursionError:
        raise _too_deep(raw) from None


def _models(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where the bytes give a value to a key "model", at any depth; the key is found as bytes, faster than a pattern."""
    at = raw.find(b'"model"')
    while at >= 0:
        match = _MODEL.match(raw, at)
        if match and raw[at - 1] in b"{, \t\r\n":
            yield match.span(1)
        at = raw.find(b'"model"', match.end() if match else at + 1)


def _too_deep(raw: bytes) -> RefusedError:
    return RefusedError(400, f"the body must not be nested so deeply, got {len(raw)} bytes of brackets")


def _members(raw: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every key of a JSON object with the place of its value, in one pass; none where its bytes are not plain UTF-8."""
    if json.detect_encoding(raw) != "utf-8":
        return
    text = raw.decode("utf-8", "surrogatepass")
    at, passed, count = _past_blanks(text, text.index("{") + 1), 0, 0
    while text[at] != "}":
        name, at = _scan(text, at)
        start = _past_blanks(text, text.index(":", at) + 1)
        _, end = _scan(text, start)
        first = count + len(text[passed:start].encode("utf-8", "surrogatepass"))
        passed, count = end, first + len(text[start:end].encode("utf-8", "surrogatepass"))
        yield name, (first, count)
        at = _past_blanks(text, end)
        at = _past_blanks(text, at + 1) if text[at] == "," else at


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _spliced(raw: bytes, span: tuple[int, int], text: str) -> bytes:
    return raw[: span[0]] + orjson.dumps(text) + raw[span[1] :]


def _texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """The text of each user turn that has one, whole characters only."""
    for message in messages:
        if message["role"] == "user" and (text := read_text(message.get("content"))):
            yield text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _needs(data: Mapping[str, Any], messages: list[dict[str, Any]]) -> frozenset[Need]:
    """What a request needs beyond text."""
    needs: set[Need] = set()
    if data.get("tools") or data.get("functions"):
        needs.add("tools")
    wanted = data.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
        needs.add("json")
    if data.get("logprobs"):
        needs.add("logprobs")
    if any(_has_image(message.get("content")) for message in messages):
        needs.add("images")
    return frozenset(needs)


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") in ("image_url", "input_image") for part in content
    )
