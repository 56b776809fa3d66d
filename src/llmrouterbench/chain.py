"""The whole chain in one config: collect, score, bench, report; a stage whose inputs have not changed is left out.

What a stage was made from, and what it made, is kept as hashes in `chain.json` beside the replies, written when the
stage is done: a stage that was stopped is done again, and its own work goes on where it stopped. Contents count, not
places or times: a file that was changed by hand is noticed, a folder that was moved stays what it was. Runs of other
outcomes or another protocol never mix: each has a folder of its own below the config's `bench.out`; the report is
always `bench.out`/report.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from llmrouterbench.collecting.collect import Summary, Tell, changes, collect, load_all_questions, up_to_date
from llmrouterbench.collecting.config import BenchConfig, CollectConfig
from llmrouterbench.collecting.replies_store import pool_of, read_replies_manifest, replies_path, stored_datasets
from llmrouterbench.files import read_json, sha256_of, write_json
from llmrouterbench.version import __version__

if TYPE_CHECKING:
    from llmrouterbench.reporting.board import Leaderboard

StageName = Literal["collect", "score", "bench", "report"]
Progress = Callable[[str, int, int | None], None]


_RUNS = ("runs.json", "outcomes/*", "splits/*", "decisions/*/*")
"""Files of a folder of runs."""


@dataclass(frozen=True)
class Stage:
    """What became of one stage: whether it was left out because nothing changed, and where its result lies."""

    name: StageName
    skipped: bool
    folder: Path


def check_chain(config: CollectConfig) -> None:
    """Raise ValueError for what a later stage would refuse, before anything is paid for."""
    from llmrouterbench.benching.bench import router_entries
    from llmrouterbench.embedders import make_embedder
    from llmrouterbench.settings import DEFAULT_ROUTERS, load_setting

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
    config: CollectConfig,
    *,
    budget: float | None = None,
    retry_failed: bool = True,
    tell: Tell | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[Stage, Summary | None]:
    """Collect what has no reply; None where nothing changed. `say` hears what did; the rest as of `collect.collect`."""
    questions = load_all_questions(config)
    stage = Stage("collect", up_to_date(config, questions, retry_failed=retry_failed), Path(config.out))
    if stage.skipped:
        return stage, None
    if say is not None:
        for sentence in changes(config, questions):
            say(sentence)
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
    """What each stage was made from, and the files that it made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        known = read_json(path) if path.is_file() else {}
        self._known: dict[str, Any] = {name: one for name, one in known.items() if isinstance(one, dict)}

    def same(self, stage: StageName, inputs: Any, result: Path) -> bool:
        """Whether the stage was made from these inputs and all that it made is there, unchanged."""
        known = self._known.get(stage, {})
        return known.get("from") == _hash([__version__, inputs]) and not self.spoilt(stage, result)

    def made(self, stage: StageName) -> dict[str, str]:
        """sha256 of the files that the stage made when it was last done, by name."""
        return dict(self._known.get(stage, {}).get("made", {}))

    def spoilt(self, stage: StageName, result: Path) -> list[str]:
        """Files of a stage's result that are gone or were changed since."""
        return [name for name, sha256 in self.made(stage).items() if not _is(result / name, sha256)]

    def keep(self, stage: StageName, inputs: Any, made: dict[str, str]) -> None:
        """Note what a finished stage was made from, and the files that it made."""
        self._known[stage] = {"from": _hash([__version__, inputs]), "made": made}
        write_json(self.path, self._known)


def _hash(inputs: Any) -> str:
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _files(folder: Path, *patterns: str) -> dict[str, str]:
    """sha256 of files by their name in the folder."""
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def _times(folder: Path) -> dict[str, int]:
    """When each file in a folder was written, by its name there."""
    return {name: (folder / name).stat().st_mtime_ns for name in _files(folder, "**/*")}


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _score(config: CollectConfig, stamps: _Stamps, unsafe: bool, workers: int | None, tell: Progress) -> Stage:
    from llmrouterbench.scoring.config import judge_settings, resolver
    from llmrouterbench.scoring.folder import score_collected, scorer_of

    replies, outcomes = Path(config.out), Path(config.outcomes)
    resolve, judged = resolver(config), judge_settings(config)
    datasets, pool = [resolve(name) for name in stored_datasets(replies)], pool_of(read_replies_manifest(replies))
    scorers = [[scorer_of(one, "ours", judged.get(one.judge, "")), one.shown] for one in datasets]
    answers = [replies_path(Path(), one.name, model).as_posix() for one in datasets for model in pool]
    inputs = [_files(replies, "owner", "items/*", *answers), pool, scorers, config.failed_calls]
    if stamps.same("score", inputs, outcomes) and not _unscored(outcomes):
        return Stage("score", True, outcomes)
    score_collected(
        config, replies, outcomes, unsafe=unsafe, workers=workers, failed=config.failed_calls, progress=tell
    )
    stamps.keep("score", inputs, _files(outcomes, "**/*"))
    return Stage("score", False, outcomes)


