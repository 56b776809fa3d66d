"""What providers say in their own ways: usage, contents, errors; each read as documented."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.calling.calls import CallError, Endpoint, Request, Usage
from llmrouterbench.calling.refusals import filtered, refusal, retry_after_seconds
from llmrouterbench.calling.wire import (
    StreamedReply,
    decode_json,
    read_answer,
    read_embeddings,
    read_usage,
    request_body,
)

ENDPOINT = Endpoint("mine", "http://localhost:1/v1", key="sk-canary")


@pytest.mark.parametrize(
    ("said", "usage", "note"),
    [
        (None, Usage(), ""),
        ({}, Usage(), ""),
        ({"prompt_tokens": 5.0, "completion_tokens": 2}, Usage(5, 2), ""),
        (
            {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 4},
             "completion_tokens_details": {"reasoning_tokens": 6}, "total_tokens": 17, "cost": 0.5},
            Usage(9, 8, 4, 6, 0.5), "",
        ),
        # xAI counts reasoning apart from the completion; the total tells.
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 6},
             "total_tokens": 17},
            Usage(9, 8, None, 6), "",
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 3}, Usage(9, 1, 3), ""),  # DeepSeek
        ({"cost": {"total_cost": 0.25}}, Usage(provider_cost=0.25), ""),  # Perplexity
        # OpenRouter with the user's own key: its fee and the provider's bill
        (
            {"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}},
            Usage(provider_cost=0.75), "",
        ),
        ({"prompt_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}, Usage(2), "cached_tokens was 3 of 2"),
        ({"prompt_tokens": True, "completion_tokens": "7"}, Usage(), "prompt_tokens was True; completion_tokens was 7"),
        ({"prompt_tokens": 1.5, "cost": -1}, Usage(), "prompt_tokens was 1.5; cost was -1"),
        ({"cost": float("nan")}, Usage(), "cost was nan"),
        ({"cost": 10**400}, Usage(), "cost was 10000000000000000000"),
        ({"prompt_tokens": float("nan")}, Usage(), "prompt_tokens was nan"),
        ({"prompt_tokens": float("inf")}, Usage(), "prompt_tokens was inf"),
        ({"completion_tokens": 1e30}, Usage(), "completion_tokens was 1e+30"),
        ({"prompt_tokens_details": None, "completion_tokens_details": 3}, Usage(), ""),
    ],
)  # fmt: skip
def test_usage(said: Any, usage: Usage, note: str) -> None:
    assert read_usage(said) == (usage, note)


numbers = st.none() | st.booleans() | st.integers(-5, 10**30) | st.floats() | st.text(max_size=5)


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "cost", "prompt_tokens_details"]),
        numbers | st.dictionaries(st.sampled_from(["cached_tokens", "total_cost"]), numbers),
    )
)
def test_usage_is_true_or_unknown_whatever_is_said(said: dict[str, Any]) -> None:
    usage, _ = read_usage(said)
    for value in vars(usage).values():
        assert value is None or value >= 0
    if usage.tokens_cached is not None and usage.tokens_in is not None:
        assert usage.tokens_cached <= usage.tokens_in


def completion(message: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop", **more}]}


def test_contents() -> None:
    assert read_answer(ENDPOINT, completion({"content": "42"})).text == "42"
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    assert read_answer(ENDPOINT, completion({"content": parts})).text == "42"
    refused = read_answer(ENDPOINT, completion({"content": None, "refusal": "I cannot."}))
    assert (refused.text, refused.reason) == ("I cannot.", "")
    assert read_answer(ENDPOINT, completion({"content": " \n"})).reason == "empty"
    assert read_answer(ENDPOINT, completion({"content": "4"}, finish_reason=None)).finish_reason == ""


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "JSON that is no object but list"),
        ({}, "without choices"),
        ({"choices": []}, "without choices"),
        ({"choices": ["x"]}, "a choice that is no object but str"),
        ({"choices": [{"finish_reason": "stop"}]}, "without a message"),
        ({"error": "overloaded"}, "status 500: 'overloaded'"),
        ({"error": {"message": "busy", "code": "429"}}, "status 429 .rate limit.: 'busy'"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "sk-canary"}}}, r"error \(\*\*\*\)"),
        (completion({"content": "half"}, finish_reason="error"), "status 500"),
        (completion({"content": "half"}, error={"message": "gone", "code": 502}), "status 502: 'gone'"),
    ],
)
def test_what_is_no_reply(data: Any, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence) as caught:
        read_answer(ENDPOINT, data)
    assert caught.value.retryable
    assert "canary" not in caught.value.reason


@given(text=st.text(min_size=1), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_a_stream_says_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    reply = StreamedReply(ENDPOINT)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in pairwise(edges):
        reply.add({"choices": [{"delta": {"content": text[start:end]}}], "usage": None})
    reply.add({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    reply.add({"choices": [], "usage": {"prompt_tokens": 1}, "model": "m"})
    answer = reply.answer()
    assert (answer.text, answer.finish_reason, answer.tokens_in, answer.model) == (whole, "stop", 1, "m")


def test_halves_of_an_emoji_in_two_chunks_are_joined() -> None:
    reply = StreamedReply(ENDPOINT)
    for half in (b'"\\ud83d"', b'"\\ude00"'):
        reply.add({"choices": [{"delta": {"content": decode_json(half)}, "finish_reason": None}]})
    assert reply.answer().text == "\N{GRINNING FACE}"


@given(st.binary() | st.text().map(str.encode) | st.sampled_from([b"[" * 100_000, b'{"a":' * 5000, b"9" * 9999]))
def test_what_is_no_json_is_one_error(data: bytes) -> None:
    try:
        decode_json(data)
    except ValueError:
        return
    json.loads(data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "delta", "content", "error", "code", "usage", "data", "index", "embedding", "model",
             "finish_reason", "tool_calls", "metadata", "raw", "text", "refusal", "prompt_tokens", "cost", "x"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(anything)
def test_whatever_is_said_is_a_reply_or_one_error(data: Any) -> None:
    for read in (read_answer, lambda endpoint, data: read_embeddings(endpoint, data, 1), _streamed):
        try:
            answer = read(ENDPOINT, data)
        except CallError as error:
            orjson.dumps([error.reason, error.fact])
        else:
            orjson.dumps(vars(answer))
    refusal(ENDPOINT, 400, data)


def _streamed(endpoint: Endpoint, data: Any) -> Any:
    reply = StreamedReply(endpoint)
    for chunk in (data, {"choices": data}, {"choices": [data]}, {"choices": [{"delta": data}]}):
        reply.add(chunk)
    reply.end()
    return reply.answer()


@pytest.mark.parametrize(
    ("status", "body", "is_filter"),
    [
        (400, {"error": {"code": "content_filter", "message": "no"}}, True),
        (400, {"error": {"code": "content_policy_violation"}}, True),
        (403, {"error": {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "x"}}}, True),
        (403, {"error": {"code": 403, "message": "key disabled"}}, False),
        (400, {"error": {"code": "context_length_exceeded"}}, False),
        (500, {"error": {"code": "content_filter"}}, False),
        (400, None, False),
    ],
)
def test_content_filters_among_refusals(status: int, body: Any, is_filter: bool) -> None:
    assert filtered(status, body) == is_filter


@given(status=st.integers(400, 599), text=st.text())
def test_only_what_can_succeed_later_is_retryable(status: int, text: str) -> None:
    error = refusal(ENDPOINT, status, None, text.encode("utf-8", "replace"))
    assert error.retryable == (status in (408, 409, 425, 429) or status >= 500)
    assert f"status {status}" in error.reason
    assert len(error.reason) < 1500


@given(st.text())
def test_retry_after_is_seconds_or_nothing(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or seconds >= 0


def test_dialects_of_two_hosts() -> None:
    request = Request("a", "m", max_tokens=9)
    openai = request_body(request, "https://api.openai.com/v1")
    assert openai["max_completion_tokens"] == 9
    assert "max_tokens" not in openai
    assert request_body(request, "https://openrouter.ai/api/v1")["usage"] == {"include": True}
    assert "usage" not in request_body(request, "http://localhost:8000/v1")


def test_whole_numbers_are_the_same_setting() -> None:
    as_int, as_float = Request("a", "m", temperature=0, top_p=1), Request("a", "m", temperature=0.0, top_p=1.0)
    assert orjson.dumps(request_body(as_int, "")) == orjson.dumps(request_body(as_float, ""))


TOO_LONG = {
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    "Anthropic": "prompt is too long: 208310 tokens > 200000 maximum",
    "Anthropic, with the reply": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Google": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Bedrock": "Input is too long for requested model.",
    "vLLM": "You passed 40000 input tokens and requested 1. However, the model's context length is only 32768",
    "vLLM, older": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "SGLang": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "SGLang, newer": "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    "llama.cpp": "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "Ollama": "the input length exceeds the context length",
    "OpenRouter": "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens",
}
OF_THE_MODEL = {
    "OpenAI, a field": "Unsupported parameter: 'max_tokens' is not supported with this model.",
    "OpenAI, a value": "Unsupported value: 'temperature' does not support 0.2 with this model.",
    "Anthropic": "`temperature` and `top_p` cannot both be specified for this model.",
    "Ollama": "registry.ollama.ai/library/gemma:2b does not support tools",
    "vLLM, tools": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    "vLLM, images": "Qwen3-8B is not a multimodal model",
}


@pytest.mark.parametrize("words", TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_is_too_long_for_one_model_goes_to_another(words: str) -> None:
    error = refusal(ENDPOINT, 400, {"error": {"message": words, "type": "invalid_request_error"}})
    assert (error.kind, error.elsewhere, error.too_long, error.retryable) == ("bad_request", True, True, False)


@pytest.mark.parametrize("words", OF_THE_MODEL.values(), ids=OF_THE_MODEL)
def test_what_one_model_does_not_take_goes_to_another(words: str) -> None:
    error = refusal(ENDPOINT, 400, {"error": {"message": words}})
    assert (error.kind, error.elsewhere, error.too_long) == ("bad_request", True, False)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Your credit balance is too low to access the Anthropic API.", "payment"),
        ("Insufficient Balance", "payment"),
        ("Model Not Exist", "not_found"),
        ("qwen/none is not a valid model ID", "not_found"),
        ("The model `gpt-9` does not exist or you do not have access to it.", "not_found"),
    ],
)
def test_an_empty_account_and_a_missing_model_are_no_fault_of_the_request(words: str, kind: str) -> None:
    error = refusal(ENDPOINT, 400, {"error": {"message": words}})
    assert (error.kind, error.elsewhere) == (kind, True)


@pytest.mark.parametrize("words", ["messages.1.role must be one of user, assistant", "temperature must be at most 2"])
def test_a_fault_of_the_request_is_one_everywhere(words: str) -> None:
    error = refusal(ENDPOINT, 400, {"error": {"message": words}})
    assert (error.kind, error.elsewhere, error.too_long) == ("bad_request", False, False)
