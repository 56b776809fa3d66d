"""OpenCompass: `results/<model>/<dataset>.json` with details, and the prompts in `predictions/`.

Source: open-compass/opencompass. Only a run with `dump_eval_details` says which replies were right. Predictions may
lie in parts `<dataset>_<n>.json`, numbered on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._messages import asked
from llmrouterbench.importers._samples import Glimpse, Record, answered, number, samples
from llmrouterbench.records import read_json_file


def recognises(source: Glimpse) -> bool:
    """Whether it is a working folder of OpenCompass."""
    folders = {file.parent.parent.name for file in source.files if file.suffix == ".json"}
    return source.path.is_dir() and {"results", "predictions"} <= folders


def read_opencompass(path: Path, options: Options) -> Imported:
    """Read a working folder, the newest run of each model and dataset. Raises ValueError where no details are there."""
    findings, newest = Findings(), dict[tuple[str, str], Path]()
    for file in sorted(path.rglob("results/*/*.json")):
        if (file.parent.name, file.stem) in newest:
            findings.add("older results of a run that was made again", "dropped", file.as_posix())
        newest[file.parent.name, file.stem] = file
    records = (record for file in newest.values() for record in _results(file, path, findings))
    return samples(records, path, options, findings, len(newest))


def _results(file: Path, path: Path, findings: Findings) -> Iterator[tuple[str, Record]]:
    said, place = read_json_file(file), file.relative_to(path)
    details = said.get("details") if isinstance(said, dict) else None
    rows = dict(enumerate(details)) if isinstance(details, list) else details
    if not isinstance(rows, dict):
        findings.add("results without details (run it with --dump-eval-details)", "dropped", place.as_posix())
        return
    asked_for = _predictions(file)
    for key, row in rows.items():
        if isinstance(row, dict) and "correct" in row:
            yield f"{place} {key}", _record(row, asked_for.get(str(key), {}), file, str(key))


def _predictions(file: Path) -> dict[str, dict[str, Any]]:
    """Number of an item -> its prompt and prediction, over all parts."""
    folder, found = file.parents[2] / "predictions" / file.parent.name, list[dict[str, Any]]()
    parts = [folder / f"{file.stem}.json"]
    if not parts[0].is_file():
        numbered = (part for part in folder.glob(f"{file.stem}_*.json") if part.stem[len(file.stem) + 1 :].isdigit())
        parts = sorted(numbered, key=lambda part: int(part.stem.rpartition("_")[2]))
    for part in filter(Path.is_file, parts):
        said = read_json_file(part)
        found += [said[key] for key in sorted(said, key=int)]
    return {str(key): value for key, value in enumerate(found)}


def _record(row: Mapping[str, Any], prediction: Mapping[str, Any], file: Path, key: str) -> Record:
    correct = row["correct"]
    return {
        "query": asked(prediction.get("origin_prompt") or row.get("prompt")),
        "model": file.parent.name,
        "dataset": file.stem,
        "id": f"{file.stem}/{key}",
        "score": number(correct[0] if isinstance(correct, list) and correct else correct),
        "reply": answered(prediction.get("prediction") or row.get("origin_prediction")),
    }
