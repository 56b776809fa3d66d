"""One call to a model: where it may go, what would be sent and what it can cost, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from llmrouterbench.calling.calls import Usage
from llmrouterbench.serve.bounds import Bound
from llmrouterbench.serve.dialects.dialect import Native
from llmrouterbench.serve.upstream import Streamed, Upstream, Whole


class Place(NamedTuple):
    """Where a model may be asked, and the name that it has there."""

    model: str
    upstream: Upstream
    sent_name: str


@dataclass(frozen=True)
class Attempt:
    """One call that may be made: which model, where, what makes the body to send, and what it can cost.

    native  what is sent, where the provider speaks the client's own API
    keep_text  whether the server reads the reply too
    """

    model: str
    upstream: Upstream
    raw: bytes
    make_body: Callable[[int | None], bytes]
    bound: Callable[[], Bound]
    stream: bool = False
    wants_usage: bool = False
    native: Native | None = None
    keep_text: bool = False


@dataclass
class Call:
    """One call under way: whether it went out, what of its reply is there, and whether it is in the books."""

    attempt: Attempt
    sent: bool = False
    reply: Whole | Streamed | None = None
    billed: bool = False
    cost: float = 0.0
    tokens: int = 0
    usage: Usage = field(default_factory=Usage)
    clamp: int | None = None

    def go(self) -> None:
        """Note that it went out."""
        self.sent = True
