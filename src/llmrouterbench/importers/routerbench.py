"""RouterBench as CSV or Parquet: one row per query, one score column and one `<model>|total_cost` column per model.

Source: RouterBench (Hu et al. 2024, arXiv 2403.12031). Its pickles are never opened. Its raw table, a row per query and
model, is read too.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._cells import mask_zero_cost, note_repeated_prompts
from llmrouterbench.importers._samples import Glimpse
from llmrouterbench.importers.long_table import read_records
from llmrouterbench.records import Place, parse_numbers, read_csv, read_parquet
from llmrouterbench.store import write_replies
from llmrouterbench.table import FloatArray, Outcomes

_COST, _REPLY = "|total_cost", "|model_response"
_NEEDED = ("sample_id", "prompt", "eval_name")
_RAW = (*_NEEDED, "performance", "model_response", "cost", "model_name")


def recognises(source: Glimpse) -> bool:
    """Whether it holds a table of RouterBench."""
    tables = [file for file in source.files if file.suffix.lower() in (".csv", ".parquet")]
    keys = [source.keys(file) for file in tables]
    return any(set(_RAW) <= of or any(name.endswith(_COST) for name in of) for of in keys)


def read_routerbench(path: Path, options: Options) -> Imported:
    """Read one CSV file or all of a folder. Raises ValueError with the file and record of a value that is no number."""
    findings, tables = Findings(), []
    paths = [path] if path.is_file() else sorted([*path.rglob("*.csv"), *path.rglob("*.parquet")])
    if path.is_file() and set(_RAW) <= Glimpse(path).keys(path):
        return _read_raw(path, options)
    for number, file in enumerate(paths, 1):
        table = read_csv(file) if file.suffix.lower() == ".csv" else read_parquet(file)
        models = _models(table.columns)
        if not models:
            findings.add("table without a |total_cost column", "dropped", file.name)
        else:
            tables.append(_checked(table, models, file))
        options.tell("reading", number, len(paths))
    if not tables:
        raise ValueError(f"{path} must hold CSV files with <model>|total_cost columns, got none; is it RouterBench?")
    table = pl.concat(tables, how="diagonal")
    kept = _one_row_per_id(table, findings)
    outcomes = _outcomes(kept, _models(table.columns), options, findings)
    note_repeated_prompts(outcomes, findings)
    counts = {"files": len(tables), "records": table.height}
    facts = {"sha256": sha256_of(path)} if path.is_file() else {"files": len(paths)}
    return Imported(outcomes, findings, counts, facts)


def _read_raw(path: Path, options: Options) -> Imported:
    """The raw table."""
    raw = (read_csv(path) if path.suffix.lower() == ".csv" else read_parquet(path)).with_row_index("#", offset=1)
    table = raw.select(
        "#", "cost", id="sample_id", dataset="eval_name", score="performance", model="model_name",
        query=pl.col("prompt").map_elements(_bare, return_dtype=pl.String),
        reply=pl.col("model_response").map_elements(_bare, return_dtype=pl.String),
    )  # fmt: skip
    columns = {name: name for name in table.columns if name != "#"}
    return read_records(
        table, columns, Place(path, "record", raw["#"]), options, Findings(), {"sha256": sha256_of(path)}
    )


def _models(columns: Sequence[str]) -> list[str]:
    """Models that have both a score and a cost column."""
    return sorted(
        name.removesuffix(_COST) for name in columns if name.endswith(_COST) and name[: -len(_COST)] in columns
    )


def _checked(table: pl.DataFrame, models: Sequence[str], path: Path) -> pl.DataFrame:
    """The columns that are read, numbers as numbers, with the place of every record."""
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ValueError(f"{path} must have the columns {', '.join(_NEEDED)}, got no {missing[0]}; is it RouterBench?")
    empty = table.select(pl.any_horizontal(pl.col(name).is_null() for name in _NEEDED)).to_series()
    place = Place(path, "record", pl.arange(1, table.height + 1, eager=True))
    if empty.any():
        raise ValueError(
            f"{', '.join(_NEEDED)} must not be empty, got nothing in {place.of(int(empty.arg_max() or 0))}"
        )
    numbers = [_numbers(table[model], 1.0, place) for model in models]
    numbers += [_numbers(table[model + _COST], np.inf, place) for model in models]
    replies = [table[model + _REPLY] for model in models if model + _REPLY in table.columns]
    where = pl.Series("where", [f"{path.name} record {record}" for record in range(1, table.height + 1)])
    return pl.DataFrame([where, *(table[name] for name in _NEEDED), *numbers, *replies])


def _numbers(column: pl.Series, most: float, place: Place) -> pl.Series:
    rule = "a number between 0 and 1" if most == 1.0 else "a number of USD of 0 or more"
    values = parse_numbers(column, rule, place)
    wrong = (values < 0) | (values > most)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(f"{column.name} must be {rule}, got {values[first]:g} in {place.of(first)}; correct the file")
    return pl.Series(column.name, values, nan_to_null=True)


def _one_row_per_id(table: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """Of rows with the same id the one with the most scores; the first among equals.

    Some ids of arc_challenge stand twice: once complete but for one model, once with that model alone and with its
    prompt and cost doubled. The second is of no use.
    """
    models = _models(table.columns)
    known = pl.sum_horizontal(pl.col(model).is_not_null() for model in models)
    table = table.with_row_index("order").with_columns(known=known)
    best = table.sort("known", "order", descending=[True, False]).unique("sample_id", keep="first", maintain_order=True)
    partial = best.filter(pl.col("known") < len(models)).sort("order")
    if partial.height:
        missing = partial.height * len(models) - int(partial["known"].sum())
        findings.add("missing score", "masked", partial["where"][0], missing)
    dropped = table.join(best, on="order", how="anti").sort("order")
    if dropped.height:
        names = sorted(set(dropped["sample_id"]))
        findings.add("row with an id that stands in another row", "dropped", dropped["where"][0], dropped.height, names)
    return best.sort("order")


def _outcomes(table: pl.DataFrame, models: Sequence[str], options: Options, findings: Findings) -> Outcomes:
    ids: list[str] = table["sample_id"].to_list()
    text = [_bare(prompt) for prompt in table["prompt"].to_list()]
    cost = mask_zero_cost(
        _plane(table, [model + _COST for model in models]), np.array(ids), models, options.zero_cost, findings
    )
    for part, model in enumerate(models):
        if options.replies is not None and model + _REPLY in table.columns:
            reply = pl.Series(
                [_bare(_bare_quotes(text)) for text in table[model + _REPLY].fill_null("")], dtype=pl.String
            )
            write_replies(options.replies, part, np.arange(table.height), model, reply)
    return Outcomes.of(text, models, _plane(table, models), dataset=table["eval_name"].to_list(), cost=cost, id=ids)


def _plane(table: pl.DataFrame, columns: Sequence[str]) -> FloatArray:
    return np.asarray(table.select(pl.col(columns).fill_null(float("nan"))).to_numpy(), dtype=np.float64)


def _bare_quotes(text: str) -> str:
    """Replies stand in a second pair of quotes."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _bare(text: str) -> str:
    r"""The text in a list that was printed as Python; the text itself where it is none.

    >>> _bare("['What is 2 + 2?']"), _bare("['a', 'b']"), _bare("[1, 2"), _bare("plain")
    ('What is 2 + 2?', 'a\nb', '[1, 2', 'plain')
    """
    if not text.startswith("["):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return text
