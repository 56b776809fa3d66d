"""Routers by name. One file per method; a router is imported when it is made, not when it is listed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from llmrouterbench.contracts import Router
from llmrouterbench.naming import did_you_mean
from llmrouterbench.plugins import PlugIns
from llmrouterbench.routers._settings import check_settings


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
    "knn_tuned": Entry("knn_tuned:KNNTuned", "Li 2025 (arXiv 2505.12601)", "USD weight"),
    "knn_guard": Entry("knn_guard:KNNGuard", "this project", "USD weight"),
    "linear": Entry("linear:LinearRouter", "Li 2025 (arXiv 2505.12601)", "USD weight"),
    "mlp": Entry("mlp:MLPRouter", "Hu et al. 2024 (arXiv 2403.12031)", "USD weight"),
    "svm": Entry("svm:SVMRouter", "Hu et al. 2024 (arXiv 2403.12031)", "USD weight"),
    "multiclass": Entry("multiclass:Multiclass", "Huang et al. 2025 (arXiv 2503.10657)", "USD weight"),
    "task_lookup": Entry("task_lookup:TaskLookup", "LLMRouterBench (arXiv 2601.07206)", "USD weight"),
    "task_soft": Entry("task_soft:TaskSoft", "this project", "USD weight"),
    "gated": Entry("gated:Gated", "this project", "the inner router's"),
    "embedllm": Entry("embedllm:EmbedLLM", "Zhuang et al. 2024 (arXiv 2410.02223)", "USD weight", "torch"),
    "routellm": Entry("routellm:RouteLLM", "Ong et al. 2024 (arXiv 2406.18665)", "win-rate threshold", "torch"),
    "graphrouter": Entry("graphrouter:GraphRouter", "Feng et al. 2024 (arXiv 2410.03834)", "none", "torch"),
    "avengers": Entry("avengers:Avengers", "Zhang et al. 2025 (arXiv 2505.19797)", "none"),
    "avengers_pro": Entry("avengers_pro:AvengersPro", "Zhang et al. 2025 (arXiv 2508.12631)", "alpha"),
    "gbm": Entry("gbm:GBM", "Friedman 2002; Zhang and Jung 2019 (arXiv 1909.04558)", "USD weight"),
    "carrot": Entry("carrot:Carrot", "Somerstep et al. 2025 (arXiv 2502.03261)", "mu"),
    "uniroute": Entry("uniroute:UniRoute", "Jitkrittum et al. 2025 (arXiv 2502.08773)", "USD weight"),
    "hiershrink": Entry("hiershrink:HierShrink", "vllm-project/semantic-router issue 3459", "USD weight"),
    "irt": Entry("irt:IRT", "Song et al. 2025 (arXiv 2506.01048)", "USD weight"),
    "equirouter": Entry("equirouter:EquiRouter", "Lai and Ye 2026 (arXiv 2602.03478)", "USD weight"),
    "cascade_routing": Entry(
        "cascade_routing:CascadeRouting", "Dekoninck et al. 2024 (arXiv 2410.10347)", "USD weight"
    ),
    "agreement": Entry("agreement:Agreement", "this project; Kolawole et al. 2024 (arXiv 2407.02348)", "USD weight"),
    "eagle": Entry("eagle:Eagle", "Zhao et al. 2024 (arXiv 2409.15518)", "USD weight"),
    "sw_ranking": Entry("sw_ranking:SimilarityWeightedRanking", "Ong et al. 2024 (arXiv 2406.18665)", "USD weight"),
    "proxrouter": Entry("proxrouter:ProxRouter", "Patel et al. 2025 (arXiv 2510.09852)", "USD weight"),
    "linucb": Entry("linucb:LinUCB", "Li et al. 2010 (arXiv 1003.0146)", "USD weight"),
    "routerdc": Entry("routerdc:RouterDC", "Chen et al. 2024 (arXiv 2409.19886)", "USD weight", "finetune"),
    "model_sat": Entry("model_sat:ModelSAT", "Zhang et al. 2025 (arXiv 2502.17282)", "USD weight", "finetune"),
    "hybridllm": Entry("hybridllm:HybridLLM", "Ding et al. 2024 (arXiv 2404.14618)", "strong share", "finetune"),
    "frugalgpt": Entry("frugalgpt:FrugalGPT", "Chen et al. 2023 (arXiv 2305.05176)", "budget", "finetune"),
    "bert": Entry("bert:Bert", "Ong et al. 2024 (arXiv 2406.18665)", "USD weight", "finetune"),
}
REFERENCES = ("random", "oracle", "dataset_oracle")
"""Rows that every leaderboard has; they need no fitting."""
OUTSIDE = ("openrouter",)
"""Routers of others, stored in the outcomes like a model outside the pool and replayed from there."""


def _needs(name: str, found: Any) -> str:
    return "" if isinstance(found, type) and callable(getattr(found, "fit", None)) else "a class with `fit`"


PLUG_INS = PlugIns("router", (*REGISTRY, *REFERENCES, *OUTSIDE), _needs)


def registry() -> dict[str, Entry]:
    """Every router: ours, then those of installed plug-ins. A plug-in cannot take one of our names."""
    return REGISTRY | {
        name: Entry(one.target, f"plug-in of {one.package}", "see its documentation", one.package)
        for name, one in PLUG_INS.installed().items()
    }


def router_names() -> list[str]:
    """Names that `make_router` knows: ours in the order of the registry, then those of installed plug-ins.

    >>> router_names()[:2]
    ['best_single', 'knn']
    """
    return list(registry())


def router_class(name: str) -> type[Any]:
    """The class behind a name.

    Raises ValueError for an unknown name, ImportError where an extra is missing or a plug-in is broken.
    """
    if name in REGISTRY:
        module, _, cls = REGISTRY[name].target.partition(":")
        ours: type[Any] = getattr(import_module(f"{__name__}.{module}"), cls)
        return ours
    others = PLUG_INS.installed()
    if name not in others:
        raise ValueError(f"no router named {name!r}{did_you_mean(name, [*PLUG_INS.ours, *others])}")
    theirs: type[Any] = PLUG_INS.load(name)
    return theirs


def make_router(name: str, **settings: Any) -> Router:
    """A router by name, unfitted, with constructor settings.

    Raises ValueError for an unknown name or setting, ImportError where an extra is missing or a plug-in is broken.

    >>> make_router("avengers_pro", k=32).k
    32
    >>> make_router("knn", kk=3)
    Traceback (most recent call last):
        ...
    ValueError: router 'knn' has no setting 'kk'; did you mean 'k'?
    """
    cls = router_class(name)
    check_settings(name, cls, settings)
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
