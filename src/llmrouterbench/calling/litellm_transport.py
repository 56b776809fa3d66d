"""Calls through LiteLLM, for providers with a protocol of their own (extra litellm; imported when first used).

Differs from the client's own transport, as LiteLLM leaves no choice: replies are never streamed (LiteLLM turns a page
of HTML into an empty stream and makes usage up), and a status of 500 and above may hide a reply that broke off.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from importlib import import_module
from time import perf_counter
from typing import Any

from llmrouterbench.calling.calls import Answer, CallError, Endpoint, Request
from llmrouterbench.calling.refusals import refusal, retry_after_seconds
from llmrouterbench.calling.wire import read_answer, request_body


async def complete(endpoint: Endpoint, request: Request) -> Answer:
    """One attempt at one chat completion; the model's id is LiteLLM's, such as anthropic/claude-sonnet-4-5.

    Raises CallError as Client.complete does, ImportError where litellm is not installed.
    """
    litellm, openai = _modules()
    asked = request_body(replace(request, stream=False), endpoint.url)
    asked |= {"api_key": endpoint.key or None, "api_base": endpoint.url or None}
    asked |= {"extra_headers": dict(endpoint.headers), "timeout": endpoint.timeout, "num_retries": 0, "max_retries": 0}
    started = perf_counter()
    try:
        async with asyncio.timeout(endpoint.timeout):
            reply = (await litellm.acompletion(**asked)).model_dump()
    except (TimeoutError, openai.APITimeoutError):
        raise endpoint.failed("timeout", f"did not finish within {endpoint.timeout:g} seconds", billed=True) from None
    except openai.APIError as error:
        raise _refusal_of(endpoint, error) from None
    if not (reply.get("usage") or {}).get("total_tokens"):
        reply["usage"] = None  # LiteLLM writes 0 where the provider said nothing
    return read_answer(endpoint, reply, perf_counter() - started)


def _modules() -> tuple[Any, Any]:
    """LiteLLM, kept from downloading its price list, and openai, whose errors it raises."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        litellm: Any = import_module("litellm")
        openai: Any = import_module("openai")
    except ImportError as error:
        raise ImportError("transport 'litellm' needs litellm; pip install 'llmrouterbench[litellm]'") from error
    litellm.suppress_debug_info = True
    return litellm, openai


def _refusal_of(endpoint: Endpoint, error: Any) -> CallError:
    status = int(getattr(error, "status_code", None) or 500)
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", {})
    said = str(error).encode("utf-8", "replace")
    failed = refusal(endpoint, status, None, said, retry_after_seconds(headers.get("retry-after", "")))
    failed.billed = status >= 500
    return failed
