"""Our scorers agree with labels of others on real replies, and a person has read every disagreement."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def test_verdicts_are_whole() -> None:
    with (ROOT / "benchmarks/agreement_verdicts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({(row["study"], row["item"], row["model"]) for row in rows}) >= 50
    assert {row["right"] for row in rows} == {"nobody", "scorer"}, "where the label is right, the scorer is mended"
    assert all(row["reason"].startswith(("label ", "reply ")) for row in rows)
    assert all(len(value) < 80 for row in rows for value in row.values()), "ids and reasons, no texts"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets of ../shared/data are not here")
def test_ninety_nine_of_a_hundred_agree_where_the_label_is_right() -> None:
    command = [sys.executable, "-m", "benchmarks.agreement", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    agreement = [float(value) for value in re.findall(r"([\d.]+) % \|$", done.stdout, re.MULTILINE)]
    assert len(agreement) == 7
    assert min(agreement) >= 99
