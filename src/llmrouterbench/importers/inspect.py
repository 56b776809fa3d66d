"""Inspect: `.eval` logs and their `.json` form, of one model and task each; a folder of them.

Source: UKGovernmentBEIS/inspect_ai 0.3. An `.eval` file is a zip, since 2026 packed with Zstandard, which Python reads
from 3.14 on. Epochs are runs. A sample that broke off has an error and no score: it is not measured. Of several scorers
one must be named.
"""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, Scores, number, samples
from llmrouterbench.records import read_json_file

_VALUES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Correct, incorrect, partly, no answer: the tool's own values of its letters."""
_ATTACHED = "attachment://"
_MAX_MEMBER = 256 << 20


def recognises(source: Glimpse) -> bool:
    """Whether it holds logs of Inspect."""
    return any(source.named("*.eval")) or source.has("*.json", "version", "status", "eval", "plan")


def read_inspect(path: Path, options: Options) -> Imported:
    """Read one log or all of a folder. Raises ValueError with the file and sample of what breaks a rule."""
    findings, scores = Findings(), Scores.of(path, options)
    files = [path] if path.is_file() else sorted([*path.rglob("*.eval"), *path.rglob("*.json")])
    records = (record for file in files for record in _samples(file, path, scores, findings))
    imported = samples(records, path, options, findings, len(files))
    scores.check()
    return imported


def _samples(file: Path, path: Path, scores: Scores, findings: Findings) -> Iterator[tuple[str, Record]]:
    log, parts = _opened(file)
    about = log.get("eval")
    if not isinstance(about, dict) or "model" not in about:
        findings.add("file that is no log of Inspect", "dropped", file.name)
        return
    if log.get("status") != "success":
        findings.add(f"log of a run that ended as {log.get('status')!r}", "kept", file.name)
    task, place = str(about.get("task", "")).rpartition("/")[2], file.relative_to(path.parent)
    for sample in parts:
        yield (
            f"{place} sample {sample.get('id')} epoch {sample.get('epoch', 1)}",
            _record(sample, task, str(about["model"]), scores),
        )


def _opened(file: Path) -> tuple[Mapping[str, Any], Iterator[dict[str, Any]]]:
    """What a log says of itself, and its samples."""
    if file.suffix != ".eval":
        log = read_json_file(file)
        log = log if isinstance(log, dict) else {}
        return log, iter(log.get("samples") or ())
    archive = _Archive(file)
    if "header.json" not in archive.names:
        raise ValueError(f"{file} must be a finished log of Inspect, got one without a header; run it to its end")
    found = sorted(name for name in archive.names if name.startswith("samples/"))
    return archive.read("header.json"), map(archive.read, found)


class _Archive:
    """An `.eval` file, with a reader for Zstandard where Python has none."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._breaks: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, RuntimeError, zlib.error)
        reading: Any = zipfile
        if sys.version_info < (3, 14):
            with suppress(ImportError):
                from backports import zstd
                from backports.zstd import zipfile as reading

                self._breaks += (zstd.ZstdError,)
        self._breaks += (reading.BadZipFile,)
        try:
            self._zip = reading.ZipFile(file)
            self.names: list[str] = self._zip.namelist()
        except self._breaks as error:
            raise self._broken(error) from error

    def read(self, name: str) -> dict[str, Any]:
        """A member, which is JSON."""
        member = self._zip.getinfo(name)
        if member.file_size > _MAX_MEMBER:
            size = f"{member.file_size >> 20} in {name}"
            raise ValueError(f"a part of {self.file} must take at most {_MAX_MEMBER >> 20} MiB, got {size}")
        try:
            read: dict[str, Any] = orjson.loads(self._zip.read(name))
        except NotImplementedError as error:
            raise ImportError(f"{self.file} is packed with Zstandard; pip install 'llmrouterbench[inspect]'") from error
        except self._breaks as error:
            raise self._broken(error) from error
        return read

    def _broken(self, error: Exception) -> ValueError:
        return ValueError(f"{self.file} must be a log of Inspect, got: {error}; is the file cut?")


def _record(sample: Mapping[str, Any], task: str, model: str, scores: Scores) -> Record:
    given = _scores(sample.get("scores") or {})
    chosen = scores.choose(list(given), f"task {task}")
    choices = [f"{chr(ord('A') + at)}) {text}" for at, text in enumerate(sample.get("choices") or ())]
    output, usage = sample.get("output") or {}, sample.get("model_usage") or {}
    tokens = usage.get(model) or output.get("usage") or {}
    error = sample.get("error")
    return {
        "query": _whole("\n".join([asked(sample.get("input")), *choices]), sample),
        "model": model,
        "dataset": task,
        "id": f"{task}/{sample.get('id')}",
        "run": sample.get("epoch", 1),
        "score": None if chosen is None or error else given[chosen],
        "error": (error.get("message") or "error") if isinstance(error, dict) else error,
        "tokens_in": tokens.get("input_tokens"),
        "tokens_out": tokens.get("output_tokens"),
        "seconds": sample.get("working_time") or sample.get("total_time"),
        "reply": _whole(str(output.get("completion") or ""), sample),
    }


def _scores(said: Mapping[str, Any]) -> dict[str, Any]:
    """Name of a score -> value; a scorer that gives several names each of them."""
    found = {}
    for scorer, score in said.items():
        value = score.get("value") if isinstance(score, dict) else score
        parts = value if isinstance(value, dict) else {"": value}
        for name, part in parts.items():
            known = _VALUES.get(part, part) if isinstance(part, str) else number(part)
            found[f"{scorer} ({name})" if name else scorer] = known
    return found


def _whole(text: str, sample: Mapping[str, Any]) -> str:
    """A text, with what is attached in its place."""
    attached = sample.get("attachments") or {}
    return str(attached.get(text.removeprefix(_ATTACHED), text)) if text.startswith(_ATTACHED) else text
