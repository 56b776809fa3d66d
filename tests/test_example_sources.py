"""examples/sources.md: for each of the ten most common sources, three lines that take it to a leaderboard, run here."""

from __future__ import annotations

import csv
import json
import pickle
import random
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import llmrouterbench.cli  # noqa: F401  (its commands join the app)
from llmrouterbench import Outcomes
from llmrouterbench.commands.app import app
from llmrouterbench.sandbox.run import open_sandbox

PAGE = Path(__file__).resolve().parents[1] / "examples" / "sources.md"
BLOCKS = re.findall(r"^## (.+?)$.*?^```sh\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
MODELS = ("ant", "bee")


def cells() -> Iterator[tuple[int, str, str, int]]:
    """Number and text of a query, model, score."""
    drawn = random.Random(0)
    for number in range(60):
        kind = "adding numbers" if number % 2 else "naming capitals"
        for at, model in enumerate(MODELS):
            yield number, f"Question {number} of {kind}?", model, int(drawn.random() < 0.4 + 0.4 * (number % 2 == at))


def table(path: Path, names: tuple[str, str, str], worst: int = 0, times: int = 1) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(names)
        out.writerows((text, model, worst + times * score) for _, text, model, score in cells())


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def lm_eval(path: Path) -> None:
    for model in MODELS:
        rows = [
            {"doc_id": n, "doc": {"question": text}, "resps": [["x"]], "filtered_resps": ["x"], "filter": kept,
             "metrics": ["exact_match"], "doc_hash": f"hash{n}", "exact_match": float(score and kept == "strict-match")}
            for n, text, of, score in cells() if of == model for kept in ("strict-match", "flexible")
        ]  # fmt: skip
        time = "2026-01-01T00-00-00.000000"
        lines(path / f"org__{model}" / f"samples_toy_{time}.jsonl", rows)
        about = {"model_name": model, "results": {}, "configs": {}}
        (path / f"org__{model}" / f"results_{time}.json").write_text(json.dumps(about))


def promptfoo(path: Path) -> None:
    results = [
        {"promptIdx": 0, "testIdx": n, "provider": {"id": model}, "prompt": {"raw": text}, "score": score,
         "response": {"output": "x", "tokenUsage": {"prompt": 9, "completion": 1}}, "failureReason": 1 - score,
         "latencyMs": 900, "cost": 0.001}
        for n, text, model, score in cells()
    ]  # fmt: skip
    path.write_text(json.dumps({"evalId": "eval", "results": {"version": 3, "results": results}, "config": {}}))


def openai_evals(path: Path) -> None:
    for model in MODELS:
        rows: list[dict[str, Any]] = [{"spec": {"completion_fns": [model], "base_eval": "toy", "run_id": "r"}}]
        for n, text, of, score in cells():
            sample = {"run_id": "r", "sample_id": f"toy.dev.{n}"}
            asked = {"prompt": [{"role": "user", "content": text}], "sampled": ["x"]}
            said = [("sampling", asked), ("match", {"correct": bool(score)})]
            rows += [{**sample, "type": kind, "data": data} for kind, data in said if of == model]
        lines(path / f"{model}.jsonl", rows)


def routerbench(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    try:
        open_sandbox()
    except OSError as none:
        pytest.skip(str(none))
    rows: dict[int, dict[str, Any]] = {}
    for n, text, model, score in cells():
        row = rows.setdefault(n, {"sample_id": f"toy.{n}", "prompt": f"[{text!r}]", "eval_name": "toy"})
        row |= {model: float(score), f"{model}|model_response": "['x']", f"{model}|total_cost": 0.001}
    frame = pandas.DataFrame(list(rows.values()))
    path.write_bytes(pickle.dumps(frame.astype(dict.fromkeys(frame.select_dtypes(exclude="number"), object)), 4))


def embedllm(path: Path) -> None:
    path.mkdir()
    rows = [{"prompt_id": n, "model_id": MODELS.index(model), "category_id": 0, "label": score, "model_name": model,
             "category": "toy", "prompt": text} for n, text, model, score in cells()]  # fmt: skip
    pl.DataFrame(rows).write_csv(path / "train.csv")


def routerarena(path: Path) -> None:
    for model in MODELS:
        lines(path / f"{model}.jsonl", [
            {"global_index": f"Toy_{n}", "question": text, "llm_selected": model, "generated_answer": "x",
             "token_usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}, "success": True,
             "evaluation_result": {"score": float(score), "metric": "toy", "inference_cost": 0.001}}
            for n, text, of, score in cells() if of == model
        ])  # fmt: skip


def llmrouter(path: Path) -> None:
    lines(path, [
        {"task_name": "toy", "query": text, "ground_truth": "x", "metric": "em", "model_name": model, "response": "x",
         "input_tokens": 9, "output_tokens": 1, "response_time": 1.5, "performance": float(score), "embedding_id": n}
        for n, text, model, score in cells()
    ])  # fmt: skip


def sprout(path: Path) -> None:
    rows: dict[int, dict[str, Any]] = {}
    for n, text, model, score in cells():
        cell = {"score": float(score), "num_input_tokens": 9, "num_output_tokens": 1, "response": "x"}
        rows.setdefault(n, {"key": str(n), "dataset": "toy", "prompt": text})[model] = cell
    pl.DataFrame(list(rows.values())).write_parquet(path)


MADE: dict[str, Callable[[Path], None]] = {
    "log.csv": lambda path: table(path, ("query", "model", "score")),
    "ratings.csv": lambda path: table(path, ("ticket", "model", "rating"), 1, 4),
    "lm-eval-output": lm_eval,
    "results.json": promptfoo,
    "evals-logs": openai_evals,
    "routerbench_0shot.pkl": routerbench,
    "embedllm": embedllm,
    "cached_results": routerarena,
    "default_routing_train_data.jsonl": llmrouter,
    "sprout.parquet": sprout,
}


def test_there_are_ten() -> None:
    assert [shlex.split(block)[2] for _, block in BLOCKS] == list(MADE)


@pytest.mark.prove
@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[title for title, _ in BLOCKS])
def test_three_lines_take_a_source_to_a_leaderboard(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMROUTERBENCH_CACHE", str(tmp_path / "cache"))
    commands = [shlex.split(line) for line in block.splitlines()]
    source = commands[0][2]
    MADE[source](tmp_path / source)
    here = [word for words in commands for word in words if word == source or word.startswith(("data/", "runs/"))]
    for words in commands:
        said = CliRunner().invoke(app, [str(tmp_path / word) if word in here else word for word in words[1:]])
        assert said.exit_code == 0, said.output
    ranked = pl.read_csv(tmp_path / commands[-1][4] / "report" / "leaderboard.csv")
    assert "knn" in ranked["name"].to_list()
    outcomes = Outcomes.load(tmp_path / commands[1][2])
    assert outcomes.models == MODELS
    of = {(text, model): score for _, text, model, score in cells()}
    expected = [[of[text, model] for model in MODELS] for text in outcomes.queries.text]
    assert outcomes.score.tolist() == expected
