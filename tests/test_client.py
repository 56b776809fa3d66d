"""The client against a real server on loopback: every fault ends as documented, and the key is nowhere."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import repeat
from typing import Any

import pytest

from llmrouterbench.calling.client import Answer, CallError, Client, Endpoint, Request
from provider import Provider
from shapes import Sent, ShapeServer

CANARY = "sk-canary-0123456789"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(stall=5.0) as running:
        yield running


def endpoint_of(provider: Provider, **more: Any) -> Endpoint:
    return Endpoint("fake", provider.url, key=CANARY, headers={"x-title": "canary-header"}, **more)


def ask(model: str, text: str = "What is 6 times 7?", **more: Any) -> Request:
    return Request("fake", model, ({"role": "user", "content": text},), **more)


def call(endpoint: Endpoint, request: Request) -> Answer:
    async def once() -> Answer:
        async with Client() as client:
            return await client.complete(endpoint, request)

    return asyncio.run(once())


def failure(endpoint: Endpoint, request: Request) -> CallError:
    with pytest.raises(CallError) as caught:
        call(endpoint, request)
    assert CANARY not in repr(caught.value) + caught.value.reason
    assert "canary-header" not in caught.value.reason
    return caught.value


# --- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_reply_with_usage_and_cost(provider: Provider, stream: bool) -> None:
    answer = call(endpoint_of(provider), ask("good", stream=stream))
    bill = provider.books[-1]
    assert answer.text == "The reply to What is 6 times 7?"
    assert (answer.tokens_in, answer.tokens_out, answer.provider_cost) == (bill.tokens_in, bill.tokens_out, bill.cost)
    assert (answer.tokens_cached, answer.tokens_reasoning, answer.reason, answer.finish_reason) == (0, 0, "", "stop")
    assert answer.model == "good"
    assert answer.seconds > 0
    if stream:
        assert answer.first_token_seconds is not None
        assert 0 < answer.first_token_seconds <= answer.seconds
    else:
        assert answer.first_token_seconds is None


def test_what_is_sent(provider: Provider) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is shown?"}, image]
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": content})
    request = Request(
        "fake", "good", messages, max_tokens=7, reasoning_effort="low", provider="novita/fp8", extra={"seed": 5}
    )
    call(endpoint_of(provider), request)
    assert provider.bodies[-1] == {
        "model": "good", "messages": list(messages), "temperature": 0.2, "top_p": 1.0, "max_tokens": 7,
        "reasoning_effort": "low", "provider": {"order": ["novita/fp8"], "allow_fallbacks": False}, "seed": 5,
    }  # fmt: skip
    assert provider.headers[-1]["authorization"] == f"Bearer {CANARY}"
    assert provider.headers[-1]["x-title"] == "canary-header"


def test_settings_that_are_none_are_not_sent(provider: Provider) -> None:
    call(endpoint_of(provider), ask("good", temperature=None, top_p=None))
    assert set(provider.bodies[-1]) == {"model", "messages"}


def test_extra_may_not_take_over_the_request(provider: Provider) -> None:
    with pytest.raises(ValueError, match="extra must not hold messages"):
        call(endpoint_of(provider), ask("good", extra={"messages": []}))


def test_a_message_that_is_no_json_is_refused_before_it_is_sent(provider: Provider) -> None:
    with pytest.raises(ValueError, match="a request must be JSON"):
        call(endpoint_of(provider), Request("fake", "good", ({"role": "user", "content": object()},)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "reason"), [("empty", "empty"), ("content_filter", "content_filter"), ("length", "length")]
)
def test_a_reply_that_is_not_whole_says_why(provider: Provider, fault: str, reason: str, stream: bool) -> None:
    answer = call(endpoint_of(provider), ask(f"fault:{fault}", stream=stream))
    assert answer.reason == reason
    assert answer.tokens_in == 5


def test_a_filter_that_refuses_with_400_is_an_answer(provider: Provider) -> None:
    answer = call(endpoint_of(provider), ask("fault:filter-400"))
    assert (answer.text, answer.reason, answer.tokens_in) == ("", "content_filter", None)


@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage_is_unknown(provider: Provider, stream: bool) -> None:
    answer = call(endpoint_of(provider), ask("fault:no-usage", stream=stream))
    assert answer.text.startswith("The reply")
    assert (answer.tokens_in, answer.tokens_out, answer.provider_cost, answer.note) == (None, None, None, "")


@pytest.mark.parametrize("stream", [False, True])
def test_negative_usage_is_unknown_with_a_note(provider: Provider, stream: bool) -> None:
    answer = call(endpoint_of(provider), ask("fault:negative", stream=stream))
    assert (answer.tokens_in, answer.tokens_out, answer.provider_cost) == (None, None, None)
    assert answer.note == "prompt_tokens was -5; completion_tokens was -1; cost was -0.5"


def test_other_line_breaks_do_not_cut_a_streamed_text(provider: Provider) -> None:
    text = "one\u2028two\u0085three\nfour"
    answer = call(endpoint_of(provider), ask("good", text, stream=True))
    assert answer.text == f"The reply to {text}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_cut_inside_an_emoji_is_mended(provider: Provider, stream: bool) -> None:
    answer = call(endpoint_of(provider), ask("fault:half-emoji", stream=stream))
    assert answer.text == "The reply to What is 6 times 7?\ufffd"


def test_a_stream_that_is_left_open_is_whole(provider: Provider) -> None:
    answer = call(endpoint_of(provider, timeout=3.0), ask("fault:no-end", stream=True))
    assert answer.text == "The reply to What is 6 times 7?"
    assert answer.seconds < 0.5


def test_connections_are_used_again() -> None:
    async def three(alone: Provider) -> None:
        async with Client() as client:
            for stream in (False, True, False):
                await client.complete(endpoint_of(alone), ask("good", stream=stream))
            assert len(alone._transports) == 1

    with Provider() as alone:
        asyncio.run(three(alone))


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        ("400", "bad_request", False),
        ("401", "auth", False),
        ("402", "payment", False),
        ("403", "auth", False),
        ("404", "not_found", False),
        ("429", "rate_limit", True),
        ("500", "server", True),
        ("503", "server", True),
        ("quota", "payment", False),
        ("redirect", "bad_reply", False),
        ("reset", "connection", True),
        ("half", "broken_stream", True),
        ("half-json", "bad_reply", True),
        ("html", "bad_reply", False),
        ("error-200", "server", True),
        ("error-200-429", "rate_limit", True),
    ],
)
def test_a_fault_ends_as_documented(provider: Provider, fault: str, kind: str, retryable: bool) -> None:
    error = failure(endpoint_of(provider), ask(f"fault:{fault}"))
    assert (error.kind, error.retryable) == (kind, retryable)
    assert error.reason.startswith("fake ")
    assert "\n" not in error.reason
    assert error.retry_after is None
    assert error.billed == (fault in ("reset", "half", "half-json", "html"))


@pytest.mark.parametrize("fault", ["cut", "stream-error"])
def test_a_stream_that_breaks_off_is_no_reply(provider: Provider, fault: str) -> None:
    error = failure(endpoint_of(provider), ask(f"fault:{fault}", stream=True))
    assert error.retryable
    assert error.billed
    assert error.kind == ("broken_stream" if fault == "cut" else "server")
    if fault == "stream-error":
        assert error.usage is not None
        assert error.usage.provider_cost == provider.books[-1].cost


def test_a_stream_that_breaks_after_its_finish_is_whole(provider: Provider) -> None:
    answer = call(endpoint_of(provider), ask("fault:cut-after-finish", stream=True))
    assert answer.text == "The reply to What is 6 times 7?"
    assert answer.tokens_in is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_ends_with_the_time_limit(provider: Provider, stream: bool) -> None:
    error = failure(endpoint_of(provider, timeout=0.3), ask("fault:stall", stream=stream))
    assert (error.kind, error.retryable, error.billed) == ("timeout", True, True)
    assert error.reason == "fake did not finish within 0.3 seconds"


@pytest.mark.parametrize(("fault", "low", "high"), [("429:7", 7.0, 7.0), ("429:date:30", 28.0, 30.0)])
def test_retry_after_in_seconds_and_as_a_date(provider: Provider, fault: str, low: float, high: float) -> None:
    error = failure(endpoint_of(provider), ask(f"fault:{fault}"))
    assert error.retry_after is not None
    assert low <= error.retry_after <= high


def test_a_server_that_is_not_there() -> None:
    error = failure(Endpoint("gone", "http://127.0.0.1:9/v1", key=CANARY), ask("m"))
    assert (error.kind, error.retryable, error.billed) == ("connection", True, False)
    assert "cannot be reached" in error.reason


def test_the_server_survives_a_wrong_path(provider: Provider) -> None:
    error = failure(replace(endpoint_of(provider), url=provider.url + "/v2"), ask("m"))
    assert error.kind == "not_found"


def test_the_client_serves_others_while_one_is_cancelled(provider: Provider) -> None:
    async def both() -> Answer:
        async with Client() as client:
            endpoint = endpoint_of(provider, concurrency=1)
            slow = asyncio.create_task(client.complete(endpoint, ask("fault:stall")))
            await asyncio.sleep(0.1)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            return await client.complete(endpoint, ask("good"))

    assert asyncio.run(both()).reason == ""


def test_never_more_connections_than_the_endpoint_allows() -> None:
    async def many(endpoint: Endpoint) -> None:
        async with Client() as client:
            await asyncio.gather(*(client.complete(endpoint, ask("good", str(i))) for i in range(40)))

    with Provider(latency=0.02) as provider:
        asyncio.run(many(endpoint_of(provider, concurrency=10)))
        assert provider.most_busy == 10


# --- limits ----------------------------------------------------------------------------------------------------------

WORD = b'data: {"choices": [{"delta": {"content": "42"}}]}\n\n'
LIFE = (0.5, b": still at work\n\n")


@pytest.mark.parametrize(
    ("limit", "pieces", "sentence"),
    [
        ("first_token_timeout", (*LIFE * 5, WORD, 2.5, b"data: [DONE]\n\n"), ""),
        ("first_token_timeout", (5.0, WORD), "fake fell silent for 1.5 seconds"),
        ("first_token_timeout", (b":\n\n", 5.0, WORD), "fake fell silent for 1.5 seconds"),
        ("idle_timeout", (2.5, WORD, *LIFE * 5, b"data: [DONE]\n\n"), ""),
        ("idle_timeout", (WORD, 5.0, b"data: [DONE]\n\n"), "fake fell silent for 1.5 seconds"),
        ("timeout", LIFE * 9, "fake did not finish within 1.5 seconds"),
    ],
)
def test_a_stream_may_be_slow_but_not_silent(limit: str, pieces: tuple[bytes | float, ...], sentence: str) -> None:
    with ShapeServer(lambda path, body: Sent({"content-type": "text/event-stream"}, pieces)) as server:
        endpoint = Endpoint("fake", server.url, key=CANARY, **{limit: 1.5})  # type: ignore[arg-type]
        if sentence:
            error = failure(endpoint, ask("m", stream=True))
            assert (error.kind, error.reason) == ("timeout", sentence)
        else:
            assert call(endpoint, ask("m", stream=True)).text == "42"


TOO_MUCH = """
import asyncio, resource, sys
from llmrouterbench.calling.client import CallError, Client, Endpoint, Request
async def once():
    async with Client() as client:
        await client.complete(Endpoint("fake", sys.argv[1], reply_bytes=10_000_000), Request("fake", "m", stream=True))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    asyncio.run(once())
