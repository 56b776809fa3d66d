"""What evaluation tools, benchmarks and gateways write: each file is read right, or refused with one right sentence.

Those that are refused are in `importers/_no_outcomes.py`.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from llmrouterbench import Outcomes
from llmrouterbench.importers import detect_format, import_outcomes

SHARED = Path(__file__).parents[2] / "shared" / "data" / "formats"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/formats")

READ: dict[str, tuple[str, str, tuple[int, int], list[float]]] = {
    "lm-eval": ("lm_eval", "strict-match,acc", (6, 2), [1 / 6, 1 / 6]),
    "inspect": ("inspect", "", (4, 2), [0.75, 0.5]),
    "helm": ("helm", "", (5, 2), [1, 1]),
    "lighteval": ("lighteval", "", (5, 1), [1]),
    "open-llm-leaderboard-v1": ("lighteval", "acc_norm", (5, 1), [1]),
    "opencompass": ("opencompass", "", (5, 2), [1, 1]),
    "openai-evals": ("openai_evals", "", (5, 1), [1]),
    "promptfoo/results.json": ("promptfoo", "", (5, 2), [1, 1]),
    "braintrust": ("experiments", "", (5, 1), [1]),
    "langsmith": ("experiments", "", (5, 1), [1]),
    "langfuse": ("experiments", "", (5, 1), [1]),
    "deepeval": ("experiments", "", (5, 1), [0.9]),
    "weave": ("experiments", "", (5, 1), [1]),
    "routerarena": ("routerarena", "", (12, 2), [2 / 3, 2 / 3]),
    "embedllm": ("embedllm", "", (5, 3), [0.4, 0.6, 0.8]),
    "fusionbench/router_data_with_judge.csv": ("fusionbench", "", (5, 4), [0.6044, 0.723, 0.736, 0.5222]),
    "llmrouter": ("llmrouter_rows", "", (5, 2), [0, 1]),
    "vllm-sr/benchmark_training_data.jsonl": ("llmrouter_rows", "", (5, 2), [1, 1]),
    "routereval": ("routereval", "", (5, 3), [0.8, 0.8, 0.8]),
    "helicone": ("traffic", "", (5, 1), [1]),
    "vllm-sr/replay.jsonl": ("traffic", "", (5, 2), [1, 1]),
    "vllm-sr/router_replay.json": ("traffic", "", (5, 2), [1, 1]),
    "sprout": ("wide_rows", "", (5, 2), [0.294, 0.448]),
    "mixinstruct": ("wide_rows", "bertscore", (5, 2), [0.6878, 0.7758]),
    "routerbench/0shot.parquet": ("routerbench", "", (5, 2), [0.8, 0.4]),
    "routerbench/0shot_to_csv_default.csv": ("routerbench", "", (5, 2), [0.8, 0.4]),
    "routerbench/0shot_to_csv_noindex.csv": ("routerbench", "", (5, 2), [0.8, 0.4]),
    "routerbench/raw_to_csv.csv": ("routerbench", "", (5, 2), [0.8, 0.4]),
}
"""File or folder -> its format, the score that counts, queries and models, mean score of each model."""
REFUSED = {
    "lm-eval": "cannot tell which score counts",
    "mixinstruct": "name the one that counts (--filter 'logprobs')",
    "litellm": "must hold scores of some requests, got none in 15; add a column score",
    "openrouter": "has neither texts nor scores",
    "arena": "says which of two replies won",
    "arena/140k.parquet": "says which of two replies won",
    "arena/battles.jsonl": "says which of two replies won",
    "arena/gpt-4_single.jsonl": "MT-bench's judgments",
    "rewardbench": "reward models",
    "rewardbench/filtered.jsonl": "says which of two replies won",
    "mlflow": "does not say which model answered",
    "promptfoo/results.csv": "write the results with -o results.json",
    "routerarena/predictions_my-router.json": "what a router chose, one model a query",
    "fusionbench/query_level.json": "scaled per task; import its CSV",
    "routereval/tmp_perf.npz": "arrays of numpy, which have no names of models",
}
"""File or folder -> a part of the sentence that refuses it."""


def imported(source: Path, to: Path, **options: Any) -> Outcomes:
    import_outcomes(source, to, **options)
    return Outcomes.load(to)


@real
@pytest.mark.parametrize("name", READ)
def test_a_file_of_a_tool_is_read(name: str, tmp_path: Path) -> None:
    kind, chosen, shape, means = READ[name]
    assert detect_format(SHARED / name) == kind
    outcomes = imported(SHARED / name, tmp_path / "o", filter=chosen)
    assert outcomes.score.shape == shape
    np.testing.assert_allclose(np.nanmean(outcomes.score, axis=0), means, atol=5e-5)
    assert all(text.strip() for text in outcomes.queries.text)


@real
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_outcomes_is_refused_with_its_remedy(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        import_outcomes(SHARED / name, tmp_path / "o")
    assert REFUSED[name] in str(refused.value)
    assert "\n" not in str(refused.value)


@real
def test_every_tool_is_read_or_refused() -> None:
    parts = {file.relative_to(SHARED).parts[0] for file in SHARED.rglob("*") if file.parent != SHARED}
    assert parts == {name.partition("/")[0] for name in (*READ, *REFUSED)}


@real
def test_the_means_of_lm_eval_are_its_own(tmp_path: Path) -> None:
    outcomes = imported(SHARED / "lm-eval", tmp_path / "o", filter="strict-match,acc_norm")
    for folder in (SHARED / "lm-eval").iterdir():
        results = json.loads(next(folder.glob("results_*.json")).read_text())
        column = outcomes.models.index(results["model_name"])
        for task, metric in (("toy_gen", "exact_match,strict-match"), ("toy_mc", "acc_norm,none")):
            own = outcomes.score[np.asarray(outcomes.dataset) == task, column].mean()
            assert own == pytest.approx(results["results"][task][metric])


def _embedllm(row: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    yield row["prompt_id"], row["model_name"], float(row["label"])


def _routerbench(row: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    for column in row:
        if f"{column}|total_cost" in row:
            yield row["sample_id"], column, float(row[column] or "nan")


def _raw(row: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    yield row["sample_id"], row["model_name"], float(row["performance"])


def _routerarena(row: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    yield row["global_index"], row["llm_selected"], float(row["evaluation_result"]["score"])


@real
@pytest.mark.parametrize(
    ("name", "files", "cells"),
    [
        ("embedllm", "train.csv", _embedllm),
        ("routerbench/0shot_to_csv_default.csv", "", _routerbench),
        ("routerbench/raw_to_csv.csv", "", _raw),
        ("routerarena", "*.jsonl", _routerarena),
        ("../routerbench", "*.csv", _routerbench),
    ],
)
def test_accuracies_are_those_of_a_plain_count(name: str, files: str, cells: Any, tmp_path: Path) -> None:
    """On the queries that every model answered; of rows with one id, the fullest counts."""
    known: dict[str, dict[str, float]] = {}
    for file in sorted((SHARED / name).rglob(files)) if files else [SHARED / name]:
        with file.open(newline="", encoding="utf-8") as lines:
            csv.field_size_limit(1 << 30)
            rows: Iterator[Any] = csv.DictReader(lines) if file.suffix == ".csv" else map(json.loads, lines)
            for row in rows:
                found = {model: score for _, model, score in cells(row) if score == score}
                name_of = next(cells(row))[0]
                mine = known.get(name_of, {})
                if cells is not _routerbench:
                    known[name_of] = mine | found
                elif len(found) > len(mine):
                    known[name_of] = found
    models = sorted({model for scores in known.values() for model in scores})
    complete = [scores for scores in known.values() if len(scores) == len(models)]
    outcomes = imported(SHARED / name, tmp_path / "o")
    whole = np.isfinite(outcomes.score).all(axis=1)
    assert list(outcomes.models) == models
    assert whole.sum() == len(complete) > 0
    plain = [sum(scores[model] for scores in complete) / len(complete) for model in models]
    np.testing.assert_allclose(outcomes.score[whole].mean(axis=0), plain, rtol=1e-12)


@real
@pytest.mark.parametrize("name", [name for name in READ if "routerbench" not in name])
def test_damaged_files_end_in_one_sentence(name: str, tmp_path: Path) -> None:
    """Keys gone, values of other types, files cut: imported with what is left, or refused; never another error."""
    draw, (_, chosen, _, _) = random.Random(name), READ[name]
    for turn in range(12):
        copy = tmp_path / f"{turn}" / Path(name).name
        (shutil.copytree if (SHARED / name).is_dir() else _copy)(SHARED / name, copy)
        files = [file for file in sorted([copy, *copy.rglob("*")]) if file.is_file()]
        _damage(draw.choice(files), draw)
        refusal = ""
        try:
            import_outcomes(copy, tmp_path / f"o{turn}", filter=chosen)
        except ValueError as refused:
            refusal = str(refused)
        assert "\n" not in refusal


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)


def _damage(file: Path, draw: random.Random) -> None:
    file.chmod(0o644)
    if file.suffix in (".json", ".jsonl") and draw.random() < 0.8:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        at = draw.randrange(len(lines))
        lines[at] = json.dumps(_spoilt(json.loads(lines[at]), draw))
        file.write_text("\n".join(lines))
    else:
        data = file.read_bytes()
        file.write_bytes(data[: draw.randrange(len(data))])


def _spoilt(value: Any, draw: random.Random, depth: int = 0) -> Any:
    """A value with one part gone or of another type, at some depth."""
    junk: Any = draw.choice([None, 7, -1.5, "x", [], {}, [[]], {"x": None}, True])
    if not isinstance(value, dict | list) or not value or draw.random() < 0.12:
        return junk if depth else value
    if isinstance(value, list):
        at = draw.randrange(len(value))
        return [*value[:at], _spoilt(value[at], draw, depth + 1), *value[at + 1 :]]
    key = draw.choice(list(value))
    if draw.random() < 0.3:
        return {name: part for name, part in value.items() if name != key}
    return {**value, key: _spoilt(value[key], draw, depth + 1)}


# --- worked examples of each tool's quirks ---------------------------------------------------------------------------


def write_lines(file: Path, *rows: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def harness_sample(doc: int, value: float, **more: Any) -> dict[str, Any]:
    sample = {
        "doc_id": doc,
        "doc": {"question": f"{doc} + 1?"},
        "target": "x",
        "resps": [["r"]],
        "filtered_resps": ["r"],
    }
    sample |= {"arguments": {"gen_args_0": {"arg_0": f"Q: 0 + 0?\nA: 0\n\nQ: {doc} + 1?\nA:"}}, "filter": "none"}
    return sample | {"metrics": ["acc"], "acc": value, "doc_hash": f"hash{doc}"} | more


def test_lm_eval_joins_models_by_document_and_takes_the_newest_run(tmp_path: Path) -> None:
    for model, shift in (("acme__small", 0), ("acme__large", 1)):  # other limits: another doc_id, the same document
        rows = [harness_sample(doc + 1, float(shift), doc_id=doc) for doc in range(shift, 3)]
        write_lines(tmp_path / "out" / model / "samples_sums_2026-01-02T00-00-00.1.jsonl", *rows)
    write_lines(tmp_path / "out" / "acme__small" / "samples_sums_2026-01-01T00-00-00.1.jsonl", harness_sample(1, 1.0))
    report = import_outcomes(tmp_path / "out", tmp_path / "o")
    outcomes = Outcomes.load(tmp_path / "o")
    assert outcomes.models == ("acme/large", "acme/small")
    assert list(outcomes.queries.text) == ["2 + 1?", "3 + 1?", "1 + 1?"]
    np.testing.assert_array_equal(outcomes.score[:, 1], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(outcomes.score[:, 0], [1.0, 1.0, np.nan])
    assert outcomes.queries.prompt[0].startswith("Q: 0 + 0?")
    assert "older samples of a task that was run again" in [found.kind for found in report.findings]


def test_a_score_that_nobody_has_is_said_with_what_there_is(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "samples_sums_2026-01-02T00-00-00.1.jsonl", harness_sample(1, 1.0))
    with pytest.raises(ValueError, match="has no score named 'acc_nrm'; did you mean 'acc'"):
        import_outcomes(file, tmp_path / "o", filter="acc_nrm")


def test_results_alone_say_how_to_keep_the_samples(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results_2026-01-02T00-00-00.1.json").write_text(json.dumps({"results": {}, "configs": {}}))
    with pytest.raises(ValueError, match="run lm-eval with --log_samples"):
        import_outcomes(tmp_path / "out", tmp_path / "o")


def inspect_log(model: str, *samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"model": model, "task": "mine/sums"}
    return {"version": 2, "status": "success", "eval": about, "plan": {}, "samples": list(samples), **more}


def inspect_sample(name: int, epoch: int, value: Any, **more: Any) -> dict[str, Any]:
    said = {"input": f"{name} + 1?", "choices": None, "target": "2", "output": {"completion": "two"}}
    return {"id": name, "epoch": epoch, **said, "scores": {"match": {"value": value}}, **more}


@pytest.mark.parametrize("packed", [False, True])
def test_inspect_counts_epochs_letters_and_broken_samples(packed: bool, tmp_path: Path) -> None:
    attached = {"input": "attachment://h", "attachments": {"h": "2 + 1?"}}
    samples = [inspect_sample(1, 1, "C"), inspect_sample(1, 2, "I"), inspect_sample(2, 1, "P", **attached),
               inspect_sample(3, 1, "C", error={"message": "gone"}, scores={}), inspect_sample(4, 1, True)]  # fmt: skip
    log, folder = inspect_log("acme/small", *samples), tmp_path / "logs"
    folder.mkdir()
    if packed:
        with zipfile.ZipFile(folder / "x.eval", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", json.dumps({**log, "samples": None}))
            for sample in samples:
                archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    else:
        (folder / "x.json").write_text(json.dumps(log))
    outcomes = imported(folder, tmp_path / "o")
    assert list(outcomes.queries.text) == ["1 + 1?", "2 + 1?", "3 + 1?", "4 + 1?"]
    np.testing.assert_array_equal(outcomes.score[:, 0], [0.5, 0.5, np.nan, 1.0])
    assert set(outcomes.dataset) == {"sums"}


def test_a_log_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", " " * (257 << 20))
    with pytest.raises(ValueError, match="at most 256 MiB, got 257"):
        import_outcomes(tmp_path / "x.eval", tmp_path / "o")


def test_promptfoo_masks_failed_calls_and_costs_of_the_cache(tmp_path: Path) -> None:
    def result(test: int, provider: str, **more: Any) -> dict[str, Any]:
        said = {"testIdx": test, "promptIdx": 0, "provider": {"id": provider}, "prompt": {"raw": f"{test}?"}}
        return said | {"response": {"output": "x", "cached": False}, "score": 1, "cost": 0.5, "failureReason": 0} | more

    results = [result(0, "a"), result(0, "b", failureReason=2, score=0, cost=0), result(1, "a", score=0),
               result(1, "b", response={"output": "x", "cached": True}, cost=0), result(1, "b", score=0)]  # fmt: skip
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": results}, "config": {}}))
    outcomes = imported(file, tmp_path / "o")
    np.testing.assert_array_equal(outcomes.score, [[1.0, np.nan], [0.0, 0.5]])
    np.testing.assert_array_equal(outcomes.cost, [[0.5, np.nan], [0.5, 0.5]])


def test_helm_leaves_out_perturbed_copies_and_asks_which_statistic(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "v1" / "sums:model=acme_small"
    run.mkdir(parents=True)
    state = [{"instance": {"input": {"text": "1 + 1?"}, "id": "id0"}, "train_trial_index": 0}]
    stat = {"name": {"name": "exact_match", "split": "test"}, "mean": 1.0}
    other, count = ({"name": {"name": name}, "mean": 0.5} for name in ("f1_score", "num_output_tokens"))
    rows = [{"instance_id": "id0", "train_trial_index": 0, "stats": [stat, other, count]},
            {"instance_id": "id0", "train_trial_index": 0, "perturbation": {"name": "typo"}, "stats": []}]  # fmt: skip
    for name, said in (("run_spec", {"name": run.name, "adapter_spec": {"model": "acme/small"}}),
                       ("scenario_state", {"request_states": state}), ("per_instance_stats", rows)):  # fmt: skip
        (run / f"{name}.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match="has several in run sums: 'exact_match', 'f1_score'"):
        import_outcomes(tmp_path / "runs", tmp_path / "o")
    report = import_outcomes(tmp_path / "runs", tmp_path / "o", filter="f1_score")
    outcomes = Outcomes.load(tmp_path / "o")
    assert (outcomes.score[0, 0], outcomes.tokens_out[0, 0]) == (0.5, 0.5)
    assert "perturbed copy of an instance" in [found.kind for found in report.findings]


def test_opencompass_numbers_the_parts_of_its_predictions_on(tmp_path: Path) -> None:
    work = tmp_path / "work" / "20260101_000000"
    last = [{"role": "HUMAN", "prompt": "2?"}]
    details = {str(n): {"correct": n != 1, "predictions": "x"} for n in range(3)}
    for place, said in (("results/small/sums", {"accuracy": 66.7, "details": details}),
                        ("results/small/bare", {"accuracy": 50.0}),
                        ("predictions/small/sums_0", {"0": {"origin_prompt": "0?"}, "1": {"origin_prompt": "1?"}}),
                        ("predictions/small/sums_1", {"0": {"origin_prompt": last}})):  # fmt: skip
        (work / place).parent.mkdir(parents=True, exist_ok=True)
        (work / f"{place}.json").write_text(json.dumps(said))
    report = import_outcomes(tmp_path / "work", tmp_path / "o")
    outcomes = Outcomes.load(tmp_path / "o")
    assert list(zip(outcomes.queries.text, outcomes.score[:, 0], strict=True)) == [("0?", 1), ("1?", 0), ("2?", 1)]
    assert [found.kind for found in report.findings] == ["results without details (run it with --dump-eval-details)"]


def test_openai_evals_asks_the_first_sampling_and_masks_errors(tmp_path: Path) -> None:
    def event(sample: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"sample_id": sample, "type": kind, "data": data}

    file = write_lines(
        tmp_path / "run.jsonl",
        {"spec": {"completion_fns": ["small"], "base_eval": "sums", "eval_name": "sums.dev"}},
        event("a", "sampling", {"prompt": "1 + 1?", "sampled": ["2"]}),
        event("a", "sampling", {"prompt": "Is 2 right?", "sampled": ["Yes"]}),
        event("a", "metrics", {"choice": "Yes", "score": 1.0}),
        event("b", "sampling", {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "2 + 1?"}]}),
        event("b", "error", {"message": "x"}),
    )
    outcomes = imported(file, tmp_path / "o")
    assert list(outcomes.queries.text) == ["1 + 1?", "2 + 1?"]
    np.testing.assert_array_equal(outcomes.score[:, 0], [1.0, np.nan])


def test_fusionbench_costs_a_millionth_and_thinks_about_the_same_query(tmp_path: Path) -> None:
    columns = ("task_name", "query", "ground_truth", "llm", "input_price", "performance", "cost", "response")
    rows = [("code", "Add.", "f", "small", 1, "{'pass@1': 1.0}", 2.5, "x"),
            ("code", "Add. Think first.", "f", "small_think", 1, "0.5", 5, "y"),
            ("code", "Add.", "f", "large", 1, "1", 9, None)]  # fmt: skip
    pl.DataFrame([tuple(map(str, row[:-1])) + row[-1:] for row in rows], schema=dict.fromkeys(columns, pl.String),
                 orient="row").write_csv(tmp_path / "f.csv")  # fmt: skip
    outcomes = imported(tmp_path / "f.csv", tmp_path / "o")
    assert (list(outcomes.queries.text), outcomes.models) == (["Add."], ("large", "small", "small_think"))
    np.testing.assert_array_equal(outcomes.score, [[np.nan, 1.0, 0.5]])
    np.testing.assert_allclose(outcomes.cost[0, 1:], [2.5e-6, 5e-6])


def test_a_fusionbench_table_without_replies_has_no_failed_calls(tmp_path: Path) -> None:
    head = "task_name,query,ground_truth,llm,input_price,performance,cost"
    (tmp_path / "f.csv").write_text(f"{head}\ncode,Add.,f,small,1,1.0,2\ncode,Add.,f,large,1,0.0,3\n")
    outcomes = imported(tmp_path / "f.csv", tmp_path / "o")
    np.testing.assert_array_equal(outcomes.score, [[0.0, 1.0]])


def test_rows_of_llmrouter_say_seconds_and_those_of_vllm_milliseconds(tmp_path: Path) -> None:
    row = {"query": "1?", "model_name": "m", "performance": 1.0, "response_time": 900.0}
    seconds = write_lines(tmp_path / "a.jsonl", {**row, "task_name": "t"})
    milliseconds = write_lines(tmp_path / "b.jsonl", {**row, "category": "t"})
    assert imported(seconds, tmp_path / "s").seconds[0, 0] == 900.0
    assert imported(milliseconds, tmp_path / "m").seconds[0, 0] == 0.9


def test_a_trace_of_several_models_is_of_none(tmp_path: Path) -> None:
    calls = [{"type": "GENERATION", "model": name} for name in ("a", "b")]
    row = {"input": "1?", "output": "x", "scores": [{"name": "s", "value": 1}], "observations": calls}
    with pytest.raises(ValueError, match="model must not be empty"):
        import_outcomes(write_lines(tmp_path / "t.jsonl", row), tmp_path / "o")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1?", "1?"),
        ([{"role": "system", "content": "s"}, {"role": "user", "content": "1?"}], "1?"),
        ([{"role": "user", "content": [{"type": "text", "text": "1?"}]}], "1?"),
        ({"question": "1?", "id": "x"}, "1?"),
        ({"messages": [{"role": "user", "content": "1?"}]}, "1?"),
        ({"only": "1?"}, "1?"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_text_of_an_input(value: Any, text: str) -> None:
    from llmrouterbench.importers._messages import asked

    assert asked(value) == text
