"""Nothing is called unchanged that changed: every input of every stage is edited, one at a time, in a finished chain.

Each case starts from a copy of the same finished chain in another place, so that moving it is no change either.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
import yaml

import llmrouterbench.chain
from llmrouterbench import bench
from llmrouterbench.benching.folder import load_runs
from llmrouterbench.chain import collect_missing, run_after_collecting
from llmrouterbench.collecting.collect import changes, load_all_questions
from llmrouterbench.collecting.config import read_config
from llmrouterbench.collecting.plan import plan
from llmrouterbench.collecting.replies_store import paid_in
from llmrouterbench.datasets import dataset, identity
from llmrouterbench.embedders.vectors import text_hash
from llmrouterbench.files import read_json, write_json
from llmrouterbench.scoring.config import judge_settings, open_judges, resolver
from llmrouterbench.scoring.folder import score_folder, scorer_of
from llmrouterbench.scoring.scores import Bench
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes
from provider import INPUT_PRICE, OUTPUT_PRICE, Provider

SUMS, POEMS = 24, 4
ALL = ["collect", "score", "bench", "report"]
SCORED, BENCHED, COLLECTED = ALL[1:], ALL[2:], ALL[:1]
PRICE = {"input": INPUT_PRICE, "output": OUTPUT_PRICE}
OTHER_QUESTION, NEW_QUESTION = "What is 5 + 5? Think again.", "What is 1 + 1?"
HASTY = {"name": "hasty", "endpoint": "hasty", "price": PRICE}


def careful(prompt: str) -> str:
    sum_of = re.search(r"(\d+) \+ (\d+)", prompt)
    return f"Let me think. Answer: {int(sum_of[1]) + int(sum_of[2])}" if sum_of else "A poem of many words"


def hasty(prompt: str) -> str:
    return "Answer: 7"


def judge(prompt: str) -> str:
    return "VERDICT: CORRECT" if "many words" in prompt else "VERDICT: INCORRECT"


@dataclass
class Pool:
    """The providers of a chain and what they were asked."""

    careful: Provider
    hasty: Provider
    judge: Provider

    def asked(self) -> tuple[int, int]:
        """Requests that models and the judge answered."""
        return len(self.careful.books) + len(self.hasty.books), len(self.judge.books)


@dataclass
class Chain:
    """One finished chain, with its config and its files."""

    folder: Path
    pool: Pool

    def run(self) -> list[str]:
        """The stages that were done."""
        config = read_config(self.folder / "run.yaml")
        first, _ = collect_missing(config)
        stages, _ = run_after_collecting(config, jobs=1)
        return [stage.name for stage in [first, *stages] if not stage.skipped]

    def edit(self, name: str, change: Callable[[Any], object]) -> None:
        """Change the content of a YAML file in place."""
        path = self.folder / name
        raw = yaml.safe_load(path.read_text())
        change(raw)
        path.write_text(yaml.safe_dump(raw))

    def rows(self, change: Callable[[list[dict[str, Any]]], object], name: str = "sums.jsonl") -> None:
        """Change the rows of a data file in place."""
        path = self.folder / name
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        change(rows)
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    def one(self, pattern: str) -> Path:
        """The first file of a pattern."""
        return min(self.folder.glob(pattern))


def write_chain(folder: Path, pool: Pool) -> None:
    sums = [
        {
            "id": f"s{i}", "question": f"What is {i} + {i % 7}? Think of {('apples', 'pears')[i % 2]}.",
            "answer": i + i % 7, "other": 0, "part": ("low", "high")[i % 2], "hint": f"hint {i}",
        }
        for i in range(SUMS)
    ]  # fmt: skip
    described = {
        "name": "sums", "file": "sums.jsonl", "prompt": "{query}", "scorer": "number",
        "columns": {"id": "id", "query": "question", "target": "answer", "subset": "part", "options": ["hint"]},
    }  # fmt: skip
    template = "Is this a poem? $query $target $reply\nEnd with VERDICT: CORRECT or VERDICT: INCORRECT"
    poems = {
        "name": "poems", "file": "poems.jsonl", "columns": {"query": "topic", "target": "about"}, "prompt": "{query}",
        "scorer": "judge", "judge": {"model": "critic", "template": template},
    }  # fmt: skip
    config = {
        "out": "replies",
        "outcomes": "outcomes",
        "cache": "cache.sqlite",
        "endpoints": {name: {"url": getattr(pool, name).url} for name in ("careful", "hasty", "judge")},
        "models": [{"name": name, "endpoint": name, "price": PRICE} for name in ("careful", "hasty")],
        "judges": [{"name": name, "endpoint": "judge"} for name in ("critic", "other critic")],
        "datasets": [{"name": "sums.yaml"}, {"name": "poems.yaml"}],
        "bench": {
            "out": "runs", "routers": ["best_single", "knn:k=3"], "seeds": [42], "embedder": "file:vectors.npz",
            "setting": "all.toml",
        },
        "report": {"samples": 20, "figures": False},
    }  # fmt: skip
    (folder / "sums.yaml").write_text(yaml.safe_dump(described))
    (folder / "poems.yaml").write_text(yaml.safe_dump(poems))
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    (folder / "all.toml").write_text('name = "all"\n')
    (folder / "sums.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in sums))
    topics = [{"topic": f"Write about the sea, number {i}", "about": "the sea"} for i in range(POEMS)]
    (folder / "poems.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in topics))
    write_vectors(folder, seed=1)


def write_vectors(folder: Path, seed: int) -> None:
    """Vectors of every text that a case may ask."""
    files = [(folder / f"{name}.jsonl").read_bytes() for name in ("sums", "poems")]
    texts = [orjson.loads(line) for data in files for line in data.splitlines()]
    names = [row.get("question", row.get("topic")) for row in texts]
    names += [*(f"Please: {name}" for name in names), OTHER_QUESTION, NEW_QUESTION]
    vectors = np.random.default_rng(seed).normal(size=(len(names), 8))
    np.savez(folder / "vectors.npz", embedding=vectors, text_hash=np.array([text_hash(name) for name in names]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("finished")
    with Provider(reply=careful) as one, Provider(reply=hasty) as other, Provider(reply=judge) as third:
        pool = Pool(one, other, third)
        write_chain(folder, pool)
        chain = Chain(folder, pool)
        assert chain.run() == ALL
        assert pool.asked() == (2 * (SUMS + POEMS), 2 * POEMS)
        yield chain


@pytest.fixture
def chain(finished: Chain, tmp_path: Path) -> Chain:
    """A copy of the finished chain somewhere else."""
    return Chain(shutil.copytree(finished.folder, tmp_path / "moved"), finished.pool)


Edit = Callable[[Chain], object]


@dataclass(frozen=True)
class Case:
    """An edit, the stages that it does again, and how many requests to models and to the judge that costs."""

    name: str
    edit: Edit
    stages: list[str]
    calls: int = 0
    judged: int = 0


def setting(place: str, value: Any, file: str = "run.yaml") -> Edit:
    """Another value at a place such as bench.seeds or models.0.price."""

    def edit(chain: Chain) -> None:
        def change(raw: Any) -> None:
            *sections, last = [int(part) if part.isdigit() else part for part in place.split(".")]
            for section in sections:
                raw = raw[section]
            raw[last] = value(raw[last]) if callable(value) else value

        chain.edit(file, change)

    return edit


def more(place: str, file: str = "run.yaml", **keys: Any) -> Edit:
    """More keys at a place; "" is the whole file."""

    def edit(chain: Chain) -> None:
        def change(raw: Any) -> None:
            for section in filter(None, place.split(".")):
                raw = raw[int(section) if section.isdigit() else section]
            raw.update(keys)

        chain.edit(file, change)

    return edit


def row(number: int, column: str, value: Any) -> Edit:
    """Another value in a cell of the sums."""
    return lambda chain: chain.rows(lambda rows: rows[number].update({column: value}))


def write(pattern: str, change: Callable[[bytes], bytes]) -> Edit:
    """Another content of a file, by hand."""

    def edit(chain: Chain) -> None:
        path = chain.one(pattern)
        path.write_bytes(change(path.read_bytes()))

    return edit


def gone(pattern: str) -> Edit:
    return lambda chain: chain.one(pattern).unlink()


THIRD = {"name": "third", "endpoint": "hasty"}
SUMS_FILE = {"name": "sums.yaml"}
RULES: dict[str, Any] = {
    "split": "paper",
    "ratio": 0.6,
    "validation": 0.3,
    "text": "query",
    "strip_shared": True,
    "tune": True,
    "router_seed": "fixed",
    "near_copies": "long-texts",
    "points": "validation",
    "intervals": "percentile",
}


def renamed(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**models[0], "name": "wise", "api_model": models[0]["name"]}, models[1]]


def touched_scores(chain: Chain) -> None:
    path = chain.folder / "outcomes" / "scores.parquet"
    pl.read_parquet(path).with_columns(score=1 - pl.col("score")).write_parquet(path)


def reindented(chain: Chain) -> None:
    """Every YAML with comments, and its keys in another order; every file of another time."""
    for path in chain.folder.glob("*.yaml"):
        raw = yaml.safe_load(path.read_text())
        turned = yaml.safe_dump(dict(reversed(raw.items())), sort_keys=False, indent=4, width=40)
        path.write_text(f"# a comment\n{turned}# another\n")
    for path in chain.folder.rglob("*"):
        os.utime(path, (1, 1))


CASES = [
    # what is asked
    Case("a right answer", row(3, "answer", 5), ALL),
    Case("a right answer, of a poem", lambda c: c.rows(lambda rows: rows[1].update(about="a lake"), "poems.jsonl"),
         ["collect", "score"], judged=2),  # with the same verdict
    Case("a subset's label", row(3, "part", "low"), ALL),
    Case("a detail", row(3, "hint", "another hint"), ["collect", "score"]),
    Case("a question", row(3, "question", OTHER_QUESTION), ALL, calls=2),
    Case("a deleted row", lambda chain: chain.rows(lambda rows: rows.pop(3)), ALL),
    Case("a deleted row where rows have no ids", lambda c: c.rows(lambda rows: rows.pop(1), "poems.jsonl"), ALL),
    Case("a new row", lambda c: c.rows(lambda rows: rows.append({**rows[0], "id": "s", "question": NEW_QUESTION})),
         ALL, calls=2),
    Case("an id", row(3, "id", "another"), ALL),
    Case("the order", lambda chain: chain.rows(lambda rows: rows.reverse()), ALL),
    Case("the prompt", setting("prompt", "Please: {query}", "sums.yaml"), ALL, calls=2 * SUMS),
    Case("the column of the answers", setting("columns.target", "other", "sums.yaml"), ALL),
    Case("a limit", more("datasets.0", limit=20), ALL),
    Case("a subset", more("datasets.0", subset="low"), ALL),
    Case("a dataset less", setting("datasets", lambda datasets: datasets[:1]), ALL),
    # who is asked
    Case("a model more", setting("models", lambda models: [*models, THIRD]), ALL, calls=SUMS + POEMS),
    Case("a model less", setting("models", lambda models: [models[0]]), ALL),
    Case("another model", setting("models", lambda models: [models[0], THIRD]), ALL, calls=SUMS + POEMS),
    Case("a model's name", setting("models", renamed), ALL),
    Case("a price", setting("models.0.price.output", 9.0), COLLECTED),
    # how replies are scored
    Case("the scorer", setting("scorer", "exact", "sums.yaml"), ALL),  # targets are text then
    Case("the scorer's version", more("", "sums.yaml", version=2), SCORED),
    Case("what may be shown", more("", "sums.yaml", shown=False), SCORED),
    Case("the judge's template", setting("judge.template", lambda text: f"Well. {text}", "poems.yaml"), SCORED,
         judged=2 * POEMS),
    Case("the judge", setting("judge.model", "other critic", "poems.yaml"), SCORED, judged=2 * POEMS),
    Case("the judge's settings", more("judges.0", temperature=0.9), SCORED, judged=2 * POEMS),
    Case("failed calls", more("", failed_calls="zero"), SCORED),
    # what is benched
    Case("seeds", setting("bench.seeds", [42, 7]), BENCHED),
    Case("another seed", setting("bench.seeds", [7]), BENCHED),
    Case("a router more", setting("bench.routers", ["best_single", "knn:k=3", "task_lookup"]), BENCHED),
    Case("a router less", setting("bench.routers", ["knn:k=3"]), BENCHED),
    Case("a router's setting", setting("bench.routers", ["best_single", "knn:k=2"]), BENCHED),
    Case("the setting", write("all.toml", lambda data: data + b'reference = "hasty"'), BENCHED),
    Case("the vectors", lambda c: write_vectors(c.folder, seed=2), BENCHED),
    Case("the embedder", setting("bench.embedder", "tfidf"), BENCHED),
    Case("the protocol", more("bench", protocol="paper"), BENCHED),
    *(Case(f"bench.{key}", setting(f"bench.{key}", value), BENCHED) for key, value in RULES.items()),
    # what is reported
    Case("report.samples", setting("report.samples", 30), ["report"]),
    Case("report.baseline", more("report", baseline="knn:k=3"), ["report"]),
    # by hand
    Case("a reply", write("replies/replies/sums/hasty.jsonl", lambda data: data.replace(b": 7", b": 07")), SCORED[:2]),
    Case("a reply less", write("replies/replies/sums/hasty.jsonl", lambda data: data[data.index(b"\n") + 1 :]),
         ["collect", "score", "bench"]),  # the replies lie in another order
    Case("an item", write("replies/items/sums.jsonl", lambda data: data.replace(b'"target":0', b'"target":3')),
         COLLECTED),
    Case("a prompt", write("replies/items/sums.jsonl", lambda data: data.replace(b'"prompt":"What', b'"prompt":"Who')),
         ["collect", "score"]),
    Case("the items of a dataset", gone("replies/items/poems.jsonl"), COLLECTED),
    Case("scores", touched_scores, ["score"]),
    Case("scores less", gone("outcomes/outcomes.parquet"), ["score"]),
    Case("texts", gone("outcomes/texts.parquet"), ["score"]),
    Case("outcomes", lambda chain: shutil.rmtree(chain.folder / "outcomes"), ["score"]),
    Case("decisions", write("runs/*/decisions/*/42.parquet", lambda data: data[:-9]), BENCHED),
    Case("decisions less", gone("runs/*/decisions/knn*/42.parquet"), BENCHED),
    Case("a split", write("runs/*/splits/42.json", lambda data: data[:-9]), BENCHED),
    Case("a copy of the outcomes", write("runs/*/outcomes/outcomes.parquet", lambda data: data[:-9]), BENCHED),
    Case("a file of the report", write("runs/report/leaderboard.md", lambda data: b"all is well"), ["report"]),
    Case("the report", lambda chain: shutil.rmtree(chain.folder / "runs" / "report"), ["report"]),
    Case("what stages were made from", gone("replies/chain.json"), SCORED),
    # what cannot matter
    Case("nothing", lambda chain: None, []),
    Case("comments, key order and times", reindented, []),
    Case("the order of models", setting("models", lambda models: models[::-1]), []),
    Case("limits", more("endpoints.careful", concurrency=3, timeout=9.0), []),
    Case("a budget", more("", budget=5.0), []),
    Case("the judge's price", more("judges.0", price={"input": 1.0, "output": 1.0}), []),
    Case("a judge more", setting("judges", lambda judges: [*judges, {"name": "third", "endpoint": "judge"}]), []),
    Case("a title and a licence", more("", "sums.yaml", title="Sums", licence="CC0"), []),
    Case("the cache", gone("cache.sqlite"), []),
    Case("a file of one's own", lambda c: (c.folder / "outcomes" / "notes.txt").write_text("mine"), []),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_what_changed_is_done_again_and_nothing_else(case: Case, chain: Chain, tmp_path: Path) -> None:
    before = chain.pool.asked()
    case.edit(chain)
    paid = paid_in(chain.folder / "replies")
    assert chain.run() == case.stages
    after = chain.pool.asked()
    assert (after[0] - before[0], after[1] - before[1]) == (case.calls, case.judged)
    assert paid_in(chain.folder / "replies") >= paid  # what was paid for stays
    assert chain.run() == []
    if "score" in case.stages:
        assert numbers(chain.folder / "outcomes").equals(numbers(scored_afresh(chain, tmp_path / "fresh")))


def scored_afresh(chain: Chain, folder: Path) -> Path:
    """Outcomes of the same files and cache, as if nothing had been there before."""
    kept = shutil.ignore_patterns("replies", "outcomes", "runs")
    config = read_config(shutil.copytree(chain.folder, folder, ignore=kept) / "run.yaml")
    collect_missing(config)
    resolve = resolver(config)
    with open_judges(config) as judges, Bench(judges=judges) as bench:
        judged = judge_settings(config)
        score_folder(folder / "replies", folder / "outcomes", resolve, bench, failed=config.failed_calls, judged=judged)
    return folder / "outcomes"


def numbers(folder: Path) -> pl.DataFrame:
    """Every cell with what it belongs to, in the order of the queries."""
    outcomes = Outcomes.load(folder)
    labels = {
        "id": outcomes.queries.id,
        "dataset": outcomes.dataset,
        "subset": outcomes.subset,
        "text": outcomes.queries.text,
    }
    planes = {
        f"{plane} {model}": getattr(outcomes, plane)[:, outcomes.models.index(model)]
        for plane in ("score", "cost", "tokens_in", "tokens_out", "seconds")
        for model in sorted(outcomes.models)
    }
    return pl.DataFrame({name: list(values) for name, values in {**labels, **planes}.items()})


def test_many_edits_at_once_give_what_a_fresh_chain_gives(chain: Chain, tmp_path: Path) -> None:
    for edit in (
        row(3, "question", OTHER_QUESTION), row(5, "part", "low"), row(7, "answer", 3),
        lambda chain: chain.rows(lambda rows: rows.pop(9)), lambda chain: chain.rows(lambda rows: rows.reverse()),
        more("datasets.1", limit=3), setting("models", lambda models: [THIRD, models[0]]),
        setting("bench.routers", ["knn:k=3", "task_lookup"]), setting("bench.seeds", [7, 42]), more("bench", ratio=0.6),
    ):  # fmt: skip
        edit(chain)
        chain.run()
    fresh = Chain(tmp_path / "fresh", chain.pool)
    shutil.copytree(chain.folder, fresh.folder, ignore=shutil.ignore_patterns("replies", "outcomes", "runs"))
    fresh.run()
    assert numbers(chain.folder / "outcomes").equals(numbers(fresh.folder / "outcomes"))
    (board, other) = (read_json(one.folder / "runs" / "report" / "report.json")["rows"] for one in (chain, fresh))
    assert [one["name"] for one in board] == [one["name"] for one in other]
    for one, another in zip(board, other, strict=True):
        assert one["avg_acc"] == another["avg_acc"]
        assert one["cost"] == another["cost"]


@pytest.mark.parametrize(
    ("edit", "back", "needs_cache"),
    [
        (setting("models", lambda models: models[:1]), setting("models", lambda models: [*models, HASTY]), False),
        (more("datasets.0", limit=5), setting("datasets.0", {"name": "sums.yaml"}), False),
        (setting("datasets", lambda two: two[1:]), setting("datasets", lambda one: [SUMS_FILE, *one]), False),
        (row(3, "question", NEW_QUESTION), row(3, "question", "What is 3 + 3? Think of pears."), True),
    ],
    ids=["model", "limit", "dataset", "question"],
)
def test_what_is_not_asked_any_more_comes_back_for_nothing(
    edit: Edit, back: Edit, needs_cache: bool, chain: Chain
) -> None:
    was = numbers(chain.folder / "outcomes")
    edit(chain)
    chain.run()
    assert not numbers(chain.folder / "outcomes").equals(was)
    before = chain.pool.asked()
    back(chain)
    if not needs_cache:
        (chain.folder / "cache.sqlite").unlink()
    chain.run()
    assert numbers(chain.folder / "outcomes").equals(was)
    assert chain.pool.asked()[0] == before[0]


def test_a_split_in_a_file_is_known_by_its_content(chain: Chain, tmp_path: Path) -> None:
    ids = Outcomes.load(chain.folder / "outcomes").queries.id.tolist()
    write_json(chain.folder / "mine.json", {"train": ids[::2], "test": ids[1::2]})
    more("bench", split="mine.json")(chain)
    assert chain.run() == BENCHED
    moved = Chain(shutil.copytree(chain.folder, tmp_path / "elsewhere"), chain.pool)
    assert moved.run() == []
    write_json(moved.folder / "mine.json", {"train": ids[1::2], "test": ids[::2]})
    assert moved.run() == BENCHED


def test_a_bench_whose_decisions_are_all_gone_is_done_again(chain: Chain) -> None:
    shutil.rmtree(chain.one("runs/*/decisions"))
    assert chain.run() == BENCHED
    runs = chain.one("runs/*/runs.json").parent
    before = decided(runs)
    (runs / "runs.json").unlink()
    assert chain.run() == BENCHED
    assert decided(runs) == before  # only what was said of them was gone


def test_a_new_version_of_the_package_does_the_rest_again(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llmrouterbench.chain, "__version__", "another")
    assert chain.run() == SCORED


def test_an_extra_that_was_installed_since_makes_the_report_again(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llmrouterbench.chain, "find_spec", lambda name: None)
    assert chain.run() == ["report"]


def test_other_settings_of_a_model_are_refused_before_anything_is_asked(chain: Chain) -> None:
    before = chain.pool.asked()
    more("models.0", temperature=0.9)(chain)
    with pytest.raises(ValueError, match="holds replies of model 'careful' that were collected with other settings"):
        chain.run()
    assert chain.pool.asked() == before


def test_what_an_earlier_report_had_does_not_stay_beside_the_new_numbers(chain: Chain) -> None:
    report = chain.folder / "runs" / "report"
    (report / "notes.txt").write_text("mine")
    more("report", figures=True)(chain)
    assert chain.run() == ["report"]
    assert (report / "exhibits.md").is_file()
    more("report", figures=False)(chain)
    assert chain.run() == ["report"]
    assert not (report / "exhibits.md").exists()
    assert (report / "notes.txt").is_file()


# --- commands alone --------------------------------------------------------------------------------------------------

PLUGIN = """
class Fixed:
    def fit(self, train):
        self.models_ = train.models
        return self

    def predict(self, queries):
        import numpy as np
        from llmrouterbench import Estimate
        score = np.zeros((len(queries), len(self.models_)))
        score[:, CHOSEN] = 1.0
        return Estimate(self.models_, score, np.zeros_like(score))
