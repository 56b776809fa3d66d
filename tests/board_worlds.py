"""Outcomes of a small world with topics, boards on them, and entries that are honest or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llmrouterbench.benching.folder import Decisions, Served
from llmrouterbench.boards.card import Card
from llmrouterbench.boards.folder import Board
from llmrouterbench.boards.submission import FILE, submission_path
from llmrouterbench.files import read_json, sha256_of, write_json
from llmrouterbench.table import FloatArray, IntArray, Outcomes

MODELS = ("ant", "bee", "cat", "dog")
_WORDS = ("river stone moss", "prime root sum", "verb clause noun", "court claim law", "cell gene bone", "loop list")


def world(queries: int = 600, *, copies: int = 0, seed: int = 0) -> Outcomes:
    """Queries about six topics, on each of which another model is best; the last ones are near-copies in pairs."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, len(_WORDS), queries)
    words = [f"w{i}" for i in range(300)]
    texts = [f"{_WORDS[t]} {' '.join(rng.choice(words, 14))}" for t in topic]
    for one in range(queries - 2 * copies, queries, 2):
        texts[one + 1], topic[one + 1] = texts[one].replace(texts[one].split()[-1], "other"), topic[one]
    apart = 0.15 * rng.standard_normal((len(_WORDS), len(MODELS)))
    skill = np.clip(np.linspace(0.35, 0.6, len(MODELS)) + apart, 0.1, 0.9)
    score = (rng.random((queries, len(MODELS))) < skill[topic]).astype(float)
    cost = (0.5 + rng.random((queries, len(MODELS)))) * np.array([1.0, 2.0, 4.0, 8.0]) / 1000
    names = np.where(topic < 3, "plain", "hard").tolist()
    return Outcomes.of(texts, MODELS, score, dataset=names, cost=cost, simulated=True)


def card(name: str, **said: object) -> Card:
    """A card with what it must say."""
    least = {"name": name, "authors": ["Ada"], "method": "a test", "trained_on": ["nothing"]}
    return Card.model_validate({**least, "code": "https://example.org", **said})


def put(board: Board, name: str, choices: dict[int, IntArray], **said: object) -> Path:
    """A submission of one choice a test query, written past every check."""
    parts = {seed: Served.single(board.splits[seed].test, one[None, :]) for seed, one in choices.items()}
    return put_parts(board, name, parts, **said)


def put_parts(board: Board, name: str, parts: dict[int, Served], **said: object) -> Path:
    """The same of whatever was served and called at one operating point."""
    place = submission_path(board, name)
    nothing = Served.single(np.zeros(0, np.int64), np.zeros((1, 0), np.int64))
    for seed, part in parts.items():
        made = Decisions(name, seed, np.zeros(1), {"validation": nothing, "test": part}, {})
        made.save(place / "decisions" / f"{seed}.parquet")
    write_json(place / "card.json", card(name, **said).model_dump(mode="json", exclude_none=True))
    return sealed(board, place)


def sealed(board: Board, place: Path) -> Path:
    """A submission whose hashes are those of its files, as somebody writes them who changes both."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != FILE)
    empty = {"format": "llmrouterbench/submission", "schema": 1}
    record = read_json(place / FILE) if (place / FILE).is_file() else empty
    hashes = {path.relative_to(place).as_posix(): sha256_of(path) for path in files}
    write_json(place / FILE, {**record, "data_hash": board.outcomes.content_hash, "files": hashes})
    return place


def oracle(full: Outcomes, rows: IntArray) -> IntArray:
    """The best model (n,), of equal ones the cheapest."""
    score: FloatArray = full.score[rows] - 1e-6 * full.cost[rows]
    best: IntArray = score.argmax(axis=1)
    return best
