"""Routers by name. One file per method; a router is imported when it is made, not when it is listed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import Router


@dataclass(frozen=True)
class Entry:
    """What is known of a router before it is imported: where it is, its source, what it needs, its dial."""

    target: str
    paper: str
    dial: str
    needs: str = ""


REGISTRY: dict[str, Entry] = {
    "best_single": Entry("best_single:BestSingle", "LLMRouterBench (arXiv 2601.07206)", "none"),
    "knn": Entry("knn:KNN", "Li 2025 (arXiv 2505.12601)", "USD weight"),
    "avengers": Entry("avengers:Avengers", "Zhang et al. 2025 (arXiv 2505.19797)", "none"),
    "avengers_pro": Entry("avengers_pro:AvengersPro", "Zhang et al. 2025 (arXiv 2508.12631)", "alpha"),
}
REFERENCES = ("random", "oracle", "dataset_oracle")
"""Rows that every leaderboard has; they need no fitting."""


def router_names() -> list[str]:
    """Names that `make_router` knows, in the order of the registry."""
    return list(REGISTRY)


def router_class(name: str) -> type[Any]:
    """The class behind a name. Raises ValueError for an unknown name, ImportError where an extra is missing."""
    if name not in REGISTRY:
        raise ValueError(f"no router named {name!r}{did_you_mean(name, [*REGISTRY, *REFERENCES])}")
    module, _, cls = REGISTRY[name].target.partition(":")
    found: type[Any] = getattr(import_module(f"{__name__}.{module}"), cls)
    return found


def make_router(name: str, **settings: Any) -> Router:
    """A router by name, unfitted, with constructor settings.

    >>> make_router("avengers_pro", k=32).k
    32
    >>> make_router("knn", kk=3)
    Traceback (most recent call last):
        ...
    ValueError: router 'knn' has no setting 'kk'; did you mean 'k'?
    """
    cls = router_class(name)
    known = list(inspect.signature(cls).parameters)
    for key in settings:
        if key not in known:
            raise ValueError(f"router {name!r} has no setting {key!r}{did_you_mean(key, known)}")
    router: Router = cls(**settings)
    return router


def parse_router(spec: str) -> tuple[str, dict[str, Any]]:
    """Name and settings from one word, as the command line takes it.

    >>> parse_router("avengers:k=32,top_k=3")
    ('avengers', {'k': 32, 'top_k': 3})
    """
    name, _, rest = spec.partition(":")
    settings: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"a router setting must be key=value, got {part!r} in {spec!r}")
        settings[key.strip()] = _value(value.strip())
    return name.strip(), settings


def _value(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(word.lower(), word)
