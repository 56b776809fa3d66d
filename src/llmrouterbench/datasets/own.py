"""Datasets of a user's own: a YAML file that names a data file, its columns, a prompt and a scorer.

    name: capitals
    file: capitals.csv                      # .csv, .jsonl or .parquet, beside the YAML file
    columns: {query: question, target: answer}
    prompt: "{query} End with a line 'Answer: <city>'."
    scorer: exact                           # exact, letter, number, math, code or judge

See docs/datasets.md for every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Formatter, Template
from typing import Any

import orjson

from llmrouterbench.datasets import Dataset, Kind, Source
from llmrouterbench.datasets._own_scorers import LETTERS, SCORERS, SCORERS_VERSION, entries_of, unfit_tests
from llmrouterbench.datasets._phrases import ambiguous
from llmrouterbench.files import sha256_of
from llmrouterbench.naming import did_you_mean
from llmrouterbench.replies import Item
from llmrouterbench.strict import Name, parse_plain, parse_yaml, read_yaml

KINDS: dict[str, Kind] = {
    "exact": "text",
    "letter": "text",
    "number": "text",
    "math": "math",
    "code": "code",
    "judge": "judge",
}
"""Built-in scorer -> kind of dataset, which says what instruments it needs."""
_READERS = (".csv", ".jsonl", ".parquet")
_JUDGED = ("query", "target", "reply")
_VERDICTS = ("VERDICT: CORRECT", "VERDICT: INCORRECT")


@dataclass(frozen=True)
class Columns:
    """Which column holds what; `id` "" numbers the rows, `options` is one column of lists or several columns."""

    query: Name
    target: Name = ""
    id: Name = ""
    subset: Name = ""
    options: Name | tuple[Name, ...] = ()
    tests: Name = ""


@dataclass(frozen=True)
class Judge:
    """The judge model's id and its template with $query, $target and $reply."""

    model: Name
    template: Name


@dataclass(frozen=True)
class OwnDataset:
    """The keys of the YAML file; `prompt` may hold {query} and {options}."""

    name: Name
    file: Name
    columns: Columns
    prompt: Name
    scorer: Name
    judge: Judge | None = None
    title: Name = ""
    domain: Name = "own"
    licence: Name = "not stated"
    citation: Name = "not stated"
    shots: int = 0
    version: int = 1
    shown: bool = True


def own_dataset(path: str | Path) -> Dataset:
    """The dataset that a YAML file describes; its data are read and checked once, and their sha256 is pinned.

    Read the items with `datasets.load(dataset, folder)`, where folder holds the data file, and let
    `llmrouterbench.check_dataset(dataset, items)` try them. A config of `collect` names the YAML file as a dataset.
    Raises FileNotFoundError for a missing file and ValueError for anything in it that is not as it must be.
    """
    path = Path(path)
    own = _own(read_yaml(path, "the YAML file of a dataset"), str(path))
    data = path.parent / own.file
    if not data.is_file():
        raise FileNotFoundError(f"{path}: file must name the data beside it, got {own.file!r}, which is not there")
    items = _items(own, data)
    return Dataset(
        name=own.name,
        title=own.title or own.name,
        domain=own.domain,
        source=Source("own", str(path), str(own.version), {own.file: sha256_of(data)}),
        licence=own.licence,
        citation=own.citation,
        size=len(items),
        shots=own.shots,
        kind=KINDS[own.scorer],
        version=own.version,
        read=lambda files: _items(own, files[own.file]),
        prompt=partial(_prompt, own.prompt),
        score=partial(SCORERS[own.scorer], own.judge.template) if own.judge else SCORERS[own.scorer],
        subsets=tuple(sorted({item.subset for item in items} - {""})),
        shown=own.shown,
        judge=own.judge.model if own.judge else "",
        judge_template=own.judge.template if own.judge else "",
    )


def scorer_version(scorer: object) -> str:
    """The version of a built-in scorer that a YAML file can name, "" for any other.

    >>> scorer_version(SCORERS["exact"]), scorer_version(print)
    ('3', '')
    """
    return SCORERS_VERSION if scorer in SCORERS.values() else ""


def parse_own(text: str, where: str) -> OwnDataset:
    r"""The description in a YAML text; unknown keys, wrong types and gaps fail with a sentence that begins `where`.

    >>> parse_own("name: a\ncolums: {}", "own.yaml")
    Traceback (most recent call last):
        ...
    ValueError: own.yaml: unknown key 'colums'; did you mean 'columns'?
    """
    return _own(parse_yaml(text, where), where)


def _own(raw: Any, where: str) -> OwnDataset:
    own = parse_plain(OwnDataset, raw, where)
    _check_scorer(own, where)
    _check_prompt(own, where)
    return own


def _check_scorer(own: OwnDataset, where: str) -> None:
    if own.scorer not in KINDS:
        raise ValueError(f"{where}: no scorer named {own.scorer!r}{did_you_mean(own.scorer, KINDS)}")
    needs = "tests" if own.scorer == "code" else "target"
    if not getattr(own.columns, needs):
        raise ValueError(f"{where}: scorer {own.scorer!r} needs columns.{needs}, got none; name the column")
    if (own.judge is not None) != (own.scorer == "judge"):
        raise ValueError(f"{where}: judge must stand there for scorer 'judge' and for no other, got {own.scorer!r}")
    if own.judge:
        _check_template(own.judge.template, where)