except CallError as error:
    print(error.reason, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_a_reply_without_end_takes_no_memory(content_type: str) -> None:
    with ShapeServer(lambda path, body: Sent({"content-type": content_type}, repeat(b" " * 65_536))) as server:
        done = subprocess.run([sys.executable, "-c", TOO_MUCH, server.url], capture_output=True, text=True, check=True)
        reason, _, megabytes = done.stdout.strip().rpartition(" ")
        assert "got a reply of more than 10,000,000 bytes" in reason
        assert int(megabytes) < 60
        assert server.sent < 30_000_000


# --- embeddings ------------------------------------------------------------------------------------------------------


def test_embeddings_come_in_the_order_of_the_texts(provider: Provider) -> None:
    async def once() -> None:
        async with Client() as client:
            found = await client.embed(endpoint_of(provider), "embedder", ["a", "bbb"], dimensions=2)
        assert found.vectors == ((1.0, 1.0), (3.0, 1.0))
        assert found.tokens_in == 2

    asyncio.run(once())
    assert provider.bodies[-1]["dimensions"] == 2


def test_embeddings_that_fail(provider: Provider) -> None:
    async def once() -> None:
        async with Client() as client:
            await client.embed(endpoint_of(provider), "fault:503", ["a"])

    with pytest.raises(CallError, match="status 503"):
        asyncio.run(once())


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_the_key_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with Provider(key="another") as provider, caplog.at_level(logging.DEBUG):
        endpoint = endpoint_of(provider)
        error = failure(endpoint, ask("good"))
        assert error.kind == "auth"
        assert "Incorrect API key provided: ***" in error.reason
    assert CANARY not in repr(endpoint) + str(endpoint) + caplog.text
    assert "canary-header" not in repr(endpoint)


@pytest.mark.parametrize("packed", [bytes, gzip.compress, lambda body: body.decode().encode("utf-16")])
@pytest.mark.parametrize("status", [200, 400, 429])
def test_the_key_is_in_no_refusal_however_it_is_packed(packed: Callable[[bytes], bytes], status: int) -> None:
    said = json.dumps({"error": {"message": f"no {CANARY}", "type": f"for {CANARY}"}}).encode()
    headers = {"content-type": "application/json"} | ({"content-encoding": "gzip"} if packed is gzip.compress else {})
    with ShapeServer(lambda path, body: Sent(headers, [packed(said)], status)) as server:
        error = failure(Endpoint("fake", server.url, key=CANARY), ask("m"))
    assert "no ***" in error.reason
    assert CANARY.encode() not in (error.body or b"").replace(b"\0", b"")
    assert (error.body is None) == (status == 200 or packed not in (bytes, gzip.compress))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"url": "localhost:8000"}, "url must look like"),
        ({"url": "https://me:pw@host/v1"}, "no user, password or query"),
        ({"url": "http://h/v1", "timeout": 0}, "timeout must be above 0"),
        ({"url": "http://h/v1", "concurrency": 0}, "concurrency must be at least 1"),
        ({"url": "http://h/v1", "key": f"{CANARY}\n"}, "printable ASCII"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        Endpoint("mine", **more)
    assert CANARY not in str(caught.value)
    assert "pw" not in str(caught.value)


# --- LiteLLM ---------------------------------------------------------------------------------------------------------


def test_litellm_that_is_not_installed_is_said() -> None:
    if find_spec("litellm") is not None:
        pytest.skip("litellm is installed")
    with pytest.raises(ImportError, match=r"pip install 'llmrouterbench\[litellm\]'"):
        call(Endpoint("any", "", transport="litellm"), ask("anthropic/claude"))


@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
def test_litellm_ends_like_the_client(provider: Provider) -> None:
    endpoint = endpoint_of(provider, transport="litellm", timeout=2.0)
    answer = call(endpoint, ask("openai/good", stream=True))
    bill = provider.books[-1]
    assert (answer.text, answer.first_token_seconds) == ("The reply to What is 6 times 7?", None)
    assert (answer.tokens_in, answer.tokens_out, answer.provider_cost) == (bill.tokens_in, bill.tokens_out, bill.cost)
    assert call(endpoint, ask("openai/fault:no-usage")).tokens_out is None
    assert call(endpoint, ask("openai/fault:content_filter")).reason == "content_filter"
    wanted = {
        "400": ("bad_request", False),
        "401": ("auth", False),
        "404": ("not_found", False),
        "429:7": ("rate_limit", True),
        "500": ("server", True),
        "reset": ("server", True),
        "half": ("server", True),
        "stall": ("timeout", True),
    }
    for fault, (kind, retryable) in wanted.items():
        before = len(provider.books)
        error = failure(endpoint, ask(f"openai/fault:{fault}"))
        assert (error.kind, error.retryable) == (kind, retryable)
        assert error.retry_after == (7.0 if fault == "429:7" else None)
        assert len(provider.books) == before + 1, "LiteLLM makes no attempts of its own"
