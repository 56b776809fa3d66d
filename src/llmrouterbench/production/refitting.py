"""Fit a router again on its old outcomes and a log, and say on later traffic whether it is better than the running one.

The log is cut by time: what came first teaches, what came later judges, and no text is in both. The difference is
doubly robust: what the log says of both routers' choices, each weighted by how likely it was to be tried. Where a
model's scores on the first part contradict what the running router expects of it, its old outcomes teach nothing.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.coverage import coverage_of
from llmrouterbench.decision_log import FILE, DecisionFrames, read_decisions
from llmrouterbench.estimating.pseudo import FLOOR, nuisance, says_propensities, usable
from llmrouterbench.estimating.values import difference
from llmrouterbench.files import sha256_of
from llmrouterbench.findings import Options
from llmrouterbench.importers.decision_log import served_outcomes
from llmrouterbench.production.choosing import reader_of
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, Say, fit
from llmrouterbench.production.log_study import study
from llmrouterbench.production.table_study import decided
from llmrouterbench.shown import Shown
from llmrouterbench.stats import Interval, effective_trials
from llmrouterbench.table import PLANES, FloatArray, IntArray, Outcomes, Queries, duplicate_groups

TEACHES = 1.0 / 3.0
"""Share of the log, by time, that teaches; the rest judges, which takes more."""
_LEVEL = 0.05


@dataclass(frozen=True, repr=False)
class Refit(Shown):
    """A router that was fitted again, beside the running one on later traffic.

    trained, judged  queries of the log that taught, and that judged
    changed          models whose old outcomes were left out
    differs          share of the judging queries on which the routers differ
    score            of the new router minus the running one's, doubly robust, with a 95 % interval
    at_least         what the difference is at least, with 95 % certainty
    cost             USD a query of the new router minus the running one's, doubly robust
    """

    router: FittedRouter
    trained: int
    judged: int
    changed: tuple[str, ...]
    differs: float
    score: Interval
    at_least: float
    cost: float

    @property
    def promote(self) -> bool:
        """Whether the new router is surely better."""
        return self.at_least > 0.0


def refit(
    running: FittedRouter,
    log: str | Path,
    old: Outcomes,
    *,
    feedback: str | None = None,
    parent: str = "",
    say: Say = lambda text: None,
) -> Refit:
    """Fit again with the settings of the running router.

    log       the folder of `serve --log --log-text --explore`; feedback: the kind that counts, where it has several
    old       what the running router was fitted on
    parent    hash of the running router's manifest, for the lineage

    Raises ValueError where the log has too few queries with text, feedback and probabilities, or old outcomes are a log
    without propensities.
    """
    if reader_of(running.router) is not None:
        raise ValueError(
            f"a router that reads replies must be fitted again with `fit`, got {running.facts['router']!r}, and a log"
            " holds the replies of no model that was not served"
        )
    say("reading the log")
    first, later, dates = _cut(read_decisions(Path(log)), running, Path(log), feedback)
    changed = changed_models(running, first, feedback)
    old = _without(_known(old.pool), changed)
    teaching = _outcomes(first, Path(log), feedback)
    models = tuple(dict.fromkeys([*old.models, *teaching.models]))
    train = _joined(_over(old, models), _over(teaching, models))
    new = fit(train, FitSettings(**running.facts["settings"]), say=say)
    say("judging on later traffic")
    score, at_least, cost, differs, judged = _judged(
        new, running, train, _over(_outcomes(later, Path(log), feedback), models)
    )
    lineage = {
        "parent": parent, "outcomes": old.content_hash, "log": teaching.content_hash, "from": dates[0], "to": dates[1],
        "judged_to": dates[2], "made": _day(time.time()), "trained": len(teaching), "judged": judged,
        "changed": list(changed), "feedback": feedback, "score": asdict(score), "at_least": at_least,
        "promote": at_least > 0.0,
    }  # fmt: skip
    new.facts["lineage"] = [*running.facts.get("lineage", []), lineage]
    return Refit(new, len(teaching), judged, changed, differs, score, at_least, cost)


def parent_of(folder: Path) -> str:
    """Hash of the manifest of a fitted router's folder."""
    return sha256_of(folder / "manifest.json")


def changed_models(running: FittedRouter, first: DecisionFrames, feedback: str | None = None) -> tuple[str, ...]:
    """Models whose scores are not those that the running router expects, at a level of 5 % over all of them.

    Scores of a log are weighted by how likely the model was to serve: a policy serves it where much is expected.
    """
    from scipy.special import ndtr

    studied, piece = study(first, feedback), running.learned.piece
    found = []
    for j, model in enumerate(running.learned.models):
        if model not in studied.models:
            continue
        column = studied.models.index(model)
        known = np.isfinite(studied.feedback) & np.isfinite(studied.score_estimate[:, column])
        weight = np.where(studied.choice == column, 1.0 / np.maximum(studied.propensity[:, column], FLOOR), 0.0)[known]
        now = weight * (studied.feedback - studied.score_estimate[:, column])[known]
        then = piece.observed_score[:, j] - piece.quality[:, j]
        then = then[np.isfinite(then)]
        if min(float(effective_trials(weight)), len(then)) < 30 or not weight.any():
            continue
        apart = abs(now.mean() - then.mean()) / np.sqrt(now.var(ddof=1) / len(now) + then.var(ddof=1) / len(then))
        if 2.0 * ndtr(-apart) < _LEVEL / len(running.learned.models):
            found.append(model)
    return tuple(found)


