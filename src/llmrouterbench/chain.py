"""The whole chain in one config: collect, score, bench, report; a stage whose inputs have not changed is left out.

What a stage was made from is kept as a hash in `chain.json` beside the replies, written when the stage is done: a stage
that was stopped is done again, and its own work goes on where it stopped. Runs of other outcomes or another protocol
never mix: each has a folder of its own below the config's `bench.out`; the report is always `bench.out`/report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from llmrouterbench.collecting.collect import Summary, Tell, collect, load_all_questions, up_to_date
from llmrouterbench.collecting.config import BenchConfig, CollectConfig
from llmrouterbench.files import read_json, sha256_of, write_json
from llmrouterbench.version import __version__

if TYPE_CHECKING:
    from llmrouterbench.reporting.board import Leaderboard

StageName = Literal["collect", "score", "bench", "report"]
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Stage:
    """What became of one stage: whether it was left out because nothing changed, and where its result lies."""

    name: StageName
    skipped: bool
    folder: Path


def check_chain(config: CollectConfig) -> None:
    """Raise ValueError for what a later stage would refuse, before anything is paid for."""
    from llmrouterbench.benching.bench import DEFAULT_ROUTERS, router_entries
    from llmrouterbench.embedders.vectors import make_embedder
    from llmrouterbench.settings import load_setting

    if not config.outcomes or config.bench is None:
        lacking = "bench: {out: FOLDER}" if config.outcomes else "outcomes: FOLDER"
        raise ValueError(f"a config for `run` must say where outcomes and runs go, got none; add {lacking}")
    outcomes = Path(config.outcomes)
    if outcomes.exists() and any(outcomes.iterdir()) and not (outcomes / "scores.parquet").is_file():
        raise ValueError(f"outcomes must be a new folder or one that `score` made, got {outcomes}; choose another")
    router_entries(config.bench.routers or DEFAULT_ROUTERS)
    make_embedder(config.bench.embedder)
    if config.bench.split_file and not config.bench.split_file.is_file():
        raise FileNotFoundError(f"bench.split must be a file, got none at {config.bench.split_file}; check the path")
    if config.bench.setting is not None:
        load_setting(config.bench.setting)


def collect_missing(
    config: CollectConfig, *, budget: float | None = None, retry_failed: bool = True, tell: Tell | None = None
) -> tuple[Stage, Summary | None]:
    """Collect what has no reply; None where there was nothing to ask. The keywords are those of `collect.collect`."""
    questions = load_all_questions(config)
    stage = Stage("collect", up_to_date(config, questions, retry_failed=retry_failed), Path(config.out))
    if stage.skipped:
        return stage, None
    return stage, collect(config, questions, budget=budget, retry_failed=retry_failed, tell=tell)


def cut_short(collected: Summary | None) -> str:
    """Why a collection ended before its end, "" where it did not; single queries that failed do not end it."""
    if collected is None:
        return ""
    stopped = [f"model {one.model} stopped: {one.stopped}" for one in collected.models if one.stopped]
    return "; ".join([*([collected.why] if collected.why else []), *stopped])


def run_after_collecting(
    config: CollectConfig,
    *,
    unsafe: bool = False,
    workers: int | None = None,
    jobs: int = -1,
    progress: Progress | None = None,
) -> tuple[list[Stage], Leaderboard | None]:
    """Score, bench and report where inputs have changed; the stages, and the leaderboard where it was computed anew.

    unsafe, workers  as in `scoring.Bench`; jobs: as in `evaluate.bench`

    Raises ValueError for a config without `outcomes` or `bench`, and what the stages raise; finished stages are kept.
    """
    check_chain(config)
    assert config.bench is not None
    tell = progress or (lambda what, done, total: None)
    stamps = _Stamps(Path(config.out) / "chain.json")
    scored = _score(config, stamps, unsafe, workers, tell)
    benched = _bench(config.bench, Path(config.outcomes), stamps, jobs, tell)
    reported, board = _report(config, benched.folder, stamps, tell)
    return [scored, benched, reported], board


class _Stamps:
    """What each stage was made from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = read_json(path) if path.is_file() else {}

    def same(self, stage: StageName, inputs: Any, result: Path) -> bool:
        """Whether the result is there and was made from these inputs."""
        return result.exists() and self._known.get(stage) == _hash([__version__, inputs])

    def keep(self, stage: StageName, inputs: Any) -> None:
        """Note what a finished stage was made from."""
        self._known[stage] = _hash([__version__, inputs])
        write_json(self.path, self._known)


