"""From outcomes to a fitted router: train on everything but a calibration slice, calibrate and measure on that."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.benching.deciding import reads_replies, replies_to
from llmrouterbench.benching.policies.policy import Policy
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.coverage import Coverage, coverage_of
from llmrouterbench.embedders import Embedder, make_embedder
from llmrouterbench.embedders.vectors import embed_queries, text_hash
from llmrouterbench.estimating.pseudo import Evidence, pseudo_outcomes, usable
from llmrouterbench.files import cache_folder
from llmrouterbench.metrics import known_mean
from llmrouterbench.naming import did_you_mean
from llmrouterbench.production.calibration import (
    choose_cost_method,
    choose_method,
    fit_cost_map,
    fit_map,
    out_of_fold,
    reliability,
)
from llmrouterbench.production.choosing import (
    Chosen,
    Fold,
    choose,
    fit_reading,
    folds_to_serve,
    reader_of,
    router_of,
    settings_of,
)
from llmrouterbench.production.fitted import BOUNDS, SURE, FittedRouter
from llmrouterbench.production.fitted_store import check_embedder_serves
from llmrouterbench.production.learned import CalibrationSlice, Learned, LoggedSlice
from llmrouterbench.production.novelty import Novelty, fit_novelty
from llmrouterbench.production.promises import promises
from llmrouterbench.production.reading import choices
from llmrouterbench.splits import validation_split, with_near_copies
from llmrouterbench.store import read_replies, replies_hash
from llmrouterbench.table import PLANES, BoolArray, Estimate, FloatArray, IntArray, Outcomes, Queries, Replies
from llmrouterbench.version import __version__
from llmrouterbench.worth import folds_of, train_best_single

FOLDS = 5
SINGLE = "best_single"
Say = Callable[[str], None]


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    router    a router with its settings, or "auto": task_soft with its gate, unless another cheap one is better
    policy    the default policy; None: the cheapest trade-off that keeps up with the best single model
    embedder  a spec of `make_embedder`; `text` is what it reads in the outcomes, the "prompt" or the "query"
    share     share of the queries that makes the calibration slice
    novel     share of ordinary queries that may be taken for out of distribution
    fallback  who serves those; None: the best single model
    """

    router: str = "auto"
    policy: str | None = None
    embedder: str = "tfidf"
    text: str = "prompt"
    share: float = 0.2
    novel: float = 0.01
    fallback: str | None = None
    seed: int = 42

    def check(self, models: tuple[str, ...]) -> None:
        """Raises ValueError for what no fit can do."""
        if self.router != "auto" and reads_replies(made := router_of(self.router)) and reader_of(made) is None:
            raise ValueError(
                f"a router that serves must ask for all replies that it reads at once, got {self.router!r}, which asks"
                " one after another; take agreement"
            )
        if self.policy is not None:
            Policy.parse(self.policy)
        check_embedder_serves(self.embedder)
        if self.text not in ("prompt", "query"):
            raise ValueError(f"the text to embed must be 'prompt' or 'query', got {self.text!r}")
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"the share of the calibration slice must be between 0 and 1, got {self.share:g}")
        if self.fallback is not None and self.fallback not in models:
            raise ValueError(f"no model named {self.fallback!r} to fall back to{did_you_mean(self.fallback, models)}")


