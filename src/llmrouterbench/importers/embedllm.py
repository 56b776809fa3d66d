"""EmbedLLM: `train.csv`, `val.csv` and `test.csv`, a row per model and question, with a label of 0 or 1.

Source: richardzhuang0412/EmbedLLM, files of the dataset RZ412/EmbedLLM. The official code takes the larger of two
labels of a cell and fills missing cells with 0; here repeated labels are averaged and missing cells stay missing.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._samples import Glimpse
from llmrouterbench.importers.long_table import read_records
from llmrouterbench.records import Place, read_csv

_READ = {"prompt": "query", "prompt_id": "id", "label": "score", "category": "dataset"}


def recognises(source: Glimpse) -> bool:
    """Whether it holds a table of EmbedLLM."""
    return source.has("t*.csv", "prompt_id", "model_id", "label") or (
        source.path.is_file() and source.has("*.csv", "prompt_id", "model_id", "label")
    )


def read_embedllm(path: Path, options: Options) -> Imported:
    """Read one table or those of a folder. Raises ValueError with the file and record of what breaks a rule."""
    files = [path] if path.is_file() else [file for file in sorted(path.glob("*.csv")) if _is_table(file)]
    if not files:
        raise ValueError(f"{path} must hold tables of EmbedLLM (prompt_id, model_id, label), got none; are they cut?")
    tables = [_table(file) for file in files]
    table = pl.concat(tables, how="diagonal").with_row_index("#", offset=1)
    columns = {name: name for name in table.columns if name not in ("#", "at")}
    place = Place(path, "at", table["at"])
    return read_records(table.drop("at"), columns, place, options, Findings(), {}, len(files))


def _is_table(file: Path) -> bool:
    return Glimpse(file).has("*.csv", "prompt_id", "model_id", "label")


def _table(file: Path) -> pl.DataFrame:
    raw = read_csv(file)
    names = file.with_name("model_order.csv")
    model = pl.col("model_name") if "model_name" in raw.columns else pl.col("model_id")
    if "model_name" not in raw.columns and names.is_file():
        order = read_csv(names)
        model = pl.col("model_id").replace(dict(order.select("model_id", "model_name").iter_rows()))
    taken = {ours: pl.col(theirs) for theirs, ours in _READ.items() if theirs in raw.columns}
    at = pl.concat_str(pl.lit(f"{file.name} record "), pl.int_range(1, pl.len() + 1))
    return raw.select(model=model, at=at, **taken)
