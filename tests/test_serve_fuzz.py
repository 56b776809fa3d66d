"""Whatever is sent, the server answers as documented: schemathesis over its OpenAPI, and thousands of broken bodies."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from copy import deepcopy
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
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**40, 1e308, "", "auto", "auto:", "auto:best --budget 1e-9/query", "auto:'", "\ud800", [], {},
    [[]], [{}], [None], {"role": 1}, [{"role": "user", "content": {"a": 1}}], "a" * 5000, "auto:weight nan", "\x00",
)  # fmt: skip


def broken_bodies(count: int, seed: int) -> list[bytes]:
    """Bodies with bytes flipped, cut, doubled or moved, and with wrong values in right places."""
    dice = random.Random(seed)
    return [_wrong_value(dice) if dice.random() < 0.4 else _wrong_bytes(dice) for _ in range(count)]


def _wrong_value(dice: random.Random) -> bytes:
    body = json.loads(SEED)
    for _ in range(dice.randint(1, 3)):
        body[dice.choice([*body, "user", "stream_options"])] = deepcopy(dice.choice(VALUES))
    if dice.random() < 0.3 and isinstance(body["messages"], list) and body["messages"]:
        body["messages"][dice.randrange(len(body["messages"]))] = deepcopy(dice.choice(VALUES))
    return json.dumps(body).encode()


def _wrong_bytes(dice: random.Random) -> bytes:
    data = bytearray(SEED)
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


@pytest.mark.slow
def test_ten_thousand_broken_bodies_are_never_the_servers_fault() -> None:
    """In this process, without sockets; what is right after all is served by a real upstream."""

    async def post_all(gateway: Gateway) -> Counter[int]:
        statuses: Counter[int] = Counter()
        transport = httpx2.ASGITransport(app=Front(gateway))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            for number, body in enumerate(broken_bodies(10_000, seed=1)):
                path = ("chat/completions", "chat/completions", "chat/completions", "embeddings", "feedback")[
                    number % 5
                ]
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
    assert statuses.total() == 10_000
    assert set(statuses) <= {200, 400, 404}
    assert statuses[400] > 5000


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """All of its checks on all paths, with a client key, against a server with a real upstream."""
    key, digest = new_key()
    program = Path(sys.executable).with_name("schemathesis")
    with Upstream() as upstream:
        config = config_of({"one": upstream.url}, keys=[{"name": "k", "sha256": digest}])
        config["embeddings"] = [{"name": "embed", "provider": "one"}]
        with running(config, tmp_path / "log") as server:
            command = [str(program), "run", f"{server.root}/openapi.json", "--header", f"Authorization: Bearer {key}"]
            command += ["--max-examples", "30", "--seed", "7", "--no-color"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stdout[-5000:]
            assert server.metric("llmrouterbench_requests_total", path="/v1/chat/completions") > 30
