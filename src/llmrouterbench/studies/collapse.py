"""Routing collapse: does a router serve one model to everyone, and a dear one where a cheaper one would do?

Source: Lai, Ye, When Routing Collapses (arXiv 2602.03478), which names the failure: as the budget grows, routers
default to the dearest model even where cheaper ones suffice.
Differs: their index is not reproduced; `index` is the total variation distance between the shares of models that the
router and the oracle serve, `needless` counts the queries of their definition, and both are printed beside the plain
shares so that a reader can judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmrouterbench.benching.folder import Decisions, Runs
from llmrouterbench.benching.replay import Replay, replay
from llmrouterbench.coverage import need_matrix
from llmrouterbench.stats import Interval, Sample, bootstrap, interval, sample_means
from llmrouterbench.table import FloatArray, IntArray, Outcomes

_ALL = "all"


@dataclass(frozen=True)
class Collapse:
    """How one router spreads the test queries over the models, pooled over datasets, mean over seeds.

    shares     model -> share of the queries that it served
    top_model  the model that served most, and `top_share` how much
    evenness   entropy of the shares over that of an even spread: 0 one model for all, 1 all alike
    index      share of the queries that would have to move for the spread to be the oracle's, in [0, 1]
    needless   share of the queries served by a model although a cheaper one scored no less; NaN without costs
    """

    router: str
    shares: dict[str, float]
    top_model: str
    top_share: Interval
    evenness: Interval
    index: Interval
    needless: Interval


def routing_collapse(
    runs: Runs, *, replicates: int = 1000, seed: int = 0, played: Replay | None = None
) -> tuple[Collapse, ...]:
    """Collapse of every complete router at the operating point chosen on validation; the last row is the oracle's.

    Source: see the module.
    """
    need_matrix(runs.outcomes, "whether a router collapses where an oracle does not")
    pool, chosen = runs.outcomes.pool, (played or replay(runs, runs.outcomes)).chosen
    m, names = len(pool.models), [*chosen, "Oracle"]
    samples = [
        _sample(runs, one, {label: points[i] for label, points in chosen.items()}) for i, one in enumerate(runs.seeds)
    ]
    spread = bootstrap(samples, [_ALL], replicates=replicates, seed=seed).acc[:, :, 0]
    draws = np.clip(spread, 0.0, 1.0).reshape(replicates, len(names), -1)  # spread draws may leave the shares' bounds
    draws[:, :, :m] /= draws[:, :, :m].sum(axis=2, keepdims=True)
    mean = np.mean([sample_means(sample, [_ALL])[0][:, 0] for sample in samples], axis=0).reshape(len(names), -1)
    oracle, oracle_draws = mean[-1, :m], draws[:, -1, :m]
    found = []
    for i, name in enumerate(names):
        shares, drawn = mean[i, :m], draws[:, i, :m]
        top = int(shares.argmax())
        found.append(
            Collapse(
                name,
                dict(zip(pool.models, shares.tolist(), strict=True)),
                pool.models[top],
                interval(float(shares[top]), drawn[:, top]),
                interval(float(evenness(shares)), evenness(drawn)),
                interval(float(distance(shares, oracle)), distance(drawn, oracle_draws)),
                interval(float(mean[i, m]), draws[:, i, m]),
            )
        )
    return tuple(found)


def evenness(shares: FloatArray) -> FloatArray:
    """Entropy of shares (..., m) over log m; 0 for a single model.

    >>> evenness(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
    [1.0, 0.0]
    """
    if shares.shape[-1] == 1:
        return np.zeros(shares.shape[:-1])
    logs = np.log(shares, out=np.zeros(shares.shape), where=shares > 0)
    return np.asarray(0.0 - (shares * logs).sum(axis=-1) / np.log(shares.shape[-1]))


def distance(shares: FloatArray, others: FloatArray) -> FloatArray:
    """Total variation distance of shares (..., m): half the sum of absolute differences.

    >>> float(distance(np.array([1.0, 0.0]), np.array([0.75, 0.25])))
    0.25
    """
    return np.asarray(np.abs(shares - others).sum(axis=-1) / 2.0)


def served_shares(decisions: Decisions, outcomes: Outcomes, test: IntArray, point: int) -> FloatArray:
    """Probability (n, m) that each model served each test query (n,), at one operating point."""
    part = decisions.parts["test"]
    mine = part.point == point
    served = np.zeros((len(part.rows), len(outcomes.models)))
    served[part.query[mine], part.model[mine]] = part.served[mine]
    order = np.argsort(part.rows, kind="stable")
    return np.asarray(served[order[np.searchsorted(part.rows[order], test)]])


def _sample(runs: Runs, seed: int, points: dict[str, int]) -> Sample:
    """Columns of one seed: for every router and the oracle, m shares and whether the service was needless."""
    pool, test = runs.outcomes.pool, runs.splits[seed].test
    score, cost = pool.score[test], pool.cost[test]
    spread = [served_shares(runs.decisions[label, seed], runs.outcomes, test, i) for label, i in points.items()]
    blocks = []
    for served in [part[:, : len(pool.models)] for part in spread] + [oracle_shares(score, cost)]:
        blocks += [served, (served * _needless(score, cost)).sum(axis=1, keepdims=True)]
    columns = np.hstack(blocks)
    everything = np.full(len(test), _ALL)
    return Sample(everything, pool.together[test], columns, np.full(columns.shape, np.nan))


def oracle_shares(score: FloatArray, cost: FloatArray) -> FloatArray:
    """Probability (n, m) that the oracle serves each model: the cheapest of the best; what still ties shares evenly.

    An unknown cost is the dearest. NaN rows where nothing was measured.

    >>> oracle_shares(np.array([[1.0, 1.0, 0.0]]), np.full((1, 3), np.nan)).tolist()
    [[0.5, 0.5, 0.0]]
    """
    known = np.where(np.isfinite(score), score, -np.inf)
    best = np.isfinite(score) & (known == known.max(axis=1, keepdims=True))
    price = np.where(best, np.where(np.isfinite(cost), cost, np.finfo(np.float64).max), np.inf)
    tied = best & (price == price.min(axis=1, keepdims=True))
    count = tied.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(tied, count, out=np.full(score.shape, np.nan), where=count > 0))


def _needless(score: FloatArray, cost: FloatArray) -> FloatArray:
    """1 (n, m) where a cheaper model scored no less, else 0; NaN rows where no cost is known.

    >>> _needless(np.array([[1.0, 1.0, 0.0]]), np.array([[2.0, 1.0, 0.5]])).tolist()
    [[1.0, 0.0, 0.0]]
    """
    order = np.argsort(np.where(np.isfinite(cost), cost, np.inf), axis=1, kind="stable")
    priced = np.where(np.isfinite(score) & np.isfinite(cost), score, -np.inf)
    ranked = np.take_along_axis(priced, order, axis=1)
    best = np.maximum.accumulate(ranked, axis=1)
    cheaper = np.hstack([np.full((len(score), 1), -np.inf), best[:, :-1]])
    beaten = np.empty(score.shape)
    np.put_along_axis(beaten, order, (cheaper >= np.take_along_axis(score, order, axis=1)).astype(np.float64), axis=1)
    return np.where(np.isfinite(cost).any(axis=1, keepdims=True), beaten, np.nan)
