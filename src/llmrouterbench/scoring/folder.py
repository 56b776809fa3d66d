"""Stored replies to outcomes: a step of its own that can be repeated and never calls a model of the pool.

Beside the outcomes lies `scores.parquet`: for every reply its score, the answer that was read, the reason where there
is none, and the identity of the scorer. A reply keeps its score while its item, its text and its scorer are the same;
whatever changed is scored anew, and what could not be scored is tried again. Scores are kept beside `to` while the
work goes on, so that a stop or a kill loses little.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from llmrouterbench.calling.asking import Asker, JudgeStoppedError
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.replies_store import (
    Prompted,
    pool_of,
    read_items,
    read_replies,
    read_replies_manifest,
    stored_datasets,
)
from llmrouterbench.datasets import DATASETS, Dataset, identity
from llmrouterbench.datasets.own import scorer_version
from llmrouterbench.files import read_json, sha256_of, write_parquet
from llmrouterbench.findings import ImportReport
from llmrouterbench.replies import Item, Score
from llmrouterbench.scoring._outcomes import Failed, Part, write_scored
from llmrouterbench.scoring._unread import unread
from llmrouterbench.scoring.config import judge_settings, open_judges, resolver
from llmrouterbench.scoring.scores import Bench, Compat, score_replies
from llmrouterbench.source import source_of

Progress = Callable[[str, int, int | None], None]
Resolve = Callable[[str], Dataset]
Hash = str
"""Of one reply's text and the item it answers."""

SCORE_COLUMNS = {
    "dataset": pl.String, "item": pl.String, "model": pl.String, "hash": pl.String, "scorer": pl.String,
    "score": pl.Float64, "answer": pl.String, "reason": pl.String,
}  # fmt: skip
"""Columns of `scores.parquet`; score is null where the reply could not be scored."""
_ANSWER_LIMIT = 10_000
_CHUNK = 500
"""Replies that are scored before their scores are kept."""


@dataclass(frozen=True)
class _Job:
    """What every part of one scoring shares; `known` are the scores of the run before, `work` the unfinished ones."""

    folder: Path
    known: pl.DataFrame | None
    work: Path
    bench: Bench
    compat: Compat
    scorers: Mapping[str, str]
    tell: Progress


