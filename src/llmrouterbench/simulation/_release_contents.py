"""What each file of the simulated release holds, as arrays: the 700 files, their outcomes and their quirks.

The cells of the paper's two pools are those of `simulate` with the same seed. The rest is made to look alike: models
outside the pools behave like a twin inside, repeated exports repeat the outcomes with a few flips.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from itertools import groupby

import numpy as np

from llmrouterbench.settings import BUILT_IN, load_setting
from llmrouterbench.simulation._text import SimulatedQueries, random_stream, vocabulary, write_queries
from llmrouterbench.simulation.simulate import (
    TIE_SHARE,
    Cells,
    Target,
    flagship_prices,
    light_prices,
    light_replies,
    mmlupro_rows,
    paper_table,
    paper_target,
    setting_subset,
    simulate_cells,
    tokens_of_cost,
)
from llmrouterbench.table import FloatArray, IntArray

ROOT = "bench-release"
DEMO = ("simpleqa", "subset_500", "gpt-5-chat")
DEMO_RECORDS = 50
PARTS = {"arenahard_coding": (0, 300), "arenahard_math": (300, 500), "arenahard_creative_writing": (500, 750)}
"""Rows of ArenaHard that three of the release's labels repeat; our reconstruction, see `release_files`."""
SUBSET_STRIDE = {("hle", "subset_500"): 4, ("simpleqa", "subset_500"): 8}
"""Exports of a part of a dataset: every 4th, every 8th query of the whole one."""
TWINS = {
    "claude-opus-4.1": "claude-sonnet-4",
    "glm-4.6-3888": "glm-4.6",
    "gpt-4.1": "gpt-5-chat",
    "intern-s1-new": "intern-s1",
    "openrouter": "gpt-5-chat",
    "qwen3-235b-a22b-no-thinking": "qwen3-235b-a22b-2507",
    "qwen3-235b-a22b-thinking": "qwen3-235b-a22b-thinking-2507",
}
"""Models outside both pools, and the pool model whose tables and prices stand for theirs."""
TWIN_LOSS = 0.02
CENTRE = {
    ("performance", "arcc"): 0.85,
    ("performance", "winogrande"): 0.65,
    ("performance", "livemathbench"): 0.25,
    ("performance", "arenahard"): 0.15,
    ("performance-cost", "arc-agi"): 0.20,
    ("performance-cost", "humaneval"): 0.90,
}
"""Assumed mean accuracy of a pool on the datasets that its table of the paper lacks."""
FLIPS = 0.05
"""Share of outcomes that differ when the same queries were exported a second time."""
ZERO_COST_MODELS = ("intern-s1-new", "qwen3-235b-a22b-no-thinking", "qwen3-235b-a22b-thinking", "glm-4.6-3888")
ZERO_COST_RECORDS = {("hle", "test", "gpt-5"): 507, ("simpleqa", "test", "openrouter"): 3877}
NULL_SCORES = {("simpleqa", "test", "intern-s1-new"): 4326, ("livecodebench", "test", ZERO_COST_MODELS[1]): 1}
NEGATIVE_TOKENS = {("hle", "test", "openrouter"): 13}

Key = tuple[str, str]


@dataclass(frozen=True)
class ReleaseFile:
    """One file of the release. `first_index` is the index of its first record; `flat` files lack the split folder."""

    path: str
    dataset: str
    split: str
    model: str
    records: int
    first_index: int
    flat: bool
    demo: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """Dataset, split and model, as the fields of the file name them."""
        return self.dataset, self.split, self.model


@dataclass(frozen=True)
class Contents:
    """One file's records: queries, score (n,) with NaN for null, cost (n,), tokens_in (n,), tokens_out (n,)."""

    file: ReleaseFile
    queries: SimulatedQueries
    score: FloatArray
    cost: FloatArray
    tokens_in: FloatArray
    tokens_out: FloatArray


