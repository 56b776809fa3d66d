"""What a dialect is: its request becomes the one chat request that is served, and the reply takes its form again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmrouterbench.calling.calls import Usage
from llmrouterbench.serve.chat_body import LIMITS, ChatBody, with_model, with_values
from llmrouterbench.serve.config import ParametersConfig


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
class Native:
    """The request as it came, for providers that speak the client's API themselves: nothing of it is translated.

    api       what they speak, as a config names it; raw: its bytes, which say no field twice
    limit     the field of the most tokens out; left_out: fields that are taken out, as a price depends on them
    reply     makes the way of their reply back, from the id of a decision
    passes    names of the client's headers that go on, headers: what they say
    says      fields that are said whatever the client says
    """

    api: str
    raw: bytes
    limit: str
    left_out: tuple[str, ...]
    reply: Callable[[str], Reply]
    passes: tuple[str, ...] = ()
    says: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def sent(self, model: str, parameters: ParametersConfig, most_tokens: int | None = None) -> bytes:
        """The bytes with another model, its parameters, no more tokens out than are given; others stay."""
        clamp = parameters.clamp
        if longest := [clamp[name] for name in LIMITS if name in clamp and self.limit not in clamp]:
            clamp = {**clamp, self.limit: min(longest)}
        parameters = parameters.model_copy(update={"drop": [*parameters.drop, *self.left_out], "clamp": clamp})
        changes = {**self.says, **({} if most_tokens is None else {self.limit: most_tokens})}
        return with_values(with_model(self.raw, model), changes, parameters)


@dataclass(frozen=True)
class Asked:
    """A request, read.

    body         the chat request that is served
    reply        from the id of a decision to its reply's way back
    wants_usage  whether a stream's usage is needed for that
    left_out     names of fields that say nothing to a provider in chat completions, and do not change what is asked
    native       the request for providers that speak the dialect themselves, None where it has none
    """

    body: ChatBody
    reply: Callable[[str], Reply]
    wants_usage: bool = True
    left_out: tuple[str, ...] = ()
    native: Native | None = None


class Dialect(Protocol):
    """A file of this folder."""

    PATH: str

    def read(self, raw: bytes) -> Asked:
        """The body of a request. Raises RefusedError (400) that names what is wrong or has no translation."""

    def error(self, status: int, body: bytes) -> bytes:
        """The body of an error in OpenAI's form, or in a provider's own words, in this dialect's."""
