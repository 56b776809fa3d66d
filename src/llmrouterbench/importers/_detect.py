"""Which format a source has, from names and first lines only."""

from __future__ import annotations

from pathlib import Path

TABLES = (
    ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".xlsx", ".xls", ".ods", ".sqlite",
    ".db",
)  # fmt: skip
"""Suffixes of long tables."""
PICKLES, ARRAYS = (".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth"), (".npz", ".npy")
NAMED = (".xlsx", ".ods", ".eval", *ARRAYS, *PICKLES)
"""Suffixes that say more of a zip, or of anything, than its first bytes."""
KNOWN = (
    f"a tar.gz or folder of the official release, a long table ({', '.join(TABLES)}) or a folder of them,"
    " results of an evaluation tool or benchmark that docs/importing.md lists, or a server's decision log"
)


def recognised(path: Path) -> str | None:
    """Name of our format that a file or folder is of, None where it is of none."""
    return _folder_format(path) if path.is_dir() else _file_format(path)


def _file_format(path: Path) -> str | None:
    if path.suffix.lower() in TABLES:
        return "long_table"
    return "official" if _is_archive(path) else None


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, whatever it is called: opening it can run any program."""
    with path.open("rb") as file:
        head = file.read(2)
    return path.suffix.lower() in PICKLES or (head[:1] == b"\x80" and b"\0" < head[1:] <= b"\x05")


def refuse_pickle(path: Path) -> None:
    """Raise the ValueError that a pickle deserves where it is not opened in the sandbox."""
    if path.is_dir():
        return
    if path.suffix.lower() in ARRAYS:
        raise ValueError(f"{path} is arrays of numpy, which have no names of models; make a long table of it")
    if is_pickle(path):
        raise ValueError(no_pickle(str(path)))


def no_pickle(shown: str, where: str = "") -> str:
    """Why a pickle is not opened, and what to do."""
    return (
        f"{shown} must not be a pickle file{where}, because opening one can run any program hidden in it;"
        " save it as CSV where it was made (pandas: `frame.to_csv(...)`) and import that"
    )


def _is_archive(path: Path) -> bool:
    """Whether a file is a gzip or a plain tar, by its first bytes; a damaged one is still meant as one."""
    with path.open("rb") as file:
        head = file.read(512)
    named = path.name.lower().endswith((".tar.gz", ".tgz", ".tar"))
    return named or head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar"


def _folder_format(path: Path) -> str | None:
    if (path / "manifest.json").is_file():
        raise ValueError(f"{path} must be a source to import, got a folder of outcomes; use it as it is")
    if (path / "decisions.sqlite").is_file():
        return "decision_log"
    if (path / "scores_train.json").is_file() or (path / "scores_test.json").is_file():
        return "llmrouter"
    if any((path / "mmlu" / "responses").glob("*.csv")) or (path / "gsm8k" / "gsm8k_responses.csv").is_file():
        return "routellm"
    if any(path.rglob("*.json")):
        return "official"
    if pickles := sorted(file for file in path.rglob("*") if file.suffix.lower() in PICKLES):
        raise ValueError(no_pickle(str(pickles[0])))
    return "long_table" if any(file.suffix.lower() in TABLES for file in path.rglob("*")) else None
