"""The public contract of an importer: ours keep it, and what breaks it is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench import Outcomes, check_importer
from llmrouterbench.checks.contract import ContractError
from llmrouterbench.importers import Findings, Imported, Importer, Options, read_source
from llmrouterbench.importers._sources import opened
from test_importers_tools import READ, SHARED, real


def read(source: Path, options: Options) -> Imported:
    """A line a query: its text and a score, which may be empty."""
    try:
        rows = [line.split("|") for line in source.read_text().splitlines()]
        outcomes = Outcomes.of(
            [text for text, _ in rows], ["m"], [[float(score or "nan")] for _, score in rows], cost=[[1.0]] * len(rows)
        )
        if not rows:
            raise ValueError("nothing")
    except ValueError as error:
        raise ValueError(f"{source} must be lines, got: {error}") from error
    findings = Findings()
    findings.add("no score", "masked", source.name, int(np.isnan(outcomes.score).sum()))
    return Imported(outcomes, findings, {"records": len(rows)})


def changed(change: Any) -> Importer:
    """The good importer, whose result is changed on a whole source."""
    return Importer(lambda source, options: change(read(source, options)))


def edited(source: Path, options: Options) -> Imported:
    """Reads, and writes to the source."""
    found = read(source, options)
    source.write_text(source.read_text() + "x|1\n")
    return replace(found, outcomes=found.outcomes.take(np.array([0])))


def wrong(error: Exception) -> Importer:
    """Raises this for what is damaged."""

    def reader(source: Path, options: Options) -> Imported:
        try:
            return read(source, options)
        except ValueError:
            raise error from None

    return Importer(reader)


class Restless:
    """Reads something else every time."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, source: Path, options: Options) -> Imported:
        self.times += 1
        found = read(source, options)
        return replace(found, outcomes=replace(found.outcomes, cost=found.outcomes.cost + self.times))


GOOD = Importer(read, lambda path: path.suffix == ".lines")
BROKEN: list[tuple[Any, str]] = [
    ("pipes", "an importer must be an Importer, got str"),
    (changed(lambda found: "outcomes"), "`read` must return an Imported, got str"),
    (changed(lambda found: replace(found, findings=[])), "Imported.findings must be Findings, got list"),
    (changed(lambda found: replace(found, findings=Findings())), "not measured must be a finding, got 1 cells"),
    (changed(lambda found: replace(found, counts={})), "Imported.counts must count the records, got None"),
    (
        changed(lambda found: replace(found, outcomes=replace(found.outcomes, cost=0 * found.outcomes.cost))),
        "a cost of 0 must be NaN unless it is free, got 2 zeros",
    ),
    (
        changed(lambda found: replace(found, outcomes=replace(found.outcomes, score=np.nan * found.outcomes.score))),
        "a whole source must give scores, got none",
    ),
    (
        changed(lambda found: replace(found, outcomes=Outcomes.of([" "], ["m"], [[1]]))),
        "every query must have a text, got none for '0'",
    ),
    (Importer(Restless()), "a source must give the same outcomes again"),
    (Importer(edited), "reading must not change the source"),
    (Importer(read, lambda path: path.suffix == ".pipes"), "`recognises` must be True for"),
    (Importer(read, lambda path: True), "`recognises` must be False for an empty other.bin, got True"),
    (Importer(read, lambda path: path.suffix == ".lines" or 1 / 0 > 0), "must not fail, got ZeroDivisionError"),
    (wrong(KeyError("score")), "must be a ValueError or read, got KeyError"),
    (wrong(ValueError("no lines")), "an error must name the file, got 'no lines'"),
    (wrong(ValueError("small.lines:\nno")), "an error must be one line"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "small.lines"
    path.write_text("2 + 2?|1\nCapital of Peru?|\n")
    return path


def test_a_good_importer_passes(source: Path) -> None:
    check_importer(GOOD, str(source))


@pytest.mark.parametrize(("importer", "sentence"), BROKEN, ids=[sentence for _, sentence in BROKEN])
def test_what_breaks_the_contract_is_named(importer: Any, sentence: str, source: Path) -> None:
    with pytest.raises(ContractError) as caught:
        check_importer(importer, source)
    assert sentence in str(caught.value)


@pytest.mark.slow
@real
@pytest.mark.parametrize("name", READ)
def test_ours_keep_the_contract(name: str) -> None:
    kind, chosen, *_ = READ[name]
    ours = Importer(lambda source, options: read_source(source, kind, options))
    with opened(SHARED / name, pickles=True) as found:
        check_importer(ours, found.path, options=Options(filter=chosen))
