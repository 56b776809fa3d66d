"""The bench: fit routers on train, choose operating points on validation, decide on test, write every decision.

One task is one router on one seed. A finished task is one file, so a run that was killed goes on where it stopped,
and the same folder takes more routers and seeds later.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from llmrouterbench.benching.deciding import (
    FOLDS,
    decide,
    decide_reading,
    describe_router,
    needs_replies,
    reads_replies,
)
from llmrouterbench.benching.executors import Workers
from llmrouterbench.benching.folder import RECORD, Decisions, Made, Part, Runs, Served, noted_place, read_record
from llmrouterbench.benching.following import PolicyRouter, seeded
from llmrouterbench.benching.rules import Rules
from llmrouterbench.benching.writing import RunsFolder, Task
from llmrouterbench.contracts import Router
from llmrouterbench.coverage import cannot_tell, coverage_of
from llmrouterbench.embedders import Embedder, make_embedder
from llmrouterbench.embedders.vectors import content_of, embed_queries
from llmrouterbench.estimating.pseudo import Judge, usable
from llmrouterbench.files import cache_folder, sha256_of
from llmrouterbench.naming import did_you_mean
from llmrouterbench.persist import constructor_settings
from llmrouterbench.routers import OUTSIDE, REFERENCES, make_router, parse_router
from llmrouterbench.settings import DEFAULT_ROUTERS, PAPER_SEEDS, Setting, apply_setting, load_setting
from llmrouterbench.splits import Split, load_split, make_split
from llmrouterbench.store import read_replies, replies_hash
from llmrouterbench.table import FloatArray, IntArray, Outcomes

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


def bench(
    outcomes: Outcomes | str | Path,
    out: str | Path,
    rules: Rules | None = None,
    *,
    routers: Sequence[str] | Mapping[str, Router | str] = DEFAULT_ROUTERS,
    policies: Sequence[str] = (),
    seeds: Sequence[int] = PAPER_SEEDS,
    setting: Setting | str | Path | None = None,
    embedder: Embedder | str | None = None,
    jobs: int = -1,
    backend: str = "loky",
    cluster: str | None = None,
    cache: Path | None = None,
    replies: str | Path | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> Runs:
    """Run every router on every seed and write the decisions into the folder `out`; go on where a run stopped.

    Nothing is written before something was decided: a bench that fails leaves `out` as it was.

    rules     what makes benches comparable; `changes` are rules by name: `tune=True` is short for `Rules(tune=True)`
    routers   names with settings ("avengers:k=32"), or unfitted routers, or such names, by label
    policies  words of serving policies, such as "cheapest --min-quality 0.8": each router follows each of them too
    seeds     of the split and the validation part; of the latter alone where the split is that of a file
    setting   instead of the rules' own, also one that is no file
    embedder  instead of the rules' own, also one that has no spec
    jobs      parallel tasks, -1 for all cores
    backend   "loky" (this machine), "ray" or "dask" with the address of a running `cluster` (None: a local one)
    cache     folder of cached embeddings (None: `files.cache_folder()`)
    replies   folder of outcomes with the models' replies, for routers that read them (None: `outcomes`, where that is
              a folder)

    On logged data (one model a query) routers learn from estimates and are judged by doubly robust pseudo-outcomes.

    Raises ValueError for a rule, router or setting that cannot be, or when `out` holds decisions of other data or other
    rules; what a router raises names the router and the seed. ChildProcessError where a worker is lost.
    """
    workers, say = Workers(jobs, backend, cluster), progress or (lambda what, done, total: None)
    entries, outside = router_entries(routers, policies), outside_names(routers)
    rules, pool, tool = _resolved(rules or Rules(), changes, setting, embedder)
    rules = (rules.like(read_record(Path(out))[0]) if (Path(out) / RECORD).is_file() else rules).present
    if not isinstance(outcomes, Outcomes):
        replies = replies or outcomes
        outcomes = Outcomes.load(outcomes)
    stored = Path(replies) if replies else None
    table = put_outside(apply_setting(outcomes, pool) if pool else outcomes, outside)
    logged = not coverage_of(table).matrix
    table = _usable_log(table, rules, entries, outside) if logged else table
    splits = splits_of(rules, table, seeds)
    asked = {**entries, **dict.fromkeys(outside)}
    made = _made(table, rules, pool, asked, splits, noted_place(Path(out), stored) if stored else None)
    folder = RunsFolder.open(Path(out), table, rules, made, splits)
    tasks = folder.missing(_tasks(table, rules, made, entries, splits, stored))
    if tasks:
        needed = {task.seed: task.split for task in tasks}
        vectors, truncated = _embedded(table, tool, needed, rules, cache, jobs, say)
        folder.made = replace(made, truncated=truncated)
        if folder.logged:
            say("judging by the log", 0, len(needed))
            folder.judges = {
                seed: Judge.of(table.with_embedding(vectors[seed]), split.train, split.test)
                for seed, split in needed.items()
            }
        say("routing", 0, len(tasks))
        calls = [(table, task, vectors[task.seed], rules, stored) for task in tasks]
        for done, decided in enumerate(workers.results(_decided, calls), start=1):
            folder.keep(decided)
            say(f"routing: {decided.router}", done, len(tasks))
    for label in outside:
        for decided in _replayed(table, label, splits):
            folder.keep(decided)
    return folder.load()


def _usable_log(table: Outcomes, rules: Rules, entries: Mapping[str, Router], outside: Sequence[str]) -> Outcomes:
    """The queries of a log that count. Raises ValueError for what no log can tell."""
    for label, router in entries.items():
        if reads_replies(router):
            raise ValueError(cannot_tell(f"what router {label!r} pays, which reads replies of several models"))
    if outside:
        raise ValueError(cannot_tell(f"what {outside[0]!r} would score, which chose outside"))
    if rules.protocol == "paper":
        raise ValueError(cannot_tell("how high a router peaks on test, as the paper's protocol asks"))
    return table.pool.take(usable(table.pool))


def _resolved(
    rules: Rules, changes: Mapping[str, Any], setting: Setting | str | Path | None, embedder: Embedder | str | None
) -> tuple[Rules, Setting | None, Embedder]:
    """The rules of a bench, with its setting and embedder by the names under which runs.json has them."""
    for name in changes:
        if name not in Rules.model_fields:
            known = did_you_mean(name, {*Rules.model_fields, *signature(bench).parameters} - {"changes"})
            raise TypeError(f"bench has no option {name!r}{known}")
    rules = rules.changed(**changes)
    chosen = setting or rules.setting
    pool = chosen if isinstance(chosen, Setting) else load_setting(chosen) if chosen else None
    tool = embedder or rules.embedder
    name = tool if isinstance(tool, str) else _key_of(tool)
    rules = rules.changed(setting=pool.name if pool else None, embedder=name)
    return rules, pool, make_embedder(tool) if isinstance(tool, str) else tool


def _key_of(embedder: Embedder) -> str:
    """An embedder that has no spec, for the record: its key, or class and settings where that depends on the split."""
    if not embedder.fitted_on_train:
        return embedder.key
    settings = (f"{name}={value!r}" for name, value in constructor_settings(embedder).items())
    return " ".join([f"{type(embedder).__module__}:{type(embedder).__qualname__}", *settings])


def _made(
    table: Outcomes,
    rules: Rules,
    pool: Setting | None,
    asked: Mapping[str, Router | None],
    splits: Mapping[int, Split],
    data: str | None,
) -> Made:
    """What is known of a bench before it begins."""
    return Made(
        routers=tuple({"label": label, **describe_router(router)} for label, router in asked.items()),
        seeds=tuple(splits),
        reference=pool.reference if pool and pool.reference in table.models else None,
        data_hash=table.content_hash,
        source=table.source,
        simulated=table.simulated,
        versions={name: version(name) for name in ("llmrouterbench", "numpy", "scikit-learn", "polars")},
        vectors=sha256_of(rules.vectors_file) if rules.vectors_file else None,
        split=next(iter(splits.values())).hash if rules.split_file else None,
        data=data,
    )


def splits_of(rules: Rules, outcomes: Outcomes, seeds: Sequence[int]) -> dict[int, Split]:
    """The split of each seed; one and the same where the rules name a file. Raises ValueError without a seed."""
    if not len(seeds):
        raise ValueError("a bench needs at least one seed, got none; give one")
    if rules.split_file:
        return dict.fromkeys(seeds, load_split(rules.split_file, outcomes))
    kind = rules.split_kind
    options: dict[str, Any] = {"kind": kind, "ratio": rules.ratio, "held_out": rules.held_out}
    return {seed: make_split(outcomes, seed, **options, near_copies=rules.near_copies or "one-word") for seed in seeds}


def router_entries(
    routers: Sequence[str] | Mapping[str, Router | str], policies: Sequence[str] = ()
) -> dict[str, Router]:
    """Unfitted routers by label, then each under each policy. Raises ValueError on an unknown name or setting.

    Reference rows (random, oracle, dataset_oracle) are in every leaderboard anyway and need no task.
    """
    if isinstance(routers, Mapping):
        if policies:
            raise ValueError(f"routers must be given by name to follow policies, got {next(iter(routers), '')!r}")
        return {label: _router(label, one) for label, one in routers.items()}
    entries: dict[str, Router] = {}
    for spec in routers:
        name, settings = parse_router(spec)
        if name not in (*REFERENCES, *OUTSIDE):
            entries[spec] = make_router(name, **settings)
    if not entries and not any(spec in OUTSIDE for spec in routers):
        raise ValueError("a bench needs at least one router to fit, got none; `llmrouterbench routers` lists them")
    following = [PolicyRouter(spec, policy) for policy in policies for spec in entries]
    return entries | {f"{one.router}, {one.policy}": one for one in following}


def _router(label: str, one: Router | str) -> Router:
    if isinstance(one, str):
        name, settings = parse_router(one)
        return make_router(name, **settings)
    if isinstance(one, type) or not callable(getattr(one, "fit", None)):
        got = f"the class {one.__name__}" if isinstance(one, type) else repr(one)
        raise ValueError(f"router {label!r} must be the name of a router or an unfitted one, an object, got {got}")
    return one


def outside_names(routers: Sequence[str] | Mapping[str, Router | str]) -> list[str]:
    """Routers outside that were asked for; their choices were made when the outcomes were collected."""
    return [] if isinstance(routers, Mapping) else [spec for spec in routers if spec in OUTSIDE]


def put_outside(outcomes: Outcomes, names: Sequence[str]) -> Outcomes:
    """The outcomes with these models outside the pool, for a router of others is no model to choose.

    Raises ValueError where one of them was not measured.
    """
    for name in names:
        if name not in outcomes.models:
            raise ValueError(
                f"router {name!r} is replayed from stored outcomes of a model of that name, got none;"
                f" collect a model named {name} first"
            )
    if set(names) <= set(outcomes.outside):
        return outcomes
    outside = tuple(dict.fromkeys([*outcomes.outside, *names]))
    pool = [model for model in outcomes.models if model not in outside]
    return replace(outcomes.select([*pool, *outside]), outside=outside)


def _replayed(outcomes: Outcomes, label: str, splits: Mapping[int, Split]) -> Iterator[Decisions]:
    """Decisions of a router that is stored as a model outside the pool: it served every query itself."""
    column, nothing = outcomes.models.index(label), np.zeros(0, dtype=np.int64)
    for seed, split in splits.items():
        served = Served.single(split.test, np.full((1, len(split.test)), column, dtype=np.int64))
        parts: dict[Part, Served] = {"validation": Served.single(nothing, nothing[None]), "test": served}
        yield Decisions(label, seed, np.zeros(1), parts, describe_router(None))


def _tasks(
    outcomes: Outcomes,
    rules: Rules,
    made: Made,
    entries: Mapping[str, Router],
    splits: Mapping[int, Split],
    replies: Path | None,
) -> Iterator[Task]:
    """Every router on every seed, with a key of all that its decisions depend on."""
    agreed = {**rules.stored(), "reference": made.reference}
    if rules.protocol == "safe":  # the protocol came later: decisions of the safe one keep their key
        del agreed["protocol"]
    read = _read_hash(outcomes, rules.embedder)
    said_before = replies_hash(replies) if replies and any(map(reads_replies, entries.values())) else ""
    for seed, split in splits.items():
        for label, unseeded in entries.items():
            router = seeded(label, unseeded, seed) if rules.router_seed == "split" else unseeded
            said = [outcomes.content_hash, agreed, describe_router(router), seed, split.hash]
            if reads_replies(router):
                said.append(_stored_replies(label, said_before) if needs_replies(router) else said_before)
            key = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
            yield Task(label, router, seed, split, key, read)


def _read_hash(outcomes: Outcomes, embedder: str) -> str:
    """Hash of what routers read beside the numbers: the texts, and vectors that lie in a file or a folder."""
    try:
        texts = [*outcomes.queries.text, *outcomes.queries.prompt]
    except ValueError:  # a copy without texts
        texts = []
    return hashlib.sha256(orjson.dumps([texts, content_of(embedder)])).hexdigest()


def _stored_replies(label: str, replies: str) -> str:
    """The hash of the replies that a router reads. Raises ValueError where none are stored."""
    if not replies:
        raise ValueError(
            f"router {label!r} reads replies, the outcomes hold none; import the source with --replies and bench that"
        )
    return replies


def _embedded(
    outcomes: Outcomes,
    embedder: Embedder,
    splits: Mapping[int, Split],
    rules: Rules,
    cache: Path | None,
    jobs: int,
    say: Progress,
) -> tuple[dict[int, FloatArray], int]:
    """Embeddings (n, d) by seed, fitted on that seed's train texts, and the most texts that were cut in a seed."""
    trains = {split.hash: split.train for split in splits.values()}  # seeds may share a split, that of a file
    calls = [(outcomes, embedder, hash, train, rules, cache) for hash, train in trains.items()]
    vectors: dict[str, FloatArray] = {}
    most = 0
    say("embedding queries", 0, len(calls))
    # A pretrained embedder gives every seed the same vectors: the first call fills the cache for the others.
    workers = Workers(jobs if embedder.fitted_on_train else 1)
    for hash, made, cut in workers.results(_embed, calls):
        vectors[hash], most = made, max(most, cut)
        say("embedding queries", len(vectors), len(calls))
    return {seed: vectors[split.hash] for seed, split in splits.items()}, most


