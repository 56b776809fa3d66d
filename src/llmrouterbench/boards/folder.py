"""The folder of a board: made once by its organiser, read by everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from llmrouterbench.benching.bench import splits_of
from llmrouterbench.benching.folder import splits_path
from llmrouterbench.benching.rules import Rules
from llmrouterbench.boards.card import card_schema
from llmrouterbench.coverage import need_matrix
from llmrouterbench.files import new_folder, read_marked, write_bytes, write_json
from llmrouterbench.reporting.page.masking import may_show
from llmrouterbench.settings import PAPER_SEEDS
from llmrouterbench.splits import Split, load_split, make_split, save_split
from llmrouterbench.store import read_outcomes, write_outcomes
from llmrouterbench.table import IntArray, Outcomes, Text
from llmrouterbench.version import __version__

FORMAT, FILE, SCHEMA = "llmrouterbench/board", "board.json", 1
Kind = Literal["open", "held-out"]
WORKFLOWS = ("board-check.yml", "board-comment.yml")
"""What checks a pull request, and what comments on it, where the folder is a repository on GitHub."""
_HELD_OUT = "Ranks need outcomes that only the organiser has: llmrouterbench board update . --data OUTCOMES\n"
_FEWEST = 30
"""Held-out queries below which a board would rank luck."""


@dataclass(frozen=True)
class Board:
    """A task that routers are submitted to.

    folder     where it lies
    title      its name
    rules      of the bench that makes a submission
    outcomes   what everybody may see; NaN where the organiser keeps it
    splits     train and test queries by seed
    one_split  whether all seeds have the same split, which is a file and not made again
    hidden     (k,) rows whose outcomes the organiser keeps: ranks are made of these alone; none on an open board
    full_hash  hash of the organiser's outcomes; that of `outcomes` on an open board
    """

    folder: Path
    title: str
    rules: Rules
    outcomes: Outcomes
    splits: dict[int, Split]
    one_split: bool
    hidden: IntArray
    full_hash: str

    @property
    def kind(self) -> Kind:
        """Whether all outcomes are public."""
        return "held-out" if len(self.hidden) else "open"

    def ranked(self, seed: int) -> IntArray:
        """Rows that ranks of a seed are made of."""
        return self.hidden if len(self.hidden) else self.splits[seed].test

    def full(self, data: str | Path | Outcomes | None) -> Outcomes:
        """Outcomes with those that the organiser keeps. Raises ValueError where they are needed and not given."""
        if not len(self.hidden) and data is None:
            return self.outcomes
        if data is None:
            raise ValueError(
                f"{self.folder} is a held-out board, whose numbers need the organiser's outcomes; give them as --data"
            )
        full = data if isinstance(data, Outcomes) else read_outcomes(Path(data))
        full = _shared(full, self.outcomes.source)
        if full.content_hash != self.full_hash:
            raise ValueError(f"the outcomes must be those that {self.folder} was made from, got other ones; give those")
        return full


def init(
    folder: str | Path,
    data: Outcomes | str | Path,
    *,
    title: str | None = None,
    seeds: Sequence[int] = PAPER_SEEDS,
    split: str | None = None,
    ratio: float = 0.7,
    held_out: float | None = None,
    overwrite: bool = False,
) -> Board:
    """Make the folder of a board.

    split     "safe", "paper" or a file; near-copies stay together when not given
    ratio     share of the (open) queries that goes to train
    held_out  share of the queries whose outcomes stay with the organiser; None: all outcomes are public

    Texts of datasets that may not be shown are left out. Where anything is kept back there is one split for all seeds,
    since it cannot be made again from what is public.

    Raises ValueError for logged data and for a share that leaves a part without queries, FileExistsError where the
    folder is taken.
    """
    full = data if isinstance(data, Outcomes) else read_outcomes(Path(data))
    need_matrix(full, "which router is best")
    withheld = [name for name in full.datasets if not (full.simulated or may_show(name, full))]
    source = {"name": title or full.name, "not_shown": withheld}
    hidden = np.zeros(0, dtype=np.int64)
    rules = Rules(split=split, ratio=ratio).present
    if rules.split_file and held_out is not None:
        raise ValueError(f"a board has a split from a file or a held-out part, got {split!r} beside one; leave one out")
    if held_out is not None:
        hidden = make_split(full, 0, ratio=1.0 - held_out).test
        if len(hidden) < _FEWEST:
            raise ValueError(f"a held-out part must have at least {_FEWEST} queries, got {len(hidden)}; hold out more")
    one_split = bool(len(hidden) or withheld or rules.split_file)
    splits = _one_split(full, hidden, rules, seeds) if one_split else splits_of(rules, full, seeds)
    full = _shared(full, source)
    public = _hiding(full, hidden)
    with new_folder(Path(folder), overwrite) as partial:
        write_outcomes(public, partial / "data")
        for seed, one in splits.items():
            save_split(one, public, splits_path(partial, seed))
        record = {
            "format": FORMAT,
            "schema": SCHEMA,
            "title": source["name"],
            "kind": "held-out" if len(hidden) else "open",
            "simulated": public.simulated,
            "data_hash": public.content_hash,
            "full_hash": full.content_hash,
            "queries": len(public),
            "models": list(public.pool.models),
            "texts_left_out": withheld,
            "rules": {"split": "file" if one_split else rules.split_kind, "ratio": rules.ratio},
            "splits": {str(seed): one.hash for seed, one in splits.items()},
            "hidden": public.queries.id[hidden].tolist(),
            "version": __version__,
        }
        write_json(partial / FILE, record)
        write_json(partial / "card.schema.json", card_schema())
        write_bytes(partial / "README.md", _readme(record, list(splits), one_split).encode())
        for name in WORKFLOWS:
            text = (resources.files("llmrouterbench.boards") / "workflows" / name).read_bytes()
            write_bytes(partial / ".github" / "workflows" / name, text)
        if len(hidden):
            write_bytes(partial / "held-out.txt", _HELD_OUT.encode())
        write_bytes(partial / ".gitattributes", b"*.parquet binary\n*.json text eol=lf\n")
    return load_board(folder)


def _one_split(full: Outcomes, hidden: IntArray, rules: Rules, seeds: Sequence[int]) -> dict[int, Split]:
    """The same split for every seed: train and test of what is open, and the hidden queries in test."""
    open_rows = np.setdiff1d(np.arange(len(full)), hidden)
    made = splits_of(rules, full.take(open_rows), seeds[:1])[seeds[0]]
    test = np.union1d(open_rows[made.test], hidden)
    return dict.fromkeys(seeds, Split(open_rows[made.train], test, {**made.settings, "seed": int(seeds[0])}))


def _shared(outcomes: Outcomes, source: dict[str, Any]) -> Outcomes:
    """The outcomes as a board holds them: no planes of logs, nothing of where they came from but their name."""
    hide = set(source["not_shown"])
    names, ids = outcomes.dataset.tolist(), outcomes.queries.id.tolist()

    def texts(of: Text) -> Text:
        kept = zip(names, ids, of, strict=True)
        return Text.of([f"{name} {id}: text left out" if name in hide else text for name, id, text in kept])

    queries = outcomes.queries
    if hide:
        queries = replace(queries, text=texts(queries.text), prompt=texts(queries.prompt))
    return replace(outcomes, queries=queries, source=source, propensity=None, runs=None, spread=None)


def _hiding(outcomes: Outcomes, rows: IntArray) -> Outcomes:
    planes: dict[str, Any] = {name: plane.copy() for name, plane in outcomes.planes().items()}
    for plane in planes.values():
        plane[rows] = np.nan
    return replace(outcomes, **planes)


def bench_words(name: str, seeds: Sequence[int], kind: str, ratio: float, one_split: bool) -> str:
    """The command that makes decisions which a board takes, but for its routers."""
    said = "paper" if tuple(seeds) == PAPER_SEEDS else ",".join(map(str, seeds))
    words = f"llmrouterbench bench {name}/data --out runs --seeds {said}"
    if one_split:
        return f"{words} --split {name}/splits/{seeds[0]}.json"
    return words + (f" --split {kind}" if kind != "safe" else "") + (f" --ratio {ratio:g}" if ratio != 0.7 else "")


def _readme(record: dict[str, Any], seeds: Sequence[int], one_split: bool) -> str:
    bench = bench_words("BOARD", seeds, record["rules"]["split"], record["rules"]["ratio"], one_split)
    hidden = len(record["hidden"])
    kept = f"{hidden:,} of them are ranked on, and their outcomes are with the organiser"
    parts = kept if hidden else "all outcomes are public"
    simulated = "\n**SIMULATED**: no real model produced these numbers.\n" if record["simulated"] else ""
    return f"""# {record["title"]}
{simulated}
A board of routers: {record["queries"]:,} queries, {len(record["models"])} models; {parts}.
A submission holds choices. What they score and cost is computed from stored outcomes, by everybody alike:
`llmrouterbench board update BOARD`. Open `site/index.html`.