def surely(value: Interval, trials: float) -> float:
    """The lower end of a one-sided 95 % interval, of the two-sided one of a t-test with so many trials.

    >>> round(surely(Interval(0.0, -1.96, 1.96), 1e6), 2)
    -1.64
    """
    from scipy.special import stdtrit

    freedom = max(trials - 1.0, 1.0)
    return float(value.value - (value.value - value.low) * stdtrit(freedom, 1.0 - _LEVEL) / stdtrit(freedom, 0.975))


def _judged(
    new: FittedRouter, running: FittedRouter, train: Outcomes, later: Outcomes
) -> tuple[Interval, float, float, float, int]:
    """Difference in score, what it is at least, difference in cost, share on which they differ, queries that judge."""
    seen = set(train.queries.text) | set(train.queries.prompt)
    rows = [row for row in usable(later).tolist() if later.queries.text[row] not in seen]
    if not rows:
        raise ValueError("the log must hold later requests with feedback whose text is new, got none; collect more")
    part = later.take(np.array(rows))
    part, known = (
        one.with_embedding(new.embedded(list(one.queries.prompt)).embedded("refit")) for one in (part, train)
    )
    made = nuisance(known.take(usable(known)))(part)
    choices = [decided(part, one, str(replace(one.default_policy, explore=0.0))) for one in (new, running)]
    at = np.arange(len(part))
    trials = min(float(effective_trials(made.weight[at, choice])) for choice in choices)
    lead = difference(made, *choices)
    cost = float((made.cost[at, choices[0]] - made.cost[at, choices[1]]).mean())
    return lead, surely(lead, trials), cost, float((choices[0] != choices[1]).mean()), len(part)


def _cut(
    frames: DecisionFrames, running: FittedRouter, log: Path, feedback: str | None
) -> tuple[DecisionFrames, DecisionFrames, tuple[str, str, str]]:
    """The requests with feedback of the first part and of the later one, and the days of their ends."""
    rows = frames.decisions.join(frames.scored(feedback).select("id"), on="id", how="semi").sort("time", "id")
    cut = int(rows.height * TEACHES)
    if cut < 2:
        raise ValueError(f"{log} must hold requests with feedback, got {rows.height}; post scores to /v1/feedback")
    parts = rows[:cut], rows[cut:]
    times = (parts[0]["time"][0], parts[0]["time"][-1], parts[1]["time"][-1])
    first, later = (replace(frames, decisions=part) for part in parts)
    return first, later, (_day(times[0]), _day(times[1]), _day(times[2]))


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _outcomes(frames: DecisionFrames, log: Path, feedback: str | None) -> Outcomes:
    return served_outcomes(frames, log / FILE, Options(feedback=feedback or "")).outcomes


def _known(old: Outcomes) -> Outcomes:
    """With the propensity of every cell: 1 for what a matrix measured."""
    if says_propensities(old):
        return old
    if not coverage_of(old).matrix:
        raise ValueError("old outcomes must be a matrix, or a log with propensities; fit on the log alone instead")
    return replace(old, propensity=np.isfinite(old.score).astype(np.float64))


def _without(old: Outcomes, models: tuple[str, ...]) -> Outcomes:
    """Outcomes without what they say of some models."""
    gone = np.isin(old.models, models)
    assert old.propensity is not None
    planes: dict[str, Any] = {name: np.where(gone, np.nan, getattr(old, name)) for name in PLANES}
    return replace(old, **planes, propensity=np.where(gone, 0.0, old.propensity), runs=None, spread=None)


def _over(part: Outcomes, models: tuple[str, ...]) -> Outcomes:
    """The same over more models, which it did not measure."""

    def spread(plane: FloatArray, nothing: float) -> FloatArray:
        found = np.full((len(part), len(models)), nothing)
        found[:, [models.index(model) for model in part.models]] = plane
        return found

    planes: dict[str, Any] = {name: spread(getattr(part, name), np.nan) for name in PLANES}
    chance = None if part.propensity is None else spread(part.propensity, 0.0)
    return replace(part, models=models, **planes, propensity=chance, runs=None, spread=None)


def _joined(old: Outcomes, new: Outcomes) -> Outcomes:
    """Queries of both, over the same models; ids say which they are of."""
    both = (old, new)
    if new.propensity is None:
        raise ValueError("the log must hold probabilities of the server's choices, got none; ask for the model 'auto'")
    ids = [f"{mark}:{id}" for mark, one in zip("ol", both, strict=True) for id in one.queries.id.tolist()]
    text, prompt = ([t for one in both for t in getattr(one.queries, name)] for name in ("text", "prompt"))
    queries = replace(Queries.of(text, ids), prompt=Queries.of(prompt).text)
    dataset = np.concatenate([one.dataset for one in both])

    def rows(name: str) -> Any:
        return np.concatenate([getattr(one, name) for one in both])

    index: IntArray = np.arange(len(ids))
    return Outcomes(
        queries=queries, dataset=dataset, models=old.models, **{name: rows(name) for name in PLANES},
        group=duplicate_groups(dataset, queries.prompt), subset=rows("subset"), index=index,
        simulated=old.simulated or new.simulated, propensity=rows("propensity"),
    )  # fmt: skip