"""
SCRIPT = """
from llmrouterbench import bench
from llmrouterbench.routers import make_router
from mine import Fixed
routers = {"fixed": Fixed(), "best_single": make_router("best_single")}
bench("outcomes", "runs", routers=routers, seeds=[42], jobs=1)
"""


def command(folder: Path, *words: str) -> str:
    """What a command says on standard error."""
    program = [sys.executable, "-m", "llmrouterbench", *words]
    ran = subprocess.run(program, cwd=folder, capture_output=True, text=True, env={**os.environ, "COLUMNS": "1000"})
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Outcomes whose texts or description a case may change, with the same numbers."""
    write_outcomes(table("question"), tmp_path / "outcomes")
    return tmp_path / "outcomes"


def table(text: str) -> Outcomes:
    random = np.random.default_rng(3)
    texts = [f"{text} {i} about {('apples', 'pears')[i % 2]}" for i in range(40)]
    return Outcomes.of(texts, ["a", "b"], random.random((40, 2)), cost=random.random((40, 2)))


def decided(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("decisions/*/*.parquet")}


def test_a_bench_decides_again_on_other_texts_or_vectors(outcomes: Path, tmp_path: Path) -> None:

    def vectors(text: str, seed: int) -> None:
        names = [text_hash(one) for one in table(text).queries.text]
        random = np.random.default_rng(seed).normal(size=(len(names), 4))
        np.savez(tmp_path / "vectors.npz", embedding=random, text_hash=np.array(names))

    def bench_it() -> dict[str, int]:
        embedder = f"file:{tmp_path / 'vectors.npz'}"
        bench(outcomes, tmp_path / "runs", routers=["knn:k=3"], seeds=[42], jobs=1, embedder=embedder)
        return decided(tmp_path / "runs")

    vectors("question", 1)
    first = bench_it()
    assert bench_it() == first
    vectors("question", 2)
    second = bench_it()
    assert second != first
    write_outcomes(table("puzzle"), outcomes, overwrite=True)
    vectors("puzzle", 2)
    third = bench_it()
    assert third != second
    (tmp_path / "runs" / "decisions" / "knn%3Ak=3" / "42.parquet").write_bytes(b"damaged")
    assert bench_it() != third
    assert load_runs(tmp_path / "runs").missing == []


