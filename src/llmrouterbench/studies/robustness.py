"""How a router takes a disturbance: every function gives the difference to the undisturbed run, paired, with interval.

A trial fits the router on the same train part with and without the disturbance and serves the same test queries; the
router stands at the end of its dial that ignores cost, except where prices change. Embeddings are TF-IDF unless
another embedder is given.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from llmrouterbench.benching.policies import decide_sweep, default_weights
from llmrouterbench.benching.replay import choose_points
from llmrouterbench.contracts import Router, TradeOffRouter
from llmrouterbench.embedders import Embedder
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries
from llmrouterbench.metrics import avg_acc, dataset_means, reaches
from llmrouterbench.naming import did_you_mean
from llmrouterbench.routers import make_router, parse_router
from llmrouterbench.settings import PAPER_SEEDS
from llmrouterbench.splits import Split, make_split, validation_split, with_near_copies
from llmrouterbench.stats import Interval, Paired, Sample, pair
from llmrouterbench.studies.noise import Noise, noisy_texts
from llmrouterbench.table import IntArray, Outcomes, Text
from llmrouterbench.worth import quality_choice, train_best_single

Result = TypeVar("Result")


@dataclass(frozen=True)
class Setup:
    """What all trials of one study share.

    router    a name with settings ("knn:k=20"), or an unfitted router
    seeds     one split and one trial each
    embedder  unfitted; fitted on the train texts of each seed
    jobs      processes; seeds are what they share out
    """

    router: str | Router = "task_soft"
    seeds: tuple[int, ...] = PAPER_SEEDS
    split: str = "safe"
    ratio: float = 0.7
    embedder: Embedder | None = None
    replicates: int = 1000
    jobs: int = 1

    def unfitted(self) -> Router:
        """A fresh router."""
        if not isinstance(self.router, str):
            return copy.deepcopy(self.router)
        name, settings = parse_router(self.router)
        return make_router(name, **settings)

    def fresh_embedder(self) -> Embedder:
        """A fresh embedder."""
        return TfidfSvd() if self.embedder is None else copy.deepcopy(self.embedder)


@dataclass(frozen=True)
class Disturbance:
    """One disturbance and what it did on the same test queries.

    what         the disturbance in words
    before       AvgAcc of the undisturbed run
    after        AvgAcc under the disturbance
    difference   after - before
    over_single  AvgAcc under the disturbance minus that of the model that is best on the same train part
    cost         cost under the disturbance over cost before, minus 1; NaN where costs are not known
    """

    what: str
    before: Interval
    after: Interval
    difference: Interval
    over_single: Interval
    cost: Interval


BEFORE, AFTER, SINGLE = range(3)


def _disturbance(what: str, parts: Sequence[Sample], replicates: int) -> Disturbance:
    means: Paired = pair(parts, replicates=replicates)
    return Disturbance(
        what,
        means.accuracy(BEFORE),
        means.accuracy(AFTER),
        means.difference(AFTER, BEFORE),
        means.difference(AFTER, SINGLE),
        means.cost_ratio(AFTER, BEFORE),
    )


def _served(test: Outcomes, *choices: IntArray) -> Sample:
    """The sample of several choices (n,) of models on the same test queries."""
    rows = np.arange(len(test))
    score, cost = (np.stack([plane[rows, choice] for choice in choices], axis=1) for plane in (test.score, test.cost))
    return Sample(test.dataset, test.together, score, cost)


@dataclass(frozen=True)
class Trial:
    """One seed: the pool with its embedding, the split, and the embedder, fitted on train."""

    seed: int
    pool: Outcomes
    split: Split
    embedder: Embedder


Trials = Sequence[Trial]


def trials(outcomes: Outcomes, setup: Setup) -> tuple[Trial, ...]:
    """Split and embed once for all disturbances of one study: most of the time goes there."""
    pool, kind = outcomes.pool, setup.split
    if kind == "safe":  # near-copies share a group, so that the paper's recipe gives the safe split of every seed
        pool, kind = with_near_copies(pool), "paper"
    return tuple(_shared_out(_trial, setup.seeds, pool, kind, setup))


def _trial(seed: int, pool: Outcomes, kind: str, setup: Setup) -> Trial:
    split, embedder = make_split(pool, seed, kind=kind, ratio=setup.ratio), setup.fresh_embedder()
    return Trial(seed, _embedded(pool, split.train, embedder), split, embedder)


def _embedded(outcomes: Outcomes, train: IntArray, embedder: Embedder) -> Outcomes:
    return outcomes.with_embedding(embed_queries(outcomes, embedder, train)[0])


def _pairs(outcomes: Outcomes, setup: Setup, prepared: Trials | None) -> list[tuple[Outcomes, Split]]:
    return [(trial.pool, trial.split) for trial in prepared or trials(outcomes, setup)]


def _single(train: Outcomes, test: Outcomes) -> IntArray:
    return np.full(len(test), train_best_single(train), dtype=np.int64)


def held_out_dataset(
    outcomes: Outcomes,
    setup: Setup,
    datasets: Sequence[str] | None = None,
    *,
    domains: Mapping[str, str] | None = None,
    prepared: Trials | None = None,
) -> tuple[Disturbance, ...]:
    """Leave one dataset (or one domain) out of train and serve its test queries: one row each.

    The last row is over all of them, each left out in turn. Before: the router that has seen training queries of that
    dataset. `domains` maps datasets to domains; each domain is then left out whole. Raises ValueError for a dataset
    that is not there, or where nothing would be left.
    """
    groups = _left_out(outcomes, datasets, domains)
    parts: dict[str, list[Sample]] = {name: [] for name in groups}
    whole = []
    for found in _shared_out(_left_out_of, prepared or trials(outcomes, setup), groups, setup):
        for name, sample in found.items():
            parts[name].append(sample)
        whole.append(_joined(list(found.values())))
    rows = [_disturbance(f"{name} left out of train", part, setup.replicates) for name, part in parts.items() if part]
    return (*rows, _disturbance("each left out of train in turn", whole, setup.replicates))


def _left_out_of(trial: Trial, groups: Mapping[str, list[str]], setup: Setup) -> dict[str, Sample]:
    """One sample a group that has test queries in this seed."""
    full = setup.unfitted().fit(trial.pool.take(trial.split.train))
    found = {name: _without(trial.pool, trial.split, full, members, setup) for name, members in groups.items()}
    return {name: sample for name, sample in found.items() if len(sample.dataset)}


def _shared_out(step: Callable[..., Result], items: Sequence[object], *settings: object) -> list[Result]:
    """`step(item, *settings)` of every item, on as many processes as the setup (the last setting) says."""
    from joblib import Parallel, delayed

    setup = settings[-1]
    assert isinstance(setup, Setup)
    calls = (delayed(_on_one_core)(step, item, *settings) for item in items)
    return list(Parallel(n_jobs=min(setup.jobs, len(items)))(calls))


def _on_one_core(step: Callable[..., Result], *arguments: object) -> Result:
    """Threads of linear algebra would only wait for each other."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        return step(*arguments)


