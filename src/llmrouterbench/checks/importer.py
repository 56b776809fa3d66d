"""The contract of an importer, as checks that anybody can run on their own, with a small source of its format.

    from llmrouterbench.checks.importer import check_importer
    check_importer(MINE, Path("small.log"))

A check raises `ContractError`, an AssertionError, with a sentence that says what the contract asks for.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from llmrouterbench.checks.contract import ContractError, require
from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers import Importer
from llmrouterbench.table import Outcomes

Damage = Callable[[bytes], bytes]
_DAMAGES: dict[str, Damage] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "cut near its end": lambda data: data[: -max(1, len(data) // 20)],
    "of other bytes": lambda data: bytes(range(256)) * 4,
    "empty": lambda data: b"",
}


def check_importer(importer: Importer, source: Path | str, *, options: Options | None = None) -> None:
    """Run the whole contract on an importer and a whole source, a file or folder of a few megabytes at most.

    options   how to import, such as the score that counts; None: as `import` does without options

    Raises ContractError, an AssertionError, with the first broken rule.
    """
    require(isinstance(importer, Importer), f"an importer must be an Importer, got {type(importer).__name__}")
    source, options = Path(source), options or Options()
    check_table(importer, source, options)
    check_source_stays(importer, source, options)
    check_zero_costs(importer, source, options)
    check_recognition(importer, source)
    check_damage(importer, source, options)


def _read(importer: Importer, source: Path, options: Options) -> Imported:
    found: object = importer.read(source, options)
    if not isinstance(found, Imported):
        raise ContractError(f"`read` must return an Imported, got {type(found).__name__}")
    for name, kind in (("outcomes", Outcomes), ("findings", Findings)):
        got = type(getattr(found, name))
        require(got is kind, f"Imported.{name} must be {kind.__name__}, got {got.__name__}")
    return found


def check_table(importer: Importer, source: Path, options: Options) -> None:
    """Something is measured, every query has a text, records are counted, and so is what was not measured."""
    found = _read(importer, source, options)
    outcomes, known = found.outcomes, np.isfinite(found.outcomes.score)
    require(bool(known.any()), f"a whole source must give scores, got none from {source}")
    empty = next((name for name, text in zip(outcomes.queries.id, outcomes.queries.text, strict=True)
                  if not text.strip()), None)  # fmt: skip
    require(empty is None, f"every query must have a text, got none for {str(empty)!r}")
    records = found.counts.get("records")
    require(isinstance(records, int) and records > 0, f"Imported.counts must count the records, got {records!r}")
    said = bool(known.all()) or bool(found.findings.all())
    require(said, f"what is not measured must be a finding, got {int((~known).sum())} cells without a word")


def check_source_stays(importer: Importer, source: Path, options: Options) -> None:
    """Reading changes nothing in the source, and a second time gives the same."""
    before = _hashes(source)
    one, other = (_read(importer, source, options).outcomes.content_hash for _ in range(2))
    require(one == other, f"a source must give the same outcomes again, got {one[:12]} and {other[:12]}")
    require(_hashes(source) == before, f"reading must not change the source, got other files in {source}")


def check_zero_costs(importer: Importer, source: Path, options: Options) -> None:
    """A cost of 0 is unknown, unless the user says that it is free."""
    cost = _read(importer, source, replace(options, zero_cost="unknown")).outcomes.cost
    require(not (cost == 0).any(), f"a cost of 0 must be NaN unless it is free, got {int((cost == 0).sum())} zeros")


def check_recognition(importer: Importer, source: Path) -> None:
    """`recognises` knows the source, and says no of an empty file and folder without an error."""
    if importer.recognises is None:
        return
    require(importer.recognises(source) is True, f"`recognises` must be True for {source}")
    with tempfile.TemporaryDirectory() as name:
        others = Path(name) / "other.bin", Path(name) / "other"
        others[0].touch()
        others[1].mkdir()
        for other in others:
            try:
                said = importer.recognises(other)
            except Exception as error:
                raise ContractError(f"`recognises` must not fail, got {type(error).__name__}: {error}") from error
            require(said is False, f"`recognises` must be False for an empty {other.name}, got {said!r}")


def check_damage(importer: Importer, source: Path, options: Options) -> None:
    """A damaged source is read in part, or is a ValueError of one line that names the file."""
    for what, damage in _DAMAGES.items():
        with tempfile.TemporaryDirectory() as name:
            damaged = Path(name) / source.name
            _copy(source, damaged, damage)
            try:
                _read(importer, damaged, replace(options, replies=None))
            except (ValueError, ImportError) as error:
                told = str(error)
                require("\n" not in told, f"an error must be one line, got {told!r} of a source {what}")
                require(source.name in told, f"an error must name the file, got {told!r} of a source {what}")
            except Exception as error:
                kind = type(error).__name__
                raise ContractError(f"a source {what} must be a ValueError or read, got {kind}: {error}") from error


def _files(source: Path) -> list[Path]:
    return [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())


def _hashes(source: Path) -> dict[Path, str]:
    return {file: sha256_of(file) for file in _files(source)}


def _copy(source: Path, to: Path, damage: Damage) -> None:
    """The source with every file of it damaged."""
    if source.is_dir():
        shutil.copytree(source, to)
    for file in _files(source):
        (to / file.relative_to(source)).write_bytes(damage(file.read_bytes()))
