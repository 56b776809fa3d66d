"""Outcomes on disk: one folder of Parquet files with a manifest.

    manifest.json      schema version, content hash, source, settings, size and sha256 of every other file
    queries.parquet    id, dataset, subset, index, group and, where there are clusters, cluster: one row a query
    outcomes.parquet   query (row number), model, score, cost, tokens_in, tokens_out, seconds, and the planes of a log:
                       one row a cell of which anything is known
    texts.parquet      text, prompt (null where it equals the text): read only when somebody asks for a text
    replies/*.parquet  query, model, reply: read only when somebody asks for replies; absent where the source has none
    import_report.json what the importer read, masked, dropped, and why; absent for outcomes that were not imported

The manifest is written last and the folder takes its name when it is complete: what can be loaded is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llmrouterbench.files import new_folder, read_marked, sha256_of, write_json, write_parquet
from llmrouterbench.table import LOG_PLANES, PLANES, Outcomes, Queries, Text

FORMAT = "llmrouterbench/outcomes"
SCHEMA, LOGGED, CLUSTERED = 1, 2, 3
"""Schema of a folder without planes of a log, of one whose manifest names some in `planes`, of one with clusters."""
_DAMAGED = "the folder is damaged, import it again"


def write_outcomes(
    outcomes: Outcomes,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    texts: bool = True,
) -> None:
    """Store outcomes as a folder. `texts=False` leaves query texts out (runs keep a copy of the numbers only)."""
    with new_folder(folder, overwrite) as partial:
        fill_folder(outcomes, partial, settings=settings, report=report, texts=texts)


def fill_folder(
    outcomes: Outcomes,
    partial: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    texts: bool = True,
) -> None:
    """Write every file of a store into a folder from `new_folder`, the manifest last.

    An importer may have put `replies/*.parquet` there before.
    """
    write_parquet(_queries_frame(outcomes), partial / "queries.parquet")
    write_parquet(_outcomes_frame(outcomes), partial / "outcomes.parquet")
    if texts:
        write_parquet(_texts_frame(outcomes), partial / "texts.parquet")
    if report is not None:
        write_json(partial / "import_report.json", report)
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    extra = [name for name in outcomes.planes() if name in LOG_PLANES]
    manifest = {
        "format": FORMAT,
        "schema": CLUSTERED if outcomes.cluster is not None else LOGGED if extra else SCHEMA,
        "content_hash": outcomes.content_hash,
        "queries": len(outcomes),
        "models": list(outcomes.models),
        "outside": list(outcomes.outside),
        "datasets": outcomes.datasets,
        "simulated": outcomes.simulated,
        "source": outcomes.source,
        "settings": dict(settings or {}),
        **({"planes": extra} if extra else {}),
        "files": {
            path.relative_to(partial).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in files
        },
    }
    write_json(partial / "manifest.json", manifest)


def _queries_frame(outcomes: Outcomes) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": outcomes.queries.id.tolist(),
            "dataset": outcomes.dataset.tolist(),
            "subset": outcomes.subset.tolist(),
            "index": outcomes.index,
            "group": outcomes.group,
            **({} if outcomes.cluster is None else {"cluster": outcomes.cluster}),
        },
        schema_overrides={"id": pl.String, "dataset": pl.String, "subset": pl.String},
    )


def _outcomes_frame(outcomes: Outcomes) -> pl.DataFrame:
    known = np.zeros(outcomes.score.shape, dtype=np.bool_)
    for plane in outcomes.planes().values():
        known |= np.isfinite(plane)
    row, column = np.nonzero(known)
    planes = {name: plane[row, column] for name, plane in outcomes.planes().items()}
    frame = pl.DataFrame({"query": row.astype(np.uint32), "model": column.astype(np.uint16), **planes})
    models = pl.Series("model", list(outcomes.models), dtype=pl.String)
    return frame.with_columns(
        models.gather(column).cast(pl.Enum(models)) if len(models) else pl.lit(None).alias("model"),
        *(pl.col(name).fill_nan(None) for name in planes),
    )


def _texts_frame(outcomes: Outcomes) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"text": list(outcomes.queries.text), "prompt": list(outcomes.queries.prompt)},
        schema={"text": pl.String, "prompt": pl.String},
    )
    same = pl.col("text") == pl.col("prompt")
    return frame.with_columns(prompt=pl.when(same).then(None).otherwise(pl.col("prompt")))


def read_manifest(folder: Path, verify: bool = False) -> dict[str, Any]:
    """The manifest of a stored folder, after checking that the folder is whole.

    Raises FileNotFoundError where there is no store, ValueError where a file is missing, cut or of a schema that this
    version does not know. `verify` also checks the sha256 of every file.
    """
    manifest = read_marked(folder, FORMAT, SCHEMA, LOGGED, CLUSTERED)
    unknown = [name for name in manifest.get("planes", []) if name not in LOG_PLANES]
    if unknown:
        raise ValueError(
            f"{folder} must hold planes of {', '.join(LOG_PLANES)}, got {unknown[0]!r}; use a newer version"
        )
    for name, facts in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != facts["bytes"]:
            got = f"{file.stat().st_size}" if file.is_file() else "none"
            raise ValueError(f"{file} must have {facts['bytes']} bytes, got {got}; {_DAMAGED}")
        if verify or name in ("queries.parquet", "outcomes.parquet"):
            _check_sha256(file, facts["sha256"])
    return manifest


def _check_sha256(file: Path, expected: str) -> None:
    if sha256_of(file) != expected:
        raise ValueError(f"{file} must have the sha256 of its manifest, got another; {_DAMAGED}")


def read_outcomes(folder: Path) -> Outcomes:
    """Load a stored folder: the numbers now, the texts when asked for."""
    manifest = read_manifest(folder)
    queries = pl.read_parquet(folder / "queries.parquet")
    cells = pl.read_parquet(folder / "outcomes.parquet")
    models = tuple(manifest["models"])
    shape = (queries.height, len(models))
    rows = np.arange(queries.height)
    sha256 = manifest["files"].get("texts.parquet", {}).get("sha256", "")
    return Outcomes(
        queries=Queries(
            id=_strings(queries["id"]),
            text=Text(_StoredTexts(folder, "text", sha256), rows),
            prompt=Text(_StoredTexts(folder, "prompt", sha256), rows),
        ),
        dataset=_strings(queries["dataset"]),
        models=models,
        subset=_strings(queries["subset"]),
        index=queries["index"].to_numpy().astype(np.int64),
        group=queries["group"].to_numpy().astype(np.int64),
        cluster=queries["cluster"].to_numpy().astype(np.int64) if "cluster" in queries.columns else None,
        outside=tuple(manifest["outside"]),
        simulated=bool(manifest["simulated"]),
        source=dict(manifest["source"]),
        **_planes(cells, shape, (*PLANES, *manifest.get("planes", []))),
    )


def _strings(series: pl.Series) -> np.typing.NDArray[np.str_]:
    return np.array(series.to_list(), dtype=np.str_)


def _planes(cells: pl.DataFrame, shape: tuple[int, int], names: Sequence[str]) -> dict[str, Any]:
    row = cells["query"].to_numpy()
    column = cells["model"].to_physical().to_numpy() if cells.height else row
    planes = {}
    for name in names:
        plane = np.full(shape, np.nan)
        plane[row, column] = cells[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        planes[name] = plane
    return planes


@dataclass(frozen=True)
class _StoredTexts:
    """Reads a column of texts when called; small enough to travel to a worker process."""

    folder: Path
    column: str
    sha256: str

    def __call__(self) -> list[str]:
        return _read_texts(self.folder, self.column, self.sha256)


@lru_cache(maxsize=4)
def _read_texts(folder: Path, column: str, sha256: str) -> list[str]:
    """All texts of a column. The sha256 is part of the key: a folder that was written anew is read anew."""
    if not sha256:
        raise ValueError(f"{folder} holds no query texts; load the folder that `llmrouterbench import` made")
    frame = pl.read_parquet(folder / "texts.parquet")
    texts: list[str] = frame.select(pl.coalesce(column, "text")).to_series().to_list()
    return texts


def scan_replies(folder: Path) -> pl.LazyFrame:
    """Stored replies as a lazy table: query (row number), model, reply. Empty where the source had none."""
    parts = sorted(folder.glob("replies/*.parquet"))
    if not parts:
        return pl.LazyFrame(schema={"query": pl.UInt32, "model": pl.String, "reply": pl.String})
    return pl.scan_parquet(parts)


def read_replies(folder: Path, outcomes: Outcomes) -> dict[tuple[int, int], str]:
    """Stored replies to the queries of `outcomes`, which may be a part of what the folder holds, by (row, model).

    A measured cell without a stored text has the reply "". Raises ValueError where the folder holds no replies.
    """
    ids = pl.read_parquet(folder / "queries.parquet", columns=["id"])["id"]
    stored = pl.DataFrame({"id": ids, "query": np.arange(len(ids), dtype=np.uint32)})
    row = pl.DataFrame({"id": outcomes.queries.id.tolist()}).with_row_index("row").join(stored, on="id")
    column = pl.DataFrame({"model": list(outcomes.models)}).with_row_index("column")
    found = scan_replies(folder).join(row.lazy(), on="query").join(column.lazy(), on="model").collect()
    if found.is_empty():
        raise ValueError(f"{folder} must hold the models' replies, got none; import the source again with --replies")
    replies = dict.fromkeys(zip(*(axis.tolist() for axis in np.nonzero(np.isfinite(outcomes.score))), strict=True), "")
    replies.update(zip(zip(found["row"], found["column"], strict=True), found["reply"], strict=True))
    return replies


def replies_hash(folder: Path) -> str:
    """A hash of all stored replies; "" where there are none."""
    files = {name: facts["sha256"] for name, facts in read_manifest(folder)["files"].items() if "replies/" in name}
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest() if files else ""


def write_replies(
    folder: Path, part: int, query: NDArray[Any], model: str | Sequence[str] | pl.Series, reply: pl.Series
) -> None:
    """Write one part of the replies: query (n,), the model of all or of each, reply (n,). Empty ones are left out."""
    some = (reply != "").fill_null(value=False)
    if not some.any():
        return
    models = pl.lit(model) if isinstance(model, str) else pl.Series(model, dtype=pl.String)
    frame = pl.DataFrame({"query": query.astype(np.uint32)}).with_columns(model=models, reply=reply)
    frame = frame if some.all() else frame.filter(some)
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(frame, part_path(folder, part))


def part_path(folder: Path, part: int) -> Path:
    """Where a part of the replies is."""
    return folder / f"{part:05d}.parquet"