def release_files() -> list[ReleaseFile]:
    """The 700 files of the release in path order, 548,059 records.

    567 are facts about the real one. The 133 ArenaHard files without a split folder are our reconstruction from two
    sums: 50,250 records are left for them, which 33 models x (750 + 250 + 300 + 200) + 750 of OpenRouter give, with
    the datasets arenahard, arenahard_creative_writing, arenahard_coding, arenahard_math.

    >>> files = release_files()
    >>> len(files), sum(file.records for file in files), sum(file.flat for file in files)
    (700, 548059, 133)
    """
    text = (resources.files("llmrouterbench") / "data" / "release_files.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    files = [
        _file(*column.split("/"), model=row["model"], name=cell)
        for row in rows
        for column, cell in row.items()
        if column != "model" and cell
    ]
    return sorted(files, key=lambda file: file.path.split("/"))


def _file(dataset: str, split: str, records: str, *, model: str, name: str) -> ReleaseFile:
    """One cell of the table: a time stamp, or an irregular file name, perhaps after an irregular folder."""
    flat, split = not split, split or "test"
    folder, _, stem = name.rpartition("/")
    stem = stem if "-" in stem else f"{dataset}-{split}-{model}-{stem}"
    parts = [ROOT, dataset, *([] if flat else [split]), folder or model, f"{stem}.json"]
    demo = (dataset, split, model) == DEMO
    n = DEMO_RECORDS if demo else int(records)
    return ReleaseFile("/".join(parts), dataset, split, model, n, int(not flat), flat, demo)


def release_contents(seed: int, files: Iterable[ReleaseFile]) -> Iterator[Contents]:
    """What some files hold, one by one in path order; a dataset is simulated when its first file is asked for."""
    ordered = sorted(files, key=lambda file: file.path.split("/"))
    for base, group in groupby(ordered, key=lambda file: _base(file.dataset)):
        blocks = _simulate_dataset(base, seed)
        for file in group:
            queries, cells = blocks[file.split, file.model]
            start, stop = PARTS.get(file.dataset, (0, file.records))
            rows = np.arange(start, stop)
            plain = Contents(
                file,
                queries.take(rows),
                cells.score[rows, 0],
                np.nan_to_num(cells.cost[rows, 0]),
                cells.tokens_in[rows, 0],
                cells.tokens_out[rows, 0],
            )
            yield _with_quirks(plain, seed)


def _base(dataset: str) -> str:
    return "arenahard" if dataset in PARTS else dataset


def _with_quirks(contents: Contents, seed: int) -> Contents:
    """Null scores, unknown costs written as 0 and negative token counts, where the file has them."""
    file = contents.file
    rng = random_stream(seed, "quirks", *file.key)
    score, cost, tokens_out = contents.score.copy(), contents.cost.copy(), contents.tokens_out.copy()
    order = rng.permutation(file.records)
    score[order[: NULL_SCORES.get(file.key, 0)]] = np.nan
    unpaid = file.records if file.model in ZERO_COST_MODELS else ZERO_COST_RECORDS.get(file.key, 0)
    cost[order[:unpaid]] = 0.0
    negative = order[: NEGATIVE_TOKENS.get(file.key, 0)]
    tokens_out[negative] = -tokens_out[negative]
    return replace(contents, score=score, cost=cost, tokens_out=tokens_out)


Column = tuple[SimulatedQueries, Cells]


def _simulate_dataset(dataset: str, seed: int) -> dict[Key, Column]:
    """Queries and outcomes, (n, 1) each, of every (split, model) that the release holds of a dataset."""
    listed = [file for file in release_files() if file.dataset == dataset]
    sizes = {file.split: max(f.records for f in listed if f.split == file.split) for file in listed}
    everything = write_queries(dataset, max(sizes.get("test_3000", 0), *sizes.values()), seed)
    done: dict[Key, Column] = {}
    for split in sorted(sizes, key=lambda name: (-sizes[name], name)):  # the whole dataset before a part of it
        rows = _rows(dataset, split, sizes[split], len(everything))
        queries = everything.take(rows)
        done.update(_pool_columns(dataset, split, queries, seed))
        wanted = [file.model for file in listed if file.split == split and (split, file.model) not in done]
        parents = {model: column for (_, model), column in done.items() if model in wanted}
        for model, (_, cells) in parents.items():
            done[split, model] = queries, _again(cells, rows, random_stream(seed, "again", dataset, split, model))
        strangers = sorted(set(wanted) - set(parents))
        if strangers:
            cells = simulate_cells(queries, _guess(strangers, dataset), seed, "guess", dataset, split)
            done.update(_columns(split, strangers, queries, cells))
    return done


