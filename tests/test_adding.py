"""Models that join and leave a fitted router, on topics where the newcomer is the best at one of them."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from llmrouterbench.commands import fit as _commands  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.production.adding import CAN_ADD, add_models, drop_models, joining_curve
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.promises import promises
from llmrouterbench.routers import make_router
from llmrouterbench.table import Outcomes
from topics import MODELS, SKILL, texts, topics

OLD = ("large", "small", "poet")
ROUTERS = ("uniroute:k=8", "hiershrink:coarse=4,fine=8,shrinkage=2", "knn:k=40", "knn_tuned", "knn_guard:k=60,z=0.5")


def fitted(router: str) -> FittedRouter:
    return fit(topics(400).select(OLD), FitSettings(router=router, policy="best"))


@pytest.fixture(scope="module")
def uniroute() -> FittedRouter:
    return fitted("uniroute:k=8")


def coders_share_of_code(made: FittedRouter) -> float:
    """Share of queries on code that the newcomer serves."""
    text, topic = texts(300, 77)
    served = made.route_many([line for line, t in zip(text, topic, strict=True) if t == 1], "best")
    return float(np.mean([one.model == "coder" for one in served]))


@pytest.mark.slow
@pytest.mark.parametrize("router", ROUTERS)
def test_a_new_model_serves_what_it_is_good_at_without_a_fit(router: str, tmp_path: Path) -> None:
    made = fitted(router)
    unseen, paired = topics(150, seed=9), topics(400).take(np.arange(200))
    probe = (paired if router.startswith("knn_guard") else unseen).select(["coder"])
    grown, (curve,) = add_models(made, probe)
    assert grown.models == (*OLD, "coder")
    assert coders_share_of_code(grown) > 0.5
    text, topic = texts(200, 31)
    estimate = grown.estimate(text)
    assert abs(estimate.score[:, 3] - SKILL[topic, 2]).mean() < 0.25
    assert estimate.cost[:, 3].mean() == pytest.approx(0.004, rel=0.15)
    assert curve.model == "coder"
    assert curve.probes[-1] == len(probe) - int(0.3 * len(probe))
    assert curve.enough in curve.probes
    grown.save(tmp_path / "r")
    assert FittedRouter.load(tmp_path / "r").route_many(text[:20]) == grown.route_many(text[:20])
    assert made.models == OLD  # the one that was given stays as it was


def test_every_router_that_is_said_to_take_models_does() -> None:
    for name in CAN_ADD:
        assert hasattr(make_router(name), "add_model")


def test_the_curve_falls_with_probes_where_there_is_something_to_learn(uniroute: FittedRouter) -> None:
    probe = topics(600, seed=9).select(["coder"])
    embedded = probe.with_embedding(uniroute.embedded(list(probe.queries.text)).embedded("test"))
    curve = joining_curve(uniroute.router, "coder", embedded)  # type: ignore[arg-type]
    assert curve.probes == (10, 25, 50, 100, 200, 420)
    assert curve.brier[0] > curve.brier[-1]
    assert 10 < curve.enough <= 420
    constant = Outcomes.of(list(probe.queries.text), ["coder"], np.ones((600, 1)), embedding=embedded.queries.embedding)
    assert joining_curve(uniroute.router, "coder", constant).enough == 10  # type: ignore[arg-type]


def test_probes_of_the_slice_are_measured_in_the_promises(uniroute: FittedRouter) -> None:
    grown, _ = add_models(uniroute, topics(400).select(["coder"]))
    assert np.isfinite(grown.learned.piece.observed_score).all()
    before, after = (promises(one, ["best"])[0].quality.value for one in (uniroute, grown))
    assert after > before


def test_a_probe_that_is_a_training_query_fills_its_row() -> None:
    made = fitted("knn:k=40")
    training = len(made.router.embedding_)  # type: ignore[attr-defined]
    grown, _ = add_models(made, topics(400).select(["coder"]))
    added = len(grown.router.embedding_) - training  # type: ignore[attr-defined]
    assert 0 < added < 400 - training + 5  # only the queries of the slice are new


def test_a_model_without_a_probe_near_is_not_known_to_fail() -> None:
    """knn counted it as 0: a Brier score of 0.85 where the mean of its probes gives 0.13."""
    embedding = np.vstack([np.tile([1.0, 0.0], (60, 1)), np.tile([0.0, 1.0], (20, 1))])
    train = Outcomes.of([f"q{i}" for i in range(60)], ["old"], np.ones((60, 1)), embedding=embedding[:60])
    score = (np.arange(20) % 10 != 0).astype(float)[:, None]
    probes = Outcomes.of(
        [f"p{i}" for i in range(20)], ["new"], score, embedding=embedding[60:], cost=np.full((20, 1), 3.0)
    )
    for name in ("knn", "knn_tuned"):
        router: Any = make_router(name).fit(train)
        router.add_model("new", probes)
        far = router.predict(train.queries)
        assert far.score[:, 1] == pytest.approx(np.full(60, 0.9)), name
        assert far.cost[:, 1] == pytest.approx(np.full(60, 3.0)), name


def test_what_cannot_join_is_told_why(uniroute: FittedRouter) -> None:
    probe = topics(50, seed=9)
    with pytest.raises(ValueError, match="router 'task_soft' cannot take a model without being fitted again"):
        add_models(fitted("task_soft"), probe)
    with pytest.raises(ValueError, match="must be training queries, where it can compare with 'large', got none among"):
        add_models(fitted("knn_guard"), probe)
    with pytest.raises(ValueError, match="must hold a model that the router does not know, got large, small"):
        add_models(uniroute, probe.select(["large", "small"]))
    with pytest.raises(ValueError, match="model 'coder' must have scores on 10 probe queries or more to join, got 4"):
        add_models(uniroute, probe.select(["coder"]).take(np.arange(4)))


def test_a_dropped_model_never_serves_again(uniroute: FittedRouter, tmp_path: Path) -> None:
    text, _ = texts(100, 1)
    left = drop_models(uniroute, ["large"])
    assert left.models == ("small", "poet")
    assert left.learned.best in left.models
    left.save(tmp_path / "r")
    again = FittedRouter.load(tmp_path / "r")
    for policy in ("best", "strong-share 0.5", "cheapest --min-quality 0.1", "best --explore 1"):
        for one in again.route_many([*text, ""], policy):
            assert one.model != "large"
            assert "large" not in one.ranking
    assert "large" not in promises(again, ["best"])[0].share
    with pytest.raises(ValueError, match="no model named 'large' serves here"):
        drop_models(left, ["large"])
    with pytest.raises(ValueError, match="keep one"):
        drop_models(left, ["small", "poet"])


def test_the_commands_add_from_a_table_and_drop(uniroute: FittedRouter, tmp_path: Path) -> None:
    uniroute.save(tmp_path / "r")
    probe = topics(60, seed=9).select(["coder"])
    lines = ["query,model,score,cost"]
    rows = zip(probe.queries.text, probe.score[:, 0], probe.cost[:, 0], strict=True)
    lines += [f"{text},coder,{score},{cost}" for text, score, cost in rows]
    (tmp_path / "probe.csv").write_text("\n".join(lines))
    run, folder = CliRunner(), str(tmp_path / "r")
    shown = run.invoke(app, ["add-model", folder, "--outcomes", str(tmp_path / "probe.csv"), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["models"] == [*OLD, "coder"]
    assert FittedRouter.load(folder).models == (*OLD, "coder")
    dropped = run.invoke(app, ["drop-model", folder, "coder", "--to", str(tmp_path / "s")])
    assert "still serve" in dropped.stdout
    assert FittedRouter.load(tmp_path / "s").models == OLD
    assert (tmp_path / "s" / "reliability.csv").is_file() == (find_spec("matplotlib") is not None)
    assert set(MODELS) > set(OLD)
