"""The config of a server: one sentence for what is wrong, no secret in it, nothing that it does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmrouterbench.calling.prices import Price
from llmrouterbench.serve.config import ServeConfig, parse_serve_config, read_serve_config

ROOT = Path(__file__).resolve().parents[1]
GOOD: dict[str, Any] = {
    "providers": {"a": {"url": "http://localhost:1/v1"}},
    "models": [{"name": "m", "provider": "a", "price": {"input": 1.0, "output": 2.0}}],
}


def changed(**more: Any) -> dict[str, Any]:
    return {**GOOD, **more}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ([], "config must hold keys and values, got list"),
        (changed(model=[]), "config: unknown key 'model'; did you mean 'models'?"),
        (changed(limits={"bodybytes": 1}), "config: limits: unknown key 'bodybytes'; did you mean 'body_bytes'?"),
        (changed(providers={"a": {"url": "http://x/v1", "time": 1}}), "providers.a: unknown key 'time'; did you mean"),
        ({"providers": GOOD["providers"]}, "config: models is missing"),
        (changed(providers={"a": {"url": "ftp://x"}}), "providers.a: url must look like https://host/v1"),
        (changed(providers={"a": {"url": "http://u:p@x/v1"}}), "url must hold no user, password or query"),
        (changed(models=[{"name": "m", "provider": "b"}]), "model 'm': no provider named 'b'; there are a"),
        (changed(models=[{"name": "auto", "provider": "a"}]), "must not be called auto"),
        (changed(models=[*GOOD["models"], *GOOD["models"]]), "every model must be named once, got 'm' twice"),
        (changed(models=[{"name": "m", "provider": "a", "lacks": ["audio"]}]), "models[0].lacks[0] must be 'images'"),
        (changed(keys=[{"name": "k", "sha256": "lrb-abc"}]), "keys[0].sha256 must be right"),
        (changed(fallback={"attempts": 0}), "fallback.attempts must be greater than or equal to 1, got 0"),
    ],
)
def test_what_is_wrong_is_one_sentence(raw: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_serve_config(raw)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "provider", [{"url": "http://x/v1", "key": "sk-canary-0123456789abcdef"}, {"url": "sk-canary-0123456789abcdef"}]
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(provider: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="key_env") as caught:
        parse_serve_config(changed(providers={"a": provider}))
    assert "canary" not in str(caught.value)


def test_the_key_of_a_provider_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_serve_config(changed(providers={"a": {"url": "http://x/v1", "key_env": "SOME_KEY"}}))
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ValueError, match="a: the environment variable SOME_KEY must hold its key"):
        config.providers["a"].endpoint("a")
    monkeypatch.setenv("SOME_KEY", "sk-1")
    assert config.providers["a"].endpoint("a").key == "sk-1"


def test_a_budget_needs_prices() -> None:
    key = {"name": "k", "sha256": "0" * 64, "budget": 1.0}
    models = [{"name": "m", "provider": "a"}]
    assert parse_serve_config(changed(models=models)).prices() == {"m": None}
    with pytest.raises(ValueError, match="model 'm' must have a price, as key 'k' has a budget"):
        parse_serve_config(changed(models=models, keys=[key])).prices()
    assert parse_serve_config(changed(keys=[key])).prices() == {"m": Price(1.0, 2.0, source="config")}


def test_the_example_is_a_config() -> None:
    config = read_serve_config(ROOT / "examples" / "serve.yaml")
    assert isinstance(config, ServeConfig)
    assert [place.provider for place in config.models[0].places] == ["openai", "openrouter"]
    assert all(price is not None for price in config.prices().values())


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be the YAML file of a server"):
        read_serve_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"bad\.yaml must be YAML"):
        read_serve_config(tmp_path / "bad.yaml")
