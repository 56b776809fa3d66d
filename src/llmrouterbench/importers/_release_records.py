"""One result file of the official release, checked: a finding for all that is not as it should be."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from llmrouterbench.findings import Findings
from llmrouterbench.importers._release_files import Member
from llmrouterbench.importers._release_json import TEXTS, UnreadableFileError, read_result_file
from llmrouterbench.table import BoolArray, FloatArray, IntArray

FAILED = r"^(?:Generation|Processing|Multimodal generation) failed"
"""How the official collector begins the reply of a call that failed."""

_STAMP = re.compile(r"(\d{8})_(\d{6})\.json$")
_MAX_INDEX = 2**53


@dataclass
class ReleaseFile:
    """The records of one model on one subset of one dataset, as columns (n,).

    stamp  14 digits of the file name, or seconds since 1970 where the name has none: the latest file counts
    index  as in the file
    texts  columns prompt, origin_query, raw_output; "" where there is none
    """

    name: str
    dataset: str
    subset: str
    model: str
    stamp: int
    demo: bool
    simulated: bool
    index: IntArray
    score: FloatArray
    cost: FloatArray
    tokens_in: FloatArray
    tokens_out: FloatArray
    texts: pl.DataFrame
    findings: Findings


def parse_release_file(member: Member) -> ReleaseFile:
    """Read one result file. Raises UnreadableFileError where it is none."""
    findings = Findings()
    data = member.read() if member.read is not None else b""
    header, records = read_result_file(data, member.name, findings)
    said, got = header.get("counts"), records.height
    if isinstance(said, int) and said != got:
        findings.add("file with another number of records than it says", "kept", f"{member.name}: {got}, not {said}")
    texts = _texts(records, member.name, findings)
    read = _Numbers(member.name, records, findings, _failed(texts["raw_output"]))
    return ReleaseFile(
        name=member.name,
        dataset=_key(header, "dataset_name"),
        subset=_subset(header, member.name, findings),
        model=_key(header, "model_name"),
        stamp=_stamp(member),
        demo=header.get("demo") is True,
        simulated=header.get("simulated") is True,
        index=read.index(),
        score=read.score(),
        cost=read.cost(),
        tokens_in=read.tokens("prompt_tokens"),
        tokens_out=read.tokens("completion_tokens"),
        texts=texts,
        findings=findings,
    )


def without_repeated_records(file: ReleaseFile) -> ReleaseFile:
    """The same file with the last record only, where it holds several with the same index and prompt."""
    if (np.diff(file.index) > 0).all() or len(np.unique(file.index)) == len(file.index):
        return file
    last: dict[tuple[int, str], int] = {}
    for record, key in enumerate(zip(file.index.tolist(), file.texts["prompt"], strict=True)):
        if (before := last.get(key)) is not None:
            same = np.array_equal(file.score[[before]], file.score[[record]], equal_nan=True)
            kind = "repeated record" if same else "contradictory repeated record, the last one counts"
            file.findings.add(kind, "merged", f"{file.name} record {record + 1}")
        last[key] = record
    keep = np.array(sorted(last.values()), dtype=np.int64)
    return replace(
        file,
        index=file.index[keep],
        score=file.score[keep],
        cost=file.cost[keep],
        tokens_in=file.tokens_in[keep],
        tokens_out=file.tokens_out[keep],
        texts=file.texts[keep],
    )


def _key(header: dict[str, Any], key: str) -> str:
    value = header.get(key)
    if not isinstance(value, str) or not value:
        got = "nothing" if value is None else repr(value)[:60]
        raise UnreadableFileError(f"key {key!r} must be a text, got {got}")
    return value


def _subset(header: dict[str, Any], name: str, findings: Findings) -> str:
    value = header.get("split")
    if isinstance(value, str):
        return value
    findings.add("key 'split' missing", "kept", name)
    return ""


def _stamp(member: Member) -> int:
    found = _STAMP.search(member.name)
    return int(found[1] + found[2]) if found else member.mtime


def _texts(records: pl.DataFrame, name: str, findings: Findings) -> pl.DataFrame:
    """The texts, with the bare query where the prompt is missing."""
    texts = pl.DataFrame([text.fill_null("") if text.null_count() else text for text in map(records.get_column, TEXTS)])
    empty = (texts["prompt"] == "").to_numpy()
    if not empty.any():
        return texts
    example = f"{name} record {empty.argmax() + 1}"
    findings.add("prompt missing, query text used", "kept", example, int(empty.sum()))
    prompt = pl.when(pl.col("prompt") == "").then("origin_query").otherwise("prompt")
    return texts.with_columns(prompt=prompt)


def _failed(reply: pl.Series) -> BoolArray:
    """Which calls (n,) failed, by what stands in the place of the reply."""
    if not (reply != "").any():
        return np.zeros(len(reply), dtype=np.bool_)
    return reply.str.contains(FAILED).to_numpy()


class _Numbers:
    """Reads the columns of numbers of one file; what is masked is counted."""

    def __init__(self, name: str, records: pl.DataFrame, findings: Findings, failed: BoolArray) -> None:
        self._name, self._records, self._findings, self._failed = name, records, findings, failed
        self._note("failed call", failed)

    def _column(self, key: str) -> FloatArray:
        return self._records[key].to_numpy(writable=True)

    def _note(self, kind: str, where: BoolArray) -> BoolArray:
        """Count where something is so as masked; returns `where`."""
        if where.any():
            self._findings.add(kind, "masked", f"{self._name} record {where.argmax() + 1}", int(where.sum()))
        return where

    def index(self) -> IntArray:
        """Record index; its place in the file (from 1) where it has none."""
        index = self._column("index")
        known = (index >= 0) & (index < _MAX_INDEX) & (np.floor(index) == index)
        if not known.all():
            example = f"{self._name} record {known.argmin() + 1}"
            kind = "key 'index' missing, place in the file used"
            self._findings.add(kind, "kept", example, int((~known).sum()))
            index = np.where(known, index, np.arange(1, len(index) + 1))
        return index.astype(np.int64)

    def score(self) -> FloatArray:
        """Score in [0, 1]."""
        score = self._column("score")
        self._note("null score", np.isnan(score) & ~self._failed)
        score[self._note("score outside [0, 1]", (score < 0) | (score > 1))] = np.nan
        score[self._failed] = np.nan
        return score

    def cost(self) -> FloatArray:
        """Cost in USD."""
        cost = self._column("cost")
        self._note("cost missing or NaN", np.isnan(cost) & ~self._failed)
        cost[self._note("negative or infinite cost", (cost < 0) | np.isinf(cost))] = np.nan
        cost[self._failed] = np.nan
        return cost

    def tokens(self, key: str) -> FloatArray:
        """Token count; that of a failed call is 0 and says nothing."""
        tokens = self._column(key)
        tokens[self._note(f"negative or infinite {key}", (tokens < 0) | np.isinf(tokens))] = np.nan
        tokens[self._failed & (tokens == 0)] = np.nan
        return tokens
