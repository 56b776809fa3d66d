"""The explorer's data: for every test query who was right, who was chosen and at what cost, packed into a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrouterbench.benching.folder import Runs, Served
from llmrouterbench.benching.replay import Replay
from llmrouterbench.reporting.page.masking import Texts, may_show
from llmrouterbench.reporting.page.packing import Codes, cost_codes, in_html, index_codes, pack, pack_texts, score_codes
from llmrouterbench.table import FloatArray, IntArray, StrArray

CLIPS = (20_000, 4000, 2000, 1000, 500, 250)
"""Characters of a query that a page shows; the longest that fits is taken."""
_TRIES = 8


@dataclass(frozen=True)
class Explorer:
    """What the page holds of single queries.

    numbers  packed table, see `packing`
    texts    packed texts in the same order, "" where the page holds none
    held     queries on the page, `tested` how many there are
    clip     characters after which texts are cut; 0 where none is
    masked   datasets whose texts may not be shown
    why      why there are no texts; "" where there are
    """

    numbers: str
    texts: str
    held: int
    tested: int
    clip: int
    masked: tuple[str, ...]
    why: str

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return len(self.numbers) + len(self.texts)


def explorer(runs: Runs, played: Replay, texts: Texts, budget: int) -> Explorer:
    """Pack the test queries of some runs into `budget` bytes: all of them, or an even sample of every dataset.

    Long texts are cut before any query is left out.
    """
    tested = np.unique(np.concatenate([runs.splits[seed].test for seed in runs.seeds]))
    masked = tuple(name for name in played.datasets if not may_show(name, runs.outcomes))
    rows, table = tested, _Table.of(runs, played, masked)
    made = _packed(table, rows, texts, budget, len(tested))
    for _ in range(_TRIES):
        if made.size <= budget or len(rows) <= len(played.datasets):
            break
        rows = _even_sample(tested, runs.outcomes.dataset, 0.9 * len(rows) / len(tested) * budget / made.size)
        made = _packed(table, rows, texts, budget, len(tested))
    return made


def _packed(table: _Table, rows: IntArray, texts: Texts, budget: int, tested: int) -> Explorer:
    numbers, packed, cut = in_html(table.packed(rows)), "", 0
    if texts.of is not None:
        shown = [dataset not in table.masked for dataset in table.runs.outcomes.dataset[rows].tolist()]
        chosen = [texts.of[row] if show else "" for row, show in zip(rows.tolist(), shown, strict=True)]
        for clip in CLIPS:
            packed = in_html(pack_texts([text if len(text) <= clip else f"{text[:clip]}…" for text in chosen]))
            cut = clip if max(map(len, chosen)) > clip else 0
            if len(numbers) + len(packed) <= budget:
                break
    return Explorer(numbers, packed, len(rows), tested, cut, table.masked, texts.why)


def _even_sample(rows: IntArray, dataset: StrArray, share: float) -> IntArray:
    """A share of the rows of every dataset, at least one, always the same ones."""
    rng, kept = np.random.default_rng(0), []
    for name in sorted(set(dataset[rows].tolist())):
        mine = rows[dataset[rows] == name]
        kept.append(rng.choice(mine, size=max(1, math.floor(share * len(mine))), replace=False))
    return np.sort(np.concatenate(kept))


@dataclass(frozen=True)
class _Table:
    """Everything about single queries, before it is packed.

    choice  router -> (seeds, n) model served, -1 where a seed does not test the query
    mixed   router -> (seeds, n) score and cost of what it served and called, where that is not one call of one model
    """

    runs: Runs
    masked: tuple[str, ...]
    choice: dict[str, IntArray]
    mixed: dict[str, tuple[FloatArray, FloatArray]]

    @classmethod
    def of(cls, runs: Runs, played: Replay, masked: tuple[str, ...]) -> _Table:
        choice: dict[str, IntArray] = {}
        mixed = {}
        shape = (len(runs.seeds), len(runs.outcomes))
        for router, points in played.chosen.items():
            choice[router], simple = np.full(shape, -1, dtype=np.int64), True
            for i, seed in enumerate(runs.seeds):
                simple &= _chosen(runs.decisions[router, seed].parts["test"], points[i], choice[router][i])
            if not simple:
                score, cost = np.full(shape, np.nan), np.full(shape, np.nan)
                column = played.keys.index(("router", router))
                for i, seed in enumerate(runs.seeds):
                    score[i, runs.splits[seed].test] = played.samples[i].score[:, column]
                    cost[i, runs.splits[seed].test] = played.samples[i].cost[:, column]
                mixed[router] = score, cost
        return cls(runs, masked, choice, mixed)

    def packed(self, rows: IntArray) -> bytes:
        """The table of some queries, column after column."""
        outcomes, runs = self.runs.outcomes, self.runs
        datasets = sorted(set(outcomes.dataset[rows].tolist()))
        tested = np.zeros((len(runs.seeds), len(outcomes)), dtype=np.uint8)
        for i, seed in enumerate(runs.seeds):
            tested[i, runs.splits[seed].test] = 1
        columns: dict[str, Codes] = {
            "dataset": index_codes(np.searchsorted(np.array(datasets), outcomes.dataset[rows]), len(datasets)),
            "tested": tested[:, rows].ravel(),
            "score": score_codes(outcomes.score[rows].T.ravel()),
            "cost": cost_codes(outcomes.cost[rows].T.ravel()),
        }
        for i, choice in enumerate(self.choice.values()):
            columns[f"choice{i}"] = index_codes(choice[:, rows].ravel(), len(outcomes.models))
        for i, router in enumerate(self.choice):
            if router in self.mixed:
                score, cost = self.mixed[router]
                columns[f"score{i}"] = score_codes(score[:, rows].ravel())
                columns[f"cost{i}"] = cost_codes(cost[:, rows].ravel())
        header: dict[str, Any] = {
            "ids": outcomes.queries.id[rows].tolist(),
            "datasets": datasets,
            "masked": list(self.masked),
            "models": list(outcomes.models),
            "outside": list(outcomes.outside),
            "routers": list(self.choice),
            "seeds": runs.seeds,
        }
        return pack(header, columns)


def _chosen(part: Served, point: int, choice: IntArray) -> bool:
    """Write the model that served each query (the likeliest) into `choice` (n,); whether all were one plain call."""
    mine = part.point == point
    served = np.flatnonzero(mine & (part.served > 0))
    served = served[np.argsort(part.served[served], kind="stable")]
    choice[part.rows[part.query[served]]] = part.model[served]
    return bool(((part.served[mine] == 1.0) & (part.called[mine] == 1.0)).all())
