"""A mistyped price is corrected, what a provider said stays, and two prices in one column are said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.prices import Price, amounts, cost, price_text, read_price
from llmrouterbench.collecting.collect import collect
from llmrouterbench.collecting.config import CollectConfig, parse_config
from llmrouterbench.collecting.pricing import mixed_prices, reprice
from llmrouterbench.collecting.replies_store import (
    paid_in,
    read_replies,
    read_replies_manifest,
    read_reply_lines,
    replies_path,
)
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.commands import collect as _collect  # noqa: F401
from llmrouterbench.commands import score as _score  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.replies import Reply
from provider import INPUT_PRICE, OUTPUT_PRICE, Provider
from test_collect import own_dataset, questions

pytestmark = pytest.mark.slow
RIGHT = {"input": INPUT_PRICE, "output": OUTPUT_PRICE}
WRONG = {"input": 10 * INPUT_PRICE, "output": 10 * OUTPUT_PRICE}


def config(provider: Provider, folder: Path, price: Mapping[str, float] | None, **more: Any) -> CollectConfig:
    return parse_config(
        {
            "out": str(folder),
            "endpoints": {"e": {"url": provider.url, "concurrency": 8}},
            "models": [{"name": "m", "endpoint": "e", "price": price and dict(price)}],
            **more,
        }
    )


def total(folder: Path, dataset: str = "d") -> float:
    return sum(reply.cost or 0.0 for reply in read_replies(folder, dataset, "m").values())


def test_a_mistyped_price_is_corrected_in_replies_and_budget_alike(tmp_path: Path) -> None:
    with Provider(says_cost=False) as provider:
        collect(config(provider, tmp_path, WRONG), questions(12))
        assert total(tmp_path) == pytest.approx(10 * provider.billed)
        (done,) = reprice(config(provider, tmp_path, RIGHT))
        assert (done.changed, done.told, done.unknown) == (12, 0, 0)
        assert (done.before, done.after) == pytest.approx((10 * provider.billed, provider.billed))
        assert total(tmp_path) == paid_in(tmp_path) == pytest.approx(provider.billed)
        (again,) = reprice(config(provider, tmp_path, RIGHT))
        assert (again.changed, again.before) == (0, again.after)
        made = read_replies_manifest(tmp_path)["config"]["models"][0]["price"]
        assert (made["input"], made["output"]) == (INPUT_PRICE, OUTPUT_PRICE)
        asked = len(provider.books)
        assert collect(config(provider, tmp_path, RIGHT), questions(12)).complete
        assert len(provider.books) == asked


def test_what_a_provider_said_that_a_reply_cost_stays(tmp_path: Path) -> None:
    with Provider(says_cost=True) as provider:
        collect(config(provider, tmp_path, WRONG), questions(5))
        (done,) = reprice(config(provider, tmp_path, RIGHT))
        assert (done.changed, done.told, done.unknown) == (0, 5, 0)
        assert total(tmp_path) == pytest.approx(provider.billed)
        assert {reply.served for reply in read_replies(tmp_path, "d", "m").values()} == {"m"}


@pytest.mark.parametrize("says_cost", [True, False])
def test_replies_of_an_older_version_are_told_apart_by_the_cache(says_cost: bool, tmp_path: Path) -> None:
    with Provider(says_cost=says_cost) as provider:
        collect(config(provider, tmp_path, WRONG), questions(6))
        path = replies_path(tmp_path, "d", "m")
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        for row in rows:
            for name in ("served", "price", "provider_cost", "tokens_cache_write"):
                del row[name]
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        one = config(provider, tmp_path, RIGHT, cache=str(tmp_path / "none.sqlite"))
        (unsaid,) = reprice(one)
        assert (unsaid.changed, unsaid.told, unsaid.unknown) == (0, 0, 6)  # nobody knows how it came about
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        with RepliesWriter(tmp_path) as writer:  # as the folder was
            writer.write_manifest(config(provider, tmp_path, WRONG).model_dump(), "", {})
        (done,) = reprice(config(provider, tmp_path, RIGHT))
        assert (done.changed, done.told, done.unknown) == ((0, 6, 0) if says_cost else (6, 0, 0))
        assert total(tmp_path) == pytest.approx(provider.billed)


def test_a_model_that_had_no_price_gets_one(tmp_path: Path) -> None:
    with Provider(says_cost=False) as provider:
        collect(config(provider, tmp_path, None), questions(4))
        assert total(tmp_path) == 0.0
        assert reprice(config(provider, tmp_path, RIGHT))[0].changed == 4
        assert total(tmp_path) == pytest.approx(provider.billed)


def test_attempts_that_failed_change_by_the_same_factor_and_failed_calls_keep_theirs(tmp_path: Path) -> None:
    usage, wrong = Usage(tokens_in=100, tokens_out=50), Price(WRONG["input"], WRONG["output"])
    once = cost(usage, wrong)
    assert once is not None
    told: dict[str, Any] = {"tokens_in": 100, "tokens_out": 50, "price": price_text(wrong)}
    replies = [
        Reply("d", "a", "m", "x", cost=2 * once, attempts=2, **told),
        Reply("d", "b", "m", "", "failed", "broke off", cost=0.7, attempts=3),
        Reply("d", "c", "m", "x", cost=None, attempts=2, **told),
    ]
    with Provider() as provider:
        collect(config(provider, tmp_path, WRONG), questions(1))
        with RepliesWriter(tmp_path) as writer:
            writer.rewrite("d", "m", replies)
        (done,) = reprice(config(provider, tmp_path, RIGHT))
    assert (done.changed, done.unknown) == (1, 2)
    assert [reply.cost for reply in read_reply_lines(tmp_path, "d", "m")] == [pytest.approx(once / 5), 0.7, None]


def test_two_prices_in_one_column_are_said_until_they_are_one(tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "out"
    with Provider(says_cost=False) as provider:
        raw: dict[str, Any] = {
            "out": str(out),
            "endpoints": {"e": {"url": provider.url}},
            "models": [{"name": "m", "endpoint": "e", "price": dict(RIGHT)}],
            "datasets": [{"name": str(own_dataset(tmp_path, 6)), "limit": 4}],
        }
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(raw))
        first = runner.invoke(app, ["collect", str(path)])
        assert first.exit_code == 0, first.output
        raw["datasets"][0]["limit"] = 6
        raw["models"][0]["price"] |= WRONG
        path.write_text(yaml.safe_dump(raw))
        said = runner.invoke(app, ["collect", str(path)])
        assert "model m has another price now" in said.output
        mixed = "model m has replies at 2 prices: 4 at $1 in, $4 out a million tokens, 2 at $10 in, $40 out"
        assert mixed in said.output
        status = json.loads(runner.invoke(app, ["collect", "status", str(out), "--json"]).stdout)
        assert status["mixed_prices"] == mixed_prices(out)
        scored = tmp_path / "scored"
        assert runner.invoke(app, ["score", str(out), "--config", str(path), "--to", str(scored)]).exit_code == 0
        findings = json.loads((scored / "import_report.json").read_text())["findings"]
        (found,) = [one for one in findings if "another price" in one["kind"]]
        assert found["count"] == 2
        raw["models"][0]["price"] |= RIGHT
        path.write_text(yaml.safe_dump(raw))
        shown = runner.invoke(app, ["collect", "reprice", str(path), "--json"])
        assert json.loads(shown.stdout)["models"][0]["changed"] == 2
        assert not mixed_prices(out)
        assert total(out, "own") == pytest.approx(provider.billed)
        assert "repriced" in runner.invoke(app, ["collect", "reprice", str(path)]).output.lower()


def test_a_price_is_written_and_read_back_with_its_tiers() -> None:
    one = Price(1.0, 2.0, 0.1, None, "list", "2026-01-01", ((200_000, Price(2.0, 4.0, date="2026-01-01")),))
    assert read_price(price_text(one)) == one
    assert amounts(one) == amounts(replace(one, date="2026-02-01", source="other"))
    assert amounts(one) != amounts(replace(one, output=3.0))
    assert read_price(price_text(None)) is None


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with Provider() as provider, pytest.raises(FileNotFoundError, match="must"):
        reprice(config(provider, tmp_path / "none", RIGHT))
    assert not (tmp_path / "none").exists()
