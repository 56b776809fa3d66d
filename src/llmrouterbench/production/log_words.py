"""What commands and the live page say of a decision log: cells and sentences, the same in both."""

from __future__ import annotations

from llmrouterbench.numerals import UNKNOWN, count, interval, number, p_value, percent, points, usd
from llmrouterbench.production.drift import Drift
from llmrouterbench.production.live import Live
from llmrouterbench.production.log_study import PolicyValue, Saving, Studied
from llmrouterbench.stats import Interval


def value_row(value: PolicyValue) -> dict[str, str]:
    """A line of `evaluate-logs`."""
    score, cost = value.score, value.cost
    return {
        "policy": value.policy,
        "score, doubly robust": interval(score.doubly_robust, thousandths) if score else UNKNOWN,
        "SNIPS": interval(score.snips, thousandths) if score else UNKNOWN,
        "IPS": interval(score.ips, thousandths) if score else UNKNOWN,
        "USD a query, doubly robust": interval(cost.doubly_robust, _at_least_free) if cost else UNKNOWN,
        "worth": f"{count(score.effective)} of {count(score.scored)}" if score else UNKNOWN,
        "never tried": percent(score.unsupported, unit=" %") if score else UNKNOWN,
    }


def _at_least_free(value: float | None) -> str:
    """USD of a query: an estimate of few requests may fall below zero, a price cannot."""
    return usd(None if value is None else max(0.0, value))


def thousandths(value: float | None) -> str:
    """A score."""
    return number(value, 3)


def signed_usd(value: float | None) -> str:
    """A difference in USD."""
    return f"{'-' if (value or 0.0) < 0.0 else '+'}{usd(None if value is None else abs(value))}"


def value_notes(studied: Studied, values: list[PolicyValue]) -> list[str]:
    """What must be known to read `value_row`."""
    left_out = ", ".join(f"{count(left)} {why}" for why, left in studied.left_out.items())
    lines = [f"{count(len(studied))} requests count; left out: {left_out or 'none'}"]
    scored = next((value.score for value in values if value.score), None)
    if scored is None:
        return [*lines, "no request has feedback: post scores to /v1/feedback"]
    lines.append(
        f"{count(scored.scored)} of them have feedback; who gives it is their choice, so it may not speak for all"
    )
    if any(value.score and value.score.unsupported > 0.01 for value in values):
        lines.append(
            "never tried: the share of a policy on models that the log could not have served; nothing was measured"
            " there, serve with --explore to know"
        )
    return lines


def saving_lines(saving: Saving) -> list[str]:
    """What was saved against the best single model; none where no cost is known."""
    cost, score = saving.cost, saving.score
    if cost is None:
        return []
    saved = Interval(-cost.ratio.value, -cost.ratio.high, -cost.ratio.low)
    all_saved, *ends = (
        -cost.decisions * each for each in (cost.difference.value, cost.difference.high, cost.difference.low)
    )
    lines = [
        f"saved {interval(saved, percent, ' %')} against always {saving.model}",
        f"{usd(cost.served, ' USD')} a request instead of {usd(cost.target, ' USD')}:"
        f" {interval(Interval(all_saved, *ends), signed_usd, ' USD')} on {count(cost.decisions)} requests",
    ]
    if score is not None:
        lines.append(
            f"score against always {saving.model}: {interval(score.difference, points, ' points')} on"
            f" {count(score.decisions)} requests with feedback"
        )
    if cost.unsupported > 0.01:
        lines.append(
            f"{percent(cost.unsupported, unit=' %')} of these requests could not have gone to {saving.model}: there the"
            " router's own estimates stand in; serve with --explore to know"
        )
    return lines


def drift_row(one: Drift) -> dict[str, str]:
    """A line of `drift`."""
    return {
        "number": one.name,
        "then": f"{number(one.mean_then, 3)} ({count(one.then)})",
        "now": f"{number(one.mean_now, 3)} ({count(one.now)})",
        "stability index": number(one.psi, 3),
        "p": p_value(one.p_value),
        "verdict": one.verdict,
    }


def live_rows(live: Live) -> list[dict[str, str]]:
    """A line of `compare-live` a side."""
    return [
        {
            "side": name,
            "conversations": count(side.conversations),
            "requests": count(side.requests),
            "failed": count(side.failed),
            "with feedback": count(side.scored),
            "score": thousandths(side.score),
            "USD a request": usd(side.cost),
        }
        for name, side in (("running", live.running), ("candidate", live.candidate))
    ]


def live_lines(live: Live) -> list[str]:
    """What the sides say."""
    told = {"better": "the candidate is better", "worse": "the candidate is worse", "cannot tell": "cannot tell yet"}
    scored = count(live.running.scored + live.candidate.scored)
    lines = [
        f"{told[live.finding]}: score {interval(live.score, points, ' points')} on {scored} conversations with feedback"
        f" ({live.feedback}); on {percent(live.differs, unit=' %')} of them the routers differ. This holds however"
        " often you look",
        f"USD a conversation {interval(live.cost, signed_usd)}",
    ]
    if live.judging:
        lines.append(f"judges cost {usd(live.judging, ' USD')}")
    if live.others:
        lines.append(f"other experiments in the log: {', '.join(live.others)}")
    return lines