def _hash(inputs: Any) -> str:
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _files(folder: Path, *patterns: str) -> list[tuple[str, int, int]]:
    """Name, size and time of files: what tells whether they changed."""
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _score(config: CollectConfig, stamps: _Stamps, unsafe: bool, workers: int | None, tell: Progress) -> Stage:
    from llmrouterbench.datasets import identity
    from llmrouterbench.scoring.config import open_judges, resolver
    from llmrouterbench.scoring.folder import needed_judges, score_folder, stored_datasets
    from llmrouterbench.scoring.scores import Bench

    replies, outcomes = Path(config.out), Path(config.outcomes)
    resolve = resolver(config)
    scorers = [identity(resolve(name)) for name in stored_datasets(replies)]
    judges = [judge.model_dump() for judge in config.judges]
    inputs = [str(outcomes), _files(replies, "items/*", "replies/*/*"), scorers, judges, config.failed_calls]
    if stamps.same("score", inputs, outcomes / "manifest.json") and not _unscored(outcomes):
        return Stage("score", True, outcomes)
    with open_judges(config, needed_judges(replies, resolve)) as asked, Bench(unsafe, workers, asked) as bench:
        score_folder(replies, outcomes, resolve, bench, failed=config.failed_calls, progress=tell)
    stamps.keep("score", inputs)
    return Stage("score", False, outcomes)


def _unscored(outcomes: Path) -> int:
    """Replies without a score, such as those whose judge failed: they are tried again."""
    import polars as pl

    return pl.read_parquet(outcomes / "scores.parquet", columns=["score"])["score"].null_count()


def _bench(config: BenchConfig, outcomes: Path, stamps: _Stamps, jobs: int, tell: Progress) -> Stage:
    from llmrouterbench.benching.bench import bench
    from llmrouterbench.settings import load_setting
    from llmrouterbench.store import read_manifest, replies_hash

    data = str(read_manifest(outcomes)["content_hash"])
    setting = None if config.setting is None else asdict(load_setting(config.setting))
    named = [sha256_of(path) for path in config.files]
    rules = [data, setting, config.rules.model_dump(), *([named] if named else [])]
    runs = Path(config.out) / _hash(rules)[:12]
    inputs = [replies_hash(outcomes), rules, config.routers, config.seeds, str(runs)]
    if stamps.same("bench", inputs, runs / "runs.json"):
        return Stage("bench", True, runs)
    asked = config.model_dump(include={"routers", "seeds"}, exclude_none=True)
    bench(outcomes, runs, config.rules, jobs=jobs, progress=tell, **asked)
    stamps.keep("bench", inputs)
    return Stage("bench", False, runs)


def _report(config: CollectConfig, runs: Path, stamps: _Stamps, tell: Progress) -> tuple[Stage, Leaderboard | None]:
    from llmrouterbench.reporting.report import full_report, report

    folder = runs.parent / "report"
    inputs = [str(runs), _files(runs, "runs.json", "decisions/*/*"), config.report.model_dump()]
    if stamps.same("report", inputs, folder):
        return Stage("report", True, folder), None
    tell("report", 0, None)
    settings = config.report.model_dump(exclude={"figures"})
    board = full_report(runs, folder, **settings)[0] if config.report.figures else report(runs, folder, **settings)
    stamps.keep("report", inputs)
    return Stage("report", False, folder), board
