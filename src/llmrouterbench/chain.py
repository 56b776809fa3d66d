"""The whole chain in one config: collect, score, bench, report; a stage whose inputs have not changed is left out.

What a stage was made from is kept as a hash in `chain.json` beside the replies. Runs of other outcomes never mix: each
content hash has a folder of its own below the config's `bench.out`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from llmrouterbench.collecting_config import BenchConfig, CollectConfig
from llmrouterbench.files import read_json, write_json

Stage = Literal["collect", "score", "bench", "report"]
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Done:
    """What became of one stage: whether it was left out because nothing changed, and where its result lies."""

    stage: Stage
    skipped: bool
    folder: Path


def run_chain(
    config: CollectConfig,
    collect: Callable[[CollectConfig], bool],
    *,
    unsafe: bool = False,
    workers: int | None = None,
    jobs: int = -1,
    progress: Progress | None = None,
) -> list[Done]:
    """Bring every stage up to date; `collect` collects and says whether anything was missing before.

    Raises ValueError where the config has no `outcomes` or `bench`, or a stage fails; what was done before is kept.
    """
    if not config.outcomes or config.bench is None:
        raise ValueError(
            "a config for `run` must say `outcomes` and `bench`, got a config for `collect` only; add them"
        )
    tell = progress or (lambda what, done, total: None)
    replies, outcomes = Path(config.out), Path(config.outcomes)
    done = [Done("collect", not collect(config), replies)]
    stamps = _Stamps(replies / "chain.json")
    done.append(_score(config, replies, outcomes, stamps, unsafe, workers, tell))
    runs = _bench(config.bench, outcomes, stamps, jobs, tell)
    return [*done, runs, _report(runs.folder, stamps)]


class _Stamps:
    """What each stage was made from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = read_json(path) if path.is_file() else {}

    def same(self, stage: Stage, inputs: Any, result: Path) -> bool:
        """Whether the result is there and was made from these inputs."""
        return result.exists() and self._known.get(stage) == _hash(inputs)

    def keep(self, stage: Stage, inputs: Any) -> None:
        """Note what a finished stage was made from."""
        self._known[stage] = _hash(inputs)
        write_json(self.path, self._known)


def _hash(inputs: Any) -> str:
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _files(folder: Path, *patterns: str) -> list[tuple[str, int, int]]:
    """Name, size and time of files: what tells whether they changed."""
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _score(
    config: CollectConfig,
    replies: Path,
    outcomes: Path,
    stamps: _Stamps,
    unsafe: bool,
    workers: int | None,
    tell: Progress,
) -> Done:
    from llmrouterbench.datasets._judging import identity
    from llmrouterbench.score import score_folder, stored_datasets
    from llmrouterbench.score_config import open_judges, resolver
    from llmrouterbench.scoring import Bench

    resolve = resolver(config)
    scorers = [identity(resolve(name)) for name in stored_datasets(replies)]
    inputs = [_files(replies, "items/*", "replies/*/*"), scorers, config.failed_calls]
    if stamps.same("score", inputs, outcomes / "manifest.json"):
        return Done("score", True, outcomes)
    with open_judges(config) as judges, Bench(unsafe, workers, judges) as bench:
        score_folder(replies, outcomes, resolve, bench, failed=config.failed_calls, progress=tell)
    stamps.keep("score", inputs)
    return Done("score", False, outcomes)


def _bench(config: BenchConfig, outcomes: Path, stamps: _Stamps, jobs: int, tell: Progress) -> Done:
    from llmrouterbench.evaluate import bench
    from llmrouterbench.store import read_manifest

    data = str(read_manifest(outcomes)["content_hash"])
    runs = Path(config.out) / data[:12]
    inputs = [data, config.model_dump()]
    if stamps.same("bench", inputs, runs / "runs.json"):
        return Done("bench", True, runs)
    settings = config.model_dump(exclude={"out"})
    bench(outcomes, runs, jobs=jobs, progress=tell, **settings)
    stamps.keep("bench", inputs)
    return Done("bench", False, runs)


def _report(runs: Path, stamps: _Stamps) -> Done:
    from llmrouterbench.reporting import report

    inputs = _files(runs, "runs.json", "decisions/*/*")
    if stamps.same("report", inputs, runs / "report"):
        return Done("report", True, runs / "report")
    report(runs)
    stamps.keep("report", inputs)
    return Done("report", False, runs / "report")
