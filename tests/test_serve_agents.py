"""Real agents and the clients of npm against a real server: an agent edits a file through `auto`.

`npm install --prefix DIR openai @anthropic-ai/sdk @openai/codex @anthropic-ai/claude-code`, then
PATH=DIR/node_modules/.bin:$PATH NODE_PATH=DIR/node_modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways import Running, config_of, running, wait_for
from test_docs import ROOT, blocks
from upstream import Upstream

pytestmark = pytest.mark.prove
ASKED = "Write hello into a.txt"


def edits(body: dict[str, Any]) -> dict[str, Any]:
    """A model that writes the file with the tool that the agent has, and says so when that is done."""
    names = [tool["function"]["name"] for tool in body.get("tools") or ()]
    if any(message["role"] == "tool" for message in body["messages"]) or not names:
        return {"role": "assistant", "content": "It is done."}
    if "exec_command" in names:
        return called("exec_command", cmd="echo hello > a.txt")
    cwd = next(word for word in json.dumps(body).split("\\n") if "working directory: " in word).rpartition(": ")[2]
    return called("Write", file_path=f"{cwd}/a.txt", content="hello\n")


def called(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(says=edits) as up:
        yield up


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[Running]:
    with running(config_of({"only": upstream.url})) as here:
        yield here


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; see the head of this file")
    return found


def run(command: list[str], home: Path, **env: str) -> str:
    """Run a program in an empty home, in a folder of its own; its output."""
    (home / "work").mkdir(parents=True)
    kept = {name: os.environ[name] for name in ("PATH", "NODE_PATH") if name in os.environ}
    done = subprocess.run(
        command, cwd=home / "work", env={**kept, "HOME": str(home), **env}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_codex_edits_a_file(server: Running, tmp_path: Path) -> None:
    """With the settings that docs/serving.md shows."""
    codex = program("codex")
    (settings,) = blocks(ROOT / "docs" / "serving.md", "toml")
    (tmp_path / "home" / ".codex").mkdir(parents=True)
    (tmp_path / "home" / ".codex" / "config.toml").write_text(settings.replace("http://127.0.0.1:8080/v1", server.url))
    command = [codex, "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", ASKED]
    assert "It is done." in run(command, tmp_path / "home", ROUTER_KEY="k")
    assert (tmp_path / "home" / "work" / "a.txt").read_text() == "hello\n"
    wait_for(lambda: [one["status"] for one in server.lines() if one["path"] == "/v1/responses"][:2] == ["ok", "ok"])


def test_claude_code_edits_a_file(server: Running, tmp_path: Path) -> None:
    claude = program("claude")
    env = {
        "ANTHROPIC_BASE_URL": server.root, "ANTHROPIC_API_KEY": "k", "ANTHROPIC_MODEL": "auto",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }  # fmt: skip
    assert "It is done." in run([claude, "-p", ASKED, "--allowedTools", "Write"], tmp_path / "home", **env)
    assert (tmp_path / "home" / "work" / "a.txt").read_text() == "hello\n"
    wait_for(lambda: [one["status"] for one in server.lines() if one["path"] == "/v1/messages"][:2] == ["ok", "ok"])


OPENAI = """
const { OpenAI } = require("openai");
(async () => {
  const client = new OpenAI({ baseURL: process.env.BASE, apiKey: "k", maxRetries: 0 });
  const whole = await client.responses.create({ model: "auto", input: "Hi" });
  const stream = client.responses.stream({ model: "auto", input: "Hi" });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  const last = await stream.finalResponse();
  console.log(JSON.stringify([whole.output_text, last.output_text, kinds[0], kinds.at(-1), last.usage.output_tokens]));
})();
"""
ANTHROPIC = """
const Anthropic = require("@anthropic-ai/sdk").default;
(async () => {
  const client = new Anthropic({ baseURL: process.env.BASE, apiKey: "k", maxRetries: 0 });
  const asked = { model: "auto", max_tokens: 99, messages: [{ role: "user", content: "Hi" }] };
  const whole = await client.messages.create(asked);
  const stream = client.messages.stream(asked);
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  const last = await stream.finalMessage();
  console.log(JSON.stringify([
    whole.content[0].text, last.content[0].text, kinds[0], kinds.at(-1), last.usage.output_tokens]));
})();
"""


@pytest.mark.parametrize(
    ("package", "script", "ends"),
    [
        ("openai", OPENAI, ["response.created", "response.completed"]),
        ("@anthropic-ai/sdk", ANTHROPIC, ["message_start", "message_stop"]),
    ],
)
def test_the_clients_of_npm(server: Running, tmp_path: Path, package: str, script: str, ends: list[str]) -> None:
    node = program("node")
    if subprocess.run([node, "-e", f"require({package!r})"], capture_output=True, check=False).returncode:
        pytest.skip(f"{package} is not installed; see the head of this file")
    base = server.url if package == "openai" else server.root
    said = json.loads(run([node, "-e", script], tmp_path / "home", BASE=base))
    assert said == ["It is done.", "It is done.", *ends, 100]
