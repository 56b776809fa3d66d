"""What a reader of a leaderboard must know, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrouterbench.benching.replay import ORACLE, RANDOM
from llmrouterbench.naming import listed
from llmrouterbench.numerals import count, percent
from llmrouterbench.stats import BILLS, BILLS_EACH, GAINS

if TYPE_CHECKING:
    from llmrouterbench.benching.folder import Runs
    from llmrouterbench.reporting.board import Leaderboard
    from llmrouterbench.reporting.columns import Row

_UNSURE = 0.03
"""Standard error of a lead in AvgAcc from which on a choice of an operating point is mostly luck."""
SIMULATED = "SIMULATED: no real model produced these numbers; they show that the bench works, not which router is good."


def notes(board: Leaderboard, runs: Runs) -> Iterator[str]:
    """Sentences about one leaderboard, the weightiest first."""
    if board.simulated:
        yield SIMULATED
    yield from _log(board)
    yield from _scoring(board)
    yield from _baselines(board)
    yield from _choices(board)
    yield from _peaks(board)
    yield from _missing(board)
    yield from _costs(board)
    yield from _protocol(board, runs)


def _log(board: Leaderboard) -> Iterator[str]:
    log = board.facts.get("log")
    if not log:
        return
    whence = (
        "propensities are those of the log"
        if log["propensities"]
        else "propensities are estimated, which assumes that whoever chose saw nothing that the query does not show"
    )
    yield f"{log['words'].capitalize()}."
    yield (
        "Every score and cost is estimated as if each router and model had served every test query (doubly robust);"
        f" {whence}. Oracles are unknown: no log tells what the other models would have scored on a query."
    )
    rare = [row.name for row in board.rows if row.kind != "reference" and not math.isfinite(row.avg_acc.value)]
    if rare:
        yield f"Fewer than 20 effective trials in a test part, so nothing is said of {listed(rare)}."
    few = [d for i, d in enumerate(board.datasets) if any(math.isnan(row.accuracy[i]) for row in _told(board, rare))]
    if few:
        yield (
            f"Fewer than 20 effective trials of a router or model on {listed(few)}: they count in AvgAcc, and have no"
            " number of their own there; nor have Gain@R and Gain@B."
        )


def _told(board: Leaderboard, rare: Sequence[str]) -> list[Row]:
    return [row for row in board.rows if row.kind != "reference" and row.name not in rare]


def _scoring(board: Leaderboard) -> Iterator[str]:
    source = board.facts["source"]
    if source.get("compat") == "official":
        yield (
            "Official readings: replies were scored with `--compat official`, as the official code reads them, known"
            " defects included; do not compare with scores of other outcomes."
        )
    flagged = [f"{row['model']} on {row['dataset']}" for row in source.get("unread", ()) if row["flagged"]]
    if flagged:
        yield (
            "Many more replies without a readable answer than the other models of the dataset:"
            f" {', '.join(flagged)}. It is the scorer's fault more often than the model's: read some (`score`)."
        )
    if source.get("failed_calls") == "zero":
        yield "Failed calls count as score 0, as in the paper; they are not measured replies."


def _baselines(board: Leaderboard) -> Iterator[str]:
    reference = board.facts["reference"]
    best = board.of_kind("model")[0].name
    if reference == board.base:
        other = "" if best == board.base else f"; the most accurate model on the test part is {best}"
        yield f"Best Single is {board.base}, the reference of the setting{other}."
    else:
        absent = f"The setting's reference {reference} is not in these outcomes. " if reference else ""
        yield f"{absent}Best Single is {board.base}, the best single model on the test part, in hindsight."
    if board.baseline == "Best Single":
        yield "The router best_single was not run, so differences are against Best Single."
    else:
        chosen = ", the model with the highest AvgAcc on train, chosen seed by seed"
        yield f"Differences are against {board.baseline}{chosen if board.baseline == 'best_single' else ''}."
    same = [row for row in board.of_kind("router") if row.verdict.startswith("not distinguishable")]
    if same:
        early = board.facts["intervals"] == "percentile"  # a folder of version 0.1 says what it said
        once = "the 95 % interval" if early else "an interval for all rows at once"
        yield f"Not distinguishable from {board.baseline} ({once} includes 0): {listed([row.name for row in same])}."
        least, most = (percent(end(row.detectable for row in same)) for end in (min, max))
        if not early:
            yield (
                f"A true difference to {board.baseline} would have been seen in 80 of 100 samples from"
                f" {least if least == most else f'{least} to {most}'} points on, by router (`detectable`)."
            )
    sharing = [row for row in board.of_kind("router") if row.rank == 1]
    if len(sharing) > 1 and board.facts["intervals"] == "t":
        yield f"No router is surely better than these, which share the first rank: {listed([r.name for r in sharing])}."


def _choices(board: Leaderboard) -> Iterator[str]:
    dials = [row for row in board.of_kind("router") if row.points > 1]
    if dials and board.facts["points"] == "out-of-fold":
        yield (
            "A router with several operating points stands where quality decides (weight 0) unless another point leads"
            " that one by a standard error, out of fold on train; chosen seed by seed. CostSave is that of the cheapest"
            " point that leads Best Single there by a standard error. Hindsight numbers choose the point on the test"
            " part, as the paper does, and flatter the router."
        )
    elif dials:
        yield (
            "A router with several operating points stands at the one with the highest AvgAcc on the validation part"
            " of train, chosen seed by seed; CostSave is that of the cheapest point that reaches Best Single there."
            " Hindsight numbers choose the point on the test part, as the paper does, and flatter the router."
        )
    unsure = [f"{row.name} {percent(row.point_error)}" for row in dials if row.point_error > _UNSURE]
    if unsure and board.facts["points"] == "out-of-fold":
        yield (
            "Few training queries to choose an operating point on; how much better one is has a standard error, in"
            f" points, of {listed(unsure)}. Read AvgAcc at weight 0, or use more queries."
        )
    seeds = len(board.facts["seeds"])
    for row in dials:
        if row.cost_save is not None and row.saver_seeds < seeds:
            yield (
                f"{row.name} reaches Best Single on unseen training queries in {row.saver_seeds} of {seeds} seeds;"
                " Best Single serves in the others."
            )


def _peaks(board: Leaderboard) -> Iterator[str]:
    if board.peaked:
        yield (
            "Peak on test (paper protocol) is the highest test AvgAcc over operating points and, for routers that train"
            " by epochs, over their checkpoints, chosen seed by seed on the test part. It flatters the router, more so"
            " the more checkpoints it has; every other number leaves the checkpoints aside."
        )


def _missing(board: Leaderboard) -> Iterator[str]:
    lacking = {}
    for row in board.rows if "log" not in board.facts else ():
        gone = [name for name, acc in zip(board.datasets, row.accuracy, strict=True) if math.isnan(acc)]
        if gone:
            lacking[row.name] = gone
    for name, gone in lacking.items():
        yield (
            f"{name} has no measured score on {listed(gone)}: its AvgAcc and cost are over"
            f" {len(board.datasets) - len(gone)} of {len(board.datasets)} datasets, differences and gains compare the"
            " datasets that both sides have, and it is left out of the Pareto set."
        )
    for row in board.of_kind("router"):
        if row.unmeasured and row.name not in lacking and "log" not in board.facts:
            served = f"{count(row.unmeasured)} served cells"
            yield f"{row.name}: {served} have no measured score and are left out of its means."
    for metric, name in (("Gain@R", RANDOM), ("Gain@B", "Best Single"), ("Gap@O", ORACLE)):
        zero = [d for d, acc in zip(board.datasets, board[name].accuracy, strict=True) if acc == 0.0]
        if zero:
            surely = "" if metric == "Gap@O" or board.facts["intervals"] == "percentile" else ", and has no interval"
            yield f"{metric} leaves out {listed(zero)}, where {name} scores 0 and no ratio exists{surely}."
    absent = board.facts["source"].get("absent", [])
    if absent:
        yield f"The setting names what these data lack: {listed(absent)}."
    for router, seeds in _by_router(board.facts["missing"]).items():
        yield (
            f"{router} has no decisions for seed {listed(seeds)} and is left out;"
            " run the same bench (or judge its choices) for it."
        )
    if left_out := board.facts["seeds_left_out"]:
        yield f"The bench was not finished: seed {listed(left_out)} is not reported; run the same bench to go on."


def _by_router(missing: Sequence[Sequence[str | int]]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for router, seed in missing:
        out.setdefault(str(router), []).append(str(seed))
    return out


def _costs(board: Leaderboard) -> Iterator[str]:
    if not board.priced:
        yield "No cost is known in these outcomes, so there are no cost columns, no CostSave and no Pareto figure."
        return
    unpriced = [row.name for row in board.of_kind("model") if _unpriced(row)]
    if unpriced:
        names = listed(unpriced)
        yield f"Unpriced, not free: no cost is known on some dataset for {names}; left out of the Pareto set."
    tested = sum(board.facts["test_queries"])
    counts = [
        f"{row.name} {count(row.unknown_cost)} of {count(tested)} ({percent(row.unknown_cost / tested, unit=' %')})"
        for row in board.of_kind("router")
        if row.unknown_cost
    ]
    if counts:
        yield (
            "Test queries with a call of unknown cost, counted at the mean known cost of their dataset"
            f" (all seeds together): {listed(counts)}."
        )


def _unpriced(row: Row) -> bool:
    return any(math.isnan(usd) and not math.isnan(acc) for usd, acc in zip(row.usd, row.accuracy, strict=True))


def _test_groups(runs: Runs) -> dict[str, int]:
    """Test queries of each dataset over all seeds, copies counted once."""
    rows = np.unique(np.concatenate([runs.splits[seed].test for seed in runs.seeds]))
    dataset, group = runs.outcomes.dataset[rows], runs.outcomes.together[rows]
    return {name: len(np.unique(group[dataset == name])) for name in np.unique(dataset).tolist()}


def _protocol(board: Leaderboard, runs: Runs) -> Iterator[str]:
    sizes = _test_groups(runs)
    single = [name for name, size in sizes.items() if size == 1]
    if single and len(single) == len(sizes):
        yield (
            "No interval and no verdict: every dataset has a single test query (copies count once), which tells nothing"
            " of another one. Use more queries a dataset, or more seeds."
        )
    elif single and board.facts["intervals"] == "t":
        yield (
            f"A single test query on {listed(single)}: intervals of accuracy count it as if the next one could be"
            " anything, and costs have no interval."
        )
    if board.facts["intervals"] == "t" and "log" not in board.facts:
        if few := [name for name, size in sizes.items() if size < GAINS]:
            yield (
                f"Gain@R and Gain@B have no interval: it takes {GAINS} test queries a dataset, and fewer are on"
                f" {listed(few)}."
            )
        if board.priced and sum(sizes.values()) < (least := max(BILLS, BILLS_EACH * len(sizes))):
            yield f"Costs have no interval: it takes {least} test queries here, and there are {sum(sizes.values())}."
    if len(board.facts["seeds"]) == 1:
        yield (
            "There is one seed: the intervals say what these choices would give on new queries. What the method would"
            " give on new data (another split, fit and random start) is not known: use more seeds."
        )
    elif not runs.rules.split_file and board.facts["intervals"] == "t":
        yield (
            "The intervals of accuracies say what the methods would give on new data: test queries are drawn, and seeds"
            " with their split, fit and random start. Those of costs and CostSave say what these choices would cost on"
            " new queries: another fit may choose other models."
        )
    if runs.rules.split_file:
        split = runs.splits[runs.seeds[0]]
        neither = len(runs.outcomes) - len(split.train) - len(split.test)
        yield (
            f"The split is that of {runs.rules.split_file.name}: seeds vary the validation part alone, so the intervals"
            f" do not cover the choice of the split. {neither:,} queries are in neither part."
        )
    alike = [split.settings["alike"] for split in runs.splits.values() if "alike" in split.settings]
    if alike:
        yield (
            f"The split keeps near-copies together; {percent(sum(alike) / len(alike), unit=' %')} of the test queries"
            " are left with a text in train that is alike (60 % of the word 3-grams)."
        )
    held_out = board.facts["split"]["held_out"]
    if held_out:
        yield f"Held out of train (out of distribution): {listed(held_out)}."
    if board.facts["ties_win"]:
        yield "Every positive score counts as 1 (ties_win)."
    truncated = runs.made.truncated
    if truncated:
        yield f"The embedder cut {count(truncated)} texts at its limit."
