"""What split traffic says of a candidate: its score and cost minus those of the running router, at any time.

A conversation is one unit: it stays on its side, so it counts once, with the mean of its scores, where its first one
came. Where both routers preferred the same model in all of its turns, and that model served, its side changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from llmrouterbench.decision_log import CANDIDATE, of_one_kind, read_sides
from llmrouterbench.production.confidence_sequence import Units, difference_at_any_time, differences, mean_at_any_time
from llmrouterbench.shown import Shown
from llmrouterbench.stats import Interval

Finding = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class LiveSide:
    """One side of split traffic.

    conversations, requests  that it decided; failed: requests that no model served in full
    scored                   conversations with feedback; score: their mean
    cost                     USD of a request, mean of those whose cost is known
    """

    conversations: int
    requests: int
    failed: int
    scored: int
    score: float
    cost: float


@dataclass(frozen=True, repr=False)
class Live(Shown):
    """A candidate beside the running router.

    score     of the candidate minus the running one's: a 95 % interval that holds however often one looks
    cost      the same of USD a conversation, for many conversations only
    differs   share of the scored conversations on which the routers differed
    judging   USD that the judges of the feedback cost, as far as they said it
    others    experiments of the logs that are not this one
    """

    experiment: str
    share: float
    feedback: str
    running: LiveSide
    candidate: LiveSide
    score: Interval
    cost: Interval
    differs: float
    judging: float
    others: tuple[str, ...]

    @property
    def finding(self) -> Finding:
        """What the interval of the score allows to say."""
        return "better" if self.score.low > 0.0 else "worse" if self.score.high < 0.0 else "cannot tell"


def compare_live(*logs: str | Path, experiment: str | None = None, feedback: str | None = None) -> Live:
    """Compare the sides of split traffic, as the folders of `serve --candidate --log` have it now.

    experiment  the newest one where none is named; feedback: the kind that counts, where there are several

    Raises FileNotFoundError where there is no log, ValueError where no request was on a side, or feedback of several
    kinds is there and none is named.
    """
    frames = [read_sides(Path(log)) for log in logs]
    rows = pl.concat([rows for rows, _ in frames]) if frames else pl.DataFrame()
    if not rows.height:
        raise ValueError("the log must hold requests on two sides, got none; serve with --candidate ROUTER_DIR --share")
    named = rows.sort("time")["experiment"].unique(maintain_order=True).to_list()
    chosen = experiment or named[-1]
    if chosen not in named:
        raise ValueError(f"no experiment {chosen!r} is in the log; there are {', '.join(named)}")
    rows = rows.filter(pl.col("experiment") == chosen).with_columns(
        differs=(pl.col("preferred") != pl.col("other")) | (pl.col("model") != pl.col("chosen")).fill_null(True)
    )
    scores, kind = _scores(pl.concat([given for _, given in frames]), rows, feedback)
    share = float(rows.select(_share()).to_series()[0])
    scored = _conversations(rows.join(scores, on="id", how="inner"), "score", "came")
    paid = _conversations(rows.filter(pl.col("cost").is_not_null()).with_columns(came="time"), "cost", "came")
    return Live(
        chosen,
        share,
        kind,
        _side(rows, scored, candidate=False),
        _side(rows, scored, candidate=True),
        difference_at_any_time(_units(scored, share)),
        mean_at_any_time(differences(_units(paid, share), first=0.0)),
        float(scored["differs"].mean()) if scored.height else float("nan"),  # type: ignore[arg-type]
        float(scores["judging"].sum()),
        tuple(name for name in named if name != chosen),
    )


def _share() -> pl.Expr:
    """The candidate's share."""
    chance = pl.col("probability")
    return pl.when(pl.col("side") == CANDIDATE).then(chance).otherwise(1.0 - chance).alias("share")


def _scores(given: pl.DataFrame, rows: pl.DataFrame, feedback: str | None) -> tuple[pl.DataFrame, str]:
    """Scores of an experiment's decisions and when they came; and their kind."""
    ours = given.join(rows.select("id"), on="id", how="semi")
    found = of_one_kind(ours, feedback)
    kind = found["kind"][0] if found.height else "none"
    return found.select("id", "score", came="time", judging=pl.col("cost").fill_null(0.0)), kind


def _conversations(rows: pl.DataFrame, value: str, came: str) -> pl.DataFrame:
    """A row a conversation, in the order in which the first value came."""
    return (
        rows.group_by("unit")
        .agg(pl.col(value).mean(), pl.col("differs").any(), pl.col("side").first(), pl.col(came).min())
        .sort(came, "unit")
    )


def _units(rows: pl.DataFrame, share: float) -> Units:
    value = "score" if "score" in rows.columns else "cost"
    return Units(
        (rows["side"] == CANDIDATE).to_numpy(),
        rows[value].cast(pl.Float64).to_numpy(),
        rows["differs"].to_numpy(),
        share,
    )


def _side(rows: pl.DataFrame, scored: pl.DataFrame, *, candidate: bool) -> LiveSide:
    on, known = (frame.filter((pl.col("side") == CANDIDATE) == candidate) for frame in (rows, scored))
    mean = {name: frame[name].mean() for name, frame in (("score", known), ("cost", on))}
    score, cost = (float("nan") if one is None else float(one) for one in mean.values())  # type: ignore[arg-type]
    failed = int((on["status"] != "ok").sum())
    return LiveSide(on["unit"].n_unique(), on.height, failed, known.height, score, cost)
