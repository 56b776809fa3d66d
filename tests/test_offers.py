"""What a loss of accuracy buys: chosen on training queries, measured on test, right in worlds of known truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench import Outcomes, bench, import_outcomes, simulate
from llmrouterbench.benching.folder import Runs
from llmrouterbench.benching.offers import SURE, offers
from llmrouterbench.benching.replay import avg_lead, metered
from llmrouterbench.metrics import known_mean
from llmrouterbench.reporting.verdict import headline
from llmrouterbench.stats import Sample, judged
from llmrouterbench.studies.verdict import verdict

pytestmark = pytest.mark.slow
LOSSES = (0.0, 0.01, 0.02, 0.05)
ZERO_WIDTH = Path(__file__).resolve().parents[2] / "shared" / "data" / "made" / "zero_width.csv"
ROUTERS = ["best_single", "knn:k=5", "avengers_pro:k=4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A small SIMULATED bench."""
    folder = tmp_path_factory.mktemp("offers")
    return bench(simulate("performance-cost", scale=0.04), folder / "runs", routers=ROUTERS, seeds=[1, 2], jobs=1)


def test_a_pick_is_the_cheapest_that_surely_loses_no_more(runs: Runs) -> None:
    """Looked up again, one router, point and model at a time."""
    found = offers(runs, runs.outcomes, LOSSES)
    assert found is not None
    assert found.losing == (None, *LOSSES)
    for at, seed in enumerate(runs.seeds):
        rows = runs.decisions["knn:k=5", seed].parts["validation"].rows
        score, cost = runs.outcomes.score, runs.outcomes.cost
        base = runs.outcomes.models.index(found.base[at])
        ways = {("model", name, 0): (score[rows, i], cost[rows, i]) for i, name in enumerate(runs.outcomes.models)}
        for label in ROUTERS:
            decisions = runs.decisions[label, seed]
            if len(decisions.parts["validation"].rows):
                planes = metered(decisions, "validation", rows, runs.outcomes)
                ways |= {("router", label, i): (planes[0][i], planes[1][i]) for i in range(len(decisions.weights))}
        for offer, loss in enumerate(LOSSES, 1):
            cheapest = cost[rows, base].sum()
            for one, bill in ways.values():
                pair = Sample(
                    runs.outcomes.dataset[rows],
                    np.arange(len(rows)),
                    np.stack([one, score[rows, base]], axis=1),
                    np.ones((len(rows), 2)),
                )
                lead, error = avg_lead(pair, 1)
                if lead[0] - SURE * error[0] >= -loss:
                    cheapest = min(cheapest, bill.sum())
            pick = found.picks[offer][at]
            assert ways[pick.kind, pick.name, pick.point][1].sum() == pytest.approx(cheapest)


def test_test_outcomes_choose_nothing_and_cost_more_loss_less(runs: Runs) -> None:
    found = offers(runs, runs.outcomes, LOSSES)
    assert found is not None
    score = runs.outcomes.score.copy()
    only_tested = sorted(set.intersection(*(set(runs.splits[seed].test.tolist()) for seed in runs.seeds)))
    score[only_tested] = 1.0 - score[only_tested]
    other = offers(runs, replace(runs.outcomes, score=score), LOSSES)
    assert other is not None
    assert other.picks == found.picks
    assert any(not np.array_equal(a.score, b.score) for a, b in zip(other.samples, found.samples, strict=True))
    np.testing.assert_allclose(found.served.sum(axis=1), 1.0)


