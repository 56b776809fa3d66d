"""What was asked, in a text, a list of messages or an object with a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_QUESTIONS = ("question", "query", "problem", "input", "prompt", "instruction", "goal", "text")


def asked(value: Any) -> str:
    """The text of an input: of a message list what the user said, of an object its question."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        said = [part for part in value if isinstance(part, dict)]
        of_user = [part for part in said if str(part.get("role", "user")).lower() in ("user", "human")] or said
        return "\n\n".join(filter(None, map(_content, of_user)))
    if isinstance(value, dict):
        named = next((value[name] for name in (*_QUESTIONS, "messages") if value.get(name)), None)
        if named is None:
            texts = [part for part in value.values() if isinstance(part, str) and part]
            named = texts[0] if len(texts) == 1 else None
        return "" if named is None else asked(named)
    return ""


def _content(part: Mapping[str, Any]) -> str:
    content = part.get("content", part.get("prompt", part.get("text", "")))
    return content if isinstance(content, str) else asked(content)


def instructed(value: Any) -> str | None:
    """The system prompt of a list of messages."""
    said = [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
    of_system = (_content(part) for part in said if str(part.get("role", "")).lower() in ("system", "developer"))
    return "\n\n".join(filter(None, of_system)) or None
