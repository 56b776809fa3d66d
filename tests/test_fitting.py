"""`fit` from outcomes to a folder, and what it promises, on topics with known skills and on awkward tables."""

import hashlib
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.benching.policies.best import Best
from llmrouterbench.benching.policies.cheapest import Cheapest
from llmrouterbench.benching.policies.policy import Policy
from llmrouterbench.commands import fit as _commands  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.production.choosing import Chosen, Trial, choose_policy, choose_router
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitted_store import write_fitted
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.promises import promises, usual_policies
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes
from topics import MODELS, SKILL, texts, topics


@pytest.fixture(scope="module")
def fitted() -> FittedRouter:
    return fit(topics())


@pytest.fixture(scope="module")
def folder(fitted: FittedRouter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("fitted") / "router"
    fitted.save(to)
    return to


def test_fit_finds_who_is_good_at_what_and_says_why(fitted: FittedRouter) -> None:
    text, topic = texts(300, 99)
    chosen = [fitted.models.index(one.model) for one in fitted.route_many(text, "best")]
    assert SKILL[topic, chosen].mean() > SKILL.max(axis=1)[topic].mean() - 0.02
    facts = fitted.facts
    assert facts["router"] == "task_soft"
    assert any("minus task_soft out of fold" in said for said in facts["why_router"])
    assert facts["guard"]["verdict"].startswith("not certainly worse")
    assert facts["data"]["train"] + facts["data"]["calibration"] == 600
    assert facts["simulated"]


def test_the_expected_score_is_the_chance_of_a_right_reply(fitted: FittedRouter) -> None:
    text, topic = texts(300, 98)
    estimate = fitted.estimate(text)
    assert estimate.models == MODELS
    assert abs(estimate.score - SKILL[topic]).mean() < 0.08
    assert estimate.cost.mean(axis=0) == pytest.approx([0.010, 0.001, 0.004, 0.004], rel=0.1)


def test_a_loaded_router_decides_as_the_saved_one(fitted: FittedRouter, folder: Path) -> None:
    loaded = FittedRouter.load(folder)
    text, _ = texts(100, 5)
    for policy in usual_policies(fitted):
        assert loaded.route_many(text, policy) == fitted.route_many(text, policy)
    assert loaded.default_policy == fitted.default_policy
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".joblib", ".pickle")]


def test_server_and_bench_choose_identically_on_1000_queries(folder: Path) -> None:
    loaded = FittedRouter.load(folder)
    text, _ = texts(1000, 7)
    asked = loaded.embedded(text)
    far = loaded.learned.novelty.far(asked.embedded("test"))
    for weight in (0.0, 20.0, 300.0):
        bench = decide_sweep(loaded.router, asked, np.array([weight]))[0]
        served = loaded.route_many(text, f"weight {weight:g}")
        assert [one.ranking[0] for one in served] == [loaded.models[j] for j in bench.tolist()]
        alone = [loaded.route(query, f"weight {weight:g}") for query in text[:100]]
        assert [(one.model, one.ranking, one.reason) for one in alone] == [
            (one.model, one.ranking, one.reason) for one in served[:100]
        ]
        assert [one.cost for one in alone] == pytest.approx([one.cost for one in served[:100]])
        assert [one.model == one.ranking[0] for one in served] == [
            not hidden or one.ranking[0] == loaded.learned.fallback for hidden, one in zip(far, served, strict=True)
        ]


def test_queries_are_embedded_as_the_bench_embeds_them() -> None:
    outcomes = topics(200)
    rows = np.arange(150)
    vectors, _ = embed_queries(outcomes, make_embedder("tfidf"), rows)
    embedder = make_embedder("tfidf").fit([outcomes.queries.prompt[i] for i in rows.tolist()])
    made = fit(outcomes, FitSettings(router="best_single", policy="best"))
    made.embedder = embedder
    assert (made.embedded(list(outcomes.queries.prompt)).embedded("test") == vectors).all()


def test_a_router_with_a_dial_of_its_own_keeps_it() -> None:
    made = fit(topics(300), FitSettings(router="avengers_pro:k=3"))
    text, _ = texts(100, 4)
    asked = made.embedded(text)
    for weight in (0.0, 0.5, 1.0):
        bench = decide_sweep(made.router, asked, np.array([weight]))[0]
        served = made.route_many(text, f"weight {weight:g}")
        assert [one.ranking[0] for one in served] == [made.models[j] for j in bench.tolist()]
    assert [one.policy for one in promises(made, ["weight 0.5", "best"])] == ["weight 0.5", "best"]
    with pytest.raises(ValueError, match="weight must be from 0 to 1 on this router's own dial, got 2"):
        made.route("prove", "weight 2")


