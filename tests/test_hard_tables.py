"""Tables as people have them: every kind of file crossed with what goes wrong in one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from llmrouterbench.importers import ImportReport, import_outcomes
from llmrouterbench.table import Outcomes

Row = dict[str, Any]
ROWS: list[Row] = [
    {"query": "Was kostet Käse?", "model": "small", "score": 1.0, "cost": 0.5},
    {"query": "Was kostet Käse?", "model": "large", "score": 0.0, "cost": 4.25},
    {"query": 'Say "a; b|c, d"', "model": "small", "score": 0.25, "cost": 0.75},
    {"query": 'Say "a; b|c, d"', "model": "large", "score": 1.0, "cost": 6.0},
]
SCORES = {("Was kostet Käse?", "small"): 1.0, ("Was kostet Käse?", "large"): 0.0,
          ('Say "a; b|c, d"', "small"): 0.25, ('Say "a; b|c, d"', "large"): 1.0}  # fmt: skip


def as_csv(rows: Sequence[Row], mark: str = ",", end: str = "\n", point: str = ".") -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator=end)
    writer.writerow(names)
    writer.writerows([_field(row.get(name), point) for name in names] for row in rows)
    return out.getvalue()


def _field(value: Any, point: str) -> Any:
    if isinstance(value, list):
        return json.dumps(value)
    return str(value).replace(".", point) if isinstance(value, float) else value


def as_lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_zip(rows: Sequence[Row], *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._log.csv", "junk")
        for at, name in enumerate(names):
            archive.writestr(name, as_csv(rows[at :: len(names)]))
    return out.getvalue()


def as_zst(rows: Sequence[Row]) -> bytes:
    packed: bytes = pytest.importorskip("backports.zstd").compress(as_csv(rows).encode())
    return packed


def as_frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def as_arrow(rows: Sequence[Row], stream: bool) -> bytes:
    out = io.BytesIO()
    (as_frame(rows).write_ipc_stream if stream else as_frame(rows).write_ipc)(out)
    return out.getvalue()


def as_parquet(rows: Sequence[Row]) -> bytes:
    out = io.BytesIO()
    as_frame(rows).write_parquet(out)
    return out.getvalue()


def as_workbook(rows: Sequence[Row]) -> bytes:
    pytest.importorskip("fastexcel", reason="needs the extra llmrouterbench[tables]")
    book = pytest.importorskip("xlsxwriter", reason="writes the workbooks")
    out = io.BytesIO()
    with book.Workbook(out) as workbook:
        workbook.add_worksheet("notes").write(0, 0, "made by hand")
        sheet = workbook.add_worksheet("log")
        names = list(dict.fromkeys(name for row in rows for name in row))
        for column, name in enumerate(names):
            sheet.write(0, column, name)
            for line, row in enumerate(rows, 1):
                value = _field(row.get(name), ".") if isinstance(row.get(name), list) else row.get(name)
                sheet.write(line, column, value)
    return out.getvalue()


def as_sqlite(rows: Sequence[Row]) -> bytes:
    base = sqlite3.connect(":memory:")
    names = list(dict.fromkeys(name for row in rows for name in row))
    base.execute("CREATE TABLE notes (remark)")
    base.execute("INSERT INTO notes VALUES ('made by hand')")
    base.execute(f"CREATE TABLE log ({', '.join(map(json.dumps, names))})")
    values = [[_field(row.get(name), ".") if isinstance(row.get(name), list) else row.get(name) for name in names]
              for row in rows]  # fmt: skip
    base.executemany(f"INSERT INTO log VALUES ({', '.join('?' * len(names))})", values)
    return base.serialize()


KINDS: Mapping[str, tuple[str, Callable[[Sequence[Row]], bytes | str]]] = {
    "csv": ("log.csv", as_csv),
    "csv with a byte order mark": ("log.csv", lambda rows: "\ufeff" + as_csv(rows)),
    "csv of Windows": ("log.csv", lambda rows: as_csv(rows, end="\r\n")),
    "csv in UTF-16": ("log.csv", lambda rows: as_csv(rows).encode("utf-16")),
    "tabs in UTF-16": ("log.csv", lambda rows: as_csv(rows, "\t").encode("utf-16")),
    "semicolons": ("log.csv", lambda rows: as_csv(rows, ";")),
    "semicolons and decimal commas": ("log.csv", lambda rows: as_csv(rows, ";", point=",")),
    "bars": ("log.csv", lambda rows: as_csv(rows, "|")),
    "tsv": ("log.tsv", lambda rows: as_csv(rows, "\t")),
    "csv.gz": ("log.csv.gz", lambda rows: gzip.compress(as_csv(rows).encode())),
    "gzip without saying so": ("log.csv", lambda rows: gzip.compress(as_csv(rows).encode())),
    "csv.zst": ("log.csv.zst", as_zst),
    "zip of one": ("log.zip", lambda rows: as_zip(rows, "log.csv")),
    "zip of two": ("log.zip", lambda rows: as_zip(rows, "train.csv", "more/test.csv")),
    "json": ("log.json", lambda rows: json.dumps(rows)),
    "jsonl": ("log.jsonl", as_lines),
    "jsonl.gz": ("log.jsonl.gz", lambda rows: gzip.compress(as_lines(rows).encode())),
    "sqlite": ("log.sqlite", as_sqlite),
    "xlsx": ("log.xlsx", as_workbook),
    "parquet": ("log.parquet", as_parquet),
    "arrow": ("log.arrow", lambda rows: as_arrow(rows, stream=True)),
    "feather": ("log.feather", lambda rows: as_arrow(rows, stream=False)),
}
"""Kind of file -> its name, and what writes it."""
TYPED = {"json", "jsonl", "jsonl.gz", "parquet", "arrow", "feather"}
"""Kinds whose values have types: a word is no number there."""


@dataclass(frozen=True)
class Case:
    """What is done to the rows, how they are imported, and what comes of it: scores, findings or a sentence."""

    rows: Sequence[Row]
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], float] = field(default_factory=lambda: SCORES)
    found: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""


def with_value(column: str, *values: Any) -> list[Row]:
    """The rows with other values in the first of them."""
    return [row | ({column: values[at]} if at < len(values) else {}) for at, row in enumerate(ROWS)]


def as_messages(row: Row) -> Row:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": row["query"]}]
    return {"messages": said, **{name: value for name, value in row.items() if name != "query"}}


HALF = {**SCORES, ("Was kostet Käse?", "small"): np.nan}
CASES = {
    "plain": Case(ROWS),
    "names that people use": Case(
        [dict(zip(("prompt", "model_id", "accuracy", "usd"), row.values(), strict=True)) for row in ROWS]
    ),
    "messages": Case(list(map(as_messages, ROWS))),
    "one bad score": Case(
        with_value("score", 7.0), scores=HALF, found={"value that breaks a rule": 1, "null score": 1}
    ),
    "one bad score, strictly": Case(
        with_value("score", 7.0), {"strict": True}, refused=r"score must be between 0 and 1, got 7 in .*{}.* 1"
    ),
    "all bad scores": Case(
        with_value("score", 7.0, 70.0, 71.0, 72.0),
        refused=r"score must be between 0 and 1, got 70? in .*{}.* 1; say its scale .*such as 0-100\) \(4 such",
    ),
    "a scale": Case(
        [row | {"score": 1 + 4 * row["score"]} for row in ROWS], {"scale": "1-5"}
    ),
    "no model in one": Case(
        with_value("model", ""), scores={key: value for key, value in SCORES.items() if value < 1 or "Say" in key[0]},
        found={"record that cannot be read": 1, "missing record": 1},
    ),
    "a column is missing": Case(
        [{name: value for name, value in row.items() if name != "score"} for row in ROWS],
        refused=r"{}.* must have the columns query, model and score, got 'query', 'model', 'cost'; add score",
    ),
}  # fmt: skip
WORDS = {
    "words on a scale": Case(
        [row | {"score": {0.0: "F", 0.25: "D", 1.0: "a"}[row["score"]]} for row in ROWS], {"scale": "F,D,C,B,A"}
    ),
    "words without a scale": Case(
        [row | {"score": "yes"} for row in ROWS],
        refused=r"score must be a number between 0 and 1, got '?yes'? in .*{}.* 1; (say what is worst and best "
        r"\(--scale no,yes\)|write it as one) \(4 such",
    ),
}
PERCENT = {
    "percent": Case([row | {"score": f"{row['score'] * 100:g}%"} for row in ROWS], {"scale": "0-100"}),
}
TABLES = [
    pytest.param(kind, case, id=f"{kind}, {name}", marks=pytest.mark.slow if kind == "csv" else pytest.mark.prove)
    for kind in KINDS
    for name, case in (CASES | WORDS | PERCENT).items()
    if not (kind in ("parquet", "arrow", "feather") and name in ("words without a scale", "percent"))
]


def imported(path: Path, tmp_path: Path, **options: Any) -> tuple[Outcomes, ImportReport]:
    report = import_outcomes(path, tmp_path / "out", **options)
    return Outcomes.load(tmp_path / "out"), report


def test_there_are_enough_of_them() -> None:
    assert len(TABLES) >= 130


@pytest.mark.parametrize(("kind", "case"), TABLES)
def test_a_hard_table_ends_in_the_right_values_or_one_sentence(kind: str, case: Case, tmp_path: Path) -> None:
    name, writes = KINDS[kind]
    content = writes(case.rows)
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if case.refused:
        with pytest.raises(ValueError, match=case.refused.format(path.stem.partition(".")[0])) as caught:
            imported(path, tmp_path, **case.options)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value), "the file is named as the user knows it"
        assert not (tmp_path / "out").exists()
        return
    outcomes, report = imported(path, tmp_path, **case.options)
    where = {text: at for at, text in enumerate(outcomes.queries.text)}
    got = {(query, model): outcomes.score[where[query], outcomes.models.index(model)] for query, model in case.scores}
    assert got == pytest.approx(dict(case.scores), nan_ok=True)
    paid = [float(row.get("cost") or row.get("usd") or 0.0) for row in case.rows if row.get("model") != ""]
    assert np.nansum(outcomes.cost) == pytest.approx(sum(paid))
    notes = {finding.kind: finding.count for finding in report.findings if not finding.kind.startswith("table without")}
    assert notes == dict(case.found)
