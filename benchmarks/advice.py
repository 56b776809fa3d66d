"""`make advice`: what `advise` says in 20 worlds whose truth is known, into docs/protocol.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.house import ROOT
from benchmarks.pages import put
from llmrouterbench.studies.advise import advise
from llmrouterbench.table import Outcomes

PAGE = ROOT / "docs" / "protocol.md"
MARKS = "<!-- made by `make advice` -->", "<!-- end of advice -->"
WORDS = "add these numbers please", "conjugate this verb", "which river flows through"
STAY, QUALITY, SAVE, BOTH = "do not route", "route for quality", "route to save", "route for quality and cost"
SWAP, TASK, UNKNOWN = "swap the model", "route by task", "cannot tell"


@dataclass(frozen=True)
class World:
    """SIMULATED outcomes in which it is known what is right to do.

    right  the actions that are
    """

    what: str
    make: Callable[[], Outcomes]
    right: tuple[str, ...]


def tasks(
    chance: list[list[float]], usd: list[float] | None = None, n: int = 900, *, told: bool = True, alike: float = 0.0
) -> Outcomes:
    """Models of a chance (tasks, m) of being right at a price each; `alike` is how often queries decide for all models.

    `told` is whether the words of a query tell its task.
    """
    rng = np.random.default_rng(len(chance) * n)
    kind, models = np.arange(n) % len(chance), len(chance[0])
    luck = np.where(rng.random((n, 1)) < alike, rng.random((n, 1)), rng.random((n, models)))
    words = [WORDS[k % len(WORDS)] if told else " ".join(rng.choice(list("abcdefghij"), 5)) for k in kind.tolist()]
    cost = None if usd is None else np.array(usd) / 1000.0 * rng.uniform(0.5, 1.5, (n, 1))
    return Outcomes.of(
        [f"{text} {i}" for i, text in enumerate(words)],
        [f"m{j:02}" for j in range(models)],
        (luck < np.array(chance)[kind]).astype(np.float64),
        dataset=[f"task {k}" for k in kind.tolist()],
        cost=cost,
        simulated=True,
    )


def lacking() -> Outcomes:
    """Three equal models; the first has no score on half of the queries that the others fail."""
    whole = tasks([[0.6] * 3] * 2, [1.0] * 3, alike=0.8)
    score = whole.score.copy()
    score[(score[:, 1:].sum(axis=1) == 0.0) & (np.arange(len(whole)) % 4 < 2), 0] = np.nan
    return Outcomes.of(
        list(whole.queries.text), whole.models, score, dataset=whole.dataset.tolist(), cost=whole.cost, simulated=True
    )


def worlds() -> list[World]:
    """All of them, by what is special."""
    own, best, few = [[0.9, 0.2], [0.2, 0.9], [0.9, 0.2]], [[0.9, 0.3]] * 3, (STAY, UNKNOWN)
    some = [[0.97, 0.97], [0.97, 0.97], [0.1, 0.95]]
    return [
        World("one model is best everywhere and cheapest", partial(tasks, best, [1.0, 4.0]), (STAY,)),
        World("one model is best everywhere, no prices", partial(tasks, best), (STAY,)),
        World("every task has a model of its own", partial(tasks, own, [1.0, 1.0]), (QUALITY,)),
        World("every task has a model of its own, no prices", partial(tasks, own), (QUALITY,)),
        World(
            "every task has a model of its own, words do not tell it",
            partial(tasks, own, [1.0, 1.0], told=False),
            (TASK,),
        ),
        World(
            "every task has a model of its own, 24 queries",
            partial(tasks, own, [1.0, 1.0], 24),
            (QUALITY, TASK, UNKNOWN),
        ),
        World("a twentieth of the price is as good on two of three tasks", partial(tasks, some, [1.0, 20.0]), (SAVE,)),
        World(
            "the better model of each task is cheaper on two of three",
            partial(tasks, [[0.95, 0.9], [0.95, 0.2], [0.1, 0.95]], [1.0, 20.0]),
            (BOTH,),
        ),
        World("twins at a tenth of the price", partial(tasks, [[0.7, 0.7]], [10.0, 1.0], alike=1.0), (SWAP,)),
        World(
            "0.80 instead of 0.82 for a hundredth",
            partial(tasks, [[0.82, 0.8]], [100.0, 1.0], 4000, alike=0.9),
            (SWAP,),
        ),
        World("0.80 instead of 0.82 for a half", partial(tasks, [[0.82, 0.8]], [2.0, 1.0], 4000, alike=0.9), (STAY,)),
        World("0.60 instead of 0.82 for a hundredth", partial(tasks, [[0.82, 0.6]], [100.0, 1.0]), (STAY,)),
        World("ten points less on every task for a hundredth", partial(tasks, [[0.9, 0.8]] * 3, [100.0, 1.0]), (STAY,)),
        World("two equal models whose luck differs", partial(tasks, [[0.6, 0.6]] * 3, [1.0, 1.0]), (STAY,)),
        World("30 equal models", partial(tasks, [[0.6] * 30] * 2, [1.0] * 30), (STAY,)),
        World("30 equal models, 60 queries", partial(tasks, [[0.6] * 30] * 2, [1.0] * 30, 60), few),
        World("three equal models, 12 tasks of three queries", partial(tasks, [[0.6] * 3] * 12, [1.0] * 3, 36), few),
        World("three equal models, one fails unseen on hard queries", lacking, (STAY,)),
        World(
            "a fifth of a point to gain",
            partial(tasks, [[0.802, 0.8], [0.8, 0.802]], [1.0, 1.0], 2000, alike=1.0),
            (STAY,),
        ),
        World(
            "one of three tasks has a model of its own",
            partial(tasks, [[0.9, 0.5]] * 2 + [[0.3, 0.8]], [1.0, 1.0], 1500),
            (QUALITY,),
        ),
    ]


def said(world: World) -> str:
    """What `advise` says of it on three splits."""
    return advise(world.make(), replicates=300, jobs=1).action


def table() -> str:
    """Markdown: every world, what is right, what is said."""
    rows = ["| world | right | `advise` says | |", "|---|---|---|---|"]
    for world in worlds():
        action = said(world)
        verdict = "right" if action in world.right else "not told" if action == UNKNOWN else "**wrong**"
        rows.append(f"| {world.what} | {' or '.join(world.right)} | {action} | {verdict} |")
        print(rows[-1], flush=True)
    return "\n".join(rows)


def main() -> None:
    """Write the table between the marks of the page."""
    put(PAGE, MARKS, table())


if __name__ == "__main__":
    main()