def test_a_bench_hides_what_may_no_longer_be_shown(outcomes: Path, tmp_path: Path) -> None:
    bench(outcomes, tmp_path / "runs", routers=["best_single"], seeds=[42], jobs=1)
    before = decided(tmp_path / "runs")
    write_outcomes(replace(table("question"), source={"not_shown": ["data"]}), outcomes, overwrite=True)
    runs = bench(outcomes, tmp_path / "runs", routers=["best_single"], seeds=[42], jobs=1)
    assert runs.outcomes.source == {"not_shown": ["data"]}
    assert decided(tmp_path / "runs") == before


def test_a_router_of_one_s_own_decides_again_when_its_source_changed(outcomes: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    times = []
    for chosen in (0, 0, 1):
        (tmp_path / "mine.py").write_text(PLUGIN.replace("CHOSEN", str(chosen)))
        subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)
        times.append(decided(tmp_path / "runs"))
    assert times[0] == times[1]
    assert times[1]["fixed"] != times[2]["fixed"]
    assert times[1]["best_single"] == times[2]["best_single"]
    served = load_runs(tmp_path / "runs").decisions["fixed", 42].parts["test"].model
    assert set(served.tolist()) == {1}


def test_score_says_what_changed_since_it_was_collected(chain: Chain) -> None:
    score = ["score", "replies", "--to", "outcomes", "--config", "run.yaml"]
    assert "scored as collected" not in command(chain.folder, *score)
    row(3, "answer", 5)(chain)
    assert "dataset sums: 1 questions with another answer, label or detail; scored as" in command(chain.folder, *score)
    assert "dataset sums: 1 questions with another answer" in command(chain.folder, "collect", "run.yaml")
    before = Outcomes.load(chain.folder / "outcomes").score.sum()
    assert "scored as collected" not in command(chain.folder, *score)
    assert Outcomes.load(chain.folder / "outcomes").score.sum() != before


