"""Exporters: our split in the files that each official implementation reads, one file per method family.

Authors' code runs on our data with no glue; the picks it makes come back through `outside.judge_choices`. A table of
ours, queries.csv, says which item of the written files each query is; export.json says what was written and where 0.0
stands in for what was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from llmrouterbench.exporters._items import Embed, Exported, Job
from llmrouterbench.files import new_folder, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.splits import Split
from llmrouterbench.table import FloatArray, Outcomes

FORMAT = "llmrouterbench/export"
SCHEMA = 1
DEFAULT_PAIR = ("gpt-5", "qwen3-235b-a22b-2507")
"""Strong and weak model of the binary routers (arXiv 2601.07206, section B.3)."""


@dataclass(frozen=True)
class Method:
    """A method's exporter as "module:function", and whether it needs query embeddings or a pair of models.

    reads   the format under which `import` reads the files; "" where they hold less than outcomes
    """

    target: str
    embedding: bool = False
    pair: bool = False
    reads: str = ""


METHODS = {
    "avengers": Method("avengers:export_avengers"),
    "avengers_pro": Method("avengers:export_avengers"),
    "frugalgpt": Method("avengers:export_frugalgpt"),
    "embedllm": Method("embedllm:export_embedllm", embedding=True, reads="embedllm"),
    "routerdc": Method("routerdc:export_routerdc", embedding=True),
    "graphrouter": Method("graphrouter:export_graphrouter", embedding=True),
    "model_sat": Method("model_sat:export_model_sat"),
    "hybridllm": Method("hybridllm:export_hybridllm", pair=True, reads="wide_rows"),
    "routellm": Method("routellm:export_routellm", embedding=True, pair=True),
}
"""Method name -> its exporter."""


def export_inputs(
    outcomes: Outcomes,
    split: Split,
    method: str,
    to: str | Path,
    *,
    seed: int,
    embedding: FloatArray | None = None,
    embed: Embed | None = None,
    pair: tuple[str, str] | None = None,
    models: Sequence[str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the input files of an official implementation into the new folder `to`; returns what export.json says.

    seed       of the split: in folder names and of RouterDC's clusters
    embedding  (n, d) of all queries, where `METHODS` says that the method needs them
    embed      texts to vectors (n, d): GraphRouter embeds descriptions too
    pair       strong and weak model of hybridllm and routellm; `DEFAULT_PAIR` where the outcomes have it
    models     models to export instead of all, for the methods without a pair

    A copy of a prompt joins its first as in the official adaptors. What was not measured becomes 0.0 in files that have
    no place for "missing", and is counted in export.json.

    Raises ValueError for an unknown method or model, a missing embedding, or a split that parts copies of a prompt;
    FileExistsError where `to` is taken; ImportError where a library is missing.
    """
    to, entry = Path(to), check_method(method)
    _check_options(method, entry, pair, models)
    chosen = _pair(outcomes, pair) if entry.pair else ("", "")
    kept = _known_models(chosen if entry.pair else outcomes.models if models is None else models, outcomes)
    _check_split(outcomes, split)
    _check_target(to, overwrite)
    with new_folder(to, overwrite) as folder:
        selected = outcomes.select(sorted(set(kept)))
        job = Job(method, selected, outcomes.content_hash, split, folder, seed, embedding, embed, chosen)
        done = _exporter(entry)(job)
        _write_queries(job, done)
        facts = _facts(job, done)
        write_json(folder / "export.json", facts)
    return facts


def _exporter(entry: Method) -> Callable[[Job], Exported]:
    module, function = entry.target.split(":")
    return cast(Callable[[Job], Exported], getattr(import_module(f"{__name__}.{module}"), function))


def _check_options(method: str, entry: Method, pair: tuple[str, str] | None, models: Sequence[str] | None) -> None:
    if pair is not None and not entry.pair:
        raise ValueError(f"an export for {method!r} takes no pair, got {pair}; give `models` to choose among all")
    if models is not None and entry.pair:
        raise ValueError(f"an export for {method!r} takes a pair, got `models`; give the two as `pair`")
    if models is not None and not models:
        raise ValueError("models must name at least one model, got none; leave it out to export all")


