"""How values show in a notebook: small tables of HTML, everything in them escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from llmrouterbench.coverage import coverage_of
from llmrouterbench.metrics import avg_acc, dataset_means, known_mean
from llmrouterbench.numerals import accuracy, count, usd
from llmrouterbench.table import Estimate, Outcomes


def html(title: str, notes: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A heading, sentences, and a table.

    >>> html("T", [], ["a"], [["<b>"]])
    '<h4>T</h4><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    said = "".join(f"<p>{escape(line)}</p>" for line in notes)
    body = "".join(_line("td", row) for row in rows)
    return f"<h4>{escape(title)}</h4>{said}<table><thead>{_line('th', heads)}</thead><tbody>{body}</tbody></table>"


def _line(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def of_outcomes(outcomes: Outcomes) -> str:
    """What kind of data it is, and a row a model; in a log its mean is over the queries that it answered."""
    kind = coverage_of(outcomes)
    means = dataset_means(outcomes.score, outcomes.dataset, outcomes.datasets)
    acc, cost = avg_acc(means.T), known_mean(outcomes.cost, axis=0)
    rows = [
        [
            model,
            count(int(np.isfinite(outcomes.score[:, at]).sum())),
            count(int(np.isfinite(means[:, at]).sum())),
            accuracy(acc[at]),
            usd(1000 * cost[at]),
        ]
        for at, model in enumerate(outcomes.models)
    ]
    mean = "AvgAcc, %" if kind.matrix else "AvgAcc where it served, %"
    return html(
        repr(outcomes),
        [f"{kind.words[0].upper()}{kind.words[1:]}."],
        ["model", "queries", "datasets", mean, "USD/1,000"],
        rows,
    )


def of_estimate(estimate: Estimate) -> str:
    """A row a model: what is expected of it in the mean, and on how many queries the most."""
    best = np.bincount(estimate.score.argmax(axis=1), minlength=len(estimate.models))
    score, cost = known_mean(estimate.score, axis=0), known_mean(estimate.cost, axis=0)
    rows = [
        [model, accuracy(score[at]), usd(1000 * cost[at]), count(int(best[at]))]
        for at, model in enumerate(estimate.models)
    ]
    return html(repr(estimate), [], ["model", "expected score, %", "expected USD/1,000", "expected to be best"], rows)
