"""Routers that learn from who did better, and the one that weighs references by their distance: worked examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmrouterbench.routers import make_router
from llmrouterbench.routers._battles import results, win_rate
from llmrouterbench.routers.eagle import Eagle
from llmrouterbench.routers.proxrouter import ProxRouter
from llmrouterbench.routers.sw_ranking import SimilarityWeightedRanking, strengths
from llmrouterbench.table import Outcomes, Queries

NORTH, EAST = np.array([0.0, 1.0]), np.array([1.0, 0.0])


def table(score: list[list[float]], place: list[Any]) -> Outcomes:
    return Outcomes.of(
        [f"q{i}" for i in range(len(score))],
        ["ant", "bee"],
        score,
        cost=np.tile([1.0, 3.0], (len(score), 1)),
        embedding=np.array(place),
    )


def at(place: Any) -> Queries:
    return Queries.of(["new"], embedding=np.array([place]))


def test_equal_scores_are_a_draw_and_what_is_not_measured_is_no_battle() -> None:
    won, met = results(np.array([[0.5, 0.5], [1.0, np.nan]]))
    assert won[0].tolist() == [[0.0, 0.5], [0.5, 0.0]]
    assert met[1].sum() == won[1].sum() == 0.0
    assert win_rate(np.zeros((1, 1))).tolist() == [[0.5]], "a model that is alone has nobody to beat"


def test_eagle_moves_ratings_by_what_elo_says() -> None:
    """One battle, from equal ratings: the winner gains half of K; the replay is from there."""
    router = Eagle(neighbours=1, step=32.0, mix=0.5).fit(table([[1.0, 0.0]], [NORTH]))
    assert router.rating_.tolist() == [16.0, -16.0]
    expected = 1.0 / (1.0 + 10.0 ** (-32.0 / 400.0))
    local = 16.0 + 32.0 * (1.0 - expected)
    mixed = 0.5 * 16.0 + 0.5 * local
    estimate = router.predict(at(NORTH))
    assert estimate.score[0, 0] == pytest.approx(1.0 / (1.0 + 10.0 ** (-2.0 * mixed / 400.0)))
    assert estimate.cost.tolist() == [[1.0, 3.0]]


def test_eagle_follows_the_neighbours_where_they_differ_from_all() -> None:
    score = [[1.0, 0.0]] * 30 + [[0.0, 1.0]] * 10
    train = table(score, [NORTH] * 30 + [EAST] * 10)
    local = Eagle(neighbours=10, mix=0.0).fit(train)
    assert local.predict(at(NORTH)).score.argmax() == 0
    assert local.predict(at(EAST)).score.argmax() == 1
    assert Eagle(mix=1.0).fit(train).predict(at(EAST)).score.argmax() == 0, "the global rating alone"


def test_bradley_terry_strengths_reproduce_the_share_of_wins() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[1.0, 0.3, -0.2, -1.1]])
    chance = 1.0 / (1.0 + np.exp(truth[:, None, :] - truth[:, :, None]))
    won = 100.0 * chance * ~np.eye(4, dtype=np.bool_)
    assert strengths(won, 1e-9) == pytest.approx(truth, abs=1e-4)
    assert np.isfinite(strengths(rng.random((3, 4, 4)) * 0.0, 0.01)).all(), "without any battle all are equal"


def test_similarity_weighted_ranking_weighs_battles_as_the_paper_does() -> None:
    """Near: one win of the first, weight 10; far: one win of the second, weight 1. So the odds are 10."""
    router = SimilarityWeightedRanking(base=10.0, pseudo=1e-9).fit(table([[1.0, 0.0], [0.0, 1.0]], [NORTH, EAST]))
    assert router.predict(at(NORTH)).score[0] == pytest.approx([10 / 11, 1 / 11], abs=1e-4)
    assert router.predict(at(EAST)).score[0] == pytest.approx([1 / 11, 10 / 11], abs=1e-4)


@pytest.mark.parametrize("references", ["clusters", "neighbours"])
def test_proxrouter_tilts_means_by_distance(references: str) -> None:
    """Three queries in the north, one in the east: at distance 1 the other weighs exp(-1 / temperature)."""
    train = table([[1.0, 0.0]] * 3 + [[0.0, 1.0]], [NORTH] * 3 + [EAST])
    router = ProxRouter(references, k=2 if references == "clusters" else 4, temperature=0.5).fit(train)
    far = np.exp(-2.0)
    assert router.predict(at(NORTH)).score[0] == pytest.approx([3 / (3 + far), far / (3 + far)])
    assert router.predict(at(EAST)).score[0] == pytest.approx([3 * far / (1 + 3 * far), 1 / (1 + 3 * far)])
    hot = ProxRouter(references, k=4, temperature=1e6).fit(train).predict(at(EAST))
    assert hot.score[0] == pytest.approx([0.75, 0.25], abs=1e-4)


def test_proxrouter_with_neighbours_sees_only_the_k_nearest() -> None:
    train = table([[1.0, 0.0]] * 3 + [[0.0, 1.0]], [NORTH] * 3 + [EAST])
    assert ProxRouter("neighbours", k=1, temperature=1e6).fit(train).predict(at(EAST)).score.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("name", "bad", "sentence"),
    [
        (
            "eagle",
            {"neighbours": 0},
            "neighbours must be at least 1, step above 0 and mix from 0 to 1, got 0, 32 and 0.5",
        ),
        ("eagle", {"mix": 2.0}, "mix from 0 to 1, got 20, 32 and 2"),
        ("sw_ranking", {"base": 0.5}, "base must be at least 1 and pseudo above 0, got 0.5 and 0.01"),
        ("proxrouter", {"references": "all"}, "references must be 'clusters' or 'neighbours', got 'all'"),
        ("proxrouter", {"temperature": 0.0}, "k must be at least 1 and temperature above 0, got 64 and 0"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(name: str, bad: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_router(name, **bad)
