"""Settings: which models (the pool), which datasets and which subset of each; the paper's two, or a user's own file.

A setting is data, a TOML file like those in `llmrouterbench/data`. Only `name`, `models[].id` and `datasets[].id` are
required; an empty `models` or `datasets` list means all that the outcomes hold.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.store import read_outcomes
from llmrouterbench.table import BoolArray, Outcomes

BUILT_IN = ("performance", "performance-cost")
PAPER_SEEDS = (42, 999, 2024, 2025, 3407)
"""The paper's five seeds (arXiv 2601.07206, section B.2)."""


@dataclass(frozen=True)
class ModelEntry:
    """A model of a pool. Prices are USD per million tokens on the setting's `prices_date`; None where unknown."""

    id: str
    abbreviation: str = ""
    parameters: str = ""
    input_price: float | None = None
    output_price: float | None = None


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset of a setting. `subsets`: the official splits that belong to it; () means whatever the data has."""

    id: str
    name: str = ""
    domain: str = ""
    metric: str = ""
    shots: int | None = None
    size: int | None = None
    subsets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Pool, datasets, and the reference model that gains are measured against (None: the best single model).

    `outside` names models that were measured but are not in the pool, such as a commercial router.
    """

    name: str
    models: tuple[ModelEntry, ...] = ()
    datasets: tuple[DatasetEntry, ...] = ()
    outside: tuple[str, ...] = ()
    reference: str | None = None
    description: str = ""
    source: str = ""
    prices_date: str = ""

    @property
    def domains(self) -> dict[str, list[str]]:
        """Dataset ids by domain, in the order of the file."""
        out: dict[str, list[str]] = {}
        for dataset in self.datasets:
            out.setdefault(dataset.domain or "other", []).append(dataset.id)
        return out

    def abbreviation(self, model: str) -> str:
        """The short name of a model, its id where there is none."""
        return next((entry.abbreviation for entry in self.models if entry.id == model and entry.abbreviation), model)


def load_setting(name: str | Path) -> Setting:
    """A built-in setting by name, or a user's own by the path of its TOML file.

    >>> [(s.name, len(s.models), len(s.datasets), s.reference) for s in map(load_setting, BUILT_IN)]
    [('performance', 20, 15, 'Qwen3-8B'), ('performance-cost', 13, 10, 'gpt-5')]
    """
    if str(name) in BUILT_IN:
        return parse_setting((resources.files("llmrouterbench") / "data" / f"{name}.toml").read_text(), str(name))
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"no setting named {str(name)!r}{did_you_mean(str(name), BUILT_IN)} (or give a TOML file)")
    return parse_setting(path.read_text(encoding="utf-8"), str(path))


def parse_setting(text: str, where: str) -> Setting:
    """A setting from TOML text; unknown keys and wrong types fail with one sentence that starts with `where`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where} must be TOML, got an error: {error}") from error
    lists: dict[str, Any] = {"models": ModelEntry, "datasets": DatasetEntry}
    for key, entry in lists.items():
        if not isinstance(raw.get(key, []), list):
            raise ValueError(f"{where}: {key} must be a list of tables [[{key}]]")
        raw[key] = tuple(_entry(entry, row, f"{where}: {key}[{i}]") for i, row in enumerate(raw.get(key, [])))
    setting = _entry(Setting, raw, where)
    ids = [model.id for model in setting.models]
    if setting.reference and ids and setting.reference not in ids:
        raise ValueError(f"{where}: reference must be one of its models, got {setting.reference!r}")
    return setting


Entry = TypeVar("Entry")


def _entry(kind: type[Entry], row: Any, where: str) -> Entry:
    """One dataclass from one TOML table, with keys and types checked."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} must be a table, got {row!r}")
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    for key, value in row.items():
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}")
        wants = known[key]
        right = (
            isinstance(value, str) if wants.startswith("str")
            else isinstance(value, int | float) if wants.startswith("float")
            else isinstance(value, int) if wants.startswith("int")
            else isinstance(value, list | tuple)
        )  # fmt: skip
        if not right:
            raise ValueError(f"{where}: {key} must be {wants}, got {value!r}")
    required = "name" if "name" in known and "id" not in known else "id"
    if not row.get(required):
        raise ValueError(f"{where}: {required} is missing")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})


def load_outcomes(folder: str | Path, setting: Setting | str | Path | None = None) -> Outcomes:
    """Read a stored folder, whole or as one setting of it ("performance", "performance-cost", a TOML file)."""
    outcomes = read_outcomes(Path(folder))
    return outcomes if setting is None else apply_setting(outcomes, setting)


def apply_setting(outcomes: Outcomes, setting: Setting | str | Path) -> Outcomes:
    """The part of the outcomes that a setting names; what it names and the data lack is listed in `source["absent"]`.

    Raises ValueError when no model or no query is left.
    """
    if not isinstance(setting, Setting):
        setting = load_setting(setting)
    models = [entry.id for entry in setting.models] or list(outcomes.models)
    keep, lacking = _rows_of(outcomes, setting.datasets)
    outside = tuple(model for model in setting.outside if model in outcomes.models)
    present = [model for model in models if model in outcomes.models and model not in outside]
    if not present or not keep.any():
        raise ValueError(
            f"setting {setting.name!r} must name models and datasets that the outcomes hold, got none of its"
            f" {'models' if not present else 'datasets'}; `llmrouterbench info` shows what is there"
        )
    absent = [*(f"model {model}" for model in models if model not in outcomes.models), *lacking]
    part = outcomes.select([*present, *outside]).take(np.flatnonzero(keep))
    return replace(part, outside=outside, source={**outcomes.source, "setting": setting.name, "absent": absent})


def _rows_of(outcomes: Outcomes, datasets: tuple[DatasetEntry, ...]) -> tuple[BoolArray, list[str]]:
    """Which rows (n,) belong to some datasets, all where none is named; and what the outcomes lack of them."""
    keep = np.full(len(outcomes), not datasets)
    lacking = []
    for entry in datasets:
        mine = outcomes.dataset == entry.id
        have = sorted(set(outcomes.subset[mine].tolist()))
        chosen = _subset(entry, have)
        if chosen is None:
            got = f" (wants {_or(entry.subsets)}, has {_or(have)})" if have else ""
            lacking.append(f"dataset {entry.id}{got}")
        else:
            keep |= mine & np.isin(outcomes.subset, np.array(chosen, dtype=np.str_))
    return keep, lacking


def _subset(entry: DatasetEntry, have: list[str]) -> list[str] | None:
    """The subsets to take: the first one asked for that is there; everything where none is asked for or known."""
    if not have:
        return None
    if not entry.subsets or have == [""]:
        return have
    return next(([name] for name in entry.subsets if name in have), None)


def _or(names: tuple[str, ...] | list[str]) -> str:
    return " or ".join(names)