def check_method(method: str) -> Method:
    """The exporter of a method. Raises ValueError for an unknown name.

    >>> check_method("graphroutr")
    Traceback (most recent call last):
        ...
    ValueError: no export for a method named 'graphroutr'; did you mean 'graphrouter'?
    """
    if method not in METHODS:
        raise ValueError(f"no export for a method named {method!r}{did_you_mean(method, METHODS)}")
    return METHODS[method]


def _known_models(names: Sequence[str], outcomes: Outcomes) -> Sequence[str]:
    """The names, if all are models of the outcomes."""
    for name in names:
        if name not in outcomes.models:
            raise ValueError(f"no model named {name!r} in these outcomes{did_you_mean(name, outcomes.models)}")
    return names


def _pair(outcomes: Outcomes, pair: tuple[str, str] | None) -> tuple[str, str]:
    """Strong and weak model."""
    if pair is None and not set(DEFAULT_PAIR) <= set(outcomes.models):
        raise ValueError(
            f"a binary router needs a pair (strong, weak), and the default {' and '.join(DEFAULT_PAIR)} is not in these"
            f" outcomes; choose two of {', '.join(outcomes.models)}"
        )
    strong, weak = DEFAULT_PAIR if pair is None else pair
    if strong == weak:
        raise ValueError(f"a pair must be two different models, got {strong!r} twice; choose another")
    return strong, weak


def _check_split(outcomes: Outcomes, split: Split) -> None:
    """The official formats have one item a prompt, which is in one part."""
    torn = split.test[np.isin(outcomes.group[split.test], outcomes.group[split.train])]
    if len(torn):
        raise ValueError(
            f"copies of a prompt must be on one side of the split, got {len(torn)} test queries with a copy in train"
            f" (first: {str(outcomes.queries.id[torn[0]])!r}); make the split with `llmrouterbench split`"
        )


def _check_target(to: Path, overwrite: bool) -> None:
    if overwrite and to.is_dir() and any(to.iterdir()) and not (to / "export.json").is_file():
        raise FileExistsError(f"{to} must be an export to be overwritten, got a folder of other files; choose another")


def _write_queries(job: Job, done: Exported) -> None:
    """Which item of the files each query of the split is: the way back from an outside router's picks to our queries.

    A query that was not exported has no item.
    """
    rows = job.rows
    part = np.repeat(["train", "test"], [len(job.split.train), len(job.split.test)])
    number = done.number[rows]
    columns = {
        "query": job.outcomes.queries.id[rows].tolist(),
        "part": part.tolist(),
        "dataset": job.datasets(rows),
        "item": [i if i >= 0 else None for i in number.tolist()],
    }
    frame = pl.DataFrame(
        columns, schema={"query": pl.String, "part": pl.String, "dataset": pl.String, "item": pl.Int64}
    )
    frame.write_csv(job.folder / "queries.csv")


def _facts(job: Job, done: Exported) -> dict[str, Any]:
    outcomes = job.outcomes
    files = sorted(path.relative_to(job.folder).as_posix() for path in job.folder.rglob("*") if path.is_file())
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "method": job.method,
        "simulated": outcomes.simulated,
        "data_hash": job.data_hash,
        "split": {"hash": job.split.hash, "settings": job.split.settings},
        "seed": job.seed,
        "models": job.models,
        "pair": list(job.pair) if METHODS[job.method].pair else None,
        "queries": {"train": len(job.split.train), "test": len(job.split.test)},
        "items": done.items,
        "item": done.numbered,
        "stand_ins": {plane: {"cells": missing, "of": of} for plane, (missing, of) in done.stand_ins.items()},
        "notes": list(_notes(job, done)),
        **done.facts,
        "files": files,
    }


def _notes(job: Job, done: Exported) -> list[str]:
    """What a user of the files must know, in sentences."""
    notes = ["SIMULATED: no real model produced these numbers."] if job.outcomes.simulated else []
    for plane, (missing, of) in done.stand_ins.items():
        if missing:
            notes.append(
                f"{missing} of {of} values of {plane} were not measured: 0 stands in, as in the official adaptor, and"
                " the outside router cannot tell it from a measured 0."
            )
    left_out = int((done.number[job.rows] < 0).sum())
    if left_out:
        notes.append(f"{left_out} of {len(job.rows)} queries are not in the files; queries.csv has no item for them.")
    return notes
