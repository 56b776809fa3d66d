"""Whatever a server sends, everybody who asks it judges it alike: a collection, the server, a judge and an embedder."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from gateways import Running, config_of, running, wait_for
from llmrouterbench.calling.asking import JudgeStoppedError, asker
from llmrouterbench.calling.calls import Endpoint, Kind, Request
from llmrouterbench.calling.retrying import STOP_OTHERWISE, STOPS, UNREADABLE
from llmrouterbench.collecting.collect import collect
from llmrouterbench.collecting.config import parse_config
from llmrouterbench.collecting.replies_store import Prompted, read_replies
from llmrouterbench.embedders.endpoint import EndpointEmbedder
from llmrouterbench.replies import Item, Reply
from shapes import Sent, ShapeServer
from upstream import Upstream

LIMIT = 40_000_000
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
TEXT = "forty-two"
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
ROW = {"index": 0, "embedding": [3.0, 4.0]}


def completion(**more: Any) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion", "model": "m", "choices": [CHOICE], "usage": USAGE, **more}


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


FIRST, SECOND, LAST = event(chunk({"content": "forty-"})), event(chunk({"content": "two"})), event(chunk({}, "stop"))
DONE = event(b"[DONE]")
STREAM = FIRST + SECOND + LAST + DONE
DEEP = b"[" * 200_000


Sends = tuple[dict[str, str], Callable[[], Iterable[bytes | None]]]
"""Headers, and the pieces of a body, made when they are wanted."""


@dataclass(frozen=True)
class Shape:
    """What a server sends, and what is to become of it.

    kind       of the failure, None: it is a reply; reason: a part of its sentence
    attempts   that are made where the server never sends anything else
    vectors    the same for embeddings, where there is such a thing; why: its reason, where it is another
    late       the first token is there before: the server cannot fall back any more
    """

    name: str
    sends: Sends
    kind: Kind | None = None
    reason: str = ""
    attempts: int = UNREADABLE
    stream: bool = False
    vectors: Sends | None = None
    why: str = ""
    late: bool = False
    text: str = TEXT

    def __str__(self) -> str:
        return f"{'stream' if self.stream else 'plain'}: {self.name}"


def body(name: str, wrap: Callable[[bytes], Iterable[bytes]], reason: str = "", **facts: Any) -> Shape:
    """A shape of the whole body, the same for a completion and for vectors; a failure where it has a reason."""
    headers = {**JSON, **facts.pop("headers", {})}
    chat, rows = json.dumps(completion()).encode(), json.dumps({"data": [ROW], "model": "m"}).encode()
    return Shape(
        name, (headers, lambda: wrap(chat)), "bad_reply" if reason else None, reason,
        vectors=(headers, lambda: wrap(rows)), **facts,
    )  # fmt: skip


def said(name: str, reply: Any, rows: Any = None, reason: str = "", why: str = "", **facts: Any) -> Shape:
    """A shape of the JSON of a completion, and of vectors; `bad_reply` where it has a reason and no other kind."""
    kind = facts.pop("kind", "bad_reply") if reason else None
    vectors = None if rows is None else (JSON, lambda: [json.dumps(rows).encode()])
    return Shape(
        name, (JSON, lambda: [json.dumps(reply).encode()]), kind, reason, why=why, vectors=vectors, **facts
    )  # fmt: skip


def stream(
    name: str, pieces: bytes | Iterable[bytes | None] | Callable[[], list[bytes]], reason: str = "", **facts: Any
) -> Shape:
    """A shape of a stream."""
    kind = facts.pop("kind", "bad_reply") if reason else None
    parts = pieces if callable(pieces) else lambda: [pieces] if isinstance(pieces, bytes) else pieces
    return Shape(name, ({**EVENTS, **facts.pop("headers", {})}, parts), kind, reason, stream=True, **facts)


def begun(data: bytes) -> bytes:
    """The beginning of a compressed stream."""
    packed = zlib.compressobj(wbits=31)
    return packed.compress(data) + packed.flush(zlib.Z_SYNC_FLUSH)


@cache
def bomb() -> list[bytes]:
    """A compressed body that is much larger than it looks."""
    packed = zlib.compressobj(wbits=31)
    return [*(packed.compress(piece) for piece in blanks()), packed.flush()]


def blanks() -> Iterator[bytes]:
    """400 MB."""
    return (b" " * 65_536 for _ in range(6104))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def choice(**more: Any) -> dict[str, Any]:
    return completion(choices=[more])


def late(name: str, first: bytes, then: bytes, reason: str, **facts: Any) -> Shape:
    """A shape of a stream that goes wrong after its first token."""
    return stream(name, [first, None, then], reason, late=True, **facts)


TOO_LARGE = "got a reply of more than 40,000,000 bytes"
NO_JSON = "that are no whole JSON"
NO_CHUNK = "a chunk that is no whole JSON"
GZIP, BROTLI, DEFLATE = ({"content-encoding": name} for name in ("gzip", "br", "Deflate"))
LENGTH = {"content-length": "400031744"}
LOUD = {"content-type": "Application/JSON; Charset=UTF-8"}
LOUD_EVENTS = {"content-type": "Text/Event-Stream;Charset=UTF-8"}
PAGE = {"content-type": "text/html"}
LONG = event(chunk({"content": "x" * 30_000_000}))
NINES = json.loads("[" * 900 + "]" * 900)
"""As deep as JSON is read, and deeper than Python prints."""
GONE = {"message": "gone", "code": 400}

PLAIN = [
    body("good", lambda good: [good]),
    body("in single bytes", lambda good: cut(good, 1)),
    body("byte order mark", lambda good: [b"\xef\xbb\xbf" + good]),
    body("UTF-16", lambda good: [good.decode().encode("utf-16")]),
    body("capital content type", lambda good: [good], headers=LOUD),
    body("gzip", lambda good: [gzip.compress(good)], headers=GZIP),
    body("gzip in two members", lambda good: [gzip.compress(good[:9]) + gzip.compress(good[9:])], headers=GZIP),
    body("deflate", lambda good: cut(zlib.compress(good), 5), headers=DEFLATE),
    body("gzip unsaid", lambda good: [gzip.compress(good)], NO_JSON),
    body("half a gzip", lambda good: [gzip.compress(good)[:-9]], "half of a body in gzip", headers=GZIP),
    body("no gzip", lambda good: [good], "bytes that are no gzip", headers=GZIP),
    body("brotli", lambda good: [good], "content-encoding 'br' where identity was asked for", headers=BROTLI),
    body("gzip bomb", lambda good: bomb(), TOO_LARGE, headers=GZIP, attempts=1),
    body("400 MB", lambda good: blanks(), TOO_LARGE, attempts=1),
    body("400 MB announced", lambda good: blanks(), TOO_LARGE, headers=LENGTH, attempts=1),
    body("200,000 brackets", lambda good: [DEEP], NO_JSON),
    body("deep inside", lambda good: [b'{"x":' + DEEP + b"]" * len(DEEP) + b"," + good[1:]], NO_JSON),
    body("nothing", lambda good: [], "0 bytes that are no whole JSON"),
    body("half", lambda good: [good[:-30]], NO_JSON),
    body("null", lambda good: [b"null"], "no object but NoneType"),
    body("list", lambda good: [b"[1]"], "no object but list"),
    body("NUL bytes", lambda good: [b"\0" * 8 + good], NO_JSON),
    body("no UTF-8", lambda good: [good.replace(b'"m"', b'"\xff\xfe"')], NO_JSON),
    body("a number of 5,000 digits", lambda good: [b'{"n":' + b"9" * 5000 + b"," + good[1:]], NO_JSON),
    body("a page", lambda good: [b"<html>"], "'text/html' instead of JSON; check the url", headers=PAGE, attempts=1),
    said("no choices", {}, {}, "without choices", "without embeddings"),
    said("empty choices", completion(choices=[]), {"data": []}, "without choices", "without embeddings"),
    said("[null]", completion(choices=[None]), {"data": [None]}, "a choice that is no object", "a row without its"),
    said("abc", completion(choices="abc"), {"data": "abc"}, "without choices", "without embeddings"),
    said("5", completion(choices=5), {"data": 5}, "without choices", "without embeddings"),
    said("an object", completion(choices={"0": CHOICE}), {"data": {"0": ROW}}, "without choices", "without embeddings"),
    said(
        "second choice null", completion(choices=[CHOICE, None]), {"data": [ROW, None]}, "a choice that is no object",
        "a row without its embedding",
    ),
    said("no message", choice(finish_reason="stop"), {"data": [{"index": 0}]}, "without a message", "a row without"),
    said("message as text", choice(message="hello"), None, "a choice without a message"),
    said(
        "content as a number", choice(message={"content": 42}), {"data": [{**ROW, "embedding": 42}]},
        "a content that is no text but int", "a row without its embedding",
    ),
    said(
        "content as an object", choice(message={"content": {"a": 1}}), {"data": [{**ROW, "embedding": [None]}]},
        "a content that is no text but dict", "no lists of numbers",
    ),
    said(
        "tool calls as text", choice(message={"tool_calls": "x"}), {"data": [{**ROW, "index": 1e400}]},
        "tool calls that are no list", "no lists of numbers",
    ),
    said("vectors of two widths", {}, {"data": [ROW, {**ROW, "index": 1, "embedding": [1]}]}, "choices", "vectors"),
    said("finish_reason as a number", choice(**{**CHOICE, "finish_reason": 5})),
    said("finish_reason as an object", choice(**{**CHOICE, "finish_reason": {"a": 1}})),
    said("half a character", choice(**{**CHOICE, "finish_reason": "\ud83d"}), {"data": [ROW], "model": "\ud83d"}),
    said("usage as a list", completion(usage=[1, 2]), {"data": [ROW], "usage": [1, 2]}),
    said("usage of half characters", completion(usage={"prompt_tokens": "\ud83d", "cost": "\ud83d"})),
    said("usage of objects", completion(usage={"prompt_tokens": {}, "cost": []}), {"data": [ROW], "usage": {"a": {}}}),
    said("usage nested deeply", completion(usage={"prompt_tokens": NINES, "cost": NINES})),
    said("model as an object", completion(model={"a": 1}), {"data": [ROW], "model": {"a": 1}}),
    said(
        "error beside choices", completion(error=GONE), {"data": [ROW], "error": GONE}, "status 400: 'gone'",
        kind="bad_request", attempts=1,
    ),
    said(
        "error in a choice", choice(**CHOICE, error={"message": "half \ud83d", "code": "404"}), None,
        "status 404 (not found): 'half", kind="not_found", attempts=1,
    ),
    said(
        "error of 5,000 digits", {"error": {"message": "x", "code": "4" * 5000, "metadata": 5}}, None,
        "status 500: 'x'", kind="server",
    ),
    said(
        "error nested deeply", {"error": {"message": NINES, "code": 401}}, None, "status 401 (key refused)",
        kind="auth", attempts=1,
    ),
    said(
        "error for want of money", {"error": {"code": 402}}, {"error": {"code": 402}}, "nothing left to spend",
        kind="payment", attempts=1,
    ),
]  # fmt: skip

STREAMED = [
    stream("good", STREAM),
    stream("in single bytes", cut(STREAM, 1)),
    stream("line ends CRLF, split", cut(STREAM.replace(b"\n", b"\r\n"), 3)),
    stream("line ends CR", cut(STREAM.replace(b"\n", b"\r"), 7)),
    stream("data in many lines", STREAM.replace(b', "', b',\r\ndata: "')),
    stream("other fields", b"retry: 5\nid: 1\nevent: message\n" + FIRST + b"event: x\r\n" + SECOND + LAST + DONE),
    stream("comments", b": hello\n\n:\n\n" + FIRST + b": still there\n\n" + SECOND + LAST + b":\n\n" + DONE),
    stream("byte order mark", b"\xef\xbb\xbf" + STREAM),
    stream("null keep-alives", event(b"null") + FIRST + event(b"null") + SECOND + LAST + DONE),
    stream("pings", event({"type": "ping"}) + FIRST + event({}) + SECOND + LAST + DONE),
    stream("no end but a finish_reason", FIRST + SECOND + LAST),
    stream("no blank line at the end", FIRST + SECOND + event(chunk({}, None)) + b"data: [DONE]"),
    stream("half a chunk after the finish_reason", FIRST + SECOND + LAST + b'data: {"choi'),
    stream("[DONE] twice", STREAM + DONE),
    stream("bytes after [DONE]", STREAM + b"\0\xff{" * 100_000),
    stream("capital content type", STREAM, headers=LOUD_EVENTS),
    stream("gzip", cut(gzip.compress(STREAM), 11), headers=GZIP),
    stream("a chunk of 30 MB in pieces", [*cut(LONG, 65_536), LAST, DONE], text="x" * 30_000_000),
    stream("finish_reason as a number", event(chunk({"content": TEXT}, 5)) + DONE),
    stream("usage as a list", event(chunk({"content": TEXT}, "stop", usage=[1])) + DONE),
    stream("model as an object", event(chunk({"content": TEXT}, "stop", model={"a": 1})) + DONE),
    stream("JSON instead", json.dumps(completion()).encode(), headers=JSON),
    stream("a page", b"<html></html>", "instead of JSON", headers=PAGE, attempts=1),
    stream("gzip bomb", bomb, TOO_LARGE, headers=GZIP, attempts=1),
    stream("400 MB", [b" " * 65_536] * 6104, TOO_LARGE, attempts=1),
    stream("200,000 brackets", event(DEEP), NO_CHUNK),
    stream("deep inside", event(b'{"x":' + DEEP + b"]" * len(DEEP) + b"," + FIRST[7:-2]), NO_CHUNK),
    stream("[null]", event({"choices": [None]}), "a choice that is no object but NoneType"),
    stream("abc", event({"choices": "abc"}), "a chunk whose choices are no list"),
    stream("5", event({"choices": 5}), "a chunk whose choices are no list"),
    stream("delta as text", event(chunk("x")), "a choice whose delta is no object"),
    stream("content as a number", event(chunk({"content": 5})), "a content that is no text but int"),
    stream("tool calls as text", event(chunk({"tool_calls": "x"})), "tool calls that are no list"),
    stream("text", event(b'"x"'), "a chunk that is no JSON object"),
    stream("a ping that is no JSON", event(b"ping"), NO_CHUNK),
    stream("NUL bytes", event(b"\0" + FIRST[6:-2]), NO_CHUNK),
    stream("no UTF-8", event(FIRST[6:-2].replace(b'"m"', b'"\xff"')), NO_CHUNK),
    stream("nothing", b"", "a stream without choices"),
    stream("[DONE] alone", DONE, "a stream without choices"),
    stream("comments alone", b": hello\n\n" * 9, "a stream without choices"),
    stream("usage alone", event({"choices": [], "usage": USAGE}) + DONE, "a stream without choices"),
    stream("half a chunk", FIRST[:-9], "a stream without choices"),
    stream("an error", event({"error": GONE}), "status 400: 'gone'", kind="bad_request", attempts=1),
    stream("an error in a choice", event(choice(error={"code": 401})), "status 401", kind="auth", attempts=1),
    stream("[null] in one breath with a token", FIRST + event({"choices": [None]}), "a choice that is no object"),
    stream("role alone", event(chunk({"role": "assistant"})), "its stream without [DONE]", kind="broken_stream"),
    late("a break", FIRST, b"", "its stream without [DONE]", kind="broken_stream"),
    late("200,000 brackets later", FIRST, event(DEEP), NO_CHUNK),
    late("[null] later", FIRST, event({"choices": [None]}), "a choice that is no object but NoneType"),
    late("delta as text later", FIRST, event(chunk("x")), "a choice whose delta is no object"),
    late("no UTF-8 later", FIRST, event(b'"\xff"'), NO_CHUNK),
    late("half a gzip", begun(FIRST), b"", "half of a body in gzip", headers=GZIP),
]  # fmt: skip


AGAIN = ("server", "broken_stream")
"""Kinds that are tried ten times: here the second attempt finds a good reply."""
PLACE = {"timeout": 60.0, "reply_bytes": LIMIT}


@dataclass
class Bad:
    """A server of one shape at a time, and our server with that one and a good one behind it."""

    url: str
    server: Running
    current: list[Shape]
    shapes: ShapeServer


@pytest.fixture(scope="module")
def bad() -> Iterator[Bad]:
    current: list[Shape] = [PLAIN[0]]

    def answer(path: str, body: dict[str, Any]) -> Sent:
        shape = current[0]
        if shape.kind in AGAIN and sum(one["model"] == body["model"] for one in shapes.asked) > 1:
            shape = STREAMED[0] if shape.stream else PLAIN[0]
        headers, pieces = shape.vectors if "embeddings" in path and shape.vectors else shape.sends
        pauses = body["model"] not in ("collect", "judge")
        return Sent(headers, (piece for piece in pieces() if pauses or piece is not None))

    with ShapeServer(answer) as shapes, Upstream() as good:
        config = config_of({"bad": shapes.url, "good": good.url}, provider=PLACE, fallback={"failures": 10**6})
        for model in config["models"]:
            model["provider"], model["also"] = "bad", [{"provider": "good"}]
        with running(config) as server:
            yield Bad(shapes.url, server, current, shapes)


@pytest.mark.parametrize("shape", [*PLAIN, *STREAMED], ids=str)
def test_everybody_judges_it_alike(shape: Shape, bad: Bad, tmp_path: Path) -> None:
    bad.current[0] = shape
    bad.shapes.asked.clear()
    bad.shapes.go_on.clear()
    users: list[Callable[[], None]] = [
        lambda: check_stored(shape, bad, collected(shape, bad, tmp_path)),
        lambda: check_judged(shape, bad),
        lambda: check_served(shape, bad),
        lambda: check_embedded(shape, bad),
    ]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(user) for user in users]:
            done.result()


def collected(shape: Shape, bad: Bad, folder: Path) -> Reply:
    model = {"name": "collect", "endpoint": "bad", "stream": shape.stream, "price": {"input": 1.0, "output": 1.0}}
    config = parse_config({"out": str(folder), "endpoints": {"bad": {"url": bad.url, **PLACE}}, "models": [model]})
    done = collect(config, {"d": [Prompted(Item("0", ""), "What is 6 times 7?")]})
    assert not done.why
    return read_replies(folder, "d", "collect")["0"]


def check_judged(shape: Shape, bad: Bad) -> None:
    """The same, or the judge stops where the failure is one that no other question mends."""
    endpoint = Endpoint("bad", bad.url, timeout=60.0, reply_bytes=LIMIT)
    with asker(endpoint, Request("bad", "judge", stream=shape.stream)) as ask:
        if STOPS.get(shape.kind or "", STOP_OTHERWISE)[1] > 1:
            check_stored(shape, bad, ask("What is 6 times 7?"))
            return
        with pytest.raises(JudgeStoppedError) as stopped:
            ask("What is 6 times 7?")
        assert shape.reason in str(stopped.value)


def check_stored(shape: Shape, bad: Bad, reply: Reply) -> None:
    """A reply, or a failed call after no more attempts than may be paid for."""
    if shape.kind is None or shape.kind in AGAIN:
        assert (reply.status, reply.reason, reply.text) == ("ok", "", shape.text)
        assert reply.attempts == (1 if shape.kind is None else 2)
        return
    assert (reply.status, reply.text, reply.attempts) == ("failed", "", shape.attempts)
    assert shape.reason in reply.reason
    if shape.kind == "bad_reply":
        assert reply.cost != 0.0


def check_served(shape: Shape, bad: Bad) -> None:
    """The client of OpenAI has a reply, from the good provider where this one is bad."""
    before = len(bad.server.lines())
    text, failure = "", ""
    with bad.server.client(timeout=60.0) as client:
        asked = client.chat.completions.create
        messages = [{"role": "user", "content": "What is 6 times 7?"}]
        try:
            if shape.stream:
                for one in asked(model="auto", messages=messages, stream=True):
                    text += one.choices[0].delta.content or ""
                    bad.shapes.go_on.set()
            else:
                text = asked(model="auto", messages=messages).choices[0].message.content
        except openai.APIError as error:
            failure = str(error)
    wait_for(lambda: len(bad.server.lines()) > before)
    line = bad.server.lines()[-1]
    if shape.late or shape.kind == "bad_request":
        assert (shape.reason if shape.late else "Error code: 400") in failure
        assert text == ("forty-" if shape.late else "")
    else:
        assert (failure, text.strip()) == ("", shape.text if shape.kind is None else "one two three four")
    if shape.kind != "bad_request":  # nobody would do better
        assert line["provider"] == ("good" if shape.kind and not shape.late else "bad")
    assert shape.reason.partition(";")[0] in line["attempts"][0]["error"]
    assert (line["attempts"][0]["error"] == "") == (shape.kind is None)


def check_embedded(shape: Shape, bad: Bad) -> None:
    if shape.vectors is None:
        return
    embedder = EndpointEmbedder(bad.url, "embed", timeout=60.0, reply_bytes=LIMIT)
    before = len(bad.shapes.asked)
    if shape.kind is None:
        np.testing.assert_allclose(embedder.embed(["six"]), [[0.6, 0.8]])
        return
    with pytest.raises(ValueError, match=re.escape((shape.why or shape.reason).partition(";")[0])):
        embedder.embed(["six"])
    assert sum(body["model"] == "embed" for body in bad.shapes.asked[before:]) == shape.attempts
