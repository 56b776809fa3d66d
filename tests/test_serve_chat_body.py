"""A chat body goes on byte for byte but for its model, whatever else stands in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.calling.wire import decode_json
from llmrouterbench.serve import chat_body
from llmrouterbench.serve.chat_body import parse_chat, with_model
from llmrouterbench.serve.config import ServedProviderConfig
from llmrouterbench.serve.refusals import RefusedError

PROVIDER = ServedProviderConfig(url="http://localhost:1/v1")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.one_of(TEXT, st.sampled_from(["model", 'a"model', "model\\", "messages"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXT, st.sampled_from(['"model": "x"', "auto"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), TEXT.filter(bool), st.booleans(), st.sampled_from([None, 1]))
def test_only_the_model_changes(more: dict[str, Any], model: str, ascii_only: bool, indent: int | None) -> None:
    body = {**more, "model": "auto"}
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    changed = with_model(raw, model)
    assert json.loads(changed) == {**body, "model": model}
    assert list(json.loads(changed)) == list(body)
    name = json.dumps(model, ensure_ascii=False).encode()
    assert len(changed) - len(raw) == len(name) - len(b'"auto"') or b"\\" in changed


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model": "auto", "big": 123456789012345678901234567890, "float": 1.10e5, "x": {"model": "auto"}}',
        b'{"x": {"model": "auto"}, "model": "auto"}',
        b'{"x": "say \\"model\\": \\"auto\\"", "model": "auto"}',
        b'{ "model"\t:\n"auto" , "messages": [] }',
        b'{"cut": "\\ud83d", "model": "auto"}',
    ],
)
def test_numbers_blanks_and_halves_of_characters_stay(raw: bytes) -> None:
    place = raw.rindex(b'"auto"') if raw.startswith(b'{"x"') else raw.index(b'"auto"')
    assert with_model(raw, "gpt-5") == raw[:place] + b'"gpt-5"' + raw[place + 6 :]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model": "dear", "model": "auto"}',
        b'{"mod\\u0065l": "dear", "model": "auto"}',
        b'{"model": "dear", "mod\\u0065l": "auto"}',
        b'{"mod\\u0065l": "auto", "x": {"model": "dear"}}',
    ],
)
def test_no_second_model_is_smuggled_past(raw: bytes) -> None:
    def pairs(found: list[tuple[str, Any]]) -> Any:
        assert len({key for key, _ in found}) == len(found)
        return dict(found)

    assert json.loads(with_model(raw, "cheap"), object_pairs_hook=pairs)["model"] == "cheap"


MANY = b", ".join([b'{"model": "a"}'] * 20_000)
"""320 kB that name a model 20,000 times."""


@pytest.mark.parametrize("key", [b"model", b"mod\\u0065l"])
def test_a_body_is_read_once_however_many_models_it_holds(key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[int]()

    def counted(raw: bytes) -> Any:
        read.append(len(raw))
        return decode_json(raw)

    monkeypatch.setattr(chat_body, "decode_json", counted)
    raw = b'{"metadata": [%b], "%b": "auto", "messages": [{"role": "user"}]}' % (MANY, key)
    place = raw.index(b'"auto"')
    assert parse_chat(raw).sent("cheap", PROVIDER) == raw[:place] + b'"cheap"' + raw[place + 6 :]
    assert read == [len(raw)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_of_another_encoding_goes_on_in_utf_8(encoding: str) -> None:
    body = {"x": [{"model": "a"}, {"model": "ü"}], "model": "auto"}
    assert json.loads(with_model(json.dumps(body).encode(encoding), "cheap")) == {**body, "model": "cheap"}


@pytest.mark.parametrize("depth", [300, 980, 1020])
@pytest.mark.parametrize("twice", [b"", b'"model": "dear", '])
def test_a_deeply_nested_body_is_sent_or_refused(depth: int, twice: bytes) -> None:
    deep = b'{"model":' * depth + b'"x"' + b"}" * depth
    raw = b'{%b"metadata": %b, "model": "auto", "messages": [{"role": "user"}]}' % (twice, deep)
    try:
        changed = parse_chat(raw).sent("cheap", PROVIDER)
    except RefusedError as refused:
        changed = b"%d" % refused.status
    assert changed == b"400" or (b'"model": "cheap"' in changed and b"dear" not in changed)


@pytest.mark.parametrize("depth", [300, 900, 1000, 1020])
def test_a_deeply_nested_conversation_is_known_or_refused(depth: int) -> None:
    raw = b'{"model": "auto", "messages": [{"role": "user", "content": %b}]}' % (b"[" * depth + b"]" * depth)
    try:
        known = parse_chat(raw).opening()
    except RefusedError as refused:
        known = refused.message
    assert len(known) == 64 or "nested so deeply" in known


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "must be JSON"),
        (b"[]", "must be a JSON object, got list"),
        (b'{"messages": [{"role": "user"}]}', "model must be the name of a model, or auto, got none"),
        (b'{"model": 5, "messages": [{"role": "user"}]}', "model must be the name of a model, or auto, got 5"),
        (b'{"model": "auto"}', "messages must be a list of at least one message, got none"),
        (b'{"model": "auto", "messages": ["a"]}', "messages[0] must be an object with a role, got 'a'"),
        (b'{"model": "auto", "messages": [{"role": "user"}], "stream": "yes"}', "stream must be true or false"),
        (b"[" * 100_000, "must be JSON"),
    ],
)
def test_a_wrong_body_is_one_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_chat(raw)
    assert caught.value.status == 400
    assert sentence in caught.value.message
    assert json.loads(caught.value.body)["error"]["message"] == caught.value.message


def test_what_a_request_needs() -> None:
    def needs(**more: Any) -> set[str]:
        body = {"model": "auto", "messages": [{"role": "user", "content": "a"}], **more}
        return set(parse_chat(json.dumps(body).encode()).needs)

    assert needs() == set()
    assert needs(tools=[{"type": "function"}]) == {"tools"}
    assert needs(tools=[]) == set()
    assert needs(response_format={"type": "json_schema"}, logprobs=True) == {"json", "logprobs"}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    assert needs(messages=[image]) == {"images"}


def test_usage_is_asked_for_in_streams_that_do_not_say() -> None:
    def sent(**more: Any) -> dict[str, Any]:
        raw = json.dumps({"model": "auto", "messages": [{"role": "user"}], **more}).encode()
        changed: dict[str, Any] = json.loads(parse_chat(raw).sent("m", PROVIDER))
        return changed

    assert sent(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent()
    assert sent(stream=True, stream_options=None)["stream_options"] == {"include_usage": True}
    told = {"include_usage": True, "x": 1}
    assert sent(stream=True, stream_options=told)["stream_options"] == told
