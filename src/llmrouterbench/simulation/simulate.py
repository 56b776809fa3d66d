"""Simulated outcomes at the paper's full scale, for demonstrations and tests. No real model produced these numbers.

For each dataset the accuracy of every model equals Table 4 or 5 and its cost Table 6 of arXiv 2601.07206 to the printed
digit; the share of queries that at least one model solves lies near the Oracle rows of Tables 11 and 12. What is free
is simulated: a model solves the queries with its highest latent value

    -sqrt(d) * difficulty[query] + sqrt(t) * skill[model, topic of the query] + sqrt(1 - d - t) * noise

where d, the share of difficulty, is bisected per dataset until the oracle fits, and t is `TOPIC_SHARE`.

Because a dataset's accuracies are fixed, what lies above them in a train part lies below them in its test part.
Independent queries do not do that: in small datasets, and with a small `scale`, routers look worse here than they would
on real outcomes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.settings import BUILT_IN, DatasetEntry, load_setting
from llmrouterbench.simulation._text import SimulatedQueries, random_stream, vocabulary, write_queries
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes, Queries, Text, duplicate_groups

SOURCE = "simulated to the tables of arXiv 2601.07206; no real model produced these numbers"
TOPIC_SHARE = 0.012
"""Share t of a model's latent value that comes from its skill on the query's topic."""
USUAL_DIFFICULTY_SHARE = 0.6
"""Share d where no oracle is known."""
TIE_SHARE = {"arenahard": 0.22}
"""Share of replies judged as good as the baseline (score 0.5), where a dataset has such a verdict."""
AGENT_DATASETS = ("swe-bench", "tau2")
"""Datasets of many turns, where the prompt is most of the bill."""
AGENT_INPUT_SHARE = 0.5275
"""Share of their cost that the prompt takes: with it the setting holds the 1,030.3 M tokens of Table 2."""
REPLY_TOKENS_SCALE = 1.0493
"""Factor on the typical reply lengths of the performance pool: with it the setting holds the 745.0 M of Table 2."""


@dataclass(frozen=True)
class Target:
    """What the simulated cells of one dataset must add up to, for m models.

    accuracy      (m,) mean score; NaN where the model has no such dataset
    mean_in       (m,) mean prompt tokens
    mean_out      (m,) mean completion tokens
    input_price   (m,) USD per million tokens; NaN where unknown
    output_price  (m,) USD per million tokens; NaN where unknown
    oracle        share of queries with a score above 0 for at least one model; None where nothing is known
    ties          share of replies with score 0.5
    """

    accuracy: FloatArray
    mean_in: FloatArray
    mean_out: FloatArray
    input_price: FloatArray
    output_price: FloatArray
    oracle: float | None = None
    ties: float = 0.0


@dataclass(frozen=True)
class Cells:
    """Simulated outcomes (n, m) of one dataset; NaN where a model has none, cost NaN where the price is unknown."""

    score: FloatArray
    cost: FloatArray
    tokens_in: FloatArray
    tokens_out: FloatArray


def simulate(setting: str = "performance-cost", seed: int = 0, *, scale: float = 1.0) -> Outcomes:
    """Simulate one of the paper's two settings: "performance" (11,481 x 20) or "performance-cost" (12,446 x 13).

    `scale` below 1 shrinks every dataset; the tables are then met up to rounding, and routers that learn from few
    queries look worse than on real outcomes (see the module). Raises ValueError for another setting, a negative seed
    or a scale outside (0, 1].

    >>> outcomes = simulate("performance", scale=0.01)
    >>> outcomes.simulated, len(outcomes.models), len(outcomes.datasets)
    (True, 20, 15)
    """
    if setting not in BUILT_IN:
        raise ValueError(f"no simulated setting named {setting!r}{did_you_mean(setting, BUILT_IN)}")
    if not 0.0 < scale <= 1.0:
        raise ValueError(f"scale must be above 0 and at most 1, got {scale}")
    datasets = sorted(entry.id for entry in load_setting(setting).datasets)
    queries = [setting_queries(setting, dataset, seed, scale) for dataset in datasets]
    cells = [
        simulate_cells(some, paper_target(setting, dataset), seed, setting, dataset)
        for dataset, some in zip(datasets, queries, strict=True)
    ]
    return _outcomes(setting, seed, scale, datasets, queries, cells)


def _outcomes(
    setting: str,
    seed: int,
    scale: float,
    datasets: Sequence[str],
    queries: Sequence[SimulatedQueries],
    cells: Sequence[Cells],
) -> Outcomes:
    """Join the datasets of a setting into one table."""
    sizes = [len(some) for some in queries]
    subsets = [setting_subset(setting, dataset) for dataset in datasets]
    index = np.concatenate([np.arange(1, size + 1) for size in sizes])
    dataset, subset = np.repeat(np.array(datasets), sizes), np.repeat(np.array(subsets), sizes)
    ids = [f"{d}/{s}/{i}" for d, s, i in zip(dataset.tolist(), subset.tolist(), index.tolist(), strict=True)]
    prompt = [one for some in queries for one in some.prompt]
    text = Text.of([one for some in queries for one in some.text])
    score = np.concatenate([one.score for one in cells])
    return Outcomes(
        queries=Queries(np.array(ids), text, Text.of(prompt)),
        dataset=dataset,
        models=tuple(entry.id for entry in load_setting(setting).models),
        score=score,
        cost=np.concatenate([one.cost for one in cells]),
        tokens_in=np.concatenate([one.tokens_in for one in cells]),
        tokens_out=np.concatenate([one.tokens_out for one in cells]),
        seconds=np.full(score.shape, np.nan),
        group=duplicate_groups(dataset, prompt),
        subset=subset,
        index=index,
        simulated=True,
        source={"simulated": True, "setting": setting, "seed": seed, "scale": scale, "tables": SOURCE},
    )


def setting_subset(setting: str, dataset: str) -> str:
    """The subset of a dataset that a built-in setting uses ("hybrid", "test_1000", "verified", "test")."""
    return _entry(setting, dataset).subsets[0]


def _entry(setting: str, dataset: str) -> DatasetEntry:
    return next(entry for entry in load_setting(setting).datasets if entry.id == dataset)


def setting_queries(setting: str, dataset: str, seed: int, scale: float = 1.0) -> SimulatedQueries:
    """The simulated queries of one dataset of a setting; datasets of both settings have the same queries in both."""
    whole = "performance-cost" if dataset == "mmlupro" else setting
    queries = write_queries(dataset, _scaled(_entry(whole, dataset).size or 0, scale), seed)
    return queries if whole == setting else queries.take(mmlupro_rows(len(queries)))


def mmlupro_rows(n: int) -> IntArray:
    """Rows of the 3,000 MMLU-Pro queries that make up its "test_1000": every third one, and the first once more.

    The paper counts 1,000 queries, but its Table 4 needs the 1,001 records of the release: 36.66 % is 367 of 1,001 and
    no share of 1,000. One prompt that stands there twice also agrees with the 300 test queries of its Table 11.

    >>> len(mmlupro_rows(3000)), len(set(mmlupro_rows(3000).tolist()))
    (1001, 1000)
    """
    return np.append(np.arange(0, n, 3), 0)


def _scaled(size: int, scale: float) -> int:
    return max(2, round(size * scale))


@cache
def paper_table(name: str) -> dict[tuple[str, str], float]:
    """A table of the paper by (model, dataset), from `data/paper_NAME.csv`; empty cells are left out.

    >>> paper_table("performance_accuracy")["Qwen3-8B", "aime"], paper_table("performance-cost_cost")["gpt-5", "aime"]
    (76.67, 4.57)
    """
    return {
        (row["model"], dataset): float(value)
        for row in _read_csv(f"paper_{name}.csv")
        for dataset, value in row.items()
        if dataset != "model" and value
    }


@cache
def paper_oracle(setting: str) -> dict[str, float]:
    """Oracle accuracy in percent by dataset (Tables 11 and 12, test part, mean of five seeds)."""
    rows = _read_csv("paper_oracle_accuracy.csv")
    return {row["dataset"]: float(row["accuracy"]) for row in rows if row["setting"] == setting}


def _read_csv(name: str) -> list[dict[str, str]]:
    text = (resources.files("llmrouterbench") / "data" / name).read_text("utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def paper_target(setting: str, dataset: str) -> Target:
    """The target of one dataset of a setting: the paper's accuracy and cost, Table 8's prices, round token figures."""
    models = [entry.id for entry in load_setting(setting).models]
    accuracy = _column(paper_table(f"{setting}_accuracy"), models, dataset) / 100
    oracle, ties = paper_oracle(setting)[dataset] / 100, TIE_SHARE.get(dataset, 0.0)
    if setting == "performance":
        mean_in, mean_out, prices = light_tokens(models, dataset), light_replies(models, dataset), light_prices(models)
    else:
        total = _column(paper_table(f"{setting}_cost"), models, dataset)
        prices = flagship_prices(models)
        mean_cost = total / (_entry(setting, dataset).size or 1) * 1e6
        mean_in, mean_out = tokens_of_cost(dataset, mean_cost, prices)
    return Target(accuracy, mean_in, mean_out, prices[0], prices[1], oracle, ties)


def _column(table: dict[tuple[str, str], float], models: Sequence[str], dataset: str) -> FloatArray:
    return np.array([table.get((model, dataset), np.nan) for model in models])


def light_tokens(models: Sequence[str], dataset: str) -> FloatArray:
    """Mean prompt tokens (m,) of a dataset, the same for all models."""
    return np.full(len(models), float(vocabulary(dataset).input_tokens))


@cache
def _light_models() -> dict[str, dict[str, str]]:
    return {row["model"]: row for row in _read_csv("simulated_models.csv")}


def light_replies(models: Sequence[str], dataset: str) -> FloatArray:
    """Mean completion tokens (m,) of the performance pool's models on a dataset."""
    typical = np.array([float(_light_models()[model]["reply_tokens"]) for model in models])
    return typical * vocabulary(dataset).length * REPLY_TOKENS_SCALE


