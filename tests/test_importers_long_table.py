"""The long table: the door for users' own logs, in three file formats."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrouterbench.importers import ImportReport, Options, import_outcomes, read_source, report_lines
from llmrouterbench.store import scan_replies
from llmrouterbench.table import Outcomes

Row = dict[str, Any]
ROWS: list[Row] = [
    {"query": "1 + 1?", "model": "small", "score": 1.0, "cost": 0.5, "tokens_out": 3},
    {"query": "1 + 1?", "model": "large", "score": 1.0, "cost": 4.0, "tokens_out": 5},
    {"query": "2 + 2?", "model": "small", "score": 0.0, "cost": None, "tokens_out": 7},
    {"query": "2 + 2?", "model": "large", "score": 0.5, "cost": 6.0, "tokens_out": None},
]


def test_an_empty_prompt_is_none_that_queries_share(tmp_path: Path) -> None:
    rows = [{"query": text, "prompt": "", "model": "ant", "score": 1} for text in ("a?", "b?")]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_outcomes(tmp_path / "log.jsonl", tmp_path / "o")
    outcomes = Outcomes.load(tmp_path / "o")
    assert list(outcomes.queries.prompt) == ["a?", "b?"]
    assert len(set(outcomes.group)) == 2


def write(path: Path, rows: list[Row]) -> Path:
    frame = pl.DataFrame(rows, infer_schema_length=None) if path.suffix != ".jsonl" else None
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif frame is not None:
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


def imported(source: Path, tmp_path: Path, **options: Any) -> tuple[Outcomes, ImportReport]:
    report = import_outcomes(source, tmp_path / "out", overwrite=True, **options)
    return Outcomes.load(tmp_path / "out"), report


def counts(report: ImportReport) -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings}


@pytest.fixture(params=[".csv", ".jsonl", ".parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"log{request.param}"


def place(path: Path, record: int) -> str:
    return f"{path} {'line' if path.suffix == '.jsonl' else 'record'} {record}"


def test_a_log_keeps_every_number_in_every_format(path: Path, tmp_path: Path) -> None:
    outcomes, report = imported(write(path, ROWS), tmp_path)
    assert outcomes.models == ("large", "small")
    assert list(outcomes.queries.text) == ["1 + 1?", "2 + 2?"]
    assert outcomes.queries.id.tolist() == ["data/1", "data/2"]
    assert outcomes.datasets == ["data"]
    assert outcomes.score.tolist() == [[1, 1], [0.5, 0]]
    np.testing.assert_array_equal(outcomes.cost, [[4, 0.5], [6, np.nan]])
    np.testing.assert_array_equal(outcomes.tokens_out, [[5, 3], [np.nan, 7]])
    assert np.isnan(outcomes.seconds).all()
    assert report.findings == ()
    assert report.source["format"] == "long_table"
    assert report.counts["records"] == 4


def test_every_column_is_read_under_its_name_or_an_alias(path: Path, tmp_path: Path) -> None:
    row = {
        "Question": "q", "llm": "m", "score": 0.25, "task": "sums", "id": "a7", "prompt": "Solve: q", "usd": 0.1,
        "prompt_tokens": 11, "completion_tokens": 12, "latency": 1.5, "response": "42", "colour": "red",
    }  # fmt: skip
    outcomes, report = imported(write(path, [row]), tmp_path)
    assert (list(outcomes.queries.text), list(outcomes.queries.prompt)) == (["q"], ["Solve: q"])
    assert (outcomes.queries.id.tolist(), outcomes.dataset.tolist()) == (["a7"], ["sums"])
    planes = (outcomes.score, outcomes.cost, outcomes.tokens_in, outcomes.tokens_out, outcomes.seconds)
    assert [plane.item() for plane in planes] == [0.25, 0.1, 11, 12, 1.5]
    assert scan_replies(tmp_path / "out").collect().rows() == [(0, "m", "42")]
    assert report.source["columns_ignored"] == ["colour"]
    assert report.findings == ()


def test_other_names_of_columns_are_taken_and_said(path: Path, tmp_path: Path) -> None:
    row = {"prompt": "q", "model_id": "m", "correct": True, "label": "B", "latency_ms": 1500.0, "colour": "red"}
    outcomes, report = imported(write(path, [row]), tmp_path)
    assert (list(outcomes.queries.text), outcomes.models) == (["q"], ("m",))
    assert (outcomes.score.item(), outcomes.seconds.item()) == (1.0, 1.5)
    assert report_lines(report)[1:3] == [
        "columns read: query = prompt, model = model_id, score = correct, seconds = latency_ms",
        "columns not read: label, colour",
    ]


def test_a_folder_of_tables_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    row = {"query": "1?", "model": "a", "score": 1.0}
    write(folder / "train.csv", [row, {**row, "model": "b", "score": 0.0}])
    write(folder / "more.parquet", [{"prompt": "2?", "llm": "a", "correct": True, "usd": 0.5}])
    (folder / "rest.json").write_text(json.dumps([{**row, "query": "3?"}]))
    (folder / "tabs.tsv").write_text("query\tmodel\tscore\n4, 5?\ta\t0.5\n")
    (folder / "semicolons.csv").write_text("query;model;score\n6, 7?;a;1\n")
    outcomes, report = imported(folder, tmp_path, format="long_table")
    scores = dict(zip(outcomes.queries.text, outcomes.score[:, 0], strict=True))
    assert scores == {"1?": 1.0, "2?": 1.0, "3?": 1.0, "4, 5?": 0.5, "6, 7?": 1.0}
    assert (report.counts["files"], report.counts["records"], np.nansum(outcomes.cost)) == (5, 6, 0.5)
    (folder / "z.csv").write_text("query,model,score\n8?,a,7\n9?,a,7\n")
    with pytest.raises(ValueError, match=r"score must be between 0 and 1, got 7 in .*logs at z.csv record 1"):
        imported(folder, tmp_path, format="long_table")


def test_the_user_names_columns(path: Path, tmp_path: Path) -> None:
    row = {"ticket": "q", "query": "SELECT 1", "model": "m", "score": 0.1, "rating": 0.9}
    outcomes, report = imported(write(path, [row]), tmp_path, columns={"query": "Ticket", "score": "rating"})
    assert (list(outcomes.queries.text), outcomes.score.item()) == (["q"], 0.9)
    assert report.source["columns_ignored"] == ["query", "score"]
    for columns, why in (({"query": "tickt"}, "did you mean 'ticket'"), ({"querry": "ticket"}, "did you mean 'query'")):
        with pytest.raises(ValueError, match=why):
            imported(path, tmp_path, columns=columns)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("score", 7, "score must be between 0 and 1, got 7 in {}; say its scale"),
        ("score", -1, "score must be between 0 and 1, got -1 in {}; leave it empty if unknown"),
        ("cost", -0.5, "cost must be 0 or more, got -0.5 in {}; leave it empty if unknown"),
        ("cost", float("nan"), "cost must be a number of USD of 0 or more, got [Nn]a[Nn] in {}; leave it empty"),
        ("tokens_out", float("inf"), "tokens_out must be a number of 0 or more, got inf in {}; leave it empty"),
        ("model", "", "model must not be empty, got nothing in {}; every record needs one"),
        ("query", None, "query must not be empty, got nothing in {}; every record needs one"),
    ],
)
def test_a_value_that_breaks_a_rule_is_one_sentence_with_its_record(
    path: Path, tmp_path: Path, column: str, value: Any, rule: str
) -> None:
    rows = [dict(row) for row in ROWS]
    rows[2][column] = value
    _, report = imported(write(path, rows), tmp_path)
    [finding] = [one for one in report.findings if one.kind.startswith(("value that", "record that"))]
    assert re.match(rule.format(place(path, 3)), finding.example)
    assert (finding.count, finding.happened) == (1, "dropped" if column in ("query", "model") else "masked")
    rows[3][column] = value
    with pytest.raises(ValueError, match=rule.format(place(path, 3)) + r".* \(2 such in 4 records\)"):
        import_outcomes(write(path, rows), tmp_path / "many")
    assert not (tmp_path / "many").exists()


def test_one_in_a_hundred_may_be_bad_and_not_more(tmp_path: Path) -> None:
    rows = [{"query": f"q{i}", "model": "m", "score": 1.0} for i in range(200)]
    for bad in (2, 3):
        for row in rows[:bad]:
            row["score"] = 7.0
        path = write(tmp_path / "log.csv", rows)
        if bad == 2:
            outcomes, report = imported(path, tmp_path)
            assert (np.isnan(outcomes.score).sum(), counts(report)["value that breaks a rule"]) == (2, 2)
        else:
            with pytest.raises(ValueError, match=r"got 7 in .*record 1; .* \(3 such in 200 records\)"):
                imported(path, tmp_path)


def test_a_score_that_is_a_word_is_refused_and_true_is_a_score(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("query,model,score\nq,m,True\nr,m, false \ns,m,abc\nt,m,abc\n")
    with pytest.raises(ValueError, match=r"score must be a number between 0 and 1, got abc in .*log.csv record 3"):
        import_outcomes(tmp_path / "log.csv", tmp_path / "out")
    (tmp_path / "log.jsonl").write_text(
        '{"query": "q", "model": "m", "score": true}\n' + '\n{"query": "r", "model": "m", "score": "1"}' * 2
    )
    with pytest.raises(ValueError, match=r"score must be a number between 0 and 1, got '1' in .*log.jsonl line 3"):
        import_outcomes(tmp_path / "log.jsonl", tmp_path / "out")
    (tmp_path / "log.csv").write_text("query,model,score\nq,m,True\nr,m, false \ns,m,\n")
    outcomes, report = imported(tmp_path / "log.csv", tmp_path)
    np.testing.assert_array_equal(outcomes.score[:, 0], [1, 0, np.nan])
    assert counts(report) == {"null score": 1}


def test_missing_columns_are_named_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("qeury,model,score\nq,m,1\n")
    with pytest.raises(
        ValueError, match=r"columns query, model and score, got 'qeury', 'model', 'score'; did you mean 'query'\?"
    ):
        import_outcomes(tmp_path / "log.csv", tmp_path / "out")
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"got 'a', 'b'; add query and model and score"):
        import_outcomes(tmp_path / "log.csv", tmp_path / "out")


def test_records_of_one_cell_are_runs_unless_all_say_the_same(path: Path, tmp_path: Path) -> None:
    rows = [*ROWS, dict(ROWS[0]), ROWS[1] | {"score": 0.0, "cost": 2.0}]
    outcomes, report = imported(write(path, rows), tmp_path)
    assert outcomes.score.tolist() == [[0.5, 1], [0.5, 0]]
    assert outcomes.cost[0, 0] == 3.0
    assert counts(report) == {"identical repeated record": 1, "repeated record, averaged as a run": 1}
    assert outcomes.runs is not None
    assert outcomes.spread is not None
    assert outcomes.runs.tolist() == [[2, 1], [1, 1]]
    assert np.array_equal(outcomes.spread, [[0.5**0.5, np.nan], [np.nan, np.nan]], equal_nan=True)


def test_runs_that_a_column_tells_apart_are_counted_though_they_agree(path: Path, tmp_path: Path) -> None:
    for name in ("run", "epoch", "repeat"):
        rows = [row | {name: i} for row in ROWS for i in range(3)]
        outcomes, _ = imported(write(path, rows), tmp_path)
        plain, _ = imported(write(path, ROWS), tmp_path)
        assert outcomes.runs is not None
        assert outcomes.spread is not None
        assert (outcomes.runs.min(), outcomes.runs.max(), np.abs(outcomes.spread).max()) == (3, 3, 0)
        assert np.array_equal(outcomes.score, plain.score)
        assert plain.runs is None
        assert plain.spread is None


FAILED: dict[str, list[tuple[Any, bool]]] = {
    "success": [("True", True), ("false", False), ("", True), ("0", False)],
    "error": [("", True), ("timeout", False), ("None", True), ("rate limited", False)],
    "status": [("ok", True), ("failed", False), ("200 OK", True), ("503", False)],
}


@pytest.mark.parametrize("column", FAILED)
def test_a_failed_call_is_not_measured(column: str, path: Path, tmp_path: Path) -> None:
    paid = [row | {"cost": 1.0, column: word} for row, (word, _) in zip(ROWS, FAILED[column], strict=True)]
    paid[1]["cost"] = 0.0
    outcomes, report = imported(write(path, paid), tmp_path)
    large, small = [ok for _, ok in FAILED[column]][1::2], [ok for _, ok in FAILED[column]][::2]
    assert np.isfinite(outcomes.score).T.tolist() == [large, small]
    assert counts(report) == {"failed call, not measured": 4 - sum(large) - sum(small)}
    assert np.isnan(outcomes.cost[0, 0])
    assert outcomes.cost[1, 0] == 1.0, "what a failed call cost was paid"


def test_of_several_scores_of_a_reply_the_user_names_the_one_that_counts(path: Path, tmp_path: Path) -> None:
    rows = [row | {"filter": name, "score": score} for row in ROWS for name, score in (("strict", 0.0), ("loose", 1.0))]
    with pytest.raises(
        ValueError, match=r"cannot tell which score counts: .* by filter 'strict', 'loose'; name the one"
    ):
        imported(write(path, rows), tmp_path)
    for name, score in (("strict", 0.0), ("loose", 1.0)):
        outcomes, _ = imported(write(path, rows), tmp_path, filter=name)
        assert (outcomes.score == score).all()
        assert outcomes.runs is None
    with pytest.raises(ValueError, match="got 'lose'; did you mean 'loose'?"):
        imported(write(path, rows), tmp_path, filter="lose")
    with pytest.raises(ValueError, match="must have a column filter for one to be chosen, got 'loose'"):
        imported(write(path, ROWS), tmp_path, filter="loose")
    one_each = [row | {"metric": "strict" if i % 2 else "loose"} for i, row in enumerate(ROWS)]
    assert len(imported(write(path, one_each), tmp_path)[0]) == 2


def test_another_system_prompt_asks_another_query(path: Path, tmp_path: Path) -> None:
    rows = [row | {"system_prompt": system} for row in ROWS for system in ("Be brief.", "")]
    outcomes, report = imported(write(path, rows), tmp_path)
    assert (len(outcomes), counts(report)) == (4, {})
    assert list(outcomes.queries.prompt)[:2] == ["Be brief.\n\n1 + 1?", "1 + 1?"]
    assert outcomes.group.tolist() == [0, 1, 2, 3]


def test_one_id_for_two_queries_is_an_error(path: Path, tmp_path: Path) -> None:
    rows = [row | {"id": 7} for row in ROWS]
    with pytest.raises(ValueError, match=f"an id must name one query, got '7' for a second one in {place(path, 3)}"):
        import_outcomes(write(path, rows), tmp_path / "out")


def test_the_same_text_under_two_ids_or_in_two_datasets_is_two_queries(path: Path, tmp_path: Path) -> None:
    rows = [{"query": "q", "model": "m", "score": 1.0, "id": i} for i in ("a", "b")]
    outcomes, _ = imported(write(path, rows), tmp_path)
    assert (outcomes.queries.id.tolist(), outcomes.group.tolist()) == (["a", "b"], [0, 0])
    rows = [{"query": "q", "model": "m", "score": 1.0, "dataset": name} for name in ("x", "y")]
    outcomes, _ = imported(write(path, rows), tmp_path)
    assert (outcomes.queries.id.tolist(), outcomes.group.tolist()) == (["x/1", "y/1"], [0, 1])


def test_an_id_of_requests_is_not_taken_for_that_of_queries(path: Path, tmp_path: Path) -> None:
    rows = [row | {"id": f"req-{i}"} for i, row in enumerate(ROWS)]
    plain, _ = imported(write(path, ROWS), tmp_path)
    for key, queries in {"auto": 2, "text": 2, "id": 4}.items():
        outcomes, report = imported(write(path, rows), tmp_path, key=key)
        assert len(outcomes) == queries, key
        assert any("request id" in kind for kind in counts(report)) == (key == "auto")
        assert (outcomes.content_hash == plain.content_hash) == (key != "id")


def test_propensities_of_a_log_are_kept(path: Path, tmp_path: Path) -> None:
    rows = [row | {"query": f"q{i // 3}", "propensity": 0.5} for i, row in enumerate([*ROWS, ROWS[3]])]
    outcomes, _ = imported(write(path, rows[:2] + rows[3:]), tmp_path)
    assert outcomes.propensity is not None
    asked_twice = 1 - 0.5**2  # each model may have been measured by either request
    expected = [[asked_twice, asked_twice], [asked_twice, np.nan]]
    assert np.array_equal(outcomes.propensity, expected, equal_nan=True)
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match="propensity must be above 0 and at most 1, got"):
            import_outcomes(write(path, [ROWS[0] | {"propensity": wrong}]), tmp_path / "wrong")


def test_ids_that_name_queries_are_kept(path: Path, tmp_path: Path) -> None:
    rows = [row | {"id": f"query-{i // 2}"} for i, row in enumerate(ROWS)]
    outcomes, report = imported(write(path, rows), tmp_path)
    assert (outcomes.queries.id.tolist(), counts(report)) == (["query-0", "query-1"], {})


def test_a_prompt_that_differs_between_models_is_reported(path: Path, tmp_path: Path) -> None:
    rows = [ROWS[0] | {"prompt": "A: 1 + 1?"}, ROWS[1] | {"prompt": "B: 1 + 1?"}]
    outcomes, report = imported(write(path, rows), tmp_path)
    assert list(outcomes.queries.prompt) == ["A: 1 + 1?"]
    assert counts(report) == {"prompt differs between models": 1}


def test_zero_costs_and_missing_cells_are_reported(path: Path, tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[1] | {"cost": 0.0}, ROWS[3]]
    outcomes, report = imported(write(path, rows), tmp_path)
    np.testing.assert_array_equal(outcomes.cost, [[np.nan, 0.5], [6, np.nan]])
    assert counts(report) == {"missing record": 1, "zero cost of a called model": 1}


def test_a_later_line_may_bring_a_new_column(tmp_path: Path) -> None:
    lines = [ROWS[0], ROWS[1] | {"seconds": 2.5, "note": {"a": 1}}]
    (tmp_path / "log.ndjson").write_text("\ufeff" + "\n".join(json.dumps(line) for line in lines))
    outcomes, _ = imported(tmp_path / "log.ndjson", tmp_path)
    np.testing.assert_array_equal(outcomes.seconds, [[2.5, np.nan]])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("log.csv", b"", r"log.csv must hold a table, got an empty file"),
        ("log.csv", b"query,model,score\n", r"log.csv must hold records, got a header only"),
        ("log.csv", b"query,model,score\nq,m,1,9\n", r"got: 4 fields in record 1 under a header of 3"),
        ("log.csv", b"query,model,score\nq,m,1\n\xff,m,1\n", r"must be UTF-8 text, got byte 0xff at position 24"),
        ("log.csv", b'query,model,score\n"q,m,1\n', r"log.csv must be CSV with one header line"),
        ("log.jsonl", b"", r"log.jsonl must hold records, got an empty file"),
        ("log.jsonl", b'{"query": ', r"log.jsonl line 1 must be JSON, got a broken line"),
        ("log.jsonl", b"[1]\n", r"log.jsonl line 1 must be a JSON object, got list"),
        ("log.jsonl", b'{"query": "\xff"}\n', r"log.jsonl line 1 must be UTF-8 text"),
        ("log.jsonl", b'{"query": 5, "model": "m", "score": 1}\n', r"query must be a text, got '5' in .*line 1"),
        ("log.parquet", b"PAR1", r"log.parquet must be Parquet, got"),
        ("log.parquet", b"", r"log.parquet must be Parquet, got"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        import_outcomes(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_character_cut_by_a_read_is_still_utf8_and_a_cut_one_at_the_end_is_not(tmp_path: Path) -> None:
    from llmrouterbench.records import check_text

    (tmp_path / "log.csv").write_bytes(b"x" * ((1 << 20) - 1) + "é\n".encode())
    check_text(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"x" * (1 << 20) + b"\xc3")
    with pytest.raises(ValueError, match=r"got byte 0xc3 at position 1,048,576"):
        check_text(tmp_path / "log.csv")


def test_nested_columns_of_parquet_are_refused(tmp_path: Path) -> None:
    for column, value in (("query", ["q"]), ("score", [1.0])):
        pl.DataFrame([ROWS[0] | {column: value}]).write_parquet(tmp_path / "log.parquet")
        with pytest.raises(ValueError, match=f"{column} must be .*, got a column of List"):
            import_outcomes(tmp_path / "log.parquet", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="files with holes and peak memory are measured the Unix way")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_line_of_one_gigabyte_is_refused_in_flat_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(
            b'query,model,score\n"' if name == "log.csv" else b'{"query": "q", "model": "m", "score": 1}\n{"query": "'
        )
        file.seek(1 << 30, 1)  # a hole: a gigabyte of zeros that takes no disk
        file.write(b'"\n')
    code = (
        "import sys\n"
        "from llmrouterbench.importers import import_outcomes\n"
        "try: import_outcomes(sys.argv[1], sys.argv[2])\n"
        "except ValueError as error: print(error)\n"
        "status = open('/proc/self/status').read()\n"  # getrusage would show what the parent had when it forked
        "print(int(status.split('VmHWM:')[1].split()[0]) >> 10)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "out"], capture_output=True, text=True, check=True, timeout=120
    )
    message, peak = run.stdout.splitlines()
    assert (
        message
        == f"a line must be at most 64 MiB long, got more in {path} line 2; put every record on a line of its own"
    )
    assert int(peak) < 600, "megabytes"


CELLS = st.dictionaries(
    st.tuples(st.text(min_size=1, max_size=4), st.sampled_from(["m", "n", "Ö"])),
    st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.one_of(st.none(), st.floats(1e-9, 1e9))),
    min_size=1,
    max_size=12,
)


@given(CELLS, st.sampled_from([".csv", ".jsonl", ".parquet"]))
@settings(max_examples=60, deadline=None)
def test_every_number_of_a_random_log_arrives(
    tmp_path_factory: pytest.TempPathFactory, cells: Any, suffix: str
) -> None:
    cells = {key: value for key, value in cells.items() if key[0].strip()}
    if not cells:
        return
    rows = [{"query": q, "model": m, "score": s, "cost": c} for (q, m), (s, c) in cells.items()]
    path = tmp_path_factory.mktemp("log") / f"log{suffix}"
    if suffix == ".csv":
        pl.DataFrame(
            rows, schema={"query": pl.String, "model": pl.String, "score": pl.Float64, "cost": pl.Float64}
        ).write_csv(path, quote_style="always")
    else:
        write(path, rows)
    outcomes = read_source(path, "long_table", Options()).outcomes
    row = {text: i for i, text in enumerate(outcomes.queries.text)}
    for (query, model), (score, cost) in cells.items():
        at = row[query], outcomes.models.index(model)
        assert outcomes.score[at] == score if score is not None else np.isnan(outcomes.score[at])
        assert outcomes.cost[at] == cost if cost is not None else np.isnan(outcomes.cost[at])
    assert len(row) == len({query for query, _ in cells})


@given(st.binary(max_size=200), st.sampled_from([".csv", ".jsonl"]), st.integers(0, 100))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, keep: int
) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"log{suffix}"
    start = b"query,model,score\nq,m,1\n" if suffix == ".csv" else b'{"query":"q","model":"m","score":1}\n'
    path.write_bytes(start[:keep] + data)
    try:
        imported = read_source(path, "long_table", Options())
    except ValueError as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(imported.outcomes)


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
@example(597, 55, False)  # polars 2.1 aborts on these two
@example(199, 93, False)
@settings(max_examples=20, deadline=None)
def test_mutated_parquet_is_a_table_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, where: int, byte: int, cut: bool
) -> None:
    path = write(tmp_path_factory.mktemp("parquet") / "log.parquet", ROWS)
    data = bytearray(path.read_bytes())
    data[where % len(data)] = byte
    path.write_bytes(data[: where % len(data)] if cut else data)
    try:
        imported = read_source(path, "long_table", Options())
    except (ValueError, OSError) as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(imported.outcomes)
