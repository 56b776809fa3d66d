"""LLMRouterBench: believable numbers about LLM routing, from raw outcomes to a router in production."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llmrouterbench.moved import find_old_names
from llmrouterbench.version import __version__

_PUBLIC = {
    "Estimate": "table",
    "FittedRouter": "production.fitted",
    "Outcomes": "table",
    "Policy": "benching.policies.policy",
    "Queries": "table",
    "Router": "contracts",
    "add_model": "api",
    "advise": "api",
    "bench": "benching.bench",
    "check_dataset": "checks.dataset",
    "check_importer": "checks.importer",
    "check_router": "checks.router",
    "collect": "api",
    "compare": "api",
    "curate": "api",
    "drift": "api",
    "compare_live": "production.live",
    "drop_model": "api",
    "evaluate_logs": "api",
    "export": "api",
    "export_policy": "api",
    "export_table": "api",
    "fetch": "api",
    "fit": "api",
    "import_outcomes": "importers",
    "info": "api",
    "judge_choices": "benching.outside",
    "load_outcomes": "settings",
    "load_router": "persist",
    "load_setting": "settings",
    "load_split": "splits",
    "make_app": "api",
    "make_router": "routers",
    "make_split": "splits",
    "policies": "api",
    "refit": "api",
    "report": "reporting.report",
    "robustness": "api",
    "router_names": "routers",
    "run": "api",
    "save_outcomes": "api",
    "save_router": "persist",
    "save_split": "splits",
    "score": "api",
    "simulate": "simulation.simulate",
}
"""Public name -> the module that has it, which is imported when the name is used."""
_RETIRED = {"Run": "contracts"}
"""Names that no public function makes or takes any more; they are still found, with a warning."""

if TYPE_CHECKING:
    from llmrouterbench.api import (
        add_model,
        advise,
        collect,
        compare,
        curate,
        drift,
        drop_model,
        evaluate_logs,
        export,
        export_policy,
        export_table,
        fetch,
        fit,
        info,
        make_app,
        policies,
        refit,
        robustness,
        run,
        save_outcomes,
        score,
    )
    from llmrouterbench.benching.bench import bench
    from llmrouterbench.benching.outside import judge_choices
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.checks.dataset import check_dataset
    from llmrouterbench.checks.importer import check_importer
    from llmrouterbench.checks.router import check_router
    from llmrouterbench.contracts import Router
    from llmrouterbench.importers import import_outcomes
    from llmrouterbench.persist import load_router, save_router
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.live import compare_live
    from llmrouterbench.reporting.report import report
    from llmrouterbench.routers import make_router, router_names
    from llmrouterbench.settings import load_outcomes, load_setting
    from llmrouterbench.simulation.simulate import simulate
    from llmrouterbench.splits import load_split, make_split, save_split
    from llmrouterbench.table import Estimate, Outcomes, Queries

__all__ = [
    "Estimate",
    "FittedRouter",
    "Outcomes",
    "Policy",
    "Queries",
    "Router",
    "__version__",
    "add_model",
    "advise",
    "bench",
    "check_dataset",
    "check_importer",
    "check_router",
    "collect",
    "compare",
    "compare_live",
    "curate",
    "drift",
    "drop_model",
    "evaluate_logs",
    "export",
    "export_policy",
    "export_table",
    "fetch",
    "fit",
    "import_outcomes",
    "info",
    "judge_choices",
    "load_outcomes",
    "load_router",
    "load_setting",
    "load_split",
    "make_app",
    "make_router",
    "make_split",
    "policies",
    "refit",
    "report",
    "robustness",
    "router_names",
    "run",
    "save_outcomes",
    "save_router",
    "save_split",
    "score",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    if name in _RETIRED:
        place = f"{__name__}.{_RETIRED[name]}"
        warnings.warn(
            f"{__name__}.{name} is no public name any more; it is in {place}", DeprecationWarning, stacklevel=2
        )
        return getattr(import_module(place), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Front(ModuleType):
    """The package; a module of its own that has the name of a public function does not hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker that is sent a function which uses this package imports it, as it does any other module."""
        return import_module, (__name__,)


sys.modules[__name__].__class__ = _Front
find_old_names()