def _without(pool: Outcomes, split: Split, full: Router, datasets: list[str], setup: Setup) -> Sample:
    """What a router served to the test queries of some datasets when it knew them, and when it had not seen them."""
    out = np.isin(pool.dataset, datasets)
    kept, mine = split.train[~out[split.train]], split.test[out[split.test]]
    embedder = setup.fresh_embedder()
    fresh = _embedded(pool, kept, embedder) if embedder.fitted_on_train else pool
    test, train = fresh.take(mine), fresh.take(kept)
    usual = quality_choice(full, pool.queries.take(mine))
    without = quality_choice(setup.unfitted().fit(train), test.queries)
    return _served(test, usual, without, _single(train, test))


def _joined(samples: Sequence[Sample]) -> Sample:
    """Samples of different queries as one."""
    planes = (np.concatenate([getattr(one, name) for one in samples]) for name in ("dataset", "group", "score", "cost"))
    return Sample(*planes)


def _left_out(
    outcomes: Outcomes, datasets: Sequence[str] | None, domains: Mapping[str, str] | None
) -> dict[str, list[str]]:
    """Datasets to leave out together, by name."""
    for name in datasets or []:
        if name not in outcomes.datasets:
            raise ValueError(f"no dataset named {name!r} to leave out{did_you_mean(name, outcomes.datasets)}")
    groups: dict[str, list[str]] = {}
    for name in outcomes.datasets if datasets is None else datasets:
        groups.setdefault(name if domains is None else domains.get(name, name), []).append(name)
    for name, members in groups.items():
        if set(members) == set(outcomes.datasets):
            raise ValueError(f"leaving out {name!r} must leave other datasets to train on, got none; add datasets")
    return groups