def _embed(
    outcomes: Outcomes, embedder: Embedder, hash: str, train: IntArray, rules: Rules, cache: Path | None
) -> tuple[str, FloatArray, int]:
    folder = cache or cache_folder()
    made, said = embed_queries(
        outcomes, copy.deepcopy(embedder), train, text=rules.text, cache=folder, strip_shared=rules.strip_shared
    )
    return hash, made, int(said["truncated"])


def _decided(outcomes: Outcomes, task: Task, vectors: FloatArray, rules: Rules, replies: Path | None) -> Decisions:
    """Fit and decide for one router and seed, with one thread so that the numbers do not depend on the machine.

    What the router raises names it and the seed.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    try:
        with threadpool_limits(limits=1):
            embedded = outcomes.pool.with_embedding(np.asarray(vectors))
            folds = FOLDS if rules.points == "out-of-fold" else 0
            if replies is not None and _reads(task.router, replies):
                said = read_replies(replies, embedded)
                decided = decide_reading(
                    embedded, said, task.split, task.router, rules.validation, task.seed, folds=folds
                )
            else:
                logged = not coverage_of(outcomes).matrix
                more = {"tune": rules.tune, "watched": rules.protocol == "paper", "logged": logged}
                decided = decide(embedded, task.split, task.router, rules.validation, task.seed, folds=folds, **more)
    except Exception as error:
        raise _named(error, task) from error
    return replace(decided, router=task.label, facts={**decided.facts, "key": task.key, "read": task.read})


def _reads(router: Router, replies: Path) -> bool:
    return reads_replies(router) and (needs_replies(router) or bool(replies_hash(replies)))


def _named(error: Exception, task: Task) -> Exception:
    """The error of a router, with the router and the seed; the kind that it was, where that is one of a sentence."""
    where = f"router {task.label!r}, seed {task.seed}"
    for kind in (ValueError, ImportError, OSError):
        if isinstance(error, kind):
            return kind(f"{where}: {error}")
    return RuntimeError(f"{where}: {type(error).__name__}: {error}")