def _unscored(outcomes: Path) -> int:
    """Replies without a score, such as those whose judge failed: they are tried again."""
    import polars as pl

    return pl.read_parquet(outcomes / "scores.parquet", columns=["score"])["score"].null_count()


def _bench(config: BenchConfig, outcomes: Path, stamps: _Stamps, jobs: int, tell: Progress) -> Stage:
    from llmrouterbench.benching.bench import bench
    from llmrouterbench.benching.folder import select_runs
    from llmrouterbench.benching.rules import LATER
    from llmrouterbench.embedders.vectors import content_of, make_embedder
    from llmrouterbench.settings import BUILT_IN, DEFAULT_ROUTERS, PAPER_SEEDS, load_setting
    from llmrouterbench.store import read_manifest, replies_hash

    manifest = read_manifest(outcomes)
    setting = None if config.setting is None else asdict(load_setting(config.setting))
    split = {"split": sha256_of(config.split_file)} if config.split_file else {}
    vectors = content_of(config.embedder)
    named = {"setting": config.setting if config.setting in BUILT_IN else None, "embedder": vectors or config.embedder}
    unsaid = {name for name in LATER if getattr(config.rules, name) is None}
    agreed = config.rules.model_copy(update={**named, **split}).model_dump(exclude=unsaid)
    rules = [manifest["content_hash"], setting, agreed]
    runs = Path(config.out) / _hash(rules)[:12]
    said = [manifest["source"], manifest["files"]["texts.parquet"], replies_hash(outcomes)]
    inputs = [rules, said, config.routers, _sources(config.routers), config.seeds]
    if stamps.same("bench", inputs, runs):
        return Stage("bench", True, runs)
    if spoilt := stamps.spoilt("bench", runs):
        for name in (*spoilt, "runs.json"):  # without it the folder is opened as a new one that has decisions
            (runs / name).unlink(missing_ok=True)
        if not any(runs.glob("decisions/*/*")):
            shutil.rmtree(runs, ignore_errors=True)
    asked = config.model_dump(include={"routers", "seeds"}, exclude_none=True)
    if vectors:  # known by their content, wherever they lie
        asked["embedder"] = make_embedder(config.embedder)
    bench(outcomes, runs, config.rules, jobs=jobs, progress=tell, **asked)
    select_runs(runs, config.routers or DEFAULT_ROUTERS, config.seeds or PAPER_SEEDS)
    stamps.keep("bench", inputs, _files(runs, *_RUNS))
    return Stage("bench", False, runs)


def _sources(routers: Sequence[str] | None) -> dict[str, Any]:
    """What says how each router is made, with its source where it is not ours."""
    from llmrouterbench.benching.bench import router_entries
    from llmrouterbench.benching.deciding import describe_router
    from llmrouterbench.settings import DEFAULT_ROUTERS

    return {name: describe_router(router) for name, router in router_entries(routers or DEFAULT_ROUTERS).items()}


def _report(config: CollectConfig, runs: Path, stamps: _Stamps, tell: Progress) -> tuple[Stage, Leaderboard | None]:
    from llmrouterbench.reporting.report import full_report, report

    folder = runs.parent / "report"
    extras = [find_spec(name) is not None for name in ("jinja2", "matplotlib")]
    texts = _files(Path(config.outcomes), "texts.parquet")
    inputs = [
        _files(runs, "runs.json", "outcomes/*", "splits/*", "decisions/*/*"),
        texts,
        config.report.model_dump(),
        extras,
    ]
    if stamps.same("report", inputs, folder):
        return Stage("report", True, folder), None
    tell("report", 0, None)
    before = _times(folder)
    settings = config.report.model_dump(exclude={"figures"})
    board = full_report(runs, folder, **settings)[0] if config.report.figures else report(runs, folder, **settings)
    made = [name for name, at in _times(folder).items() if before.get(name) != at]
    for name in stamps.made("report").keys() - made:  # an earlier report's: it would stand beside other numbers
        (folder / name).unlink(missing_ok=True)
    stamps.keep("report", inputs, _files(folder, *made))
    return Stage("report", False, folder), board