def test_what_serves_and_costs_is_what_was_decided(runs: Runs) -> None:
    found = offers(runs, runs.outcomes, LOSSES)
    assert found is not None
    for at, seed in enumerate(runs.seeds):
        for i, picks in enumerate(found.picks):
            pick, rows = picks[at], runs.splits[seed].test
            if pick.kind == "router":
                score, cost = metered(runs.decisions[pick.name, seed], "test", rows, runs.outcomes)
                np.testing.assert_array_equal(found.samples[at].score[:, i], score[pick.point])
                np.testing.assert_array_equal(found.samples[at].cost[:, i], cost[pick.point])
            elif pick.kind == "table":
                train, dataset = runs.splits[seed].train, runs.outcomes.dataset
                for name in runs.outcomes.datasets:
                    mine, taught = dataset[rows] == name, train[dataset[train] == name]
                    best = int(np.nanargmax(known_mean(runs.outcomes.score[taught], axis=0)))
                    np.testing.assert_array_equal(
                        found.samples[at].score[mine, i], runs.outcomes.score[rows[mine], best]
                    )
            else:
                column = runs.outcomes.models.index(pick.name)
                np.testing.assert_array_equal(found.samples[at].score[:, i], runs.outcomes.score[rows, column])


def _world(seed: int, lead: float, cheaper: float, n: int = 400) -> Outcomes:
    """SIMULATED: large is right with 0.7, small `lead` less often at a share of the price; texts tell nothing."""
    rng = np.random.default_rng(seed)
    score = (rng.random((n, 2)) < [0.7, 0.7 - lead]).astype(float)
    cost = rng.gamma(4.0, 0.25, (n, 2)) * [1.0, cheaper]
    texts = [f"query {a} {b}" for a, b in rng.integers(0, 1_000, (n, 2))]
    return Outcomes.of(texts, ["large", "small"], score, dataset=["a", "b"] * (n // 2), cost=cost, simulated=True)


@pytest.mark.parametrize(("tasks", "each"), [(12, 3), (2, 6)])
def test_three_queries_a_dataset_cannot_tell(tmp_path: Path, tasks: int, each: int) -> None:
    rng, n = np.random.default_rng(0), tasks * each
    score, names = rng.integers(0, 2, (n, 3)).astype(float), [f"task {i % tasks}" for i in range(n)]
    texts = [f"query {i} of {name}" for i, name in enumerate(names)]
    world = Outcomes.of(texts, ["a", "b", "c"], score, dataset=names, cost=np.ones((n, 3)), simulated=True)
    runs = bench(world, tmp_path / "runs", routers=["best_single", "knn"], seeds=[1], jobs=1)
    found = verdict(runs, runs.outcomes, samples=200)
    assert found is not None
    assert found.choice is None
    assert found.action == "cannot tell"


@pytest.mark.skipif(not ZERO_WIDTH.is_file(), reason="no shared data here")
def test_a_way_that_serves_the_same_model_shows_no_lead_of_any_size(tmp_path: Path) -> None:
    import_outcomes(ZERO_WIDTH, tmp_path / "data")
    runs = bench(tmp_path / "data", tmp_path / "runs", routers=["best_single", "task_soft"], seeds=[42], jobs=1)
    found = verdict(runs, runs.outcomes, samples=200)
    assert found is not None
    assert headline(found).startswith("Cannot tell")
    assert " 0.0 points" not in headline(found)


@pytest.mark.prove
@pytest.mark.parametrize(("lead", "cheaper"), [(0.0, 1.0), (0.02, 0.5)])
def test_routing_that_is_worth_nothing_is_rarely_called_better(tmp_path: Path, lead: float, cheaper: float) -> None:
    """No router can be better there, and the cheaper model is worse: each is claimed in 5 % of the worlds at most."""
    better = saved = 0
    for seed in range(16):
        runs = bench(_world(seed, lead, cheaper), tmp_path / str(seed), routers=["knn"], seeds=[1, 2], jobs=1)
        found = verdict(runs, runs.outcomes, samples=200)
        assert found is not None
        better += judged(found.offers[0].difference) == "better"
        saved += lead > 0 and found.choice is found.offers[1]
    assert max(better, saved) <= 3, "of 16; more has a chance of 1 % at a true rate of 5 %"
