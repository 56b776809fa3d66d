"""What users do by command, as functions: each takes folders, or the values that other functions gave.

A function without a wrapper here is public as it stands where it is written; `llmrouterbench.__init__` lists them all.
Everything is imported when it is called: listing the functions costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmrouterbench.settings import Setting, load_outcomes, load_setting
from llmrouterbench.shown import Facts, Shown
from llmrouterbench.table import Outcomes

if TYPE_CHECKING:
    from llmrouterbench.benching.folder import Runs
    from llmrouterbench.chain import Stage
    from llmrouterbench.collecting.collect import Progress as ModelProgress
    from llmrouterbench.collecting.collect import Summary
    from llmrouterbench.collecting.config import CollectConfig
    from llmrouterbench.contracts import Router
    from llmrouterbench.embedders import Embedder
    from llmrouterbench.findings import ImportReport
    from llmrouterbench.production.adding import Joining
    from llmrouterbench.production.drift import Drift
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.log_study import PolicyValue
    from llmrouterbench.production.policy_export import PolicyExport
    from llmrouterbench.production.promises import Promise
    from llmrouterbench.production.refitting import Refit
    from llmrouterbench.production.table_study import TableValues
    from llmrouterbench.reporting.board import Leaderboard
    from llmrouterbench.serve.app import Front
    from llmrouterbench.serve.config import ServeConfig
    from llmrouterbench.splits import Split
    from llmrouterbench.studies.advise import Advice
    from llmrouterbench.studies.collapse import Collapse
    from llmrouterbench.studies.curation import Curation
    from llmrouterbench.studies.log_advice import LogAdvice
    from llmrouterbench.studies.moves import Diff
    from llmrouterbench.studies.stress import Stress

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many are done, and how many there are (None: not known)."""


