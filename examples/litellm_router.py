"""A fitted router inside the LiteLLM proxy: the model `auto` becomes whichever model the router chooses.

    pip install 'litellm[proxy]' llmrouterbench
    ROUTER_DIR=router litellm --config litellm.yaml

with, in litellm.yaml beside this file, the router's models under their own names and the hook:

    model_list:
      - {model_name: auto, litellm_params: {model: openai/gpt-5}}        # never called: the hook replaces it
      - {model_name: gpt-5, litellm_params: {model: openai/gpt-5}}
      - {model_name: deepseek-v3-0324, litellm_params: {model: openrouter/deepseek/deepseek-chat-v3-0324}}
    litellm_settings: {callbacks: litellm_router.route_auto}

`auto:cheapest --min-quality 0.8` asks for another policy than the router's own, where the list has that name too.
"""

from __future__ import annotations

import os
from typing import Any

from litellm.integrations.custom_logger import CustomLogger  # type: ignore[import-not-found, unused-ignore]

from llmrouterbench import FittedRouter

FALLBACKS = 2


class RouteAuto(CustomLogger):  # type: ignore[misc, unused-ignore]
    """Replaces the model of requests for `auto`, and names the next best ones as fallbacks."""

    def __init__(self, router: FittedRouter) -> None:
        super().__init__()
        self.router = router

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        """LiteLLM calls this before every request; what it returns is the request that is made."""
        name, _, policy = str(data.get("model", "")).partition(":")
        if name == "auto":
            decision = self.router.route(last_question(data.get("messages") or []), policy or None)
            data["model"] = decision.model
            data["fallbacks"] = [model for model in decision.ranking if model != decision.model][:FALLBACKS]
        return data


def last_question(messages: list[dict[str, Any]]) -> str:
    """The text of the last user turn."""
    asked = [message.get("content") for message in messages if message.get("role") == "user"]
    last = asked[-1] if asked else ""
    if isinstance(last, list):
        return "\n".join(str(part.get("text", "")) for part in last if part.get("type") == "text")
    return str(last or "")


route_auto = RouteAuto(FittedRouter.load(os.environ.get("ROUTER_DIR", "router")))