def _rows(dataset: str, split: str, size: int, n: int) -> IntArray:
    """Rows of a dataset's queries that a split exports."""
    if (dataset, split) == ("mmlupro", "test_1000"):
        return mmlupro_rows(n)
    return np.arange(size) * SUBSET_STRIDE.get((dataset, split), 1)


def _pool_columns(dataset: str, split: str, queries: SimulatedQueries, seed: int) -> dict[Key, Column]:
    """The cells that `simulate` makes of this dataset and split, for the pools that use it."""
    done: dict[Key, Column] = {}
    for setting in BUILT_IN:
        used = load_setting(setting)
        if any(d.id == dataset for d in used.datasets) and setting_subset(setting, dataset) == split:
            cells = simulate_cells(queries, paper_target(setting, dataset), seed, setting, dataset)
            done.update(_columns(split, [model.id for model in used.models], queries, cells))
    return done


def _columns(split: str, models: Sequence[str], queries: SimulatedQueries, cells: Cells) -> dict[Key, Column]:
    return {(split, model): (queries, _pick(cells, slice(None), slice(i, i + 1))) for i, model in enumerate(models)}


def _pick(cells: Cells, rows: IntArray | slice, columns: slice) -> Cells:
    return Cells(*(getattr(cells, plane.name)[rows][:, columns] for plane in fields(cells)))


def _again(cells: Cells, rows: IntArray, rng: np.random.Generator) -> Cells:
    """The same queries asked once more: a few other scores, replies a little longer or shorter."""
    first = _pick(cells, rows, slice(None))
    flip = rng.random(first.score.shape) < FLIPS
    factor = np.exp(0.1 * rng.standard_normal(first.score.shape))
    tokens_out = np.maximum(1.0, np.rint(first.tokens_out * factor))
    return Cells(np.where(flip, 1.0 - first.score, first.score), first.cost * factor, first.tokens_in, tokens_out)


def _guess(models: Sequence[str], dataset: str) -> Target:
    """A plausible target for cells that no table of the paper holds."""
    light = {entry.id for entry in load_setting("performance").models}
    parts = [_light_guess(model, dataset) if model in light else _flagship_guess(model, dataset) for model in models]
    accuracy, mean_in, mean_out, input_price, output_price = np.array(parts).T
    return Target(accuracy, mean_in, mean_out, input_price, output_price, ties=TIE_SHARE.get(dataset, 0.0))


def _light_guess(model: str, dataset: str) -> tuple[float, ...]:
    """Accuracy, mean tokens in and out, prices."""
    accuracy = _accuracy_guess("performance", model, dataset)
    prices = light_prices([model])
    replies = light_replies([model], dataset)
    return accuracy, float(vocabulary(dataset).input_tokens), *(float(one[0]) for one in (replies, *prices))


def _flagship_guess(model: str, dataset: str) -> tuple[float, ...]:
    """The same of a flagship or its twin; reply lengths follow its GPQA bill (Table 6)."""
    twin = TWINS.get(model, model)
    accuracy = _accuracy_guess("performance-cost", twin, dataset) - (TWIN_LOSS if twin != model else 0.0)
    prices = flagship_prices([twin])
    bill = np.array([paper_table("performance-cost_cost")[twin, "gpqa"]]) / 198 * 1e6
    _, replies = tokens_of_cost("gpqa", bill, prices)
    length = float(replies[0]) * vocabulary(dataset).length / vocabulary("gpqa").length
    return max(accuracy, 0.0), float(vocabulary(dataset).input_tokens), length, float(prices[0][0]), float(prices[1][0])


def _accuracy_guess(setting: str, model: str, dataset: str) -> float:
    """The paper's accuracy where it has one; else the assumed mean of the pool, moved by how good the model is."""
    table: Mapping[Key, float] = paper_table(f"{setting}_accuracy")
    if (model, dataset) in table:
        return table[model, dataset] / 100
    own = np.mean([value for (name, _), value in table.items() if name == model])
    everyone = np.mean(list(table.values()))
    return float(np.clip(CENTRE[setting, dataset] + (own - everyone) / 200, 0.03, 0.98))
