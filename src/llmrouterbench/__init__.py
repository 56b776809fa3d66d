"""LLMRouterBench: believable numbers about LLM routing, from raw outcomes to a router in production."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Estimate": "table",
    "FittedRouter": "production.fitted",
    "Outcomes": "table",
    "Policy": "table",
    "Queries": "table",
    "Router": "table",
    "Run": "table",
    "bench": "evaluate",
    "import_outcomes": "importers",
    "make_router": "routers",
    "make_split": "splits",
    "report": "reporting.report",
    "router_names": "routers",
    "simulate": "simulator",
}

if TYPE_CHECKING:
    from llmrouterbench.evaluate import bench
    from llmrouterbench.importers import import_outcomes
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.reporting.report import report
    from llmrouterbench.routers import make_router, router_names
    from llmrouterbench.simulator import simulate
    from llmrouterbench.splits import make_split
    from llmrouterbench.table import Estimate, Outcomes, Policy, Queries, Router, Run

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