def _check_template(text: str, where: str) -> None:
    template = Template(text)
    if not template.is_valid():
        bad = _bad_dollar(text)
        raise ValueError(f"{where}: judge.template has a $ that begins no name, at {bad!r}; write $$ for a dollar sign")
    names = template.get_identifiers()
    for name in names:
        if name not in _JUDGED:
            near = did_you_mean(name, _JUDGED)
            raise ValueError(
                f"{where}: judge.template has an unknown field '${name}'{near}; write $$ for a dollar sign"
            )
    gaps = [f"${name}" for name in _JUDGED if name not in names] + [part for part in _VERDICTS if part not in text]
    if gaps:
        raise ValueError(f"{where}: judge.template must contain {gaps[0]!r}; the verdict is the judge's last line")


def _bad_dollar(text: str) -> str:
    """What stands at the first $ that is neither a name nor doubled."""
    found = next(found for found in Template.pattern.finditer(text) if found["invalid"] is not None)
    return text[found.start() : found.start() + 20].partition("\n")[0]


def _check_prompt(own: OwnDataset, where: str) -> None:
    try:
        names = [name for _, name, _, _ in Formatter().parse(own.prompt) if name is not None]
    except ValueError as error:
        raise ValueError(f"{where}: prompt must be a template, got {error}; write {{{{ for a brace") from error
    for name in names:
        if name not in ("query", "options"):
            raise ValueError(f"{where}: prompt has an unknown field {name!r}{did_you_mean(name, ['query', 'options'])}")
    if "query" not in names:
        raise ValueError(f"{where}: prompt must contain {{query}}, got {own.prompt!r}")


def _prompt(template: str, item: Item) -> str:
    options = item.details.get("options", [])
    lines = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    return template.format(query=item.query, options=lines)


def _items(own: OwnDataset, path: Path) -> list[Item]:
    items = [_item(own, row, f"{path} row {number}", number) for number, row in enumerate(_rows(path), 1)]
    first: dict[str, int] = {}
    for number, item in enumerate(items, 1):
        if first.setdefault(item.id, number) != number:
            raise ValueError(f"{path} row {number}: id must be unique, got {item.id!r} of row {first[item.id]} again")
    if not items:
        raise ValueError(f"{path} must have rows, got none")
    return items


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a data file; CSV cells are text."""
    import polars

    if path.suffix == ".csv":
        return polars.read_csv(path, infer_schema=False).to_dicts()
    if path.suffix == ".parquet":
        return polars.read_parquet(path).to_dicts()
    if path.suffix != ".jsonl":
        raise ValueError(f"{path}: file must end in {', '.join(_READERS)}, got {path.suffix or 'no ending'}")
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{path} line {number} must be one JSON object, got {line[:60]!r}") from error
    return rows


def _item(own: OwnDataset, row: Mapping[str, Any], where: str, number: int) -> Item:
    columns = own.columns
    options = _options(row, columns.options, where)
    details: dict[str, Any] = {"options": options} if options else {}
    if columns.tests:
        details |= _tests(str(_cell(row, columns.tests, where)), where)
    target = _cell(row, columns.target, where) if columns.target else None
    if own.scorer == "letter":
        _check_options(options, where)
        target = _letter(target, options, where)
    if own.scorer == "number":
        target = _number(target, where)
    return Item(
        id=str(_cell(row, columns.id, where)) if columns.id else f"{own.name}-{number}",
        query=str(_cell(row, columns.query, where)),
        target=target,
        subset=str(_cell(row, columns.subset, where)) if columns.subset else "",
        details=details,
    )


def _cell(row: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in row:
        raise ValueError(f"{where}: no column named {column!r}{did_you_mean(column, row)}")
    value = row[column]
    if value is None or value == "":
        raise ValueError(f"{where}: column {column!r} must not be empty; fill it or take the row out")
    return value


def _options(row: Mapping[str, Any], columns: str | tuple[str, ...], where: str) -> list[str]:
    if not columns:
        return []
    if isinstance(columns, tuple):
        return [str(_cell(row, column, where)) for column in columns]
    listed = _cell(row, columns, where)
    if not isinstance(listed, list):
        raise ValueError(
            f"{where}: column {columns!r} must hold a list of options, got {listed!r}; or name several columns"
        )
    return [str(option) for option in listed]


def _check_options(options: list[str], where: str) -> None:
    if len(options) > len(LETTERS):
        raise ValueError(f"{where}: options must be {len(LETTERS)} at most, one a letter, got {len(options)}")
    if why := ambiguous(dict(zip(LETTERS, options, strict=False))):
        raise ValueError(f"{where}: {why}, so that no reply could choose; change the options or their order")


def _tests(tests: str, where: str) -> dict[str, Any]:
    entries = entries_of(tests)
    if not entries:
        raise ValueError(f"{where}: tests must be Python that uses a name of the solution, got {tests[:80]!r}")
    if why := unfit_tests(tests):
        raise ValueError(f"{where}: {why}")
    return {"tests": tests, "entries": entries}


def _letter(target: Any, options: list[str], where: str) -> str:
    """The right option's letter, from a letter or from the option's text."""
    if str(target) in options:
        return LETTERS[options.index(str(target))]
    known = LETTERS[: len(options)] if options else LETTERS
    if str(target).upper() in known:
        return str(target).upper()
    raise ValueError(f"{where}: target must be an option or its letter ({known[0]} to {known[-1]}), got {target!r}")


def _number(target: Any, where: str) -> float:
    try:
        return float(str(target).replace(",", ""))
    except ValueError as error:
        raise ValueError(f"{where}: target must be a number for scorer 'number', got {target!r}") from error
