"""The bench: fit routers on train, choose operating points on validation, decide on test, write every decision.

One task is one router on one seed. A finished task is one file, so a run that was killed goes on where it stopped,
and the same folder takes more routers and seeds later.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from polars.exceptions import PolarsError

from llmrouterbench.benching.deciding import decide, decide_reading, describe_router, reads_replies
from llmrouterbench.benching.executors import executor
from llmrouterbench.benching.folder import (
    FORMAT,
    SCHEMA,
    Decisions,
    Part,
    Runs,
    Served,
    decisions_path,
    load_runs,
    noted_place,
)
from llmrouterbench.embedders import Embedder, make_embedder
from llmrouterbench.embedders.vectors import content_of, embed_queries
from llmrouterbench.files import cache_folder, read_json, write_json
from llmrouterbench.naming import did_you_mean
from llmrouterbench.routers import OUTSIDE, REFERENCES, make_router, parse_router
from llmrouterbench.settings import PAPER_SEEDS, Setting, apply_setting, load_setting
from llmrouterbench.splits import Split, make_split, save_split
from llmrouterbench.store import read_replies, replies_hash, write_outcomes
from llmrouterbench.table import FloatArray, IntArray, Outcomes, Router

DEFAULT_ROUTERS = ("best_single", "knn", "avengers", "avengers_pro")
PROTOCOLS = ("safe", "paper")
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


def bench(
    outcomes: Outcomes | str | Path,
    out: str | Path,
    *,
    routers: Sequence[str] | Mapping[str, Router] = DEFAULT_ROUTERS,
    setting: Setting | str | Path | None = None,
    seeds: Sequence[int] = PAPER_SEEDS,
    protocol: str = "safe",
    split: str | None = None,
    ratio: float = 0.7,
    held_out: tuple[str, ...] = (),
    validation: float = 0.2,
    embedder: str | Embedder = "tfidf",
    text: str = "prompt",
    strip_shared: bool = False,
    tune: bool = False,
    jobs: int = -1,
    backend: str = "loky",
    cluster: str | None = None,
    cache: Path | None = None,
    replies: str | Path | None = None,
    progress: Progress | None = None,
) -> Runs:
    """Run every router on every seed and write the decisions into the folder `out`; go on where a run stopped.

    protocol    "safe"; or "paper": the official split, and beside the numbers chosen on validation the paper's peak on
                test, over operating points and the checkpoints of routers that train by epochs
    split       a kind of `splits.make_split`; None: the protocol's own
    routers     names with settings ("avengers:k=32"), or unfitted routers by label
    validation  share of train that operating points are chosen on; `tune` searches each router's grid there too
    embedder    a spec of `make_embedder`, or an embedder; `text` is what it embeds, the "prompt" or the "query"
    jobs        parallel tasks, -1 for all cores
    backend     "loky" (this machine), "ray" or "dask" with the address of a running `cluster` (None: a local one)
    cache       folder of cached embeddings (None: `files.cache_folder()`)
    replies     folder of outcomes with the models' replies, for routers that read them (None: `outcomes`, where that
                is a folder)

    Raises ValueError when `out` holds runs of other data or another protocol, or a name is unknown.
    """
    if not isinstance(outcomes, Outcomes):
        replies = replies or outcomes
        outcomes = Outcomes.load(outcomes)
    stored = Path(replies) if replies else None
    reference = None
    if setting is not None:
        setting = setting if isinstance(setting, Setting) else load_setting(setting)
        outcomes = apply_setting(outcomes, setting)
        reference = setting.reference if setting.reference in outcomes.models else None
    entries, outside = router_entries(routers), outside_names(routers)
    outcomes = put_outside(outcomes, outside)
    split = split_of(protocol, split)
    rules: dict[str, Any] = {
        "protocol": protocol,
        "setting": setting.name if setting else None,
        "reference": reference,
        "split": {"kind": split, "ratio": ratio, "held_out": list(held_out)},
        "validation_share": validation,
        "tune": tune,
        "embedder": {
            "name": embedder if isinstance(embedder, str) else embedder.key,
            "text": text,
            "strip": strip_shared,
        },
    }
    folder = Path(out)
    _open_folder(folder, outcomes, rules, {**entries, **dict.fromkeys(outside)}, seeds)
    if stored is not None:
        _record(folder, {"data": noted_place(folder, stored)})
    splits = {}
    for seed in seeds:
        splits[seed] = make_split(outcomes, seed, kind=split, ratio=ratio, held_out=held_out)
        save_split(splits[seed], outcomes, folder / "splits" / f"{seed}.json")
    tasks = _open_tasks(folder, outcomes, rules, entries, splits, stored, _read_hash(outcomes, embedder))
    for label in outside:
        _replay_outside(folder, outcomes, label, splits)
    if tasks:
        made = make_embedder(embedder) if isinstance(embedder, str) else embedder
        say = progress or (lambda what, done, total: None)
        tell = partial(say, "embedding queries")
        vectors, embedder_facts = _embed(
            outcomes, made, {task.seed: task.split for task in tasks}, text, strip_shared, cache, jobs, tell
        )
        _record(folder, {"embedder": {**rules["embedder"], **embedder_facts}})
        _work(folder, outcomes, tasks, vectors, rules, stored, jobs, backend, cluster, say)
    return load_runs(folder)


def split_of(protocol: str, split: str | None) -> str:
    """The kind of split under a protocol, "safe" or "paper", each of which has its own.

    >>> split_of("paper", None), split_of("safe", "paper")
    ('paper', 'paper')

    Raises ValueError for an unknown protocol, and for the paper's with another split.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol named {protocol!r}{did_you_mean(protocol, PROTOCOLS)}")
    if protocol == "paper" and split not in (None, "paper"):
        raise ValueError(f"protocol 'paper' has the split 'paper', got {split!r}; leave the split out")
    return split or protocol


