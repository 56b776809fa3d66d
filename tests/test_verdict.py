"""The verdict in words: every ending, the small table, the commands."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace

import pytest

from llmrouterbench.reporting.verdict import (
    bargain,
    command,
    commands,
    headline,
    lines,
    loss_in_words,
    serving,
    table,
)
from llmrouterbench.stats import Interval
from llmrouterbench.studies.verdict import Offer, Verdict

NOTHING = Interval(0.0, 0.0, 0.0)


def offer(losing: float | None, name: str = "big", **more: object) -> Offer:
    """An offer of a router that was measured; of the model when no more is said."""
    known: dict[str, object] = {
        "kind": "router" if more else "model", "weight": math.nan, "seeds": 5, "avg_acc": Interval(0.7, 0.6, 0.8),
        "difference": NOTHING, "saving": NOTHING, "bill": Interval(2.0, 1.9, 2.1), "usd": Interval(20.0, 19.0, 21.0),
        "served": (("big", 0.7), ("small", 0.2), ("tiny", 0.06), ("least", 0.04)),
    }  # fmt: skip
    return Offer(losing=losing, name=name, **{**known, **more})  # type: ignore[arg-type]


def found(best: Offer | None = None, losing: Sequence[Offer] = (), seen: float = 0.012) -> Verdict:
    given = {one.losing: one for one in losing}
    made = [given.get(loss, offer(loss)) for loss in (0.0, 0.01, 0.02, 0.05)]
    return Verdict("big", 5, 1_000, seen, (best or offer(None), *made))


def test_a_router_that_is_surely_better_is_run_and_its_price_said() -> None:
    best = offer(None, "knn", difference=Interval(0.03, 0.01, 0.05), saving=Interval(-0.2, -0.3, -0.1))
    assert headline(found(best)) == (
        "Route with knn: +3.0 points [+1.0, +5.0] against big, the best single model, for 20.0 % more money."
    )


def test_a_lead_that_may_be_noise_is_not_run() -> None:
    best = offer(None, "knn", difference=Interval(0.03, -0.01, 0.07))
    assert headline(found(best)) == (
        "Serve big to everyone: nothing here is certainly better, or as good and certainly cheaper; a lead below 1.2"
        " points need not show."
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("router", "Route with x to save 30.0 % [25.0, 35.0] of the cost of big; "),
        ("model", "Serve x instead of big: it saves 30.0 % [25.0, 35.0]; "),
    ],
)
def test_what_saves_surely_at_no_loss_is_run(kind: str, said: str) -> None:
    free = offer(0.0, "x", kind=kind, difference=Interval(-0.001, -0.01, 0.008), saving=Interval(0.3, 0.25, 0.35))
    assert headline(found(losing=[free])) == f"{said}AvgAcc moves by -0.1 points [-1.0, +0.8]."
    worse = offer(0.0, "x", kind=kind, difference=Interval(-0.03, -0.05, -0.01), saving=Interval(0.3, 0.25, 0.35))
    assert headline(found(losing=[worse])).startswith("Serve big to everyone"), "test says that it loses"


@pytest.mark.parametrize(("seen", "said"), [(math.nan, "a lead of any size"), (0.101, "a lead below 10.1 points")])
def test_too_few_queries_cannot_tell(seen: float, said: str) -> None:
    told = found(offer(None, "knn", difference=Interval(0.1, math.nan, math.nan)), seen=seen)
    assert headline(told) == (
        f"Cannot tell whether to route: {said} need not show with 1,000 test queries; more would settle it."
        " Until then serve big."
    )
    assert lines(told) == [headline(told)]
    sure = found(offer(None, "knn", difference=Interval(0.3, 0.1, 0.5)), seen=seen)
    assert headline(sure).startswith("Route with knn"), "what shows with few queries is told"


def test_what_saves_and_may_lose_nothing_is_not_told() -> None:
    some = offer(0.02, "knn", difference=Interval(-0.004, -0.015, 0.008), saving=Interval(0.2, 0.1, 0.3))
    assert headline(found(losing=[some])) == (
        "Cannot tell whether to route: knn saves 20.0 % [10.0, 30.0], but AvgAcc moves by -0.4 points [-1.5, +0.8];"
        " more than 1,000 test queries would settle it. Until then serve big."
    )
    assert "Who accepts losing up to 2 points saves" in bargain(found(losing=[some])), "that is sure"
    for told in (
        offer(0.02, "knn", difference=Interval(-0.01, -0.015, -0.005), saving=Interval(0.2, 0.1, 0.3)),
        offer(0.02, "knn", difference=Interval(-0.004, -0.015, 0.008), saving=Interval(0.04, 0.03, 0.05)),
    ):
        assert headline(found(losing=[told])).startswith("Serve big to everyone"), "it surely loses, or saves little"
    assert replace(found(losing=[some]), behind=True).unsettled is None


def test_the_bargain_is_the_smallest_loss_that_surely_saves_more() -> None:
    some = offer(0.02, "knn", difference=Interval(-0.01, -0.02, 0.0), saving=Interval(0.2, 0.1, 0.3))
    assert bargain(found(losing=[some])) == (
        "Who accepts losing up to 2 points saves 20.0 % [10.0, 30.0] with knn; measured: -1.0 points [-2.0, +0.0]."
    )
    assert bargain(found()) == "Accepting to lose up to 5 points certainly saves no more."
    free = offer(0.0, "x", difference=NOTHING, saving=Interval(0.3, 0.25, 0.35))
    assert "knn" not in bargain(found(losing=[free, some])), "no loss saves more than that"
    best = offer(None, "knn", difference=Interval(0.03, 0.01, 0.05), saving=Interval(-0.2, -0.3, -0.1))
    assert bargain(found(best, [free])) == (
        "Who wants to lose nothing saves 30.0 % [25.0, 35.0] with x; measured: +0.0 points [+0.0, +0.0]."
    )
    broken = offer(0.01, "knn", difference=Interval(-0.04, -0.05, -0.02), saving=Interval(0.3, 0.2, 0.4))
    assert "1 point" not in bargain(found(losing=[broken])), "test says that it loses more than was accepted"


def test_offers_that_are_the_same_are_one_line_and_unknown_costs_leave_theirs_out() -> None:
    some = offer(0.05, "knn", weight=2.5, seeds=3, difference=Interval(-0.01, -0.02, 0.0))
    assert [row[:2] for row in table(found(losing=[some]))] == [
        ["may lose", "run"], ["best", "big"], ["0 to 2", "big"], ["5", "knn, weight 2.5 (3 of 5 seeds)"]
    ]  # fmt: skip
    unknown = Interval(math.nan, math.nan, math.nan)
    unpriced = found(offer(None, usd=unknown, saving=unknown), [offer(0.0, usd=unknown, saving=unknown)])
    assert table(unpriced)[0] == ["may lose", "run", "AvgAcc, points", "who serves"]
    assert len(table(unpriced)) == 2
    assert bargain(unpriced) == ""


def test_commands_survive_a_shell() -> None:
    odd = offer(0.02, "knn:k=5;rm -rf x", weight=0.5)
    (said,) = commands(found(losing=[odd]), "my data")
    assert shlex.split(said) == [
        "llmrouterbench", "fit", "my data", "--router", "knn:k=5;rm -rf x", "--policy", "weight 0.5", "--to", "router"
    ]  # fmt: skip
    assert command(offer(None)) == "", "a model needs no router"


def test_words_and_values() -> None:
    assert [loss_in_words(offer(loss)) for loss in (0.0, 0.01, 0.005)] == ["0 points", "1 point", "0.5 points"]
    assert serving(offer(None)) == "big 70 %, small 20 %, tiny 6 %, others 4 %"
