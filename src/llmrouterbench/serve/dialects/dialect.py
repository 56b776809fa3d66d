"""What a dialect is: its request becomes the one chat request that is served, and the reply takes its form again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from llmrouterbench.calling.calls import Usage
from llmrouterbench.serve.chat_body import ChatBody


class Reply(Protocol):
    """One reply on its way to a client, from chat completions into the client's form.

    What it is given was judged before: completions, and events whose data are chunks or [DONE].
    """

    def whole(self, completion: bytes, usage: Usage) -> bytes:
        """A completion; `usage` is what it was billed for. Raises ValueError for what has no form in this dialect."""

    def events(self, piece: bytes) -> bytes:
        """Whole events of a stream."""

    def end(self, usage: Usage) -> bytes:
        """What ends a whole stream."""

    def broken(self, said: bytes) -> bytes:
        """What ends a stream that broke off; `said` is the body of an error."""


@dataclass(frozen=True)
class Asked:
    """A request, read.

    body         the chat request that is served
    reply        from the id of a decision to its reply's way back
    wants_usage  whether a stream's usage is needed for that
    left_out     names of fields that say nothing to a provider in chat completions, and do not change what is asked
    """

    body: ChatBody
    reply: Callable[[str], Reply]
    wants_usage: bool = True
    left_out: tuple[str, ...] = ()


class Dialect(Protocol):
    """A file of this folder."""

    PATH: str

    def read(self, raw: bytes) -> Asked:
        """The body of a request. Raises RefusedError (400) that names what is wrong or has no translation."""

    def error(self, status: int, body: bytes) -> bytes:
        """The body of an error in OpenAI's form, or in a provider's own words, in this dialect's."""