def noisy_queries(outcomes: Outcomes, setup: Setup, noise: Noise, *, prepared: Trials | None = None) -> Disturbance:
    """Typos, case or synonyms in the test prompts; train is clean, and so are the replies that are replayed.

    The models' replies to noisy prompts are not known, so this is what noise does to the choice alone.
    """
    parts = []
    for trial in prepared or trials(outcomes, setup):
        train, test = trial.pool.take(trial.split.train), trial.pool.take(trial.split.test)
        router = setup.unfitted().fit(train)
        texts = noisy_texts(test.queries.prompt, noise)
        vectors = trial.embedder.embed(texts)
        noisy = replace(test.queries, text=Text.of(texts), prompt=Text.of(texts), embedding=vectors)
        clean, disturbed = quality_choice(router, test.queries), quality_choice(router, noisy)
        parts.append(_served(test, clean, disturbed, _single(train, test)))
    return _disturbance(f"{noise.kind} noise on {noise.rate:g} of the words", parts, setup.replicates)


def without_template(outcomes: Outcomes, setup: Setup, *, prepared: Trials | None = None) -> Disturbance:
    """Embed the bare query instead of the prompt, in train and test: how much of the score was the template.

    Raises ValueError where no prompt differs from its query.
    """
    if list(outcomes.queries.text) == list(outcomes.queries.prompt):
        raise ValueError("prompts must differ from queries to remove a template, got the same texts")
    parts = []
    for pool, split in _pairs(outcomes, setup, prepared):
        bare = pool.with_embedding(embed_queries(pool, setup.fresh_embedder(), split.train, text="query")[0])
        train, test = pool.take(split.train), pool.take(split.test)
        usual = quality_choice(setup.unfitted().fit(train), test.queries)
        stripped = quality_choice(setup.unfitted().fit(bare.take(split.train)), bare.queries.take(split.test))
        parts.append(_served(test, usual, stripped, _single(train, test)))
    return _disturbance("prompt template removed", parts, setup.replicates)


def without_model(outcomes: Outcomes, setup: Setup, model: str, *, prepared: Trials | None = None) -> Disturbance:
    """Take a model out of the pool and fit again. Raises KeyError for a model that is not there."""
    return _disturbance(f"{model} removed", _pools(outcomes, setup, model, prepared, added=False), setup.replicates)


def with_model(outcomes: Outcomes, setup: Setup, model: str, *, prepared: Trials | None = None) -> Disturbance:
    """Add a model to the pool of all others and fit again. Raises KeyError for a model that is not there."""
    return _disturbance(f"{model} added", _pools(outcomes, setup, model, prepared, added=True), setup.replicates)