## Submit a router

BOARD is this folder. Fit yours on the train part of every seed, then:

```text
{bench} --routers knn
llmrouterbench board submit BOARD --bench runs --router knn --card card.json
llmrouterbench board check BOARD
```

Choices that were made elsewhere are a file: a column `query` and a column `model` (or a column of probabilities for
each model), and `seed` where seeds differ: `llmrouterbench board submit BOARD --choices choices.csv --card card.json`.
The card's fields are in `card.schema.json`.
Commit `submissions/NAME` and open a pull request. A new version is a new name whose card says `replaces`.
"""


def load_board(folder: str | Path) -> Board:
    """Read a board. Raises FileNotFoundError where there is none, ValueError where data or splits were changed."""
    folder = Path(folder)
    record: dict[str, Any] = read_marked(folder, FORMAT, SCHEMA)
    outcomes = read_outcomes(folder / "data")
    try:
        if outcomes.content_hash != record["data_hash"]:
            raise ValueError(f"{folder / 'data'} must be the data of the board, got other data; restore the folder")
        splits = {int(seed): load_split(splits_path(folder, int(seed)), outcomes) for seed in record["splits"]}
        for seed, split in splits.items():
            if split.hash != record["splits"][str(seed)]:
                raise ValueError(
                    f"{splits_path(folder, seed)} must be the split of the board, got another; restore the folder"
                )
        kind = record["rules"]["split"]
        rules = Rules(split=None if kind in ("safe", "file") else kind, ratio=record["rules"]["ratio"]).present
        row = {id: i for i, id in enumerate(outcomes.queries.id.tolist())}
        hidden = np.array([row[id] for id in record["hidden"]], dtype=np.int64)
        return Board(folder, record["title"], rules, outcomes, splits, kind == "file", hidden, record["full_hash"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / FILE} must say what the board asks, got no {error}; restore the folder") from error