def router_entries(routers: Sequence[str] | Mapping[str, Router]) -> dict[str, Router]:
    """Unfitted routers by label. Raises ValueError on an unknown name or setting.

    Reference rows (random, oracle, dataset_oracle) are in every leaderboard anyway and need no task.
    """
    if isinstance(routers, Mapping):
        return dict(routers)
    entries: dict[str, Router] = {}
    for spec in routers:
        name, settings = parse_router(spec)
        if name not in (*REFERENCES, *OUTSIDE):
            entries[spec] = make_router(name, **settings)
    if not entries and not any(spec in OUTSIDE for spec in routers):
        raise ValueError("a bench needs at least one router to fit, got none; `llmrouterbench routers` lists them")
    return entries


def outside_names(routers: Sequence[str] | Mapping[str, Router]) -> list[str]:
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


def _replay_outside(folder: Path, outcomes: Outcomes, label: str, splits: dict[int, Split]) -> None:
    """Decisions of a router that is stored as a model outside the pool: it served every query itself."""
    column, nothing = outcomes.models.index(label), np.zeros(0, dtype=np.int64)
    for seed, split in splits.items():
        served = Served.single(split.test, np.full((1, len(split.test)), column, dtype=np.int64))
        checked = Served.single(nothing, np.zeros((1, 0), dtype=np.int64))
        parts: dict[Part, Served] = {"validation": checked, "test": served}
        Decisions(label, seed, np.zeros(1), parts, describe_router(None)).save(decisions_path(folder, label, seed))


@dataclass(frozen=True)
class _Task:
    label: str
    router: Router
    seed: int
    split: Split
    key: str
    read: str


def _open_folder(
    folder: Path, outcomes: Outcomes, protocol: dict[str, Any], entries: dict[str, Router | None], seeds: Sequence[int]
) -> None:
    """Make the folder of runs, or extend one of the same data and protocol by these routers and seeds."""
    path = folder / "runs.json"
    facts: dict[str, Any] = {}
    if path.is_file():
        facts = read_json(path)
        for key, mine in {**protocol, "data_hash": outcomes.content_hash}.items():
            theirs = facts.get(key, "safe" if key == "protocol" else None)
            if key == "embedder" and isinstance(theirs, dict):
                theirs = {name: theirs.get(name) for name in mine}
            if theirs != mine:
                raise ValueError(
                    f"{folder} must hold runs of the same {key}, got {theirs!r} there and {mine!r} here;"
                    " choose another folder for this bench"
                )
    if facts.get("source") != orjson.loads(orjson.dumps(outcomes.source)):  # new, or said otherwise: not shown, scorers
        write_outcomes(outcomes, folder / "outcomes", texts=False, overwrite=True)
    known = {entry["label"]: entry for entry in facts.get("routers", [])}
    known |= {label: {"label": label, **describe_router(router)} for label, router in entries.items()}
    all_seeds = [*facts.get("seeds", []), *(seed for seed in seeds if seed not in facts.get("seeds", []))]
    versions = {name: version(name) for name in ("llmrouterbench", "numpy", "scikit-learn", "polars")}
    write_json(
        path,
        {
            "format": FORMAT,
            "schema": SCHEMA,
            "data_hash": outcomes.content_hash,
            "source": outcomes.source,
            "simulated": outcomes.simulated,
            **protocol,
            "embedder": facts.get("embedder", protocol["embedder"]),
            "routers": list(known.values()),
            "seeds": all_seeds,
            "versions": versions,
        },
    )


def _record(folder: Path, more: dict[str, Any]) -> None:
    write_json(folder / "runs.json", {**read_json(folder / "runs.json"), **more})