def save_outcomes(outcomes: Outcomes, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write outcomes as the folder that every command and `load_outcomes` read.

    Raises FileExistsError where the folder is taken.
    """
    from llmrouterbench.store import write_outcomes

    write_outcomes(outcomes, Path(folder), overwrite=overwrite)


def fetch(to: str | Path, *, downloads: str | Path = "data", progress: Progress | None = None) -> ImportReport:
    """Download the pinned official release (1.3 GB) into `downloads`, verify it and import it as the folder `to`.

    A download that was cut goes on. Raises OSError where it cannot be reached or is not what was pinned, ImportError
    without the extra `hub`, and what `import_outcomes` raises.
    """
    from llmrouterbench.importers import import_outcomes
    from llmrouterbench.importers.fetch import fetch as download

    return import_outcomes(download(Path(downloads), progress=progress), to, progress=progress)


def info(outcomes: Outcomes | str | Path, *, setting: Setting | str | Path | None = None) -> Facts:
    """What outcomes hold, as plain values: counts, accuracy and cost of every model on every dataset, what is missing.

    The keys are those of `llmrouterbench info --json`, without the import report; NaN is what was not measured. Raises
    what `load_outcomes` raises.

    >>> info(Outcomes.of(["2 + 2?"], ["small", "large"], [[0, 1]]))["overview"]["best_single"]
    'large'
    """
    from llmrouterbench.reporting.describe import describe

    chosen = load_setting(setting) if isinstance(setting, str | Path) else setting
    return Facts(describe(load_outcomes(outcomes, chosen), chosen))


def compare(old: Runs | str | Path, new: Runs | str | Path, *, samples: int = 1000) -> Diff:
    """What moved between two folders of runs of the same data and splits, with 95 % intervals from `samples` draws.

    Raises ValueError where data or splits differ, or where no router and seed is complete in both.
    """
    from llmrouterbench.studies.moves import compare_runs

    return compare_runs(_runs(old), _runs(new), replicates=samples)


def advise(
    outcomes: Outcomes | str | Path, *, setting: Setting | str | Path | None = None, quick: bool = False
) -> Advice | LogAdvice:
    """Whether routing is worth it on these outcomes: one recommendation, with the numbers that decide.

    Of a log, in which each query was answered by one model, the numbers are doubly robust estimates.

    `quick` takes one seed, fewer draws and no learning curve. Raises ValueError where nothing was measured or there are
    too few queries to split.
    """
    from llmrouterbench.studies.advise import recommend

    return recommend(load_outcomes(outcomes, setting), quick=quick)


def curate(
    outcomes: Outcomes | str | Path,
    *,
    setting: Setting | str | Path | None = None,
    size: int | None = None,
    cost_weight: float = 0.0,
    budget: float | None = None,
    price: Mapping[str, float] | None = None,
    samples: int = 1000,
) -> Curation:
    """Which models to keep: the order of greedy coverage, curves over the size of the pool, what every model is worth.

    size         models to keep; None: all, in order
    cost_weight  score that one USD a query is worth
    budget       what keeping models may cost, in the unit of `price`, model -> number; a model without one costs 1

    Raises ValueError for a number out of range, or a price of an unknown model.

    >>> outcomes = Outcomes.of(["a", "b", "c"], ["x", "y", "z"], [[1, 0, 1], [1, 0, 0], [0, 1, 0]])
    >>> curate(outcomes, size=2, samples=10).order
    ('x', 'y')
    """
    from llmrouterbench.studies.curation import study

    table = load_outcomes(outcomes, setting)
    return study(table, size=size, cost_weight=cost_weight, budget=budget, price=price, samples=samples)


@dataclass(frozen=True, repr=False)
class Collapses(Shown):
    """The routing collapse of every complete router of some runs; the last is the oracle's."""

    routers: tuple[Collapse, ...]
    simulated: bool


def robustness(
    source: Outcomes | Runs | str | Path,
    *,
    router: str | Router = "task_soft",
    seeds: Sequence[int] = (42, 999, 2024),
    embedder: str | Embedder = "tfidf",
    models: Sequence[str] = (),
    price: Mapping[str, float] | None = None,
    domains: bool = False,
    setting: Setting | str | Path | None = None,
    samples: int = 1000,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Stress | Collapses:
    """How a router takes what production does to it; of runs (a folder, or the value), how it spreads the queries.

    models   models to remove and to add; the best single model where none is given
    price    model -> factor of its price, all at once; half and twice the best single model's price where not given
    domains  leave out whole domains of the setting, not single datasets

    Raises ValueError or KeyError for an unknown model, and ValueError for domains without a setting.
    """
    from llmrouterbench.benching.folder import Runs, load_runs
    from llmrouterbench.embedders import make_embedder
    from llmrouterbench.studies.collapse import routing_collapse
    from llmrouterbench.studies.robustness import Setup
    from llmrouterbench.studies.stress import stress

    if isinstance(source, str | Path) and (Path(source) / "runs.json").is_file():
        source = load_runs(Path(source))
    if isinstance(source, Runs):
        return Collapses(routing_collapse(source, replicates=samples), source.outcomes.simulated)
    chosen = load_setting(setting) if isinstance(setting, str | Path) else setting
    if domains and chosen is None:
        raise ValueError("domains need a setting that says which dataset is of which domain, got none; give one")
    groups = (
        {name: domain for domain, names in chosen.domains.items() for name in names} if domains and chosen else None
    )
    tool = make_embedder(embedder) if isinstance(embedder, str) else embedder
    setup = Setup(router, tuple(seeds), embedder=tool, replicates=samples, jobs=jobs)
    table = load_outcomes(source, chosen)
    return stress(table, setup, models=list(models) or None, factors=price, domains=groups, progress=progress)


def export(
    outcomes: Outcomes | str | Path,
    method: str,
    to: str | Path,
    *,
    setting: Setting | str | Path | None = None,
    seed: int = 42,
    split: str | Path | Split = "paper",
    embedder: str | Embedder = "tfidf",
    pair: tuple[str, str] | None = None,
    models: Sequence[str] = (),
    overwrite: bool = False,
) -> Facts:
    """Write the files that a method's official code reads into the new folder `to`; returns what export.json says.

    split  "paper", "safe", a file that `load_split` reads, or a `Split`
    pair   strong and weak model, for the methods of two models; models: some models, for the others

    Raises ValueError for an unknown method, split, embedder or model, FileExistsError where the folder is taken.
    """
    from llmrouterbench.embedders import make_embedder
    from llmrouterbench.embedders.vectors import embed_queries
    from llmrouterbench.exporters import check_method, export_inputs
    from llmrouterbench.files import cache_folder
    from llmrouterbench.splits import FILES, Split, load_split, make_split

    needs = check_method(method).embedding
    tool = make_embedder(embedder) if isinstance(embedder, str) else embedder
    table = load_outcomes(outcomes, setting)
    if not isinstance(split, Split):
        file = isinstance(split, Path) or split.lower().endswith(FILES)
        split = load_split(Path(split), table) if file else make_split(table, seed, kind=str(split))
    vectors = embed_queries(table, tool, split.train, cache=cache_folder())[0] if needs else None
    facts = export_inputs(
        table, split, method, to, seed=seed, embedding=vectors, embed=tool.embed if needs else None, pair=pair,
        models=list(models) or None, overwrite=overwrite,
    )  # fmt: skip
    return Facts(facts)


def export_table(
    outcomes: Outcomes | str | Path,
    to: str | Path,
    *,
    setting: Setting | str | Path | None = None,
    overwrite: bool = False,
) -> Facts:
    """Write outcomes as a long table, which `import_outcomes` reads back as they were; returns what was written.

    `to` is a .csv, .jsonl or .parquet file, or a folder: a dataset for the Hugging Face hub, with its card. Raises
    ValueError where `to` has another ending or a text is empty, FileExistsError where it is taken.
    """
    from llmrouterbench.exporters.long_table import export_table as write

    return Facts(write(load_outcomes(outcomes, setting), to, overwrite=overwrite))


def collect(
    config: CollectConfig | Mapping[str, Any] | str | Path,
    *,
    budget: float | None = None,
    retry_failed: bool = True,
    progress: Callable[[Sequence[ModelProgress]], None] | None = None,
) -> Summary:
    """Ask every model of a config (its YAML file, or the same as plain values) every query that has no reply yet.

    budget    USD that all runs into the config's folder may spend together; the config's own where not given
    progress  called four times a second with how far each model is

    Stop it at any time and call it again: it goes on; a folder that it made will do for the config then. Raises
    ValueError for what the config lacks, a key that is not set or a budget without prices, BlockingIOError where
    another process collects into the folder.
    """
    from llmrouterbench.collecting.collect import collect as run

    return run(_config(config), budget=budget, retry_failed=retry_failed, tell=progress)


def score(
    replies: str | Path,
    to: str | Path,
    *,
    config: CollectConfig | Mapping[str, Any] | str | Path | None = None,
    compat: Literal["ours", "official"] = "ours",
    protocol: Literal["ours", "paper"] = "ours",
    unsafe_exec: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Score the replies of a folder that `collect` made, and bring the folder of outcomes `to` up to date.

    config       with the judges and own datasets; the one that the replies were collected with where not given
    compat       "official": read replies as the official scorers do; protocol "paper": a failed call counts as score 0
    unsafe_exec  run model-written code unprotected where there is no sandbox
    workers      processes for mathematics and code; None for the number of cores

    No model is called but the judges, through their cache. Raises FileNotFoundError or ValueError for a folder without
    replies, FileExistsError where `to` was made otherwise, RuntimeError where code must run and nothing protects.
    """
    from llmrouterbench.scoring.folder import score_collected

    report, _ = score_collected(
        _config(replies if config is None else config), Path(replies), Path(to), unsafe=unsafe_exec, workers=workers,
        compat=compat, failed="zero" if protocol == "paper" else "masked", overwrite=overwrite, progress=progress,
    )  # fmt: skip
    return report


@dataclass(frozen=True, repr=False)
class Chain(Shown):
    """What became of a chain: its stages, what was collected and the leaderboard, None where they were unchanged."""

    stages: tuple[Stage, ...]
    collected: Summary | None
    board: Leaderboard | None


def run(
    config: CollectConfig | Mapping[str, Any] | str | Path,
    *,
    budget: float | None = None,
    retry_failed: bool = True,
    partial: bool = False,
    unsafe_exec: bool = False,
    workers: int | None = None,
    jobs: int = -1,
    progress: Progress | None = None,
) -> Chain:
    """Collect, score, bench and report by one config; a stage whose inputs have not changed is left out.

    `partial` goes on after a collection that ended early; the other arguments as of `collect`, `score` and `bench`.
    Raises ValueError for a collection that ended early, and what those raise; finished stages are kept.
    """
    from llmrouterbench.chain import check_chain, collect_missing, cut_short, run_after_collecting

    chosen = _config(config)
    check_chain(chosen)
    first, collected = collect_missing(chosen, budget=budget, retry_failed=retry_failed)
    if (why := cut_short(collected)) and not partial:
        raise ValueError(f"the collection must end before it is scored, got: {why}; run again, or with partial=True")
    stages, board = run_after_collecting(chosen, unsafe=unsafe_exec, workers=workers, jobs=jobs, progress=progress)
    return Chain((first, *stages), collected, board)


def fit(
    outcomes: Outcomes | str | Path,
    *,
    router: str = "auto",
    policy: str | None = None,
    setting: Setting | str | Path | None = None,
    embedder: str = "tfidf",
    text: Literal["prompt", "query"] = "prompt",
    calibration: float = 0.2,
    novel: float = 0.01,
    fallback: str | None = None,
    seed: int = 42,
    say: Callable[[str], None] = lambda what: None,
) -> FittedRouter:
    """Fit a router for production: train, calibrate, measure its policies. `save` it into a folder, or `route` queries.

    router       a router with its settings, or "auto": chosen inside train, with the reason in `facts`
    policy       the default policy; None: the cheapest trade-off that keeps up with the best single model
    text         what the embedder reads in the outcomes
    calibration  share of the queries that calibrates; novel: share of ordinary ones taken for out of distribution
    fallback     who serves those; None: the best single model

    Raises ValueError for settings that cannot be followed, or outcomes that are too few to cut a slice from.

    >>> from llmrouterbench import simulate
    >>> router = fit(simulate("performance-cost", scale=0.01), router="knn")
    >>> router.route("What is 6 times 7?", "best").model in router.models
    True
    """
    from llmrouterbench.production.fitting import FitSettings
    from llmrouterbench.production.fitting import fit as make

    settings = FitSettings(router, policy, embedder, text, calibration, novel, fallback, seed)
    replies = None if isinstance(outcomes, Outcomes) else Path(outcomes)
    return make(load_outcomes(outcomes, setting), settings, replies=replies, say=say)


@dataclass(frozen=True, repr=False)
class Promises(Shown):
    """What policies may promise, and the model that savings are against."""

    best_single: str
    policies: tuple[Promise, ...]
    simulated: bool


def policies(router: FittedRouter | str | Path, policy: Sequence[str] = ()) -> Promises:
    """Quality, cost and saving that each policy may promise, measured on the calibration slice; the usual ones if none.

    Raises ValueError for a policy that is none or that this router cannot follow.
    """
    from llmrouterbench.production.promises import promises, usual_promises

    fitted = _router(router)
    promised = promises(fitted, policy) if policy else usual_promises(fitted)
    return Promises(fitted.learned.best, tuple(promised), bool(fitted.facts["simulated"]))


def add_model(router: FittedRouter | str | Path, outcomes: Outcomes | str | Path) -> tuple[FittedRouter, list[Joining]]:
    """A router that new models joined from their scores on probe queries, and how many probes were enough for each.

    Nothing is fitted again; `save` what is returned. Raises ValueError for a router that takes no new model, and where
    there is none or too few of its probes are scored.
    """
    from llmrouterbench.production.adding import add_models

    return add_models(_router(router), load_outcomes(outcomes))


def drop_model(router: FittedRouter | str | Path, models: Sequence[str]) -> FittedRouter:
    """A router without some models; nothing is fitted again. Raises ValueError for an unknown one, or the last one."""
    from llmrouterbench.production.adding import drop_models

    return drop_models(_router(router), models)


def export_policy(
    router: FittedRouter | str | Path,
    outcomes: Outcomes | str | Path,
    policy: str | None = None,
    *,
    examples: int = 40,
    setting: Setting | str | Path | None = None,
) -> PolicyExport:
    """A policy as example queries for vLLM Semantic Router, and how near that comes to the policy.

    `config` of what is returned are plain values, ready for YAML; they hold query texts. Raises ValueError for fewer
    than 20 queries, or a policy that the router cannot follow.
    """
    from llmrouterbench.production.policy_export import export_policy as make

    return make(_router(router), load_outcomes(outcomes, setting).pool, policy, examples=examples)


def make_app(
    router: FittedRouter | str | Path,
    config: ServeConfig | Mapping[str, Any] | str | Path,
    *,
    policy: str | None = None,
    log: str | Path | None = None,
    log_text: bool = False,
    shadow: str = "",
    explore: float = 0.0,
    candidate: str | Path | None = None,
    share: float = 0.1,
    request_lines: bool = True,
) -> Front:
    """The OpenAI-compatible server as an ASGI application, to be run by a server of yours, such as uvicorn.

    config   the YAML file of providers, models, keys and limits, or the same as plain values; host and port of it do
             not matter here: whoever reaches your server reaches this, so give it client keys
    policy   what `model: auto` means; log: folder of the decision log, which the application opens when it starts and
             closes when it ends (the lifespan of ASGI, which a mounted application does not get)
    shadow   let this model serve everything, and log what the router would have chosen
    explore  share of queries that a random model serves
    candidate  folder of a router that serves `share` of the conversations, see `compare_live`

    Raises ValueError for what the config lacks or a key that is not set, ImportError without the extra `serve`.
    """
    from llmrouterbench.serve.config import ServeConfig, parse_serve_config, read_serve_config
    from llmrouterbench.serve.log_lines import LogLines
    from llmrouterbench.serve.running import Serving
    from llmrouterbench.serve.running import make_app as make

    chosen = read_serve_config(Path(config)) if isinstance(config, str | Path) else config
    if policy is not None or not isinstance(chosen, ServeConfig):
        raw = chosen.model_dump() if isinstance(chosen, ServeConfig) else dict(chosen)
        chosen = parse_serve_config(raw | ({} if policy is None else {"policy": policy}))
    serving = Serving(
        None if log is None else Path(log),
        log_text,
        shadow,
        explore,
        None if candidate is None else Path(candidate),
        share,
    )
    return make(_router(router), chosen, serving, LogLines(requests=request_lines))


@dataclass(frozen=True, repr=False)
class LogValues(Shown):
    """What policies would have scored and cost on the requests of a log, and which requests do not count, by reason."""

    requests: int
    left_out: dict[str, int]
    policies: tuple[PolicyValue, ...]


def evaluate_logs(
    log: str | Path,
    *,
    router: FittedRouter | str | Path | None = None,
    policy: Sequence[str] = (),
    feedback: str | None = None,
) -> LogValues | TableValues:
    """How other policies would have done on the requests of a log: IPS, SNIPS and doubly robust estimates.

    log     the folder that `serve --log` wrote, or a folder of logged outcomes, with propensities or without
    router  to judge its policies, its default one where none is given
    feedback  the kind that counts, where the log of a server has several

    Raises ValueError where no request counts, for policies without a router, and where a text they need is missing.
    """
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.log_study import policy_values, study
    from llmrouterbench.production.table_study import table_values

    fitted = None if router is None else _router(router)
    chosen = list(policy) or ([] if fitted is None else [str(fitted.default_policy)])
    if (Path(log) / "manifest.json").is_file():
        return table_values(load_outcomes(log), fitted, chosen)
    studied = study(read_decisions(Path(log)), feedback)
    return LogValues(len(studied), studied.left_out, tuple(policy_values(studied, fitted, chosen)))


@dataclass(frozen=True, repr=False)
class LogDrift(Shown):
    """The requests of a log beside what the router was fitted on; `out_of_distribution` is a share of them."""

    requests: int
    out_of_distribution: float
    numbers: tuple[Drift, ...]


def drift(log: str | Path, router: FittedRouter | str | Path, *, feedback: str | None = None) -> LogDrift:
    """Whether the requests of a decision log are still what the router learned: a verdict on every number.

    feedback  the kind that counts, where the log has several

    Raises ValueError where no request counts.
    """
    from llmrouterbench.decision_log import read_decisions
    from llmrouterbench.production.log_study import log_drift, study

    studied = study(read_decisions(Path(log)), feedback)
    return LogDrift(len(studied), float(studied.ood.mean()), tuple(log_drift(studied, _router(router))))


def refit(
    router: FittedRouter | str | Path,
    logs: str | Path,
    data: Outcomes | str | Path | None = None,
    *,
    feedback: str | None = None,
    setting: Setting | str | Path | None = None,
) -> Refit:
    """Fit a router again on its old outcomes and a log, and compare it with the running one on later traffic.

    logs      the folder of `serve --log --log-text --explore`; feedback: the kind that counts, where it has several
    data      what the router was fitted on, None: the folder that its manifest names

    Save `.router` of what is returned; `.promote` says whether it is surely better. Raises ValueError where the log has
    too little, or the manifest names no outcomes.
    """
    from llmrouterbench.production.refitting import parent_of
    from llmrouterbench.production.refitting import refit as make

    running = _router(router)
    known = running.facts["data"]
    data, setting = (known.get("folder"), known.get("setting")) if data is None else (data, setting)
    if data is None:
        raise ValueError("refit needs the old outcomes, which the router's manifest does not name; give data (--data)")
    old = data if isinstance(data, Outcomes) else load_outcomes(data, setting)
    parent = parent_of(Path(router)) if isinstance(router, str | Path) else ""
    return make(running, logs, old, feedback=feedback, parent=parent)


def _runs(runs: Runs | str | Path) -> Runs:
    from llmrouterbench.benching.folder import load_runs

    return load_runs(Path(runs)) if isinstance(runs, str | Path) else runs


def _router(router: FittedRouter | str | Path) -> FittedRouter:
    from llmrouterbench.production.fitted import FittedRouter

    return FittedRouter.load(router) if isinstance(router, str | Path) else router


def _config(config: CollectConfig | Mapping[str, Any] | str | Path) -> CollectConfig:
    from llmrouterbench.collecting.config import CollectConfig, parse_config, read_config
    from llmrouterbench.scoring.config import stored_config

    if isinstance(config, CollectConfig):
        return config
    if isinstance(config, Mapping):
        return parse_config(dict(config))
    return stored_config(Path(config), None) if Path(config).is_dir() else read_config(Path(config))
