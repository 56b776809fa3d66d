"""The JSON Schema of every config: made of what reads it, so that both take the same files."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from llmrouterbench.boards.card import FILE, card_schema
from llmrouterbench.collecting.config import parse_config
from llmrouterbench.commands.schema import schema_of
from llmrouterbench.datasets.own import parse_own
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.settings import Setting
from llmrouterbench.strict import parse_plain

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {
    "collect.yaml": "collect", "collect-one-cent.yaml": "collect", "serve.yaml": "serve", "capitals.yaml": "dataset",
}  # fmt: skip

READERS: dict[str, Callable[[Any], object]] = {
    "collect": parse_config,
    "serve": parse_serve_config,
    "dataset": lambda value: parse_own(yaml.safe_dump(value), "own.yaml"),
    "setting": lambda value: parse_plain(Setting, value, "own.toml"),
}
OWN = {"name": "a", "file": "f", "prompt": "p", "scorer": "exact"}


def faults(kind: str, value: Any) -> list[str]:
    jsonschema: Any = pytest.importorskip("jsonschema", reason="a schema is tried with jsonschema")
    plain = orjson.loads(orjson.dumps(value))
    return [error.message for error in jsonschema.Draft202012Validator(schema_of(kind)).iter_errors(plain)]


def test_every_example_is_of_its_schema() -> None:
    others = {"kubernetes.yaml"}  # whose config of a server test_deploying.py reads
    assert {*EXAMPLES, *others} == {path.name for path in (ROOT / "examples").glob("*.yaml")}
    for name, kind in EXAMPLES.items():
        assert faults(kind, yaml.safe_load((ROOT / "examples" / name).read_text())) == [], name
    for name in ("performance", "performance-cost"):
        text = (resources.files("llmrouterbench") / "data" / f"{name}.toml").read_text()
        assert faults("setting", tomllib.loads(text)) == []


def test_every_yaml_and_card_in_the_docs_is_of_a_schema() -> None:
    """A part of a config stands for the whole: its keys are put into an example."""
    found = 0
    wholes = {kind: yaml.safe_load((ROOT / "examples" / name).read_text()) for name, kind in EXAMPLES.items()}
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
            value = yaml.safe_load(block)
            assert any(not faults(kind, {**whole, **value}) for kind, whole in wholes.items()), (
                f"{page.name}: {block[:80]}"
            )
            found += 1
    boards = (ROOT / "docs" / "boards.md").read_text()
    (card,) = re.findall(r"^```json\n(.*?)^```", boards, flags=re.MULTILINE | re.DOTALL)
    assert faults("card", orjson.loads(card)) == []
    assert found > 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("collect", {"out": "o", "models": [], "endpoints": {}}),
        (
            "collect",
            {
                "out": "o",
                "endpoints": {"a": {"url": "http://localhost:1/v1"}},
                "models": [{"name": "m", "endpoint": "a", "top_p": 2}],
            },
        ),
        ("serve", {"providers": {"a": {"url": "http://localhost:1/v1"}}, "model": []}),
        ("dataset", {**OWN, "columns": {"query": "q", "traget": "t"}}),
        ("dataset", {**OWN, "columns": {"query": 3}}),
        ("setting", {"name": "s", "modles": []}),
    ],
)
def test_what_the_reader_refuses_for_its_keys_and_types_the_schema_refuses(kind: str, value: dict[str, Any]) -> None:
    assert faults(kind, value)
    with pytest.raises(ValueError, match="key|must be"):
        READERS[kind](value)


def test_the_command_prints_it_and_suggests_the_nearest_kind() -> None:
    words = [sys.executable, "-m", "llmrouterbench.cli", "schema"]
    done = subprocess.run([*words, "card"], check=True, stdout=subprocess.PIPE)
    assert orjson.loads(done.stdout) == orjson.loads(orjson.dumps(card_schema())), f"the same as beside {FILE}"
    wrong = subprocess.run([*words, "sevre"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "did you mean 'serve'" in " ".join(wrong.stderr.split())
