"""Names and units that make no sense are said, and nothing is changed (`importers/_sense.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llmrouterbench.importers import ImportReport, import_outcomes
from llmrouterbench.table import Outcomes

PLAIN: dict[str, Any] = {"cost": 0.002, "tokens_in": None, "tokens_out": 200, "seconds": 2.5}


def report_of(tmp_path: Path, models: tuple[str, ...] = ("m",), queries: int = 12, **values: Any) -> ImportReport:
    """The report of a log with these values in every record."""
    rows = [
        {"query": "x" * (10 + 10 * i), "model": model, "score": 1.0, **PLAIN, "tokens_in": 50 + i, **values}
        for i in range(queries)
        for model in models
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    return import_outcomes(tmp_path / "log.csv", tmp_path / "o", overwrite=True)


def kinds(report: ImportReport) -> dict[str, str]:
    return {finding.kind.partition(",")[0]: finding.example for finding in report.findings}


@pytest.mark.parametrize(
    ("values", "kind", "example"),
    [
        ({}, "", ""),
        ({"cost": 0.2 * 255}, "cost that no price explains", "m: USD 2e+05 per million tokens (median)"),
        ({"cost": 1e-12}, "cost that no price explains", "m: USD 3.91e-09 per million tokens (median)"),
        ({"cost": 500.0, "tokens_out": None}, "cost that no price explains", "m: USD 500 a call (median)"),
        ({"cost": 5.0, "tokens_out": None}, "", ""),
        ({"seconds": 850.0, "tokens_out": None}, "seconds that no call takes", "m: 850 seconds a call (median)"),
        ({"seconds": 850.0}, "seconds that no call takes", "m: 0.235 tokens a second (median)"),
        ({"seconds": 0.0001}, "seconds that no call takes", "m: 2e+06 tokens a second (median)"),
        ({"seconds": 300.0, "tokens_out": 9000}, "", ""),
        ({"tokens_in": 17}, "same tokens_in for texts of different lengths", "m: always 17"),
        ({"tokens_out": 1}, "", ""),
    ],
)
def test_a_unit_that_makes_no_sense_is_said(values: dict[str, Any], kind: str, example: str, tmp_path: Path) -> None:
    assert kinds(report_of(tmp_path, **values)) == ({kind: example} if kind else {})
    known = {name: value for name, value in (PLAIN | values).items() if value is not None}
    outcomes = Outcomes.load(tmp_path / "o")
    assert all((getattr(outcomes, name) == value).all() for name, value in known.items())


def test_of_few_values_nothing_is_said(tmp_path: Path) -> None:
    assert report_of(tmp_path, queries=9, cost=51.0, seconds=850.0, tokens_in=17).findings == ()


@pytest.mark.parametrize(
    ("models", "alike"),
    [
        (("openai/gpt-4o", "GPT-4o"), "GPT-4o and openai/gpt-4o"),
        (("Qwen2.5_72B", "qwen-2.5-72b", "other"), "Qwen2.5_72B and qwen-2.5-72b"),
        (("gpt-4o", "gpt-4o-mini"), ""),
        (("llama-3-8b", "llama-3-70b"), ""),
        (("模型", "模型二"), ""),
        (("+", "-"), ""),
    ],
)
def test_names_that_are_alike_are_said_and_stay(models: tuple[str, ...], alike: str, tmp_path: Path) -> None:
    found = kinds(report_of(tmp_path, models))
    assert found == ({"names of models that are alike": alike} if alike else {})
    assert set(Outcomes.load(tmp_path / "o").models) == set(models)
