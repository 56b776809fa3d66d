"""Whatever is sent, the server answers as documented: schemathesis over its OpenAPI, and thousands of broken bodies."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import config_of, fitted, running
from llmrouterbench.serve.app import Front
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.gateway import Gateway
from llmrouterbench.serve.keys import new_key
from llmrouterbench.serve.log_lines import LogLines
from upstream import Upstream

SEED = (
    b'{"model": "auto:cheapest --min-quality 0.5", "messages": [{"role": "system", "content": "a"}, {"role": "user",'
    b' "content": [{"type": "text", "text": "caf\\u00e9 \\ud83d"}, {"type": "image_url"}]}], "stream": false,'
    b' "tools": [{"type": "function"}], "response_format": {"type": "json_object"}, "logprobs": true, "n": 1e5}'
)
MESSAGE = (
    b'{"model": "auto", "max_tokens": 900, "system": [{"type": "text", "text": "a", "cache_control": {}}],'
    b' "messages": [{"role": "user", "content": [{"type": "text", "text": "caf\\u00e9 \\ud83d"}, {"type": "image",'
    b' "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]}, {"role": "assistant", "content":'
    b' [{"type": "thinking", "thinking": "b", "signature": ""}, {"type": "tool_use", "id": "1", "name": "t",'
    b' "input": {"a": 1}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content":'
    b' "c"}]}], "stream": true, "tools": [{"name": "t", "input_schema": {"type": "object"}}], "tool_choice":'
    b' {"type": "any"}, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "stop_sequences":'
    b' ["d"], "temperature": 0.5}'
)
RESPONSE = (
    b'{"model": "auto", "instructions": "a", "input": [{"role": "user", "content": [ {"type": "input_text",'
    b' "text": "caf\\u00e9 \\ud83d"}, {"type": "input_image", "image_url": "data:,"}]}, {"type": "reasoning",'
    b' "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]}, {"type": "function_call", "call_id":'
    b' "1", "name": "t", "arguments": "{}", "namespace": "n"}, {"type": "function_call_output", "call_id": "1",'
    b' "output": "c"}],  "stream": true, "store": false, "tools": [{"type": "namespace", "name": "n", "tools": ['
    b' {"type": "function", "name": "t", "parameters": {"type": "object"}}]}, {"type": "custom", "name": "u"}],'
    b' "tool_choice": "auto", "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type":'
    b' "json_object"}}, "max_output_tokens": 900}'
)
BODIES = {
    "chat/completions": SEED, "messages": MESSAGE, "responses": RESPONSE, "messages/count_tokens": MESSAGE,
    "embeddings": SEED, "feedback": SEED,
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**40, 1e308, "", "auto", "auto:", "auto:best --budget 1e-9/query", "auto:'", "\ud800", [], {},
    [[]], [{}], [None], {"role": 1}, [{"role": "user", "content": {"a": 1}}], "a" * 5000, "auto:weight nan", "\x00",
)  # fmt: skip


def broken_bodies(right: bytes, dice: random.Random) -> Iterator[bytes]:
    """Bodies with bytes flipped, cut, doubled or moved, and with wrong values in right places."""
    while True:
        yield _wrong_value(right, dice) if dice.random() < 0.6 else _wrong_bytes(right, dice)


def _wrong_value(right: bytes, dice: random.Random) -> bytes:
    """A body with some values, at any depth, that are others."""
    body = json.loads(right)
    for _ in range(dice.randint(1, 3)):
        at = body
        while dice.random() < 0.7 and (inside := [one for one in _within(at) if isinstance(one, dict | list) and one]):
            at = dice.choice(inside)
        place = dice.choice([*at, "user", "stream_options"]) if isinstance(at, dict) else dice.randrange(len(at))
        at[place] = deepcopy(dice.choice(VALUES))
    return json.dumps(body).encode()


def _within(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value)


def _wrong_bytes(right: bytes, dice: random.Random) -> bytes:
    data = bytearray(right)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(max(1, len(data)))
        kind = dice.randrange(4)
        if kind == 0 and data:
            data[at] = dice.randrange(256)
        elif kind == 1:
            del data[at : at + dice.randint(1, 30)]
        elif kind == 2:
            data[at:at] = data[at : at + dice.randint(1, 30)]
        else:
            data = data[: max(1, at)]
    return bytes(data)


@pytest.mark.parametrize(
    "count", [pytest.param(900, marks=pytest.mark.slow), pytest.param(12_000, marks=pytest.mark.prove)]
)
def test_broken_bodies_are_never_the_servers_fault(count: int) -> None:
    """In this process, without sockets; what is right after all is served by a real upstream."""

    async def post_all(gateway: Gateway) -> Counter[int]:
        statuses: Counter[int] = Counter()
        transport = httpx2.ASGITransport(app=Front(gateway))
        dice = random.Random(count)
        bodies = {path: broken_bodies(right, dice) for path, right in BODIES.items()}
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            for path, _ in product(BODIES, range(count // len(BODIES))):
                body = next(bodies[path])
                reply = await client.post(f"/v1/{path}", content=body)
                statuses[reply.status_code] += 1
                assert reply.status_code == 200 or reply.json()["error"]["message"], body
                assert reply.status_code < 500, (body, reply.text)
        await gateway.close()
        return statuses

    with Upstream() as upstream, Path("/dev/null").open("wb") as nowhere:
        config = parse_serve_config(config_of({"one": upstream.url}))
        gateway = Gateway(fitted(), config, lines=LogLines(nowhere))
        statuses = asyncio.run(post_all(gateway))
    assert statuses.total() == count
    assert set(statuses) <= {200, 400, 404, 413}
    assert statuses[400] > count // 2


@pytest.mark.parametrize("path", ["chat/completions", "messages", "responses"])
def test_the_bodies_are_right_before_they_are_broken(path: str) -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server:
        reply = server.http.post(f"{server.url}/{path}", content=BODIES[path])
        assert reply.status_code == 400 if path == "chat/completions" else 200, reply.text


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """On all paths, with a client key, against a server with a real upstream.

    All of its checks but for one: no schema says what of the other dialects has a form in chat completions.
    """
    translated = "^/v1/(responses|messages|completions)"
    key, digest = new_key()
    program = Path(sys.executable).with_name("schemathesis")
    with Upstream() as upstream:
        config = config_of({"one": upstream.url}, keys=[{"name": "k", "sha256": digest}])
        config["embeddings"] = [{"name": "embed", "provider": "one"}]
        with running(config, tmp_path / "log") as server:
            command = [str(program), "run", f"{server.root}/openapi.json", "--header", f"Authorization: Bearer {key}"]
            command += ["--max-examples", "30", "--seed", "7", "--no-color"]
            unsaid = ["--include-path-regex", translated, "--exclude-checks", "positive_data_acceptance"]
            for some in (["--exclude-path-regex", translated], unsaid):
                done = subprocess.run(command + some, cwd=tmp_path, capture_output=True, text=True, timeout=600)
                assert done.returncode == 0, done.stdout[-5000:]
            assert server.metric("llmrouterbench_requests_total", path="/v1/chat/completions") > 30
