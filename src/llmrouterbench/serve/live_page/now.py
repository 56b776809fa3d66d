"""What the server itself knows now: its counters, as at /metrics, breakers, and budgets in the books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from llmrouterbench.numerals import UNKNOWN, count, percent, usd
from llmrouterbench.serve.breaker import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from prometheus_client import Metric

    from llmrouterbench.serve.gateway import Gateway
    from llmrouterbench.serve.keys import Account

_STATES = {CLOSED: "closed", HALF_OPEN: "half open: one call tries", OPEN: "open: it rests"}


async def sections_now(gateway: Gateway) -> list[dict[str, Any]]:
    """Sections like those of the log's summary."""
    families = list(gateway.meters.families())
    made = [_traffic(families), _models(families), _providers(families), await _budgets(gateway)]
    return [section for section in made if section["rows"] or section["lines"]]


def _total(families: list[Metric], metric: str) -> float:
    return sum(sample.value for family in families for sample in family.samples if sample.name == metric)


def _by(families: list[Metric], metric: str, *labels: str) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for family in families:
        for sample in family.samples:
            if sample.name == metric:
                found[tuple(sample.labels[label] for label in labels)] += sample.value
    return found


def _traffic(families: list[Metric]) -> dict[str, Any]:
    name = "llmrouterbench"
    ended = _by(families, f"{name}_requests_total", "status")
    statuses = ", ".join(f"{count(n)} {status}" for (status,), n in sorted(ended.items()))
    lines = [
        f"{count(sum(ended.values()))} requests have ended: {statuses or 'none'};"
        f" {count(_total(families, f'{name}_requests_in_flight'))} are under way",
        f"{count(_total(families, f'{name}_out_of_distribution_total'))} queries were out of distribution;"
        f" {count(_total(families, f'{name}_feedback_total'))} scores came as feedback",
    ]
    if lost := _total(families, f"{name}_lost_log_rows_total"):
        lines.append(f"{count(lost)} rows could not be written to the log")
    return {"title": "Since the server started", "lines": lines, "rows": []}


def _models(families: list[Metric]) -> dict[str, Any]:
    name = "llmrouterbench"
    chosen = _by(families, f"{name}_decisions_total", "model")
    calls = _by(families, f"{name}_attempts_total", "model", "result")
    cost, unpriced = _by(families, f"{name}_cost_usd_total", "model"), _by(families, f"{name}_unpriced_total", "model")
    models = sorted({model for (model,) in chosen} | {model for model, _ in calls})
    rows = [
        {
            "model": model,
            "chosen": count(chosen.get((model,), 0.0)),
            "calls that served": count(calls.get((model, "ok"), 0.0)),
            "calls that failed": count(calls.get((model, "failed"), 0.0)),
            "USD": UNKNOWN if (model,) in unpriced and (model,) not in cost else usd(cost.get((model,), 0.0)),
            "of unknown cost": count(unpriced.get((model,), 0.0)),
        }
        for model in models
    ]
    return {"title": "Models since the start", "lines": [], "rows": rows}


def _providers(families: list[Metric]) -> dict[str, Any]:
    state = _by(families, "llmrouterbench_breaker", "provider", "model")
    calls = _by(families, "llmrouterbench_calls_in_flight", "provider")
    rows = [
        {
            "provider": provider,
            "model": model,
            "breaker": _STATES[int(now)],
            "calls under way to the provider": count(calls.get((provider,), 0.0)),
        }
        for (provider, model), now in state.items()
    ]
    resting = sum(now != CLOSED for now in state.values())
    lines = [f"{count(resting)} of {count(len(state))} breakers are not closed"]
    return {"title": "Breakers", "lines": lines, "rows": rows}


async def _budgets(gateway: Gateway) -> dict[str, Any]:
    rows = [row for account in gateway.keyring.limited async for row in _rows_of(account)]
    return {"title": "Budgets", "lines": [], "rows": list({row["whose"]: row for row in rows}.values())}


async def _rows_of(account: Account) -> AsyncIterator[dict[str, Any]]:
    config, team = account.config, account.team
    if config.budget is not None:
        yield await _budget(f"key {account.name}", account.spent, config.budget, config.budget_period)
    if team is not None:
        yield await _budget(f"team {team.name}", account.spent_by_team, team.budget, team.budget_period)


async def _budget(whose: str, spent: Callable[[], Awaitable[float]], budget: float, period: str) -> dict[str, Any]:
    try:
        used = await spent()
    except OSError:
        used = None
    share = None if used is None else min(1.0, used / budget) if budget else 1.0
    return {
        "whose": whose,
        "used": {"share": share or 0.0, "text": percent(share, unit=" %")},
        "USD": usd(used),
        "of USD": usd(budget),
        "period": period,
    }
