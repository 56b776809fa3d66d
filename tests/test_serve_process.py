"""`llmrouterbench serve` as a process: it starts, says where it can be reached, and finishes streams when stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import yaml

from gateways import config_of, fitted
from llmrouterbench.cli import main
from llmrouterbench.decision_log import read_decisions
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.running import bind
from upstream import Upstream

BODY = {"model": "auto", "messages": [{"role": "user", "content": "What is 6 times 7?"}], "stream": True}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("router") / "r"
    fitted().save(folder)
    return folder


@contextmanager
def serving(
    router: Path, config: dict[str, Any], folder: Path, *more: str, files: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process and its address; `files`: how many it may open."""
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "llmrouterbench.cli", "serve", str(router), "--config", str(folder / "serve.yaml")]
    limited = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    with subprocess.Popen([*limited, *command, *more], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline().decode()
            assert first.startswith("serving http://127.0.0.1:"), first + process.stderr.read().decode()
            assert "only from this machine" in first
            yield process, first.split()[1]
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_finishes_its_streams_and_its_log(router: Path, tmp_path: Path, stop: signal.Signals) -> None:
    with Upstream(pause=0.4) as upstream:
        config = config_of({"one": upstream.url})
        with serving(router, config, tmp_path, "--log", str(tmp_path / "log")) as (process, url):
            wait_until_there(url)
            said: list[bytes] = []

            def read() -> None:
                with httpx2.stream("POST", f"{url}/chat/completions", json=BODY, timeout=60) as reply:
                    said.extend(reply.iter_raw())

            reader = threading.Thread(target=read)
            reader.start()
            while not said:
                time.sleep(0.01)
            process.send_signal(stop)
            reader.join(60)
            assert b"".join(said).endswith(b"data: [DONE]\n\n")
            assert process.wait(60) == 0
            lines = [orjson.loads(line) for line in process.stderr.read().splitlines() if line.startswith(b"{")]  # type: ignore[union-attr]
    assert [(line["event"], line["status"]) for line in lines] == [("request", "ok")]
    rows = read_decisions(tmp_path / "log").decisions
    assert rows["status"].to_list() == ["ok"]


def test_a_body_of_many_models_holds_nobody_up(router: Path, tmp_path: Path) -> None:
    with Upstream() as upstream, serving(router, config_of({"one": upstream.url}), tmp_path) as (process, url):
        wait_until_there(url)
        body = BODY | {"metadata": [{"model": "a"}] * 20_000, "stream": False}
        asked = threading.Thread(target=httpx2.post, args=(f"{url}/chat/completions",), kwargs={"json": body})
        asked.start()
        time.sleep(0.1)
        assert httpx2.get(f"{url.removesuffix('/v1')}/healthz", timeout=10).status_code == 200
        asked.join(10)
        assert not asked.is_alive()
        assert upstream.sent()["metadata"] == body["metadata"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_until_there(url: str) -> None:
    for _ in range(600):
        try:
            httpx2.get(f"{url.removesuffix('/v1')}/healthz", timeout=5)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        ({"host": "0.0.0.0"}, [], "host must be a loopback address such as 127.0.0.1 while the config has no keys"),
        ({"prot": 1}, [], "unknown key 'prot'; did you mean 'port'?"),
        ({"policy": "cheepest"}, [], "no policy named 'cheepest'; did you mean 'cheapest'?"),
        (
            {"models": [{"name": "other", "provider": "one"}]},
            [],
            "the config must name models of the router, which are",
        ),
        ({}, ["--shadow", "gpt-55"], "--shadow must name a model of the config; did you mean 'gpt-5'?"),
        ({}, ["--log-text"], "--log-text needs --log DIR"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    router: Path,
    tmp_path: Path,
    change: dict[str, Any],
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump({**config_of({"one": "http://127.0.0.1:9/v1"}), **change}))
    command = ["llmrouterbench", "serve", str(router), "--config", str(tmp_path / "serve.yaml"), *words]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (1, 2)
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_taken_port_is_said() -> None:
    config = parse_serve_config(config_of({"one": "http://127.0.0.1:9/v1"}))
    with bind(config) as first:
        first.listen()
        taken = config.model_copy(update={"port": first.getsockname()[1]})
        with pytest.raises(OSError, match="must be free to listen on"):
            bind(taken)


def test_a_key_opens_other_addresses() -> None:
    keys = [{"name": "k", "sha256": "0" * 64}]
    config = parse_serve_config(config_of({"one": "http://127.0.0.1:9/v1"}, keys=keys, host="0.0.0.0"))
    with bind(config) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


def test_new_key_prints_a_key_and_its_hash() -> None:
    from llmrouterbench.serve.keys import hash_key

    command = [sys.executable, "-m", "llmrouterbench.cli", "new-key", "team", "--json"]
    made = orjson.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert made["sha256"] == hash_key(made["key"])
    assert made["name"] == "team"


def test_many_slow_heads_leave_the_server_reachable(router: Path, tmp_path: Path) -> None:
    """2,000 connections that never finish their request, and 256 files: who comes with a whole one is served."""
    with Upstream() as upstream, ExitStack() as slow:
        config = config_of({"one": upstream.url}, limits={"head_seconds": 600.0})
        with serving(router, config, tmp_path, files=256) as (process, url):
            wait_until_there(url)
            host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
            for _ in range(2000):
                one = slow.enter_context(socket.create_connection((host, int(port)), timeout=60))
                one.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-slow: ")
            for _ in range(3):
                assert httpx2.get(f"http://{host}:{port}/healthz", timeout=60).json() == {"status": "ok"}
                assert httpx2.post(f"{url}/chat/completions", json=BODY, timeout=60).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"POST / HTTP/1.1\r\nx: ", b"408"), (b"POST / HTTP/1.1\r\nx: " + b"a" * 90_000, b"431"), (b"", b"408")],
)
def test_a_head_that_does_not_end_is_refused(router: Path, tmp_path: Path, sent: bytes, status: bytes) -> None:
    config = config_of({"one": "http://localhost:1/v1"}, limits={"head_seconds": 1.0 if status == b"408" else 600.0})
    with serving(router, config, tmp_path) as (_, url):
        wait_until_there(url)
        host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as one:
            one.sendall(sent)
            assert one.recv(100).startswith(b"HTTP/1.1 " + status)
