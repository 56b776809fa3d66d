"""`llmrouterbench chat`: queries from a terminal to real providers, by the server's own way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateways import MODELS, config_of, fitted, wait_for
from llmrouterbench.commands import chat  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.trying import Conversation, open_gateway
from upstream import Upstream, refused_url

pytestmark = pytest.mark.slow
KEYED = {"keys": [{"name": "a", "sha256": "0" * 64}]}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("router") / "router"
    fitted().save(folder)
    return folder


def typed(router: Path, config: dict[str, Any], lines: str, *more: str) -> Result:
    path = router.with_name("serve.yaml")
    path.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(app, ["chat", str(router), "--config", str(path), *more], input=lines)


def test_every_model_is_shown_with_the_reply_and_its_cost(router: Path) -> None:
    with Upstream() as upstream:
        said = typed(router, config_of({"a": upstream.url}, **KEYED), "\nWhat is 6 times 7?\n\nAnd 8?\n")
        turns = [[one["content"] for one in upstream.sent(i)["messages"]] for i in range(2)]
    assert said.exit_code == 0, said.output
    assert all(model in said.stdout for model in MODELS)
    assert said.stdout.count("one two three four") == 2
    assert "served for 0.00120 USD" in said.stderr
    assert turns == [["What is 6 times 7?"], ["What is 6 times 7?", "one two three four", "And 8?"]]
    assert max(map(len, said.stdout.splitlines())) <= 80


def test_a_dead_provider_is_one_sentence_and_the_talk_goes_on(router: Path) -> None:
    said = typed(router, config_of({"a": refused_url()}), "What?\nAnd now?\n")
    assert said.exit_code == 0
    assert said.stderr.count("nobody served: no provider could serve the request") == 2
    assert "Traceback" not in said.output


def test_a_model_or_policy_can_be_named(router: Path) -> None:
    with Upstream() as upstream:
        config = config_of({"a": upstream.url})
        named = typed(router, config, "What?\n", "--model", "glm-4.6")
        policy = typed(router, config, "What?\n", "--model", "auto:best")
        wrong = typed(router, config, "What?\n", "--model", "glm-4")
    assert "glm-4.6 served" in named.stderr
    assert "Policy best" in policy.stdout
    assert "no model named 'glm-4'; did you mean 'glm-4.6'?" in wrong.stderr


def test_a_reply_cannot_steer_the_terminal(router: Path) -> None:
    with Upstream(reply="\x1b[2Jgone\x07 [bold]kept[/bold]") as upstream:
        said = typed(router, config_of({"a": upstream.url}), "What?\n")
    assert "[2Jgone [bold]kept[/bold]" in said.stdout
    assert "\x1b" not in said.output


def test_what_nobody_served_is_not_remembered() -> None:
    answers = iter(["500", "500", "500", "500", ""])
    with Upstream(fault=lambda body: next(answers, "")) as upstream:
        config = config_of({"a": upstream.url}, fallback={"attempts": 1})
        gateway = open_gateway(fitted(), parse_serve_config(config))

        async def talk() -> None:
            conversation = Conversation(gateway)
            while (await conversation.ask("What?")).text is None:
                assert conversation.messages == []
            assert [one["role"] for one in conversation.messages] == ["user", "assistant"]
            await gateway.close()

        asyncio.run(talk())


@pytest.mark.prove
def test_ctrl_c_stops_a_reply_and_not_the_talk(router: Path) -> None:
    with Upstream(latency=60.0) as upstream:
        path = router.with_name("slow.yaml")
        path.write_text(yaml.safe_dump(config_of({"a": upstream.url})))
        command = [sys.executable, "-m", "llmrouterbench", "chat", str(router), "--config", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            process.stdin.write("What?\n")
            process.stdin.flush()
            wait_for(lambda: bool(upstream.bodies), seconds=120)
            os.kill(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "stopped; the turn is forgotten" in said
    assert "Traceback" not in said
