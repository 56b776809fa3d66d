"""What the OpenAPI document says of bodies that the server itself hardly reads."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": ["string", "null"]},
                "param": {},
                "code": {},
            },
        }
    },
}
MESSAGES_ERROR = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
_WHY = {
    400: "The request is wrong.",
    401: "The client key is missing or unknown.",
    403: "Only admins may look at this.",
    404: "There is no such model or decision.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    429: "The key asks too often, its budget is used, or the provider is busy.",
    502: "No provider could serve.",
    503: "The server or all providers are busy.",
    504: "No provider answered in time.",
}


def errors(*statuses: int, of: dict[str, Any] = _ERROR) -> dict[int | str, dict[str, Any]]:
    """The documentation of some error statuses, by the schema of their body."""
    content = {"application/json": {"schema": of}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_MODEL = {
    "type": "string",
    "minLength": 1,
    "description": "auto, auto:POLICY such as 'auto:cheapest --min-quality 0.8', or a model's name.",
}
CHAT_BODY = _body(
    {
        "type": "object",
        "required": ["model", "messages"],
        "description": "As OpenAI documents it; fields that are not listed here go to the provider as they are.",
        "properties": {
            "model": _MODEL,
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "required": ["role"], "properties": {"role": {"type": "string"}}},
            },
            "stream": {"type": ["boolean", "null"]},
        },
    }
)
EMBEDDINGS_BODY = _body(
    {
        "type": "object",
        "required": ["model", "input"],
        "properties": {"model": {"type": "string", "minLength": 1}, "input": {}},
    }
)
_TRANSLATED = "fields that have no form in chat completions are refused by their name."
RESPONSES_BODY = _body(
    {
        "type": "object",
        "required": ["model", "input"],
        "description": f"As OpenAI documents it; {_TRANSLATED}",
        "properties": {
            "model": _MODEL,
            "input": {"type": ["string", "array"], "minItems": 1},
            "store": {"enum": [False, None]},
            "stream": {"type": ["boolean", "null"]},
        },
    }
)
_MESSAGES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": ["user", "assistant", "system"]},
            "content": {"type": ["string", "array"]},
        },
    },
}
COMPLETIONS_BODY = _body(
    {
        "type": "object",
        "required": ["model", "prompt"],
        "description": f"As OpenAI documents it; {_TRANSLATED}",
        "properties": {
            "model": _MODEL,
            "prompt": {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
            "stream": {"type": ["boolean", "null"]},
        },
    }
)
COUNT_BODY = _body(
    {
        "type": "object",
        "required": ["model", "messages"],
        "description": f"As Anthropic documents it; {_TRANSLATED}",
        "properties": {"model": _MODEL, "messages": _MESSAGES},
    }
)
MESSAGES_BODY = _body(
    {
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "description": f"As Anthropic documents it; {_TRANSLATED}",
        "properties": {
            "model": _MODEL,
            "messages": _MESSAGES,
            "max_tokens": {"type": "integer", "minimum": 1},
            "stream": {"type": ["boolean", "null"]},
        },
    }
)
