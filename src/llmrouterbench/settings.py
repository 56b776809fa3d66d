"""Settings: which models (the pool), which datasets and which subset of each; the paper's two, or a user's own file.

A setting is data, a TOML file like those in `llmrouterbench/data`. Only `name`, `models[].id` and `datasets[].id` are
required; an empty `models` or `datasets` list means all that the outcomes hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.shown import Shown
from llmrouterbench.table import BoolArray, Outcomes

BUILT_IN = ("performance", "performance-cost")
PAPER_SEEDS = (42, 999, 2024, 2025, 3407)
"""The paper's five seeds (arXiv 2601.07206, section B.2)."""
DEFAULT_ROUTERS = (
    "best_single", "task_soft", "gated:router=knn", "linear", "knn_tuned", "knn", "avengers", "avengers_pro",
)  # fmt: skip
"""What `bench` runs when it is not told: what `advise` and `fit` choose among, and the paper's strongest quick ones."""


def _check_named(key: str, name: str) -> None:
    if not name:
        raise ValueError(f"{key} must be a text that is not empty, got {name!r}")


@dataclass(frozen=True)
class ModelEntry:
    """A model of a pool. Prices are USD per million tokens on the setting's `prices_date`; None where unknown."""

    id: str
    abbreviation: str = ""
    parameters: str = ""
    input_price: int | float | None = None  # as it was written: keys of a chain are made from it
    output_price: int | float | None = None

    def __post_init__(self) -> None:
        _check_named("id", self.id)


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

    def __post_init__(self) -> None:
        _check_named("id", self.id)


@dataclass(frozen=True, repr=False)
class Setting(Shown):
    """Pool, datasets, and the reference model that gains are measured against (None: the best single model).

    `outside` names models that were measured but are not in the pool, such as a commercial router. Raises ValueError
    for a reference that is none of the models.
    """

    name: str
    models: tuple[ModelEntry, ...] = ()
    datasets: tuple[DatasetEntry, ...] = ()
    outside: tuple[str, ...] = ()
    reference: str | None = None
    description: str = ""
    source: str = ""
    prices_date: str = ""

    def __post_init__(self) -> None:
        _check_named("name", self.name)
        ids = [model.id for model in self.models]
        if self.reference and ids and self.reference not in ids:
            raise ValueError(f"reference must be one of its models, got {self.reference!r}")

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

    Raises ValueError, in one sentence that names file and key, for an unknown name or a file that is no setting.

    >>> [(s.name, len(s.models), len(s.datasets), s.reference) for s in map(load_setting, BUILT_IN)]
    [('performance', 20, 15, 'Qwen3-8B'), ('performance-cost', 13, 10, 'gpt-5')]
    """
    if str(name) in BUILT_IN:
        return parse_setting((resources.files("llmrouterbench") / "data" / f"{name}.toml").read_text(), str(name))
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"no setting named {str(name)!r}{did_you_mean(str(name), BUILT_IN)} (or give a TOML file)")
    from llmrouterbench.strict import read_text

    return parse_setting(read_text(path, "the TOML file of a setting"), str(path))


def parse_setting(text: str, where: str) -> Setting:
    """A setting from TOML text; unknown keys and wrong types fail with one sentence that starts with `where`."""
    from llmrouterbench.strict import parse_plain, parse_toml

    return parse_plain(Setting, parse_toml(text, where), where)


def load_outcomes(source: Outcomes | str | Path, setting: Setting | str | Path | None = None) -> Outcomes:
    """A stored folder, or outcomes as they are; whole, or one setting of them.

    setting  "performance", "performance-cost", a TOML file of your own, or a `Setting`

    Raises FileNotFoundError or ValueError for a folder that is no whole one, and ValueError for an unknown setting or
    one that leaves nothing.

    >>> load_outcomes(Outcomes.of(["2 + 2?"], ["small"], [[1]])).models
    ('small',)
    """
    if not isinstance(source, Outcomes):
        from llmrouterbench.store import read_outcomes  # polars, which a server does without

        source = read_outcomes(Path(source))
    return source if setting is None else apply_setting(source, setting)


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