def _pools(outcomes: Outcomes, setup: Setup, model: str, prepared: Trials | None, *, added: bool) -> list[Sample]:
    outcomes.pool.select([model])
    rest = [other for other in outcomes.pool.models if other != model]
    if not rest:
        raise ValueError(f"a pool must keep a model when {model!r} is removed, got none; use outcomes with more models")
    parts = []
    for pool, split in _pairs(outcomes, setup, prepared):
        train, test = pool.take(split.train), pool.take(split.test)
        place = np.array([pool.models.index(other) for other in rest], dtype=np.int64)
        full = quality_choice(setup.unfitted().fit(train), test.queries)
        less = place[quality_choice(setup.unfitted().fit(train.select(rest)), test.queries)]
        before, after = (less, full) if added else (full, less)
        single = _single(train, test) if added else place[_single(train.select(rest), test)]
        parts.append(_served(test, before, after, single))
    return parts


def repriced(
    outcomes: Outcomes, setup: Setup, factor: Mapping[str, float], *, prepared: Trials | None = None
) -> tuple[Disturbance, Disturbance]:
    """Multiply the prices of some models: a policy that does not hear of it, and one that is fitted again.

    Both are at new prices. The first row compares the old policy at new prices with itself at old prices (its score
    stays, its bill moves); the second compares the policy fitted on new prices with the old one, both billed at new
    prices. The dial stands where validation puts it: the cheapest setting that reaches the best single model of train.
    Raises ValueError for an unknown model, a factor that is not above 0, or outcomes without costs.
    """
    changed = _reprice(outcomes.pool, factor)
    bills, choices = [], []
    for trial in prepared or trials(outcomes, setup):
        seed, pool, split = trial.seed, trial.pool, trial.split
        new = replace(changed, queries=pool.queries, group=pool.group, cluster=pool.cluster)
        old_test, new_test = pool.take(split.test), new.take(split.test)
        stale, fresh = (_thrifty(table, split, seed, setup) for table in (pool, new))
        single = _single(pool.take(split.train), old_test)
        old, paid = _served(old_test, stale, single), _served(new_test, stale, fresh, single)
        bills.append(
            replace(
                paid,
                score=paid.score[:, [0, 0, 2]],
                cost=np.column_stack([old.cost[:, 0], paid.cost[:, 0], paid.cost[:, 2]]),
            )
        )
        choices.append(paid)
    return (
        _disturbance("new prices, old policy", bills, setup.replicates),
        _disturbance("new prices, policy fitted again", choices, setup.replicates),
    )


def _reprice(outcomes: Outcomes, factor: Mapping[str, float]) -> Outcomes:
    for model, value in factor.items():
        if model not in outcomes.models:
            raise ValueError(f"no model named {model!r} to reprice{did_you_mean(model, outcomes.models)}")
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"a price factor must be above 0, got {value} for {model!r}")
    if not np.isfinite(outcomes.cost).any():
        raise ValueError("price changes need known costs, got none in these outcomes")
    return replace(outcomes, cost=outcomes.cost * np.array([factor.get(model, 1.0) for model in outcomes.models]))


def _thrifty(pool: Outcomes, split: Split, seed: int, setup: Setup) -> IntArray:
    """Choices (n,) on test of the cheapest dial setting that reaches the best single model on validation."""
    train = pool.take(split.train)
    router = setup.unfitted()
    weights = router.weights if isinstance(router, TradeOffRouter) else default_weights(train)
    fit, held = validation_split(pool, split.train, seed, group=split.group)
    validation, single = pool.take(held), train_best_single(train)
    choice = decide_sweep(setup.unfitted().fit(pool.take(fit)), validation.queries, weights)
    sample = _served(validation, *choice, np.full(len(held), single, dtype=np.int64))
    acc = avg_acc(dataset_means(sample.score, sample.dataset, validation.datasets).T)
    cost = dataset_means(sample.cost, sample.dataset, validation.datasets).T.mean(axis=1)
    best, saver = choose_points(acc[:-1], cost[:-1], reaches(acc[:-1], acc[-1]))
    at = best if saver is None else saver
    return np.asarray(decide_sweep(setup.unfitted().fit(train), pool.queries.take(split.test), weights)[at])