def test_score_asks_a_judge_again_that_is_asked_otherwise(chain: Chain) -> None:
    before = chain.pool.asked()
    more("judges.0", temperature=0.9)(chain)
    command(chain.folder, "score", "replies", "--to", "outcomes", "--config", "run.yaml")
    assert chain.pool.asked()[1] - before[1] == 2 * POEMS


def test_score_reads_replies_again_where_its_scores_were_changed(chain: Chain) -> None:
    before = numbers(chain.folder / "outcomes")
    touched_scores(chain)
    command(chain.folder, "score", "replies", "--to", "outcomes", "--config", "run.yaml")
    assert numbers(chain.folder / "outcomes").equals(before)


def test_a_scorer_of_one_s_own_is_known_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    names = []
    for text in ("", "", "# another reading\n"):
        (tmp_path / "my_scorer.py").write_text(f"{text}def score(item, reply, instruments): ...\n")
        scorer = importlib.import_module("my_scorer").score
        names.append(scorer_of(replace(dataset("kandk"), name="mine", score=scorer), "ours"))
    assert names[0] == names[1] != names[2]
    assert names[0].startswith(f"mine@{dataset('kandk').version}+score:")
    assert scorer_of(dataset("kandk"), "ours") == identity(dataset("kandk"))


def test_collect_and_its_plan_say_what_changed(chain: Chain) -> None:
    row(3, "question", OTHER_QUESTION)(chain)
    setting("models.0.price.output", 9.0)(chain)
    setting("models", lambda models: models[:1])(chain)
    said = command(chain.folder, "collect", "run.yaml", "--dry-run")
    for sentence in (
        "dataset sums: 1 questions changed and asked again, but for what the cache has",
        "model hasty is not in the config any more: its replies stay on the disk and leave the outcomes",
        "model careful has another price now: replies that are there keep what they cost when they came",
    ):
        assert sentence in said
    (row_of_careful,) = plan(read_config(chain.folder / "run.yaml"))
    assert (row_of_careful.there, row_of_careful.to_ask) == (SUMS + POEMS - 1, 1)
    assert command(chain.folder, "run", "run.yaml").startswith(said.partition("about")[0])
    assert not changes(
        read_config(chain.folder / "run.yaml"), load_all_questions(read_config(chain.folder / "run.yaml"))
    )
