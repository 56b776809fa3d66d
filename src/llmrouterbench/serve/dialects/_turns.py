"""The messages of a chat request, put together turn by turn out of the blocks or items of another dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Part = dict[str, Any]
FOLLOWS = "The attachment follows."
"""The text of a tool's result that is only an image or a file: chat completions have these in user turns alone."""


class Turns:
    """Messages in the order of chat completions.

    Calls of one turn stand in one message, their results directly behind it, and the images of results behind those.
    """

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._thoughts: list[str] = []
        self._attached: list[Part] = []

    def add(self, role: str, parts: Iterable[Part]) -> None:
        """What a system or a user says; system messages that follow one another become one."""
        self._attach()
        new = list(parts)
        if new and self._messages and self._messages[-1]["role"] == role and (role == "system" or self._is_attached):
            self._messages[-1]["content"] += new
        elif new:
            self._messages.append({"role": role, "content": new})

    def think(self, text: str) -> None:
        """What the model thought before it says what comes next."""
        if text:
            self._thoughts.append(text)

    def say(self, parts: Iterable[Part] = (), **more: Any) -> None:
        """What the model said; `more` are fields of its message."""
        self._attach()
        if not self._calling:
            self._messages.append({"role": "assistant", "content": []})
        self._think_now()
        self._messages[-1]["content"] += parts
        self._messages[-1] |= more

    def call(self, call: dict[str, Any]) -> None:
        """A call of a tool."""
        if not (self._messages and self._messages[-1]["role"] == "assistant"):
            self.say()
        self._think_now()
        self._messages[-1].setdefault("tool_calls", []).append(call)

    def result(self, id: str, parts: Iterable[Part]) -> None:
        """What a tool gave."""
        whole = list(parts)
        texts = [part for part in whole if part["type"] == "text"]
        others = [part for part in whole if part["type"] != "text"]
        self._attached += others
        texts = texts or ([text_part(FOLLOWS)] if others else [])
        self._messages.append({"role": "tool", "tool_call_id": id, "content": texts})

    def messages(self) -> list[dict[str, Any]]:
        """All of them."""
        self._attach()
        if self._thoughts:
            self.say()
        return [{**one, "content": _content(one)} for one in self._messages]

    @property
    def _calling(self) -> bool:
        """Whether the last message is one of the model that has called tools, and may go on."""
        return bool(self._messages) and "tool_calls" in self._messages[-1]

    @property
    def _is_attached(self) -> bool:
        return len(self._messages) > 1 and self._messages[-2]["role"] == "tool"

    def _think_now(self) -> None:
        if self._thoughts:
            said = self._messages[-1].get("reasoning_content", "")
            self._messages[-1]["reasoning_content"] = "\n\n".join([*([said] if said else []), *self._thoughts])
            self._thoughts.clear()

    def _attach(self) -> None:
        if self._attached:
            self._messages.append({"role": "user", "content": self._attached})
            self._attached = []


def text_part(text: str) -> Part:
    """A part that is text."""
    return {"type": "text", "text": text}


def _content(message: dict[str, Any]) -> Any:
    """One text as such, several parts as a list, of a model that only calls tools none."""
    parts = message["content"]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts or (None if message["role"] == "assistant" else "")
