"""OpenAI's chat completions: what providers speak, so that every byte passes as it is."""

from __future__ import annotations

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.client import CHAT
from llmrouterbench.serve.chat_body import parse_chat
from llmrouterbench.serve.dialects.dialect import Asked

PATH = f"/v1/{CHAT}"


def read(raw: bytes) -> Asked:
    """The request as it came. Raises RefusedError (400)."""
    body = parse_chat(raw)
    return Asked(body, lambda _: AsItIs(), wants_usage=body.usage, left_out=body.left_out)


def error(status: int, body: bytes) -> bytes:
    """The body as it is."""
    return body


class AsItIs:
    """A reply that passes byte for byte."""

    def whole(self, completion: bytes, usage: Usage) -> bytes:
        """The completion."""
        return completion

    def events(self, piece: bytes) -> bytes:
        """The events."""
        return piece

    def end(self, usage: Usage) -> bytes:
        """Nothing: the provider's [DONE] has passed."""
        return b""

    def broken(self, said: bytes) -> bytes:
        """An error event, which clients of OpenAI read."""
        return b"data: " + b" ".join(said.splitlines()) + b"\n\n"