def test_any_byte_changed_is_refused_in_one_sentence(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.name for path in files} >= {"manifest.json", "manifest.sha256", "router.json", "tfidf.npz"}
    rng = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        for place in {0, len(whole) - 1, *rng.integers(0, len(whole), 3).tolist()}:
            changed = bytearray(whole)
            changed[place] ^= 1 << int(rng.integers(0, 8))
            path.write_bytes(bytes(changed))
            with pytest.raises(ValueError, match="must ") as caught:
                FittedRouter.load(folder)
            assert "\n" not in str(caught.value)
        path.write_bytes(whole[:-1])
        with pytest.raises(ValueError, match="must "):
            FittedRouter.load(folder)
        path.unlink()
        with pytest.raises((ValueError, FileNotFoundError), match="must "):
            FittedRouter.load(folder)
        path.write_bytes(whole)
    FittedRouter.load(folder)
    digest, name = (folder / "manifest.sha256").read_text().split()
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_a_manifest_that_was_signed_anew_cannot_name_another_kind_of_folder(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    other = "llmrouterbench/outcomes"
    for change, said in (({"format": other}, "got a folder of outcomes"), ({"schema": 99}, "got 99; use the llmr")):
        content = json.dumps({**manifest, **change}).encode()
        (tmp_path / "manifest.json").write_bytes(content)
        (tmp_path / "manifest.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  manifest.json\n")
        with pytest.raises(ValueError, match=said):
            FittedRouter.load(tmp_path)


def test_a_pretrained_embedder_is_named_and_must_be_the_same(fitted: FittedRouter, tmp_path: Path) -> None:
    spec = "endpoint:http://localhost:1/v1#m"
    embedder = make_embedder(spec)
    write_fitted(tmp_path / "r", fitted.router, embedder, fitted.learned, {**fitted.facts, "embedder": spec})
    assert FittedRouter.load(tmp_path / "r").embedder.key == embedder.key
    other = {**fitted.facts, "embedder": "endpoint:http://localhost:1/v1#other"}
    write_fitted(tmp_path / "s", fitted.router, embedder, fitted.learned, other)
    with pytest.raises(ValueError, match="must be the one the router was fitted with, got other weights"):
        FittedRouter.load(tmp_path / "s")


def test_promises_are_what_unseen_queries_get(fitted: FittedRouter) -> None:
    fresh = topics(3000, seed=50)
    rows = np.arange(len(fresh))
    for one in promises(fitted, usual_policies(fitted)):
        served = [MODELS.index(d.model) for d in fitted.route_many(list(fresh.queries.text), one.policy)]
        score, cost = fresh.score[rows, served].mean(), fresh.cost[rows, served].mean()
        assert one.quality.low - 0.04 < score < one.quality.high + 0.04, one.policy
        assert one.cost.low * 0.9 < cost < one.cost.high * 1.1, one.policy
        assert abs(one.expected - one.quality.value) < 0.08
        policy = Policy.parse(one.policy)
        if isinstance(policy, Best) and policy.budget:
            assert cost < policy.budget
        if isinstance(policy, Cheapest):
            assert score > policy.min_quality


def test_policies_do_what_they_say(fitted: FittedRouter) -> None:
    text, topic = texts(200, 11)
    cheap = fitted.route_many(text, "cheapest --min-quality 0.5")
    assert {one.model for one, t in zip(cheap, topic, strict=True) if t == 0 and one.reason == "policy"} == {"small"}
    assert 0.5 < np.mean([one.score for one in cheap]) < 0.6, "a mean of 0.5, not 0.5 for every query"
    quick = fitted.route_many(text, "best --max-seconds 2.5")
    assert {one.model for one in quick if one.reason == "policy"} <= {"small", "poet"}
    none = fitted.route_many(text, "cheapest --min-quality 1")
    assert {one.reason for one in none} <= {"nothing meets the policy", "out of distribution"}
    assert {one.model for one in fitted.route_many(text, "best --max-seconds 0.1") if one.reason[0] == "n"} == {"small"}
    strong = fitted.route_many(text, "strong-share 0.2 --strong large")
    assert np.mean([one.model == "large" for one in strong if one.reason == "policy"]) < 0.35


def test_only_allowed_models_are_ranked(fitted: FittedRouter) -> None:
    text, _ = texts(50, 12)
    for one in fitted.route_many(text, "best", allowed=["poet", "small"]):
        assert set(one.ranking) == {"poet", "small"}
        assert one.model in one.ranking
    with pytest.raises(ValueError, match="no model named 'smal' serves here; did you mean 'small'?"):
        fitted.route("x", allowed=["smal"])
    with pytest.raises(ValueError, match="at least one model"):
        fitted.route("x", allowed=[])
    assert fitted.route_many([]) == []


def test_queries_out_of_distribution_go_to_the_fallback_and_are_counted() -> None:
    made = fit(topics(300), FitSettings(router="task_soft", policy="best", fallback="small"))
    before = made.counted["out of distribution"]
    for query in ("", "¿¿??", "zzz qqq"):
        one = made.route(query)
        assert (one.model, one.reason) == ("small", "out of distribution")
        assert len(one.ranking) == len(MODELS)
    assert made.counted["out of distribution"] == before + 3


def test_exploration_says_with_which_probability_it_chose(fitted: FittedRouter) -> None:
    fitted.random.seed(0)
    text, _ = texts(1000, 13)
    decided = [one for one in fitted.route_many(text, "best --explore 0.4") if one.reason != "out of distribution"]
    explored = np.array([one.reason == "exploration" for one in decided])
    assert explored.mean() == pytest.approx(0.4, abs=0.06)
    for one in decided:
        assert one.propensity == pytest.approx(0.1 + 0.6 * (one.model == one.ranking[0]))
    assert np.mean([1 / one.propensity / 4 for one in decided]) == pytest.approx(1.0, abs=0.12)


def test_unknown_costs_and_times_are_unknown_and_policies_that_need_them_say_so() -> None:
    made = fit(topics(300, priced=False, timed=False))
    assert made.facts["policy"] == "best"
    one = made.route("prove the sum of angle")
    assert np.isnan(one.cost)
    assert np.isnan(one.seconds)
    with pytest.raises(ValueError, match="needs costs, and the outcomes held none"):
        made.route("x", "cheapest --min-quality 0.5")
    with pytest.raises(ValueError, match="needs reply times"):
        made.route("x", "best --max-seconds 3")
    promise = promises(made, ["best"])[0]
    assert np.isnan(promise.cost.value)
    assert np.isfinite(promise.quality.low)


def test_one_unpriced_model_is_never_the_cheapest() -> None:
    outcomes = topics(300)
    cost = outcomes.cost.copy()
    cost[:, 1] = np.nan  # "small"
    made = fit(replace(outcomes, cost=cost), FitSettings(router="task_soft", policy="cheapest --min-quality 0.3"))
    text, _ = texts(60, 3)
    assert "small" not in {one.model for one in made.route_many(text)}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_scores_are_served(value: float) -> None:
    outcomes = topics(200)
    made = fit(replace(outcomes, score=np.full_like(outcomes.score, value)))
    one = made.route("prove the sum")
    assert one.score == pytest.approx(value, abs=0.05)
    assert made.facts["guard"]["lead"]["value"] == 0.0


def test_a_pool_of_one_model_has_one_answer() -> None:
    made = fit(topics(200).select(["coder"]))
    assert {one.model for one in made.route_many(["loop", "poem", ""])} == {"coder"}
    assert [one.saving.value for one in promises(made, ["best", "strong-share 0.5"])] == [0.0, 0.0]


def test_noise_is_not_sold_as_routing() -> None:
    outcomes = topics(400)
    rng = np.random.default_rng(3)
    noise = (rng.random(outcomes.score.shape) < [0.8, 0.5, 0.5, 0.5]).astype(float)
    made = fit(replace(outcomes, score=noise))
    lead = promises(made, [made.default_policy])[0].lead
    assert lead.high >= 0.0
    assert made.learned.best == "large"


@pytest.mark.parametrize(
    ("router", "policy", "replaced", "served"),
    [("task_soft", "weight 1000000", 1, "task_soft"), ("knn:k=1", "weight 1000000", 2, "best_single")],
)
def test_what_is_certainly_worse_than_the_best_single_model_is_replaced(
    router: str, policy: str, replaced: int, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a choice that could not be worse: the cheapest model always, or one neighbour's luck on noise."""
    outcomes = topics(400)
    if served == "best_single":
        noise = np.random.default_rng(3).random(outcomes.score.shape) < [0.9, 0.3, 0.3, 0.3]
        outcomes = replace(outcomes, score=noise.astype(float))
    monkeypatch.setattr("llmrouterbench.production.fitting.choose", lambda *_: (Chosen(router, ()), Chosen(policy, ())))
    made = fit(outcomes)
    assert made.facts["guard"]["replaced"] == replaced
    assert (made.facts["router"], str(made.default_policy)) == (served, "best")
    assert not promises(made, ["best"])[0].lead.high < 0


def test_bad_settings_are_refused_before_any_work() -> None:
    outcomes = topics(60)
    for settings, said in (
        (FitSettings(router="task_sft"), "did you mean 'task_soft'?"),
        (FitSettings(policy="cheepest"), "did you mean 'cheapest'?"),
        (FitSettings(embedder="file:x.npz"), "must embed new queries to serve"),
        (FitSettings(text="promt"), "must be 'prompt' or 'query', got 'promt'"),
        (FitSettings(fallback="larg"), "did you mean 'large'?"),
        (FitSettings(router="cascade_routing:mode=reply"), "asks one after another"),
        (FitSettings(share=1.0), "between 0 and 1, got 1"),
    ):
        with pytest.raises(ValueError, match=said.replace("?", r"\?")):
            fit(outcomes, settings)


def trial(spec: str, lead: list[float], usd: list[float], spread: float = 0.0) -> Trial:
    """A trial on 100 queries whose scores lead 0.5 by a constant, give or take a spread."""
    noise = spread * np.tile([1.0, -1.0], 50)
    score = np.array([np.full(100, 0.5 + one) + noise for one in lead])
    return Trial(spec, np.arange(len(lead), dtype=float), score, np.array([np.full(100, u) for u in usd]))


def test_the_trade_off_keeps_a_standard_error() -> None:
    single = trial("best_single", [0.0], [4.0])
    clear = trial("r", [0.05, 0.02, -0.01], [3.0, 2.0, 1.0])
    assert choose_policy(clear, single).name == "weight 1"
    unsure = trial("r", [0.05, 0.02, -0.01], [3.0, 2.0, 1.0], spread=0.6)  # a standard error is 0.06
    assert choose_policy(unsure, single).name == "best"
    assert choose_policy(trial("r", [-0.1, -0.2], [3.0, 1.0]), single).name == "best"
    assert choose_policy(trial("r", [0.1, 0.1], [np.nan, np.nan]), single).name == "best"


def test_another_router_must_be_better_by_two_standard_errors() -> None:
    first = trial("a", [0.0], [1.0])
    assert choose_router([first, trial("b", [0.02], [1.0])]).name == "b"
    assert choose_router([first, trial("b", [0.02], [1.0], spread=0.5)]).name == "a"
    assert choose_router([first, trial("b", [0.0], [1.0])]).name == "a"


def test_the_commands_fit_list_and_route(tmp_path: Path) -> None:
    write_outcomes(topics(250), tmp_path / "data")
    run = CliRunner()
    to = str(tmp_path / "router")
    words = ["fit", str(tmp_path / "data"), "--to", to, "--router", "task_soft", "--policy", "best"]
    shown = run.invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "SIMULATED" in shown.output
    assert "calibration error" in shown.output
    assert (tmp_path / "router" / "reliability.csv").is_file() == (find_spec("matplotlib") is not None)
    assert not any(
        "reliability" in name for name in json.loads((tmp_path / "router/manifest.json").read_text())["files"]
    )
    listed = json.loads(run.invoke(app, ["policies", to, "--json", "--policy", "best"]).stdout)
    assert listed["policies"][0]["policy"] == "best"
    assert run.invoke(app, ["policies", to, "--policy", "cheapest --min-quality 0.6"]).exit_code == 0
    routed = json.loads(run.invoke(app, ["route", to, "verse moon river", "--json"]).stdout)
    assert routed["model"] == "poet"
    assert "poet (policy)" in run.invoke(app, ["route", to, "verse moon river"]).stdout
    assert run.invoke(app, ["route", to, "x", "--policy", "bst"]).exit_code == 2
    again = run.invoke(app, words)
    assert isinstance(again.exception, FileExistsError)
    assert run.invoke(app, [*words, "--overwrite", "--json"]).exit_code == 0


def test_outcomes_without_queries_to_spare_are_refused() -> None:
    outcomes = topics(600).take(np.arange(1))
    assert isinstance(outcomes, Outcomes)
    with pytest.raises(ValueError, match="use more data"):
        fit(outcomes)
