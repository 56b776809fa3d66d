"""Server-sent events as the standard has them, however the bytes are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.calling.events import Event, EventReader
from llmrouterbench.serve.events import as_events


def read(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    return [*(event for piece in pieces for event in reader.feed(piece)), *reader.close()]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data: a\ndata: b\ndata\ndata: c\n\n", [b"a\nb\n\nc"]),
        (b"data\n\ndata: \n\n", []),
        (b": comment\nevent: x\nid: 1\nretry: 9\ndata: a\nother: b\ndatas: c\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\x0bb\x0cc\xe2\x80\xa8d\x85e\x1cf\n\n", [b"a\x0bb\x0cc\xe2\x80\xa8d\x85e\x1cf"]),
        (b"", []),
    ],
)
def test_the_standard(stream: bytes, data: list[bytes]) -> None:
    for cut in range(len(stream) + 1):
        events = read(stream[:cut], stream[cut:])
        assert [event.data for event in events if event.data] == data
    assert [event.data for event in read(*(stream[i : i + 1] for i in range(len(stream)))) if event.data] == data


@given(
    st.lists(st.sampled_from([b"data: x", b"data", b":", b"\n", b"\r", b"\r\n", b"y", b"\xef\xbb\xbf"]), max_size=30)
)
def test_no_byte_is_lost_and_no_cut_matters(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    whole, single = read(stream), read(*parts)
    assert b"".join(event.raw for event in whole) == b"".join(event.raw for event in single)
    assert b"".join(event.raw for event in whole) == stream.removeprefix(b"\xef\xbb\xbf")
    assert [event.data for event in whole if event.data] == [event.data for event in single if event.data]


def test_a_long_event_in_single_bytes_is_read_in_one_pass() -> None:
    """Were the beginning copied with every byte, this would take minutes."""
    event = b"data: " + b"x" * 1_000_000 + b"\n\n"
    assert read(*(event[i : i + 1] for i in range(len(event)))) == [Event(event, event[6:-2])]


def test_a_completion_becomes_a_stream() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, call], "reasoning_content": "hm"}
    choices = [
        {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": {"content": []}},
        {"message": {"role": "assistant", "content": "half \ud83d"}},
    ]
    whole = {"id": "1", "object": "chat.completion", "created": 5, "model": "m", "choices": choices, "usage": {"a": 1}}
    *chunks, done = [event.data for event in read(as_events(whole, usage=True))]
    assert done == b"[DONE]"
    said, ends, usage = map(json.loads, chunks)
    for one in (said, ends, usage):
        assert (one["id"], one["object"], one["created"]) == ("1", "chat.completion.chunk", 5)
    delta = said["choices"][0]["delta"]
    assert [one["index"] for one in delta["tool_calls"]] == [0, 1]
    assert delta["reasoning_content"] == "hm"
    assert said["choices"][0]["logprobs"] == {"content": []}
    assert [one["finish_reason"] for one in said["choices"] + ends["choices"]] == [None, None, "tool_calls", "stop"]
    assert [one["index"] for one in said["choices"] + ends["choices"]] == [0, 1, 0, 1]
    assert (usage["choices"], usage["usage"]) == ([], {"a": 1})
    assert b'"usage"' not in as_events(whole, usage=False)
