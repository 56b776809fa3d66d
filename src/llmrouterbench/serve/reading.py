"""Replies that are read before one serves: which requests they suit, and how they are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from llmrouterbench.serve.chat_body import ChatBody

T = TypeVar("T")


def can_compare(body: ChatBody, text: str) -> bool:
    """Whether replies to a request can be compared by what they answer, as those that the router learned from.

    text  the text that decides

    Not where tools, JSON, images or log probabilities are asked for, or several choices; nor where a model has spoken
    before, or the text that decides is not all that the user said.
    """
    return not body.needs and body.choices == 1 and not body.follow_up and text == "\n\n".join(body.texts)


async def in_time(asking: Mapping[str, Coroutine[Any, Any, T | None]], seconds: float) -> dict[str, T]:
    """What came of each within some seconds, all at once; what did not end then is cancelled, and None is left out."""
    tasks = {name: asyncio.ensure_future(one) for name, one in asking.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=seconds)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    came = {name: task.result() for name, task in tasks.items() if not task.cancelled()}
    return {name: one for name, one in came.items() if one is not None}
