"""Outcomes as a long table for anybody's tools, a row per measured query and model, which imports as what it was.

CSV, JSON Lines or Parquet; or a folder that is a dataset of the Hugging Face hub, with its card.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.files import new_folder, say_disk_full, write_parquet
from llmrouterbench.table import LOG_PLANES, Outcomes, duplicate_groups

FILES = (".csv", ".jsonl", ".parquet")
MARK = "lrb_index"
"""The column that says that this module wrote a table: its ids name queries, and 0 is a measured 0."""
OF_QUERY, OF_MODEL, SIMULATED = (
    (MARK, "lrb_subset", "lrb_group", "lrb_cluster"),
    ("lrb_order", "lrb_outside"),
    "lrb_simulated",
)
"""Columns that are written for no reader but our own."""


def export_table(outcomes: Outcomes, to: str | Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write outcomes as the long table `to`: a .csv, .jsonl or .parquet file, or a folder (a name without an ending).

    What was not measured is empty. `import` of what was written gives the same content hash; replies and vectors stay
    behind. Returns the numbers of records, queries and models. Raises ValueError where a name or text is empty or
    `to` has another ending, FileExistsError where it is taken.
    """
    to = Path(to)
    if to.suffix.lower() not in (*FILES, ""):
        raise ValueError(f"a table must be a {', '.join(FILES)} file, or a folder without an ending, got {to}")
    frame = long_frame(outcomes)
    facts = {"records": frame.height, "queries": len(outcomes), "models": len(outcomes.models)}
    if to.suffix:
        _write_file(frame, to, overwrite)
        return {**facts, "content_hash": outcomes.content_hash}
    if overwrite and to.is_dir() and any(to.iterdir()) and not (to / "outcomes.parquet").is_file():
        raise FileExistsError(f"{to} must be an export to be overwritten, got a folder of other files; choose another")
    with new_folder(to, overwrite) as folder:
        write_parquet(frame, folder / "outcomes.parquet")
        (folder / "README.md").write_text(_card(outcomes, frame), encoding="utf-8")
    return {**facts, "content_hash": outcomes.content_hash}


def long_frame(outcomes: Outcomes) -> pl.DataFrame:
    """A row per query and model of which anything is known, in the order of the queries; unknown is null.

    A query or model of which nothing is known has one row, without a score.
    """
    _check_names(outcomes)
    planes = outcomes.planes()
    known = np.zeros(outcomes.score.shape, dtype=np.bool_)
    for plane in planes.values():
        known |= np.isfinite(plane)
    known[~known.any(axis=1), 0] = True
    known[0, ~known.any(axis=0)] = True
    row, column = np.nonzero(known)
    written = [name for name, plane in planes.items() if name in ("score", *LOG_PLANES) or np.isfinite(plane).any()]
    values = [pl.Series(name, planes[name][row, column], nan_to_null=True) for name in written]
    frame = pl.concat(
        [_of_queries(outcomes)[row], _of_models(outcomes)[column], pl.DataFrame(values)], how="horizontal"
    )
    frame = frame.with_columns(pl.lit(value=True).alias(SIMULATED)) if outcomes.simulated else frame
    return frame.select("query", "model", *written, pl.exclude("query", "model", *written))


def _check_names(outcomes: Outcomes) -> None:
    if not outcomes.score.size:
        raise ValueError(f"a table must have queries and models, got {outcomes!r}; choose other outcomes")
    texts = {"text of a query": outcomes.queries.text, "query id": outcomes.queries.id.tolist()}
    for what, names in {**texts, "dataset": outcomes.dataset.tolist(), "model": outcomes.models}.items():
        empty = next((at for at, name in enumerate(names) if not name.strip()), None)
        if empty is not None:
            raise ValueError(f"every {what} must be written in a table, got an empty one at position {empty}; name it")


def _of_queries(outcomes: Outcomes) -> pl.DataFrame:
    """What each row of a query says of it."""
    queries = outcomes.queries
    columns = pl.DataFrame(
        {
            "dataset": outcomes.dataset,
            "id": queries.id,
            "query": pl.Series(list(queries.text), dtype=pl.String),
            "prompt": pl.Series(list(queries.prompt), dtype=pl.String),
            MARK: outcomes.index,
            "lrb_subset": outcomes.subset,
            "lrb_group": outcomes.group,
            "lrb_cluster": outcomes.together,
        }
    )
    derived = np.array_equal(outcomes.group, duplicate_groups(outcomes.dataset, queries.prompt))
    told = {"prompt": columns["prompt"].equals(columns["query"]), "lrb_group": derived}
    told |= {"lrb_subset": not outcomes.subset.any(), "lrb_cluster": outcomes.cluster is None}
    return columns.drop(name for name, needless in told.items() if needless)


def _of_models(outcomes: Outcomes) -> pl.DataFrame:
    """What each row of a model says of it."""
    models = list(outcomes.models)
    columns = {"model": pl.Series(models, dtype=pl.String)}
    columns |= {} if models == sorted(models) else {"lrb_order": pl.Series(range(len(models)))}
    outside = [model in outcomes.outside for model in models]
    return pl.DataFrame(columns | ({"lrb_outside": pl.Series(outside)} if any(outside) else {}))


def _write_file(frame: pl.DataFrame, to: Path, overwrite: bool) -> None:
    if to.exists() and not (overwrite and to.is_file()):
        raise FileExistsError(f"{to} must not exist yet, got something there; choose another or --overwrite")
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f".{to.name}.partial-{os.getpid()}")
    try:
        if to.suffix.lower() == ".parquet":
            write_parquet(frame, partial)
        elif to.suffix.lower() == ".csv":
            frame.write_csv(partial)
        else:
            frame.write_ndjson(partial)
        partial.replace(to)
    except OSError as error:
        raise say_disk_full(error, to) from error
    finally:
        partial.unlink(missing_ok=True)


_MEANINGS = {
    "query": "what was asked",
    "model": "which model answered",
    "score": "quality of the reply, 0 to 1; empty where not measured",
    "cost": "USD of the call",
    "tokens_in": "tokens of the prompt",
    "tokens_out": "tokens of the reply",
    "seconds": "how long the call took",
    "propensity": "probability with which the log measured it",
    "runs": "runs whose mean the score is",
    "spread": "standard deviation of their scores",
    "dataset": "kind of task",
    "id": "name of the query",
    "prompt": "the text sent to the model",
}


def _card(outcomes: Outcomes, frame: pl.DataFrame) -> str:
    """The card of a dataset of the hub."""
    size = next((words for most, words in _SIZES if frame.height < most), "n>1B")
    simulated = "SIMULATED: no real model produced these numbers.\n\n" if outcomes.simulated else ""
    columns = "\n".join(f"| `{name}` | {_MEANINGS[name]} |" for name in frame.columns if name in _MEANINGS)
    own = [f"`{name}`" for name in frame.columns if name not in _MEANINGS]
    return f"""---
configs:
- config_name: default
  data_files: outcomes.parquet
size_categories:
- {size}
---

# {outcomes.name}

{simulated}What {len(outcomes.models):,} models did on {len(outcomes):,} queries of {len(outcomes.datasets):,} datasets:
{frame.height:,} rows, one a query and model, in `outcomes.parquet`.

| column | meaning |
|---|---|
{columns}

`llmrouterbench import` makes of it what it was, by {", ".join(own)} (content hash {outcomes.content_hash}).
Licence and source of the queries are for you to add.
"""


_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip
