"""What servers speak that do not speak chat completions: one file each, which makes them look as if they did."""

from __future__ import annotations

from typing import Protocol

from llmrouterbench.calling.apis import messages, responses


class Events(Protocol):
    """The events of one stream, as those of a chat completion."""

    def feed(self, piece: bytes) -> bytes:
        """What these bytes say."""

    def close(self) -> bytes:
        """What is left at the end."""

    def came(self) -> bytes:
        """The events that were read since this was last asked, as they came; an error is none of them."""


class Api(Protocol):
    """A file of this folder."""

    PATH: str
    HEADERS: dict[str, str]
    KEY_HEADER: str
    """The header of the key; "" for Authorization."""

    def request_of(self, body: bytes) -> bytes:
        """A chat request as one of this API. Raises ValueError that names what has no form there."""

    def completion_of(self, body: bytes) -> bytes:
        """A whole reply as a chat completion; what is none as it came."""

    def Events(self) -> Events:  # noqa: N802
        """A reader of one stream."""


def asked(api: Api, body: bytes) -> bytes:
    """A chat request as one of an API. Raises ValueError for what has no form there, or none at all."""
    try:
        return api.request_of(body)
    except (AttributeError, KeyError, TypeError):
        raise ValueError("messages, tools and response_format must be as chat completions document them") from None


APIS: dict[str, Api] = {"messages": messages, "responses": responses}
"""By the name that a config gives; chat completions are none of them."""
