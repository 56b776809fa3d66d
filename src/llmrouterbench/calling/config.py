"""Providers in the YAML files of a collection and of a server: the same keys, with the same meaning."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from llmrouterbench.calling.calls import LARGEST_REPLY, Endpoint, check_url
from llmrouterbench.strict import Count, Positive, Strict


class Later(Strict):
    """Settings whose keys came one after the other: the `later` ones stand in a dump only where they are set.

    The hash of a config that does not use them is thus the one that it always had.
    """

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        return {name: value for name, value in whole.items() if name not in self.later or value != fields[name].default}


class ProviderConfig(Later):
    """A server of models, the variable of its key, how many calls at once it gets, and how long it may take.

    api                   what it speaks: chat completions, Anthropic's Messages, OpenAI's Responses
    key_env               environment variable with the key, "" for a server without one
    timeout               seconds for one whole attempt
    connect_timeout       seconds until a connection stands
    first_token_timeout   seconds of silence before a stream's first token, idle_timeout: after it; null: no limit
    reply_bytes           largest reply that is read

    A collection and a server have keys of their own beside these.
    """

    later = frozenset({"api", "connect_timeout", "first_token_timeout", "idle_timeout", "reply_bytes"})

    url: str
    key_env: str = ""
    concurrency: Count = 32
    timeout: Positive = 600.0
    transport: Literal["http", "litellm"] = "http"
    api: Literal["chat", "messages", "responses"] = "chat"
    connect_timeout: Positive = 20.0
    first_token_timeout: Positive | None = None
    idle_timeout: Positive | None = None
    reply_bytes: Count = LARGEST_REPLY

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url or self.transport == "http":
            check_url(self.url)
        return self

    def endpoint(self, name: str, *, key_needed: bool = True) -> Endpoint:
        """The endpoint with its key. Raises ValueError where the variable of a key that is needed is not set."""
        key = os.environ.get(self.key_env, "") if self.key_env and key_needed else ""
        if self.key_env and key_needed and not key:
            raise ValueError(f"{name}: the environment variable {self.key_env} must hold its key, got nothing")
        own = {one.name: getattr(self, one.name) for one in fields(Endpoint) if one.name in type(self).model_fields}
        return Endpoint(name=name, key=key, **own)
