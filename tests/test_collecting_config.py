"""The YAML file of a collection: strict, without secrets, with the paper's preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.collecting.config import parse_config, read_config

SMALL: dict[str, Any] = {
    "out": "replies",
    "endpoints": {"local": {"url": "http://localhost:8000/v1"}},
    "models": [{"name": "Qwen3-8B", "endpoint": "local"}],
    "datasets": [{"name": "gpqa"}],
}
EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("collect*.yaml"))


def changed(place: str, value: Any) -> dict[str, Any]:
    """A copy with one more key, `place` like models.0.temprature."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL))
    *path, last = place.split(".")
    inner: Any = copy
    for part in path:
        inner = inner[int(part)] if part.isdigit() else inner[part]
    inner[last] = value
    return copy


def test_the_defaults_are_the_papers_preset() -> None:
    model = parse_config(SMALL).models[0]
    assert (model.temperature, model.top_p, model.sent_name) == (0.2, 1.0, "Qwen3-8B")
    assert (model.max_tokens, model.reasoning_effort, model.provider, model.stream) == (None, None, None, False)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("endpoint", {}, "config: unknown key 'endpoint'; did you mean 'endpoints'?"),
        ("models.0.temprature", 1.0, "config: models[0]: unknown key 'temprature'; did you mean 'temperature'?"),
        ("endpoints.local.concurency", 3, "endpoints.local: unknown key 'concurency'; did you mean 'concurrency'?"),
        ("datasets.0.limits", 3, "config: datasets[0]: unknown key 'limits'; did you mean 'limit'?"),
        ("models.0.price", {"input": 1.0, "outpt": 1.0}, "unknown key 'outpt'; did you mean 'output'?"),
        ("models.0.endpoint", "locale", "model 'Qwen3-8B': no endpoint named 'locale'; did you mean 'local'?"),
        ("models.0.temperature", "hot", "models[0].temperature"),
        ("models.0.max_tokens", 0, "models[0].max_tokens"),
        ("endpoints.local.url", "localhost:8000", "endpoints.local: url must look like https://host/v1"),
        ("endpoints.local.url", "https://me:pw@host/v1", "url must hold no user, password or query"),
        ("endpoints.local.transport", "carrier pigeon", "endpoints.local.transport"),
        ("budget", -1.0, "budget"),
        ("budget", "five", "budget"),
        ("cache", "redis://me:secret@host/0", "cache must not hold a password"),
        ("models", [], "models"),
        ("models", SMALL["models"] * 2, "every model must be named once, got 'Qwen3-8B' twice"),
        ("datasets", SMALL["datasets"] * 2, "every dataset must be named once, got 'gpqa' twice"),
        ("judges", SMALL["models"], "every model must be named once"),
        ("out", "", "out"),
        ("outcome", "o", "config: unknown key 'outcome'; did you mean 'outcomes'?"),
        ("failed_calls", "wrong", "failed_calls"),
        ("bench", {"out": "r", "router": ["knn"]}, "config: bench: unknown key 'router'; did you mean 'routers'?"),
        ("bench", {"routers": ["knn"]}, "config: bench.out is missing"),
        ("bench", {"out": "r", "routers": []}, "bench.routers"),
        ("bench", {"out": "r", "seeds": ["paper"]}, "bench.seeds[0]"),
        ("bench", {"out": "r", "ratio": 1.0}, "bench.ratio: must be between 0 and 1, both excluded, got 1.0"),
        ("bench", {"out": "r", "protocol": "papper"}, "no protocol named 'papper'; did you mean 'paper'?"),
        ("bench", {"out": "r", "split": "papre"}, "bench: no split named 'papre'; did you mean 'paper'?"),
        ("report", {"sample": 3}, "config: report: unknown key 'sample'; did you mean 'samples'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(place: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_config(changed(place, value))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config: ")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"config: models\[0\].endpoint is missing"):
        parse_config({**SMALL, "models": [{"name": "m"}]})
    with pytest.raises(ValueError, match="must hold keys and values, got list"):
        parse_config([])


SECRETS = (
    "sk-proj-0123456789abcdefghij",
    "hf_abcdefghij0123456789",
    "Bearer abcdefgh",
    "sk-or-v1-00112233445566778899aa",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ["endpoints.local.key_env", "models.0.system", "models.0.extra_body", "out"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(secret: str, place: str) -> None:
    value: Any = {"headers": {"X": secret}} if place.endswith("extra_body") else secret
    with pytest.raises(ValueError, match="must not be written in a file") as caught:
        parse_config(changed(place, value))
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["key", "api_key", "apikey", "token", "Authorization", "X-API-Key", "password", "secret"]
)
def test_a_key_that_is_named_so_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be written in a file; name its variable with key_env") as caught:
        parse_config(changed(f"endpoints.local.{name}", "hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["task-specialised-model-v2", "sk-learn-pipeline", "risk-assessment-2026-benchmark-x"])
def test_plain_names_are_no_secrets(name: str) -> None:
    assert parse_config(changed("models.0.name", name)).models[0].name == name


def test_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    raw = {**SMALL, "datasets": [{"name": "own.yaml"}, {"name": "gpqa", "folder": "files"}], "cache": "c.sqlite"}
    raw |= {"outcomes": "../o", "bench": {"out": "runs", "setting": "mine.toml", "embedder": "file:v.parquet"}}
    (tmp_path / "collect.yaml").write_text(yaml.safe_dump(raw))
    config = read_config(tmp_path / "collect.yaml")
    assert config.out == str((tmp_path / "replies").resolve())
    assert config.cache == str((tmp_path / "c.sqlite").resolve())
    assert config.datasets[0].name == str((tmp_path / "own.yaml").resolve())
    assert (config.datasets[1].name, config.datasets[1].folder) == ("gpqa", str((tmp_path / "files").resolve()))
    assert config.outcomes == str((tmp_path / ".." / "o").resolve())
    assert config.bench is not None
    assert (config.bench.out, config.bench.setting) == (str(tmp_path / "runs"), str(tmp_path / "mine.toml"))
    assert config.bench.embedder == f"file:{tmp_path / 'v.parquet'}"


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be the YAML file of a collection"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match=r"bad.yaml must be YAML"):
        read_config(tmp_path / "bad.yaml")


def test_a_fingerprint_changes_with_the_replies_not_with_the_limits() -> None:
    def print_of(place: str = "budget", value: Any = 1.0) -> str:
        config = parse_config(changed(place, value))
        return config.models[0].fingerprint(config.endpoints["local"].url)

    same = {print_of(), print_of("endpoints.local.concurrency", 5), print_of("models.0.stream", True)}
    same.add(print_of("models.0.price", {"input": 1.0, "output": 2.0}))
    assert len(same) == 1
    others = {
        print_of("models.0.temperature", 0.7),
        print_of("models.0.extra_body", {"seed": 1}),
        print_of("models.0.provider", "siliconflow/fp8"),
        print_of("models.0.system", "Be brief."),
        print_of("endpoints.local.url", "http://elsewhere/v1"),
    }
    assert len(others - same) == 5


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.none(), st.integers(), st.text(max_size=8)), max_size=4))
def test_any_other_mapping_is_refused_in_one_sentence(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        parse_config(raw)
    assert str(caught.value).startswith("config: ")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_right(path: Path) -> None:
    assert read_config(path).models


def test_there_are_examples() -> None:
    assert EXAMPLES