def _open_tasks(
    folder: Path,
    outcomes: Outcomes,
    protocol: dict[str, Any],
    entries: dict[str, Router],
    splits: dict[int, Split],
    replies: Path | None,
    read: str,
) -> list[_Task]:
    """The tasks whose file is missing or was made from something else."""
    tasks = []
    # The protocol came later: decisions of the safe one keep their key.
    rules = {name: value for name, value in protocol.items() if (name, value) != ("protocol", "safe")}
    said_before = replies_hash(replies) if replies and any(map(reads_replies, entries.values())) else ""
    for seed, split in splits.items():
        for label, router in entries.items():
            said = [outcomes.content_hash, rules, describe_router(router), seed, split.hash]
            if reads_replies(router):
                said.append(_stored_replies(label, said_before))
            key = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
            task = _Task(label, router, seed, split, key, read)
            if not _is_done(decisions_path(folder, label, seed), task):
                tasks.append(task)
    return tasks


def _is_done(path: Path, task: _Task) -> bool:
    """Whether the decisions of a task are there; those of before 0.2 do not say what was read."""
    try:
        facts = Decisions.head(path)["facts"] if path.is_file() else {}
    except (PolarsError, KeyError):  # damaged
        return False
    return facts.get("key") == task.key and facts.get("read", task.read) == task.read


def _read_hash(outcomes: Outcomes, embedder: str | Embedder) -> str:
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


def _embed(
    outcomes: Outcomes,
    embedder: Embedder,
    splits: dict[int, Split],
    text: str,
    strip_shared: bool,
    cache: Path | None,
    jobs: int,
    tell: Callable[[int, int], None],
) -> tuple[dict[int, FloatArray], dict[str, Any]]:
    """Embeddings (n, d) by seed, fitted on that seed's train texts, and what the embedder says of itself."""
    from joblib import Parallel, delayed

    which: Literal["query", "prompt"] = "query" if text == "query" else "prompt"
    calls = (
        delayed(_embed_seed)(outcomes, embedder, seed, split.train, which, cache, strip_shared)
        for seed, split in splits.items()
    )
    vectors: dict[int, FloatArray] = {}
    facts: dict[str, Any] = {}
    tell(0, len(splits))
    # A pretrained embedder gives every seed the same vectors: the first call fills the cache for the others.
    jobs = jobs if embedder.fitted_on_train else 1
    for seed, made, said in Parallel(n_jobs=jobs, return_as="generator_unordered")(calls):
        vectors[seed] = made
        facts = {"truncated": max(int(said["truncated"]), facts.get("truncated", 0))}
        tell(len(vectors), len(splits))
    return vectors, facts


def _embed_seed(
    outcomes: Outcomes,
    embedder: Embedder,
    seed: int,
    train: IntArray,
    text: Literal["query", "prompt"],
    cache: Path | None,
    strip_shared: bool,
) -> tuple[int, FloatArray, dict[str, Any]]:
    fresh = copy.deepcopy(embedder)
    return seed, *embed_queries(
        outcomes, fresh, train, text=text, cache=cache or cache_folder(), strip_shared=strip_shared
    )


def _work(
    folder: Path,
    outcomes: Outcomes,
    tasks: list[_Task],
    vectors: dict[int, FloatArray],
    protocol: dict[str, Any],
    replies: Path | None,
    jobs: int,
    backend: str,
    cluster: str | None,
    say: Progress,
) -> None:
    """Do the tasks in parallel; each is written when it is back, so that a stop loses only those under way."""
    from joblib import delayed

    calls = [delayed(_one)(outcomes, task, vectors[task.seed], protocol, replies) for task in tasks]
    say("routing", 0, len(tasks))
    with executor(backend, cluster, min(jobs, len(tasks))) as parallel:
        for done, (label, seed, decided) in enumerate(parallel(calls), start=1):
            decided.save(decisions_path(folder, label, seed))
            say(f"routing: {label}", done, len(tasks))


def _one(
    outcomes: Outcomes, task: _Task, vectors: FloatArray, protocol: dict[str, Any], replies: Path | None
) -> tuple[str, int, Decisions]:
    """Fit and decide for one router and seed, with one thread so that the numbers do not depend on the machine."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    share = protocol["validation_share"]
    with threadpool_limits(limits=1):
        embedded = outcomes.pool.with_embedding(np.asarray(vectors))
        if reads_replies(task.router) and replies is not None:
            said = read_replies(replies, embedded)
            decided = decide_reading(embedded, said, task.split, task.router, share, task.seed)
        else:
            more = {"tune": protocol["tune"], "watched": protocol["protocol"] == "paper"}
            decided = decide(embedded, task.split, task.router, share, task.seed, **more)
    facts = {**decided.facts, "key": task.key, "read": task.read}
    return task.label, task.seed, Decisions(task.label, task.seed, decided.weights, decided.parts, facts)
