"""Old names of modules that moved: what was documented or stored under them is still found."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = __name__.partition(".")[0]
MOVED = {
    "collecting.cache": "calling.cache",
    "collecting.cache.postgres": "calling.cache.postgres",
    "collecting.cache.redis": "calling.cache.redis",
    "collecting.cache.sqlite": "calling.cache.sqlite",
    "collecting.calls": "calling.calls",
    "collecting.client": "calling.client",
    "collecting.litellm_transport": "calling.litellm_transport",
    "collecting.retrying": "calling.retrying",
    "dataset_checks": "checks.dataset",
    "datasets._answers": "datasets.answers",
    "datasets._own": "datasets.own",
    "deciding": "benching.deciding",
    "describe": "reporting.describe",
    "embed": "embedders.vectors",
    "evaluate": "benching.bench",
    "executors": "benching.executors",
    "fetch": "importers.fetch",
    "importers.report": "findings",
    "judge": "calling.asking",
    "models": "calling.prices",
    "outside": "benching.outside",
    "policies": "benching.policies",
    "release_writer": "simulation.release",
    "replay": "benching.replay",
    "reporting.figures.differences": "reporting.exhibits.differences",
    "reporting.figures.distribution": "reporting.exhibits.figure10_distribution",
    "reporting.figures.domains": "reporting.exhibits.figure03_domains",
    "reporting.figures.hardness": "reporting.exhibits.figure05_hardness",
    "reporting.figures.heatmap": "reporting.exhibits.heatmap",
    "reporting.figures.latency": "reporting.exhibits.figure09_latency",
    "reporting.figures.metrics": "reporting.exhibits.figure04_metrics",
    "reporting.figures.pareto": "reporting.exhibits.figure08_pareto",
    "reporting.figures.savings": "reporting.exhibits.figure07_savings",
    "reporting.figures.subsets": "reporting.exhibits.figure06_subsets",
    "routers._gate": "worth",
    "runs": "benching.folder",
    "score": "scoring.folder",
    "score_config": "scoring.config",
    "simulator": "simulation.simulate",
    "strict_yaml": "strict",
    "studies.comparing": "studies.moves",
    "studies.comparisons": "studies.differences",
    "studies.paired": "stats",
    "tuning": "benching.tuning",
}
"""Old name -> today's, both without the package."""


def todays(module: str) -> str:
    """The name that a module has today.

    >>> todays("llmrouterbench.evaluate"), todays("llmrouterbench.table"), todays("json")
    ('llmrouterbench.benching.bench', 'llmrouterbench.table', 'json')
    """
    package, _, name = module.partition(".")
    return f"{_PACKAGE}.{MOVED[name]}" if package == _PACKAGE and name in MOVED else module


class _Finder(MetaPathFinder, Loader):
    """Gives today's module for an old name, with a warning."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if todays(name) != name else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = todays(spec.name)
        warnings.warn(f"{spec.name} is {new} now; import it from there", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import has put the old name's there


def find_old_names() -> None:
    """Let imports of old names find today's modules."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # before a folder that an update left behind
