"""Write a simulated release in the official layout, quirks included: what the importer must survive.

    bench-release/<dataset>/<split>/<model>/<dataset>-<split>-<model>-<YYYYMMDD_HHMMSS>.json

Source: the layout and the quirks are facts about the released data of arXiv 2601.07206; every number, query and reply
is simulated; every file says so in "simulated", every record in `extra_fields`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from llmrouterbench.files import new_folder, remove_abandoned, say_disk_full
from llmrouterbench.simulation._release_contents import Contents, ReleaseFile, release_contents, release_files
from llmrouterbench.simulation._text import write_queries

__all__ = ["ReleaseFile", "release_facts", "release_files", "write_release"]

LETTERS = "ABCD"
_FILLER_STEP = 7919


def write_release(
    path: Path,
    seed: int = 0,
    *,
    reply_bytes: int = 1500,
    files: Iterable[ReleaseFile] | None = None,
    overwrite: bool = False,
    compresslevel: int = 1,
) -> dict[str, int]:
    """Write the release into a folder, or into one archive where `path` ends with .tar.gz; the facts are returned.

    `reply_bytes` is the length of every reply (filler text), `files` a part of `release_files()`. The same arguments
    give the same bytes. Raises FileExistsError where something is at `path` and `overwrite` is off, ValueError for
    a negative `reply_bytes` or no files.
    """
    chosen = _chosen(files)
    if reply_bytes < 0:
        raise ValueError(f"reply_bytes must be 0 or more, got {reply_bytes}")
    archive = path.name.endswith((".tar.gz", ".tgz"))
    replies = _replies(reply_bytes)
    tally = _Tally()
    with _archive(path, overwrite, compresslevel) if archive else _folder(path, overwrite) as add:
        for contents in release_contents(seed, chosen):
            tally.count(contents)
            add(contents.file.path, _json(contents, replies))
    return tally.facts()


def release_facts(seed: int = 0, files: Iterable[ReleaseFile] | None = None) -> dict[str, int]:
    """What `write_release` would write, counted without writing: files, records and each quirk of the real release."""
    tally = _Tally()
    for contents in release_contents(seed, _chosen(files)):
        tally.count(contents)
    return tally.facts()


def _chosen(files: Iterable[ReleaseFile] | None) -> list[ReleaseFile]:
    chosen = release_files() if files is None else list(files)
    if not chosen:
        raise ValueError("files must name at least one file of the release, got none; leave it out to write all")
    return chosen


class _Tally:
    """Counts of what went out."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = dict.fromkeys(
            (
                "files",
                "records",
                "files_without_split_folder",
                "zero_based_files",
                "demo_files",
                "null_scores",
                "negative_completion_tokens",
                "zero_cost_records",
            ),
            0,
        )
        self._prompts: dict[tuple[str, str], set[str]] = {}

    def count(self, contents: Contents) -> None:
        file = contents.file
        found = {
            "files": 1,
            "records": file.records,
            "files_without_split_folder": int(file.flat),
            "zero_based_files": int(file.first_index == 0),
            "demo_files": int(file.demo),
            "null_scores": int(np.isnan(contents.score).sum()),
            "negative_completion_tokens": int((contents.tokens_out < 0).sum()),
            "zero_cost_records": int((contents.cost == 0).sum()),
        }
        for name, number in found.items():
            self._counts[name] += number
        self._prompts.setdefault((file.dataset, file.model), set()).update(contents.queries.prompt)

    def facts(self) -> dict[str, int]:
        unique = sum(len(prompts) for prompts in self._prompts.values())
        return {
            **self._counts,
            "duplicate_prompts": self._counts["records"] - unique,
            "dataset_labels": len({dataset for dataset, _ in self._prompts}),
            "models": len({model for _, model in self._prompts}),
        }


Add = Callable[[str, bytes], None]


@contextmanager
def _folder(path: Path, overwrite: bool) -> Iterator[Add]:
    """A way to add files to a folder that takes its name when all are there."""
    with new_folder(path, overwrite) as partial:

        def add(name: str, data: bytes) -> None:
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

        yield add


@contextmanager
def _archive(path: Path, overwrite: bool, compresslevel: int) -> Iterator[Add]:
    """The same for a tar.gz without time stamps or owners: equal contents are equal bytes."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet, got a file there; choose another or --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with (
            partial.open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):

            def add(name: str, data: bytes) -> None:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

            yield add
        partial.replace(path)
    except OSError as error:
        raise say_disk_full(error, path) from error
    finally:
        partial.unlink(missing_ok=True)


_FILLER_FORM = '**Step {i}.** {text}\n\n\\[ x_{{{i}}} = \\frac{{{i}}}{{7}} \\cdot 2 ≈ "{i}" \\]\n\n'
Replies = Callable[[int, int], list[str]]


def _replies(size: int) -> Replies:
    """A source of n replies of `size` characters: slices of one generated text, each from another place.

    Like a model's reply the text has line breaks, quotes, formulas and a few signs beyond ASCII.
    """
    steps = [_FILLER_FORM.format(text=text, i=i) for i, text in enumerate(write_queries("hle", 1000, 0).text, start=1)]
    text = "SIMULATED REPLY.\n" + "".join(steps)
    text *= 1 + (size + _FILLER_STEP) // len(text)
    room = len(text) - size

    def replies(n: int, start: int) -> list[str]:
        places = ((start + np.arange(n)) * _FILLER_STEP % room).tolist()
        return [text[place : place + size] for place in places]

    return replies


def _json(contents: Contents, replies: Replies) -> bytes:
    """One file of the release, as the official collector writes it (indented by two)."""
    file = contents.file
    known = contents.score[~np.isnan(contents.score)]
    fingerprint = hashlib.sha256("\n".join(contents.queries.prompt).encode()).hexdigest()
    whole: dict[str, Any] = {
        "performance": float(known.mean()) if len(known) else 0.0,
        "time_taken": float(np.abs(contents.tokens_out).sum() / 1000),
        "prompt_tokens": int(contents.tokens_in.sum()),
        "completion_tokens": int(contents.tokens_out.sum()),
        "cost": float(contents.cost.sum()),
        "counts": file.records,
        "model_name": file.model,
        "dataset_name": file.dataset,
        "split": file.split,
        "demo": file.demo,
        "extra_metrics": {},
        "data_fingerprint": fingerprint,
        "simulated": True,
        "records": _records(contents, replies(file.records, int(fingerprint[:6], 16))),
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2)


def _records(contents: Contents, replies: list[str]) -> list[dict[str, Any]]:
    """The records; a null score is NaN here, which orjson writes as null."""
    first = contents.file.first_index
    rows = zip(
        range(first, first + contents.file.records),
        contents.queries.text,
        contents.queries.prompt,
        contents.tokens_in.astype(np.int64).tolist(),
        contents.tokens_out.astype(np.int64).tolist(),
        contents.cost.tolist(),
        contents.score.tolist(),
        replies,
        strict=True,
    )
    return [
        {
            "index": index,
            "origin_query": text,
            "prompt": prompt,
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "cost": cost,
            "score": score,
            "prediction": LETTERS[index % 4] if score == 1.0 else LETTERS[(index + 1) % 4],
            "ground_truth": LETTERS[index % 4],
            "raw_output": reply,
            "extra_fields": {"simulated": True},
        }
        for index, text, prompt, tokens_in, tokens_out, cost, score, reply in rows
    ]
