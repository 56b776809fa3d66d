"""`make production`: from a log to a router in production on the real RouterBench slice, into docs/production.md.

The log is 70 % of the queries. What `fit` and `policies` promise on it is held against the other 30 %, which no part
of the router has seen. Tables of numbers only, no query text.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.results import DATA, ROOT, cli
from llmrouterbench.commands.fit import promise_row
from llmrouterbench.production.adding import Joining, add_models
from llmrouterbench.production.calibration import Reliability, reliability
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.promises import Promise, usual_promises
from llmrouterbench.splits import make_split
from llmrouterbench.stats import Interval, Sample, pair
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

PAGE = ROOT / "docs" / "production.md"
SOURCE = DATA / "routerbench" / "routerbench_zs"
FOREIGN = DATA / "llmrouter"
SEED = 42
CALIBRATED = ("task_soft", "linear", "svm", "knn:k=5", "equirouter", "multiclass")
"""Routers whose calibration is shown: from well calibrated to not at all."""
NEWCOMERS = ("gpt-3.5-turbo-1106", "mistralai/mixtral-8x7b-chat")
"""Models that are kept from the log and join later."""


def cut(outcomes: Outcomes) -> tuple[Outcomes, Outcomes]:
    """The log, and the queries that come later; near-copies on one side."""
    split = make_split(outcomes, SEED)
    return outcomes.take(split.train), outcomes.take(split.test)


def found(fitted: FittedRouter, policy: str, later: Outcomes) -> tuple[Interval, Interval, Interval]:
    """Quality, USD a query and saving of a policy on later queries."""
    decided = fitted.route_many(list(later.queries.prompt), policy)
    columns = np.array([later.models.index(one.model) for one in decided])
    single = np.full(len(later), later.models.index(fitted.learned.best))
    rows, choices = np.arange(len(later)), np.array([columns, single])
    score, cost = later.score[rows, choices].T, later.cost[rows, choices].T
    paired = pair([Sample(np.full(len(later), "traffic"), later.group, score, cost)])
    usd, ratio = paired.cost(0), paired.cost_ratio(0, 1)
    n = len(later)
    return (
        paired.accuracy(0),
        Interval(usd.value / n, usd.low / n, usd.high / n),
        Interval(-ratio.value, -ratio.high, -ratio.low),
    )


def kept(promise: Interval, seen: Interval) -> bool:
    """Whether two intervals of one number overlap."""
    return promise.low <= seen.high and seen.low <= promise.high


def policy_table(fitted: FittedRouter, promised: list[Promise], later: Outcomes) -> str:
    """Promised on the calibration slice against found later, a line a policy."""
    lines = [
        "| policy | quality promised, % | found later, % | USD for 1,000 promised | found | saving promised, % | found"
        " | intervals meet | who serves |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in promised:
        quality, cost, saving = found(fitted, one.policy, later)
        meets = all(map(kept, (one.quality, one.cost), (quality, cost)))
        seen = promise_row(replace(one, quality=quality, cost=cost, saving=saving))
        said = promise_row(one)
        cells = [
            f"`{said[0]}`",
            said[2],
            seen[2],
            said[3],
            seen[3],
            said[4],
            seen[4],
            "yes" if meets else "NO",
            said[1],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def calibration_table(log: Outcomes, later: Outcomes) -> str:
    """Errors before and after calibration, on the slice out of fold and on later queries."""
    lines = [
        "| router | method | slice: error before, % | after, % | Brier before | after"
        " | later: error before, % | after, % | Brier before | after |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for spec in CALIBRATED:
        print(f"calibrating {spec}", flush=True)
        fitted = fit(log, FitSettings(router=spec, policy="best"))
        raw = fitted.router.predict(fitted.embedded(list(later.queries.prompt))).score
        report = fitted.facts["calibration"]
        pairs = [
            (Reliability(**report["before"]), Reliability(**report["after"])),
            (
                reliability(np.clip(raw, 0.0, 1.0), later.score),
                reliability(fitted.learned.score_map(raw), later.score),
            ),
        ]
        cells = [f"{100 * b.error:.2f} | {100 * a.error:.2f} | {b.brier:.4f} | {a.brier:.4f}" for b, a in pairs]
        lines.append(f"| {spec} | {report['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def joining_lines(log: Outcomes) -> tuple[str, str]:
    """The curve of each newcomer to a router that was fitted without them, and what it is then known by."""
    known = [model for model in log.models if model not in NEWCOMERS]
    fitted = fit(log.select(known), FitSettings(router="uniroute", policy="best"))
    _, curves = add_models(fitted, log.select(NEWCOMERS))
    sizes = sorted({size for curve in curves for size in curve.probes[:-1]})
    lines = [
        f"| model that joins | enough | {' | '.join(str(size) for size in sizes)} | all but those held out |",
        f"|---|---|{'---|' * len(sizes)}---|",
        *(_curve_line(curve, sizes) for curve in curves),
    ]
    return str(fitted.facts["router"]), "\n".join(lines)


def _curve_line(curve: Joining, sizes: list[int]) -> str:
    brier = dict(zip(curve.probes, curve.brier, strict=True))
    cells = [f"{brier[size]:.4f}" if size in brier else "" for size in sizes]
    last = f"{curve.brier[-1]:.4f} ({curve.probes[-1]:,})"
    return f"| {curve.model} | {curve.enough:,} | {' | '.join(cells)} | {last} |"


def novelty_line(fitted: FittedRouter, later: Outcomes, folder: Path) -> str:
    """Shares of later queries, of another data set and of gibberish that count as out of distribution."""
    cli("import", str(FOREIGN), "--to", str(folder / "foreign"))
    foreign = Outcomes.load(folder / "foreign")
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(foreign))[:1000])
    gibberish = ["".join(rng.choice(list("qxzvkj"), 30)) for _ in range(200)]
    shares = []
    for texts in (list(later.queries.prompt), list(foreign.take(rows).queries.text), gibberish):
        decided = fitted.route_many(texts)
        shares.append(100 * np.mean([one.reason == "out of distribution" for one in decided]))
    return (
        f"Out of distribution, served by {fitted.learned.fallback}: {shares[0]:.1f} % of the later queries,"
        f" {shares[1]:.1f} % of 1,000 queries of another data set (LLMRouter, 14 tasks),"
        f" {shares[2]:.1f} % of gibberish."
    )


def same_choices_line(fitted: FittedRouter, later: Outcomes) -> str:
    """Whether server and bench choose identically at every setting of the dial."""
    from llmrouterbench.benching.policies import decide_sweep

    texts = list(later.queries.prompt)
    bench = decide_sweep(fitted.router, fitted.embedded(texts), fitted.learned.settings)
    different = 0
    for setting, row in zip(fitted.learned.settings.tolist(), bench, strict=True):
        served = fitted.route_many(texts, f"weight {setting!r}")
        different += sum(
            one.ranking[0] != fitted.learned.models[j] for one, j in zip(served, row.tolist(), strict=True)
        )
    return (
        f"`route` and the bench's `decide_sweep` chose the same model in {bench.size - different:,} of {bench.size:,}"
        f" decisions ({len(texts):,} queries at {len(bench)} weights)."
    )


def main() -> None:
    """Write the page."""
    if not SOURCE.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    with TemporaryDirectory() as name, threadpool_limits(limits=1):
        folder = Path(name)
        cli("import", str(SOURCE), "--to", str(folder / "all"), "--no-replies")
        log, later = cut(Outcomes.load(folder / "all"))
        write_outcomes(log, folder / "log")
        print("fitting", flush=True)
        said: dict[str, Any] = cli("fit", str(folder / "log"), "--to", str(folder / "router"))
        print(orjson.dumps(said["why_router"]).decode(), flush=True)
        fitted = FittedRouter.load(folder / "router")
        promised = usual_promises(fitted)
        router, joining = joining_lines(log)
        page = [
            "# From a log to a router: the real RouterBench slice",
            "Written by `make production`; do not edit. RouterBench, 0-shot: 11 models, 3 tasks, USD per call. The log"
            f" holds {len(log):,} queries; {len(later):,} later ones stand for the traffic that comes afterwards."
            " Numbers are means over queries, in brackets 95 % bootstrap intervals over queries; one cut"
            f" (seed {SEED}).",
            "## Fit",
            "`llmrouterbench fit log --to router` trained on"
            f" {said['data']['train']:,} queries, calibrated on {said['data']['calibration']:,}, and said:",
            "\n".join(f"- {line}" for line in [*said["why_router"], *said["why_policy"]]),
            f"The default policy is `{said['policy']}`; on the calibration slice it is {said['guard']['verdict']}.",
            "## Policies: promised and found",
            f"The best single model is {fitted.learned.best}; savings are against it.",
            policy_table(fitted, promised, later),
            "## Calibration",
            "Expected calibration error (ten bins, all models) and Brier score. On the slice the numbers after are out"
            " of fold, the choice of the method included; the later queries were seen by nothing.",
            calibration_table(log, later),
            "## Out of distribution",
            novelty_line(fitted, later, folder),
            "## Server and bench",
            same_choices_line(fitted, later),
            "## A model joins",
            f"{router} was fitted without these models; they join from growing numbers of the log's queries. Mean"
            " squared error of the estimated score on probes held out:",
            joining,
        ]
        PAGE.write_text("\n\n".join(page) + "\n", encoding="utf-8")
        print(f"written to {PAGE.name}")


if __name__ == "__main__":
    main()