def light_prices(models: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Input and output prices (m,), USD per million tokens; NaN for the nine unpriced models."""
    rows = [_light_models()[model] for model in models]
    return (
        np.array([float(row["input_price"] or "nan") for row in rows]),
        np.array([float(row["output_price"] or "nan") for row in rows]),
    )


def flagship_prices(models: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Input and output prices (m,), USD per million tokens (Table 8)."""
    entries = {entry.id: entry for entry in load_setting("performance-cost").models}
    pairs = [(entries[model].input_price, entries[model].output_price) for model in models]
    prices = np.array(pairs, dtype=np.float64)
    return prices[:, 0], prices[:, 1]


def tokens_of_cost(
    dataset: str, mean_cost: FloatArray, prices: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Mean prompt and completion tokens (m,) that cost `mean_cost` (m,) millionths of a USD a query."""
    if dataset in AGENT_DATASETS:
        mean_in = AGENT_INPUT_SHARE * mean_cost / prices[0]
    else:
        mean_in = np.where(np.isnan(mean_cost), np.nan, vocabulary(dataset).input_tokens)
    return mean_in, (mean_cost - mean_in * prices[0]) / prices[1]


def simulate_cells(queries: SimulatedQueries, target: Target, seed: int, *names: str) -> Cells:
    """Outcomes of m models on n queries that meet the target exactly; `names` choose the random stream."""
    rng = random_stream(seed, "cells", *names)
    has = np.isfinite(target.accuracy)
    score = np.full((len(queries), len(has)), np.nan)
    score[:, has] = _scores(queries, target, has, rng)
    tokens_in, tokens_out = _tokens(queries, score, target, rng)
    cost = (tokens_in * target.input_price + tokens_out * target.output_price) / 1e6
    return Cells(score, cost, tokens_in, tokens_out)


def _scores(queries: SimulatedQueries, target: Target, has: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Scores (n, models with an accuracy): the best latent values win, the next ones tie."""
    n, accuracy = len(queries), target.accuracy[has]
    halves = np.rint(2 * accuracy * n).astype(np.int64) if target.ties else 2 * np.rint(accuracy * n).astype(np.int64)
    wanted = np.minimum(round(target.ties * n), np.minimum(halves, 2 * n - halves))
    ties = wanted + (wanted + halves) % 2  # wins are whole
    wins = (halves - ties) // 2
    skill = rng.standard_normal((int(has.sum()), int(queries.topic.max()) + 1))[:, queries.topic].T
    noise = rng.standard_normal((n, int(has.sum())))
    share = _difficulty_share(queries.difficulty, skill, noise, wins + ties, target.oracle)
    latent = _latent(queries.difficulty, skill, noise, share)
    return 0.5 * (_best(latent, wins).astype(np.float64) + _best(latent, wins + ties))


def _latent(difficulty: FloatArray, skill: FloatArray, noise: FloatArray, share: float) -> FloatArray:
    rest = max(0.0, 1.0 - TOPIC_SHARE - share)
    latent: FloatArray = np.sqrt(TOPIC_SHARE) * skill + np.sqrt(rest) * noise - np.sqrt(share) * difficulty[:, None]
    return latent


def _best(latent: FloatArray, k: IntArray) -> BoolArray:
    """Which cells (n, m) are among the k (m,) largest of their column."""
    descending = -np.sort(-latent, axis=0)
    smallest = descending[np.maximum(k - 1, 0), np.arange(latent.shape[1])]
    return np.asarray((latent >= smallest) & (k > 0))


def _difficulty_share(
    difficulty: FloatArray, skill: FloatArray, noise: FloatArray, solved: IntArray, oracle: float | None
) -> float:
    """The share of difficulty with which the oracle comes out: more of it makes models fail together."""
    if oracle is None:
        return USUAL_DIFFICULTY_SHARE
    low, high, wanted = 0.0, 1.0 - TOPIC_SHARE, round(oracle * len(difficulty))
    for _ in range(14):
        middle = (low + high) / 2
        reached = _best(_latent(difficulty, skill, noise, middle), solved).any(axis=1).sum()
        low, high = (middle, high) if reached > wanted else (low, middle)
    return high


def _tokens(
    queries: SimulatedQueries, score: FloatArray, target: Target, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Whole prompt and completion tokens (n, m) with the target's means; hard queries and wrong replies run longer."""
    shape = score.shape
    prompt = (0.5 + 0.5 * queries.words / queries.words.mean())[:, None] * np.exp(0.05 * rng.standard_normal(shape))
    length = 0.35 * queries.difficulty[:, None] + 0.5 * rng.standard_normal(shape) + 0.5 * (1.0 - score)
    return _whole(prompt, target.mean_in), _whole(np.exp(length), target.mean_out)


def _whole(shape: FloatArray, mean: FloatArray) -> FloatArray:
    """Whole numbers of at least 1 in the proportions of `shape` (n, m), with column means `mean` (m,)."""
    whole: FloatArray = np.maximum(1.0, np.rint(shape * (mean / shape.mean(axis=0))))
    return whole
