"""LLMRouterBench: believable numbers about LLM routing, from raw outcomes to a router in production."""

from __future__ import annotations

import sys
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
    "Run": "contracts",
    "bench": "benching.bench",
    "import_outcomes": "importers",
    "load_outcomes": "settings",
    "make_router": "routers",
    "make_split": "splits",
    "report": "reporting.report",
    "router_names": "routers",
    "simulate": "simulation.simulate",
}

if TYPE_CHECKING:
    from llmrouterbench.benching.bench import bench
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.contracts import Router, Run
    from llmrouterbench.importers import import_outcomes
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.reporting.report import report
    from llmrouterbench.routers import make_router, router_names
    from llmrouterbench.settings import load_outcomes
    from llmrouterbench.simulation.simulate import simulate
    from llmrouterbench.splits import make_split
    from llmrouterbench.table import Estimate, Outcomes, Queries

__all__ = [
    "Estimate",
    "FittedRouter",
    "Outcomes",
    "Policy",
    "Queries",
    "Router",
    "Run",
    "__version__",
    "bench",
    "import_outcomes",
    "load_outcomes",
    "make_router",
    "make_split",
    "report",
    "router_names",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Front(ModuleType):
    """The package; a module of its own that has the name of a public function does not hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front
find_old_names()
