"""OpenAI's legacy completions: the prompt is the one turn of a user. Source: OpenAI's API reference, completions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.counting import text_bytes, tokens_of
from llmrouterbench.serve.chat_body import as_json, chat_body, named_model, parse_object
from llmrouterbench.serve.dialects._fields import Fields
from llmrouterbench.serve.dialects._pieces import ChatReader, Piece
from llmrouterbench.serve.dialects.chat import AsItIs, error
from llmrouterbench.serve.dialects.dialect import Asked
from llmrouterbench.serve.refusals import RefusedError, short

__all__ = ["PATH", "error", "read"]

PATH = "/v1/completions"
_TOKENS = 16
"""Tokens out of a request that does not say how many."""
_ONE = "ask for one reply at a time"


def read(raw: bytes) -> Asked:
    """The chat request that a completion asks for. Raises RefusedError (400)."""
    data = parse_object(raw)
    left_out: set[str] = set()
    top = Fields(data, "", left_out)
    chat: dict[str, Any] = {"model": named_model(data), "messages": [{"role": "user", "content": _prompt(top)}]}
    top.pass_over("model")
    most = top.of(int, "max_tokens")
    chat |= dict(top.copied("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "logit_bias"))
    chat |= dict(top.copied("seed", "user"))
    if stream := top.of(bool, "stream"):
        chat["stream"] = True
    options = top.object("stream_options")
    usage = options is not None and bool(options.of(bool, "include_usage"))
    for name in ("n", "best_of"):
        top.expect(name, 1, remedy=_ONE)
    top.expect("echo", False, remedy="the prompt is the client's own")
    top.expect("suffix", "", remedy="chat completions write no text between two others")
    top.close()
    most = _TOKENS if most is None else most
    body = replace(chat_body(as_json(chat), chat), most_tokens=most, stream=bool(stream))
    return Asked(body, lambda id: _Reply(f"cmpl-{id}", body.sizes[0], usage), left_out=tuple(sorted(left_out)))


def _prompt(top: Fields) -> str:
    prompt = top.any("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise RefusedError(400, f"prompt must be one text, got {short(prompt)}; {_ONE}, and no numbers of tokens")
    return prompt


class _Reply(AsItIs):
    """One reply on its way to the client; `tells`: whether a stream's usage is asked for."""

    def __init__(self, id: str, tokens_in: int, tells: bool) -> None:
        self._id, self._tokens_in, self._tells = id, tokens_in, tells
        self._created = int(time.time())
        self._read = ChatReader()
        self._texts: list[str] = []

    def whole(self, completion: bytes, usage: Usage) -> bytes:
        """The completion. Raises ValueError."""
        text = "".join(map(self._text, self._read.whole(completion)))
        return as_json({**self._chunk(text, self._read.finish or "stop"), "usage": self._usage(usage)})

    def events(self, piece: bytes) -> bytes:
        """A chunk for each text that came. Raises ValueError."""
        texts = map(self._text, self._read.stream(piece))
        return b"".join(_event(self._chunk(text, None)) for text in texts if text)

    def end(self, usage: Usage) -> bytes:
        """Why it ended, what it used where that is asked for, and [DONE]."""
        out = _event(self._chunk("", self._read.finish or "stop"))
        if self._tells:
            out += _event({**self._chunk("", None), "choices": [], "usage": self._usage(usage)})
        return out + b"data: [DONE]\n\n"

    def _text(self, piece: Piece) -> str:
        """The text of a piece; thoughts are no part of a completion."""
        if piece.what in ("call", "custom"):
            raise ValueError("a call of a tool, which nobody offered")
        if piece.what == "thoughts":
            return ""
        self._texts.append(piece.text)
        return piece.text

    def _chunk(self, text: str, finish: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return {
            "id": self._id, "object": "text_completion", "created": self._created, "model": self._read.model,
            "choices": [choice],
        }  # fmt: skip

    def _usage(self, usage: Usage) -> dict[str, int]:
        into = self._tokens_in if usage.tokens_in is None else usage.tokens_in
        out = tokens_of(text_bytes(self._texts)) if usage.tokens_out is None else usage.tokens_out
        return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + as_json(data) + b"\n\n"
