"""Routers fitted on a log: learned and judged by pseudo-outcomes, stored, loaded, promised."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.production.adding import add_models
from llmrouterbench.production.choosing import CANDIDATES, Trial, choose, choose_router, folds_to_serve
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.learned import CalibrationSlice, LoggedSlice
from llmrouterbench.production.promises import promises
from llmrouterbench.table import Outcomes

NAN = float("nan")
CHANCE = {"select rows of table": (0.95, 0.45), "draft polite letter": (0.55, 0.95)}


def specialists(n: int = 800, seed: int = 1) -> Outcomes:
    """Two specialists, one of them asked at random: alone 0.75 and 0.70, routed by kind 0.95."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, n)
    words, chance = list(CHANCE), np.array(list(CHANCE.values()))[kinds]
    at = np.arange(n), rng.integers(0, 2, n)
    score, cost = np.full((n, 2), NAN), np.full((n, 2), NAN)
    score[at], cost[at] = rng.random(n) < chance[at], np.array([0.001, 0.0001])[at[1]]
    return Outcomes.of([f"{words[k]} {i} {i * 7}" for i, k in enumerate(kinds)], ["large", "small"], score, cost=cost)


@pytest.fixture(scope="module")
def fitted() -> FittedRouter:
    return fit(specialists())


def test_what_routing_gains_is_seen_in_a_log(fitted: FittedRouter, tmp_path: Path) -> None:
    assert isinstance(fitted.learned.piece, LoggedSlice)
    assert fitted.facts["data"]["coverage"]["kind"] == "logged"
    fitted.save(tmp_path / "router")
    for one in (fitted, FittedRouter.load(tmp_path / "router")):
        assert [one.route(f"{words} 9").model for words in CHANCE] == ["large", "small"]
        promised = promises(one, ["best"])[0]
        assert promised.quality.low < 0.95 < promised.quality.high
        assert promised.lead.low < 0.2 < promised.lead.high
        assert promised.lead.low > 0.05
        assert promised.quality.low < promised.quality.high


def test_a_policy_of_few_trials_promises_no_quality(fitted: FittedRouter) -> None:
    piece = fitted.learned.piece
    assert isinstance(piece, LoggedSlice)
    piece.weight[:, 0] = 0.0
    served = promises(fitted, ["strong-share 1"])[0]
    assert served.share == {"large": 1.0}
    assert np.isnan(served.quality.value)


def test_a_log_without_trials_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="a log must hold 20 effective trials of a model, got"):
        fit(specialists(30), FitSettings(router="task_soft", policy="best"))


def test_a_router_of_a_log_takes_no_new_model() -> None:
    made = fit(specialists(), FitSettings(router="knn", policy="best"))
    with pytest.raises(ValueError, match="must be fitted on a matrix, got one of a log"):
        add_models(made, specialists(50))


def test_a_matrix_is_stored_as_before() -> None:
    rng = np.random.default_rng(0)
    whole = Outcomes.of([f"query {i}" for i in range(100)], ["a", "b"], rng.integers(0, 2, (100, 2)))
    made = fit(whole, FitSettings(router="task_soft", policy="best"))
    assert type(made.learned.piece) is CalibrationSlice
    assert "coverage" not in made.facts["data"]


@pytest.mark.prove
def test_a_log_is_judged_whole_by_routers_that_did_not_see_the_query() -> None:
    """Another outcome of a query changes nothing that is expected of it."""
    table = specialists(200)
    turned = table.score.copy()
    turned[0] = 1.0 - turned[0]
    made = [
        fit(one, FitSettings(router="linear", policy="best")).learned.piece
        for one in (table, replace(table, score=turned))
    ]
    assert len(made[0]) == 200
    assert 0 < made[0].fresh.sum() < 100, "the embedder learned from the others"
    for plane in ("score", "quality"):
        mine, theirs = (getattr(one, plane) for one in made)
        assert np.array_equal(mine[0], theirs[0]), plane
        assert not np.array_equal(mine, theirs), plane


def test_queries_that_the_embedder_knows_are_not_out_of_distribution(fitted: FittedRouter) -> None:
    far = fitted.dial.far_in_slice()
    assert not far[~fitted.learned.piece.fresh].any()
    assert promises(fitted, ["best"])[0].novel == far[fitted.learned.piece.fresh].mean()


def test_luck_on_a_fold_chooses_no_router_for_it() -> None:
    rng = np.random.default_rng(0)
    usual, lucky = rng.random((2, 1, 300)) * 0.1 + 0.5
    lucky[0, :100] += 0.4  # on the first fold alone
    trials = [Trial(name, np.zeros(1), score, score) for name, score in (("task_soft", usual), ("linear", lucky))]
    assert choose_router(trials).name == "linear"
    without = [choose_router([one.without(np.arange(at, at + 100)) for one in trials]).name for at in (0, 100, 200)]
    assert without == ["task_soft", "linear", "linear"]


def test_what_a_log_promises_is_measured_with_what_each_fold_would_have_chosen() -> None:
    log = specialists(300).with_embedding(np.eye(2)[np.arange(300) % 2])
    chosen, _ = choose(log, folds_to_serve(log, 42), "auto", "best")
    assert len(chosen.by_fold) == 3
    assert set(chosen.by_fold) <= set(CANDIDATES)