def fit(
    outcomes: Outcomes,
    settings: FitSettings | None = None,
    *,
    replies: Path | None = None,
    say: Say = lambda text: None,
) -> FittedRouter:
    """Fit router, embedder, calibration and policies on outcomes; `save` the result into a folder.

    replies  folder of outcomes with the models' replies, for a router that reads them

    Raises ValueError for settings that cannot be followed or outcomes that are too few to cut a slice from.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    settings = settings or FitSettings()
    pool = outcomes.pool
    settings.check(pool.models)
    coverage = coverage_of(pool)
    pool = pool if coverage.matrix else pool.take(usable(pool))
    say("finding near-copies")
    pool = with_near_copies(pool)
    rows, held = validation_split(pool, np.arange(len(pool)), settings.seed, settings.share)
    say(f"embedding {len(pool):,} queries")
    embedder = make_embedder(settings.embedder)
    cache = None if embedder.fitted_on_train else cache_folder()
    vectors, _ = embed_queries(
        pool, embedder, rows, text="query" if settings.text == "query" else "prompt", cache=cache
    )
    embedded = pool.with_embedding(vectors)
    # a log is judged fold by fold, and all of it teaches
    train, piece = (embedded.take(rows), embedded.take(held)) if coverage.matrix else (embedded, embedded)
    said = _stored(replies, pool, settings.router) if coverage.matrix else {}
    with threadpool_limits(limits=1):  # many small products: waking threads takes longer than they do
        say("choosing router and trade-off out of fold")
        folds = folds_to_serve(train, settings.seed, replies_to(said, rows))
        chosen, policy = choose(train, folds, settings.router, settings.policy)
        if reader_of(router_of(chosen.name)) is not None and not said:
            none = "no replies are stored beside the outcomes, so it asks nobody; import the source with --replies"
            chosen = replace(chosen, because=(*chosen.because, none))
        say(f"fitting {chosen.name}")
        evidence = Evidence.of(train, piece, logged=False) if coverage.matrix else _evidence_of_a_log(train, folds)
        far = fit_novelty(vectors[rows], vectors[held], _vector_of_nothing(embedder), settings.novel, settings.seed)
        unseen = ~np.isin(np.arange(len(pool)), rows)
        taught, heard = replies_to(said, rows), replies_to(said, held)
        data = _Data(train, piece, evidence, coverage, folds, unseen, far, taught, heard)
        made = _fitted(data, chosen, policy, embedder, settings)
        return _guarded(made, data, chosen, policy, embedder, settings)


@dataclass(frozen=True)
class _Data:
    """What was measured in train and on the calibration slice, and what a router learns from and is judged by.

    folds    of train
    unseen   (n,) queries of the slice that the embedder did not learn from
    novelty  what is out of distribution
    taught, heard  stored replies to train and to the slice, by (row, model), for a router that reads them
    """

    train: Outcomes
    piece: Outcomes
    evidence: Evidence
    coverage: Coverage
    folds: Sequence[Fold]
    unseen: BoolArray
    novelty: Novelty
    taught: Replies
    heard: Replies


def _stored(replies: Path | None, pool: Outcomes, spec: str) -> Replies:
    """The stored replies to the queries of a pool, where the router reads any and any are there."""
    reads = spec != "auto" and reads_replies(router_of(spec))
    return read_replies(replies, pool) if reads and replies is not None and replies_hash(replies) else {}


def _evidence_of_a_log(train: Outcomes, folds: Sequence[Fold]) -> Evidence:
    """What all of it teaches, and by which each fold is judged."""
    learn = pseudo_outcomes(train).teaching()
    score, cost, weight = np.zeros((3, *train.score.shape))
    for one in folds:
        judge = one.evidence.judge
        score[one.held], cost[one.held], weight[one.held] = judge.score, judge.cost, one.evidence.weight
    return Evidence(learn, replace(learn, score=score, cost=cost), weight)


def _guarded(
    made: FittedRouter,
    data: _Data,
    router: Chosen,
    policy: Chosen,
    embedder: Embedder,
    settings: FitSettings,
) -> FittedRouter:
    """The same, unless its default policy is certainly worse than the best single model on the slice.

    Only what was chosen here is replaced, first the policy by "best", then the router; what the user gave is kept.
    """
    simpler = []
    if settings.policy is None and policy.name != "best":
        simpler.append((router, Chosen("best", policy.because)))
    if settings.policy is None and settings.router == "auto":
        simpler.append((Chosen(SINGLE, router.because), Chosen("best", ())))
    for replaced in range(len(simpler) + 1):
        one = _fitted(data, *simpler[replaced - 1], embedder, settings) if replaced else made
        lead = promises(one, [one.default_policy])[0].lead
        if not lead.high < 0:
            said = "not certainly worse than the best single model"
            break
        said = "certainly worse than the best single model, and nothing else may be tried"
    one.facts["guard"] = {"lead": asdict(lead), "verdict": said, "replaced": replaced}
    return one


def _fitted(data: _Data, chosen: Chosen, policy: Chosen, embedder: Embedder, settings: FitSettings) -> FittedRouter:
    train, piece = data.train, data.piece
    unfitted = router_of(chosen.name)
    dial = settings_of(unfitted, train)
    router = fit_reading(unfitted, data.evidence.learn, data.taught)
    learned, report = _learn(router, _beliefs(router, chosen, data, dial), dial, data, policy.name, settings)
    facts = {
        "router": chosen.name,
        "why_router": list(chosen.because),
        "policy": policy.name,
        "why_policy": list(policy.because),
        "settings": asdict(settings),
        "embedder": settings.embedder,
        BOUNDS: SURE,
        "simulated": train.simulated,
        "data": {
            "hash": text_hash(f"{train.content_hash} {piece.content_hash}"),
            "train": len(train),
            "calibration": len(piece),
            "datasets": sorted({*train.datasets, *piece.datasets}),
            **({} if data.coverage.matrix else {"coverage": data.coverage.to_dict()}),
        },
        "models": _prices(train),
        "best_single": learned.best,
        "fallback": learned.fallback,
        "calibration": report,
        "versions": _versions(),
    }
    return FittedRouter(router, embedder, learned, facts)


def _versions() -> dict[str, str]:
    names = ("numpy", "scikit-learn", "polars")
    return {"llmrouterbench": __version__, "python": platform.python_version()} | {n: version(n) for n in names}


def _prices(train: Outcomes) -> dict[str, dict[str, Any]]:
    """What each model cost and took on average in training; NaN unknown."""
    mean = {name: known_mean(getattr(train, name), axis=0) for name in PLANES}
    measured = np.isfinite(train.score).sum(axis=0)
    return {
        model: {"queries": int(measured[j]), **{f"mean_{name}": float(mean[name][j]) for name in PLANES}}
        for j, model in enumerate(train.models)
    }


def _learn(
    router: Router,
    believed: tuple[Estimate, IntArray],
    dial: FloatArray,
    data: _Data,
    policy: str,
    settings: FitSettings,
) -> tuple[Learned, dict[str, Any]]:
    """Calibration, novelty and the slice of a fitted router, and the numbers to report."""
    train, piece, learn = data.train, data.piece, data.evidence.learn
    estimate, choice = believed
    fold = folds_of(piece, FOLDS, settings.seed)
    method = choose_method(estimate.score, piece.score, fold)
    quality = out_of_fold(None, estimate.score, piece.score, fold)
    cost_method, bill_before, bill_after = choose_cost_method(estimate.cost, piece.cost, fold)
    own = isinstance(router, TradeOffRouter) or reader_of(router) is not None
    best = train_best_single(learn)
    learned = Learned(
        models=train.models,
        dropped=(),
        score_map=fit_map(method, estimate.score, piece.score),
        cost_map=fit_cost_map(estimate.cost, piece.cost, known_mean(learn.cost, axis=0), cost_method),
        seconds=known_mean(train.seconds, axis=0),
        mean_score=_mean_score(learn, data.evidence.judge),
        novelty=data.novelty,
        piece=_slice(data, estimate, quality, choice),
        settings=dial,
        own_dial=own,
        best=train.models[best],
        fallback=settings.fallback or train.models[best],
        policy=policy,
    )
    report = {
        "method": method,
        "before": asdict(reliability(np.clip(estimate.score, 0.0, 1.0), piece.score)),
        "after": asdict(reliability(quality, piece.score)),
        "cost_method": cost_method,
        "bill_error_before": bill_before,
        "bill_error_after": bill_after,
    }
    return learned, report


def _vector_of_nothing(embedder: Embedder) -> FloatArray:
    return np.asarray(embedder.embed([""])[0], dtype=np.float64)


def _mean_score(train: Outcomes, piece: Outcomes) -> FloatArray:
    """Mean score (m,) on the slice, on train where the slice lacks a model; 0 for one that was never measured."""
    unseen, seen = known_mean(piece.score, axis=0), known_mean(train.score, axis=0)
    return np.nan_to_num(np.where(np.isfinite(unseen), unseen, seen), nan=0.0)


def _beliefs(router: Router, chosen: Chosen, data: _Data, dial: FloatArray) -> tuple[Estimate, IntArray]:
    """What is expected on the calibration slice, and what a dial of one's own decides there (w, n).

    The slice of a log is what the router was chosen by and learned from: so each fold asks the one that would have been
    chosen without it, and that learned from the others.
    """
    piece = data.piece
    if data.coverage.matrix:
        return router.predict(piece.queries), _own_choices(router, piece.queries, dial, data.heard)
    score, cost, choice = *np.zeros((2, *piece.score.shape)), _own_choices(router, piece.queries, dial)
    specs = chosen.by_fold or (chosen.name,) * len(data.folds)
    for spec, one in zip(specs, data.folds, strict=True):
        fitted, asked = one.router(spec), piece.queries.take(one.held)
        estimate = fitted.predict(asked)
        score[one.held], cost[one.held] = estimate.score, estimate.cost
        choice[:, one.held] = _own_choices(fitted, asked, dial)
    return Estimate(piece.models, score, cost), choice


def _own_choices(router: Router, queries: Queries, dial: FloatArray, replies: Replies | None = None) -> IntArray:
    if (reader := reader_of(router)) is not None:
        return choices(reader, queries, replies or {}, dial)
    if not isinstance(router, TradeOffRouter):
        return np.zeros((0, len(queries)), dtype=np.int64)
    return np.asarray(router.decide_sweep(queries, dial), dtype=np.int64)


def _slice(data: _Data, estimate: Estimate, quality: FloatArray, choice: IntArray) -> CalibrationSlice:
    piece, evidence = data.piece, data.evidence
    found = CalibrationSlice(
        name=np.array([text_hash(text) for text in piece.queries.text], dtype=np.str_),
        dataset=piece.dataset,
        group=piece.together,
        embedding=piece.queries.embedded("fit").astype(np.float32),
        score=np.array(estimate.score),
        cost=np.array(estimate.cost),
        quality=quality,
        choice=choice,
        observed_score=piece.score,
        observed_cost=piece.cost,
        observed_seconds=piece.seconds,
    )
    if evidence.weight is None:
        return found
    return LoggedSlice(
        **vars(found),
        value_score=evidence.judge.score,
        value_cost=evidence.judge.cost,
        weight=evidence.weight,
        unseen=data.unseen,
    )
