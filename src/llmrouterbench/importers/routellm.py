"""RouteLLM's evaluation files: whether each of two models answered MMLU and GSM8K questions correctly.

Source: RouteLLM (Ong et al. 2024, arXiv 2406.18665), `evals`. Costs and tokens are not in the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._cells import note_missing_cells, note_repeated_prompts
from llmrouterbench.records import Place, parse_numbers, read_csv
from llmrouterbench.store import write_replies
from llmrouterbench.table import FloatArray, Outcomes

_REPLY = "_response"


def read_routellm(path: Path, options: Options) -> Imported:
    """Read the MMLU and GSM8K files of a folder. Raises ValueError with the file and record of a wrong value."""
    paths = sorted((path / "mmlu" / "responses").glob("*.csv")) + sorted((path / "gsm8k").glob("*_responses.csv"))
    if not paths:
        raise ValueError(f"{path} must hold mmlu/responses/*.csv or gsm8k/gsm8k_responses.csv, got neither")
    tables = []
    for number, file in enumerate(paths, 1):
        tables.append(_read(file))
        options.tell("reading", number, len(paths))
    table, findings = pl.concat(tables, how="diagonal"), Findings()
    models = _models(table.columns)
    score = np.asarray(table.select(pl.col(models).fill_null(float("nan"))).to_numpy(), dtype=np.float64)
    dataset: list[str] = table["dataset"].to_list()
    note_missing_cells(np.isfinite(score), np.array(dataset, dtype=np.str_), models, findings)
    outcomes = Outcomes.of(table["prompt"].to_list(), models, score, dataset=dataset, id=table["id"].to_list())
    note_repeated_prompts(outcomes, findings)
    _keep_replies(table, models, options)
    others = sorted(
        file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and file not in paths
    )
    facts = {"files": len(paths), "files_not_read": others}
    return Imported(outcomes, findings, {"files": len(paths), "records": table.height}, facts)


def _read(path: Path) -> pl.DataFrame:
    """One file with the columns dataset, id, prompt, a score per model, a reply per model where there is one."""
    table = read_csv(path)
    models = _models(table.columns)
    if "prompt" not in table.columns or not models:
        raise ValueError(f"{path} must have a column prompt and a True/False column per model, got {table.columns}")
    place = Place(path, "record", pl.arange(1, table.height + 1, eager=True))
    empty = table["prompt"].is_null()
    if empty.any():
        raise ValueError(f"prompt must not be empty, got nothing in {place.of(int(empty.arg_max() or 0))}; add it")
    scores = [pl.Series(model, _scores(table[model], place), nan_to_null=True) for model in models]
    replies = [table[model + _REPLY] for model in models if model + _REPLY in table.columns]
    name = path.stem.removesuffix("_responses")
    dataset = "mmlu" if path.parent.name == "responses" else name
    part = f"{dataset}/{name.removeprefix('mmlu_')}" if dataset == "mmlu" else dataset
    ids = pl.Series("id", [f"{part}/{record}" for record in range(1, table.height + 1)])
    return pl.DataFrame([pl.Series("dataset", [dataset] * table.height), ids, table["prompt"], *scores, *replies])


def _models(columns: Sequence[str]) -> list[str]:
    return sorted(name for name in columns if name not in ("dataset", "id", "prompt") and not name.endswith(_REPLY))


def _scores(column: pl.Series, place: Place) -> FloatArray:
    scores = parse_numbers(column, "True or False", place)
    wrong = (scores != 0) & (scores != 1) & ~np.isnan(scores)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(f"{column.name} must be True or False, got {scores[first]:g} in {place.of(first)}; correct it")
    return scores


def _keep_replies(table: pl.DataFrame, models: Sequence[str], options: Options) -> None:
    for part, model in enumerate(models):
        if options.replies is not None and model + _REPLY in table.columns:
            write_replies(options.replies, part, np.arange(table.height), model, table[model + _REPLY])