def score_folder(
    folder: Path,
    to: Path,
    resolve: Resolve,
    bench: Bench,
    *,
    compat: Compat = "ours",
    failed: Failed = "masked",
    judged: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Score every stored reply and write outcomes to the folder `to`; returns what was found.

    resolve   dataset name -> Dataset
    compat    "official": read replies as the official scorers do, where they differ; said in every report
    judged    judge -> what says how it is asked (`config.judge_settings`); who is asked otherwise judges anew
    overwrite replace what is at `to` even if it was not made from these replies

    Raises FileNotFoundError or ValueError for a folder that holds no replies, FileExistsError for somebody else's `to`,
    JudgeStoppedError where a judge answers nobody any more; the scores so far are kept for the next run.
    """
    manifest = read_replies_manifest(folder)
    names = stored_datasets(folder)
    if not names:
        raise ValueError(f"{folder} must hold items and replies, got none; collect first")
    source = _source(folder)
    known = None if overwrite else _scores_of_before(to, source)
    datasets = {name: resolve(name) for name in names}
    scorers = {name: scorer_of(one, compat, (judged or {}).get(one.judge, "")) for name, one in datasets.items()}
    work = to.with_name(f".{to.name}.scoring")
    job = _Job(folder, known, work, bench, compat, scorers, progress or (lambda what, done, total: None))
    items = {name: read_items(folder, name) for name in names}
    models = pool_of(manifest)
    parts = [_score_part(job, datasets[name], items[name], model) for name in names for model in models]
    hidden = sorted(name for name, one in datasets.items() if not one.shown)
    facts = {**source, "scorers": scorers, "failed_calls": failed, "compat": compat, "not_shown": hidden}
    report = write_scored(to, items, parts, models, facts, failed, unread(parts))
    shutil.rmtree(work, ignore_errors=True)
    return report


def score_collected(
    config: CollectConfig,
    folder: Path,
    to: Path,
    *,
    unsafe: bool = False,
    workers: int | None = None,
    compat: Compat = "ours",
    failed: Failed = "masked",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[ImportReport, dict[str, Asker]]:
    """`score_folder` with the own datasets and judges of a config; the judges come back with what they did and cost.

    unsafe   run model-written code unprotected where there is no sandbox
    workers  processes for mathematics and code; None for the number of cores

    Raises what `score_folder` raises, ValueError for a judge whose key is not set, and RuntimeError where code must run
    and nothing protects.
    """
    resolve, judged = resolver(config), judge_settings(config)
    with open_judges(config, needed_judges(folder, resolve)) as judges, Bench(unsafe, workers, judges) as bench:
        report = score_folder(
            folder, to, resolve, bench,
            compat=compat, failed=failed, judged=judged, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    return report, judges


def needed_judges(folder: Path, resolve: Resolve) -> set[str]:
    """Names of the judges that the datasets in a folder of replies are scored by."""
    return {resolve(name).judge for name in stored_datasets(folder)} - {""}


def _source(folder: Path) -> dict[str, Any]:
    """What says which replies outcomes were made from; the folder may be moved."""
    owner = folder / "owner"
    return {
        "name": folder.resolve().name,
        "format": "replies",
        "owner": owner.read_text(encoding="utf-8").strip() if owner.is_file() else "",
    }


def _scores_of_before(to: Path, source: Mapping[str, Any]) -> pl.DataFrame | None:
    """The scores at `to`, None where none are there, or not those that were written.

    Raises FileExistsError where the folder was made otherwise.
    """
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return None
    manifest, scores = to / "manifest.json", to / "scores.parquet"
    facts = read_json(manifest) if manifest.is_file() else {}
    made = facts.get("source", {})
    if scores.is_file() and made.get("format") == "replies" and made.get("owner") == source["owner"]:
        return pl.read_parquet(scores) if sha256_of(scores) == facts["files"][scores.name]["sha256"] else None
    whose = f"outcomes of {made['name']}" if made.get("name") else "something else"
    raise FileExistsError(
        f"{to} must not exist yet or be outcomes scored from these replies, got {whose}; choose another or --overwrite"
    )


def scorer_of(dataset: Dataset, compat: Compat, judge: str = "") -> str:
    """The identity of a scorer as it is stored with every score.

    Beside `datasets.identity`: how the judge is asked, and of a dataset that is not ours the scorer with its source.
    """
    official = compat == "official" and dataset.official is not None
    own = [] if dataset.name in DATASETS else [_function(dataset.official if official else dataset.score)]
    return "+".join([identity(dataset), *([judge[:16]] if judge else []), *own, *(["official"] if official else [])])


def _function(scorer: Any) -> str:
    """The name of a scorer, with a hash of its source, or the version of those of ours that own datasets name."""
    function = getattr(scorer, "func", scorer)
    name = getattr(function, "__name__", type(scorer).__name__)
    return ":".join([name, *filter(None, [scorer_version(function) or source_of(scorer)[:16]])])


def hash_of(item: Item, text: str) -> Hash:
    """What a score depends on besides its scorer: the item and the reply; half surrogate pairs are allowed."""
    what = hashlib.blake2b(orjson.dumps(asdict(item), option=orjson.OPT_SORT_KEYS), digest_size=16)
    what.update(text.encode("utf-8", "surrogatepass"))
    return what.hexdigest()


def _score_part(job: _Job, dataset: Dataset, items: Sequence[Prompted], model: str) -> Part:
    """The scores of one model on one dataset: known ones, and those of whatever changed."""
    replies = read_replies(job.folder, dataset.name, model)
    scorer = job.scorers[dataset.name]
    path = job.work / hashlib.blake2b(f"{dataset.name}\0{model}".encode(), digest_size=16).hexdigest()
    kept = _reusable(job.known, dataset.name, model, scorer)
    if path.is_file():
        kept |= _reusable(pl.read_parquet(path), dataset.name, model, scorer)
    by_id = {entry.item.id: entry.item for entry in items}
    answered = [
        (by_id[reply.item], reply) for reply in replies.values() if reply.status == "ok" and reply.item in by_id
    ]
    hashes = {item.id: hash_of(item, reply.text) for item, reply in answered}
    scores = {item.id: kept[item.id, hashes[item.id]] for item, _ in answered if (item.id, hashes[item.id]) in kept}
    new = [(item, reply.text) for item, reply in answered if item.id not in scores]

    def frame() -> pl.DataFrame:
        done = [item.id for item, _ in answered if item.id in scores]
        rows = [_row(dataset.name, id, model, hashes[id], scorer, scores[id]) for id in done]
        return pl.DataFrame(rows, schema=SCORE_COLUMNS, orient="row")

    for start in range(0, len(new), _CHUNK):
        chunk = new[start : start + _CHUNK]
        tell = _Teller(job.tell, f"{dataset.name} x {model}", start, len(new))
        found = score_replies(dataset, chunk, job.bench, job.compat, tell)
        scores |= {item.id: score for (item, _), score in zip(chunk, found, strict=True)}
        _keep(frame(), path)
        if why := job.bench.stopped(dataset):
            raise JudgeStoppedError(
                f"judge {dataset.judge} stopped: {why}; what was scored is kept, mend it and score again to go on"
            )
    return Part(dataset, model, replies, frame())


@dataclass(frozen=True)
class _Teller:
    """Tells how many replies of a part are scored, from how many of a chunk are."""

    tell: Progress
    what: str
    before: int
    total: int

    def __call__(self, done: int) -> None:
        self.tell(self.what, self.before + done, self.total)


def _keep(frame: pl.DataFrame, path: Path) -> None:
    """Write unfinished scores so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write_parquet(frame, partial)
    partial.replace(path)


def _reusable(known: pl.DataFrame | None, dataset: str, model: str, scorer: str) -> dict[tuple[str, Hash], Score]:
    """Scores of this scorer by item and hash; what could not be scored is tried again."""
    if known is None:
        return {}
    mine = known.filter(
        (pl.col("dataset") == dataset) & (pl.col("model") == model) & (pl.col("scorer") == scorer)
        & pl.col("score").is_not_null()
    )  # fmt: skip
    return {
        (row["item"], row["hash"]): Score(row["score"], row["answer"], row["reason"])
        for row in mine.iter_rows(named=True)
    }


def _row(dataset: str, item: str, model: str, hash: Hash, scorer: str, score: Score) -> tuple[Any, ...]:
    value = score.value if score.scored else None
    return dataset, item, model, hash, scorer, value, _readable(score.answer[:_ANSWER_LIMIT]), _readable(score.reason)


def _readable(text: str) -> str:
    """Without half surrogate pairs, which no file takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def scores_of(folder: Path) -> pl.DataFrame:
    """Every score that `score_folder` stored, with the columns SCORE_COLUMNS. Raises FileNotFoundError without."""
    path = folder / "scores.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must hold scores, got no file; make it with `llmrouterbench score`")
    return pl.read_parquet(path)
