"""What kind of data outcomes are: a matrix, in which models are compared query by query, or a log, where they are not.

Whoever would answer as if every model had been asked every query asks here first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from llmrouterbench.numerals import count, number, percent
from llmrouterbench.table import BoolArray, Outcomes

Kind = Literal["complete", "gaps", "partial", "logged"]
FEW_MISSING = 0.05
"""Share of the cells up to which missing ones are gaps."""
ONCE_IN = 0.01
"""Share of the queries that other models than the usual one must have answered alone, for a log of several models."""
ONE_EACH = "each query was answered by one model chosen by somebody"
SETTLES = (
    "this would settle it: ask every model the same few hundred queries, or serve with an exploration share and import"
    " the log with its propensities"
)


@dataclass(frozen=True)
class Coverage:
    """Which cells of a table were measured; a query without any measured cell does not count.

    kind        "complete": every cell; "gaps": all but a few (5 %); "logged": most queries were answered by one model
                alone, and not by the same one; "partial": anything between, models measured on different queries
    queries     queries with a measured cell; unanswered: those without
    cells       measured cells per query, mean
    missing     share of the cells that are missing
    shared      of every two models, the fewest and the most queries that both were measured on; None for one model
    """

    kind: Kind
    queries: int
    unanswered: int
    models: int
    cells: float
    missing: float
    shared: tuple[int, int] | None

    @property
    def matrix(self) -> bool:
        """Whether models can be compared on the queries that they share."""
        return self.kind != "logged"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "words": self.words}

    @property
    def words(self) -> str:
        """The kind of the data in one sentence."""
        counted = f"{count(self.queries)} queries, {count(self.models)} models"
        if self.kind == "complete":
            return f"complete data: {counted}, every model measured on every query"
        each = f"{number(self.cells, 1)} of {count(self.models)} models measured on a query"
        if self.kind == "logged":
            return f"logged data: {counted}, {each}: {ONE_EACH}, so means of models are over different queries"
        if self.kind == "gaps":
            return f"data with gaps: {counted}, {percent(self.missing, unit=' %')} of the cells missing"
        low, high = self.shared or (0, 0)
        return (
            f"partial data: {counted}, {each}, {count(low)} to {count(high)} queries shared by two models; means of"
            " models are over different queries"
        )


def coverage_of(outcomes: Outcomes) -> Coverage:
    """The coverage of the models that a router may choose.

    >>> nan = float("nan")
    >>> coverage_of(Outcomes.of(["a", "b", "c"], ["x", "y"], [[1, nan], [nan, 0], [1, nan]])).kind
    'logged'
    """
    known = np.isfinite(outcomes.pool.score)
    answered = known.any(axis=1)
    rows = known[answered]
    queries, models = rows.shape
    together = rows.T.astype(np.int64) @ rows.astype(np.int64)
    pairs = together[np.triu_indices(models, 1)]
    missing = float(1.0 - rows.mean()) if rows.size else 0.0
    return Coverage(
        kind=_kind(rows, missing),
        queries=queries,
        unanswered=int((~answered).sum()),
        models=models,
        cells=float(rows.sum() / queries) if queries else 0.0,
        missing=missing,
        shared=(int(pairs.min()), int(pairs.max())) if len(pairs) else None,
    )


def _kind(known: BoolArray, missing: float) -> Kind:
    """The kind of measured cells (n, m), one or more a query, of which a share is missing."""
    if missing == 0.0:
        return "complete"
    alone = known[known.sum(axis=1) == 1].sum(axis=0)
    if alone.sum() > 0.5 * len(known) and alone.sum() - alone.max() >= ONCE_IN * len(known):
        return "logged"
    return "gaps" if missing <= FEW_MISSING else "partial"


def cannot_tell(what: str) -> str:
    """What is said of logged data where a matrix would be needed.

    >>> cannot_tell("which model is best").partition(";")[0]
    'cannot tell which model is best, because each query was answered by one model chosen by somebody'
    """
    return f"cannot tell {what}, because {ONE_EACH}; {SETTLES}"


def need_matrix(outcomes: Outcomes, what: str) -> None:
    """Raises ValueError, with what cannot be told, where outcomes are logged."""
    if not coverage_of(outcomes).matrix:
        raise ValueError(cannot_tell(what))


def in_order(mean: float, single: float, dataset_oracle: float, oracle: float) -> tuple[float, float, float, float]:
    """The same numbers, NaN for one that cannot be true beside the best single model's, or beside those that stay.

    On the same cells mean <= single <= dataset_oracle <= oracle. Where cells are missing each is over cells of its own,
    and one that breaks the order says nothing.

    >>> in_order(0.5, 0.6, 0.7, 0.65)
    (0.5, 0.6, 0.7, nan)
    """
    slack = 1e-9 * max(1.0, abs(oracle))  # means of the same numbers, summed in another order
    dataset_oracle = float("nan") if dataset_oracle < single - slack else dataset_oracle
    oracle = float("nan") if oracle < np.fmax(single, dataset_oracle) - slack else oracle
    mean = float("nan") if mean > np.fmin(np.fmin(single, dataset_oracle), oracle) + slack else mean
    return mean, single, dataset_oracle, oracle
