"""Simulated queries: sentences over invented word lists, with a dataset and a subskill that show in the words.

The lists are `data/simulated_words.toml`. Nothing here is taken from a real dataset.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import FloatArray, IntArray, StrArray

FRAMES = (
    "The {} and the {} share one {a} {}.",
    "The {} near the {} depends on one {a} {}.",
    "Suppose that every {} has its {} and that the {} is {a}.",
    "We know the {}, the {} and the {}, but the {a} {} is missing.",
    "Between the {} and the {} there are {k} steps of one {a} {}.",
    "After {k} rounds the {} turns into another {} with a {a} {}.",
    "Only {k} in {big} hold the {} or some {a} {}.",
    "Nobody has compared the {} with the {a} {} of this {}.",
    "In the {a} {} there were {k} of the {} and {big} of the {}.",
    "This {a} {} keeps the {} away from the {}.",
)
CLOSINGS = (
    "Which {} fits the {}?",
    "What is the {} of this {}?",
    "How does the {} change the {}?",
    "Why does the {} decide about the {}?",
    "Which {} leaves the {} as it is?",
)
OWN_TOPIC, OTHER_TOPIC, DATASET = 0.42, 0.06, 0.28
"""Shares of a sentence's nouns taken from the query's topic, from another topic of the dataset, from the dataset."""


@dataclass(frozen=True)
class Vocabulary:
    """Words, prompt template and round figures of one simulated dataset, see `data/simulated_words.toml`."""

    template: str
    words: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]
    input_tokens: int
    length: float
    copies: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SimulatedQueries:
    """Queries of one dataset with what the simulator knows about them and a router does not.

    text, prompt  n strings
    topic         (n,) subskill, 0 ... topics - 1
    difficulty    (n,) standard normal, higher is harder
    words         (n,) words of the prompt
    """

    text: tuple[str, ...]
    prompt: tuple[str, ...]
    topic: IntArray
    difficulty: FloatArray
    words: IntArray

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: IntArray) -> SimulatedQueries:
        """Some of the queries, in the order of `rows`."""
        picked = rows.tolist()
        return SimulatedQueries(
            tuple(self.text[row] for row in picked),
            tuple(self.prompt[row] for row in picked),
            self.topic[rows],
            self.difficulty[rows],
            self.words[rows],
        )


@cache
def _word_file() -> dict[str, dict[str, Any]]:
    return tomllib.loads((resources.files("llmrouterbench") / "data" / "simulated_words.toml").read_text("utf-8"))


@cache
def vocabulary(dataset: str) -> Vocabulary:
    """The word lists of a dataset. Raises KeyError for a dataset that has none.

    >>> len(vocabulary("aime").topics), vocabulary("finqa").copies
    (4, ((500, 7),))
    """
    tables = _word_file()
    if dataset not in tables or dataset == "shared":
        raise KeyError(f"no simulated dataset named {dataset!r}{did_you_mean(dataset, set(tables) - {'shared'})}")
    table = tables[dataset]
    return Vocabulary(
        template=table["template"],
        words=tuple(table["words"].split()),
        topics=tuple(tuple(line.split()) for line in table["topics"]),
        input_tokens=table["input_tokens"],
        length=table["length"],
        copies=tuple((row, original) for row, original in table.get("copies", [])),
    )


def random_stream(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for every seed and name, the same on every machine.

    Raises ValueError for a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    return np.random.default_rng([seed, *"/".join(names).encode()])


def write_queries(dataset: str, n: int, seed: int) -> SimulatedQueries:
    """Make n queries of a dataset; rows that the word file lists as copies repeat an earlier prompt."""
    vocab = vocabulary(dataset)
    rng = random_stream(seed, "queries", dataset)
    share = rng.dirichlet(np.full(len(vocab.topics), 8.0))
    topic = rng.choice(len(vocab.topics), size=n, p=share)
    difficulty = rng.standard_normal(n)
    text = _sentences(vocab, topic, difficulty, rng)
    source = np.arange(n)
    for row, original in vocab.copies:
        if row < n:
            source[row] = original
    prompt = [vocab.template.format(query=one) for one in text]
    words = np.array([one.count(" ") + 1 for one in prompt], dtype=np.int64)
    return SimulatedQueries(tuple(text), tuple(prompt), topic, difficulty, words).take(source)


_NOUNS, _STATEMENTS = 14, 3


def _sentences(vocab: Vocabulary, topic: IntArray, difficulty: FloatArray, rng: np.random.Generator) -> list[str]:
    """Texts (n,) of two or three statements and a question; harder ones are longer and use harder adjectives."""
    n = len(topic)
    nouns = _nouns(vocab, topic, rng).tolist()
    adjectives = _adjectives(difficulty, rng).tolist()
    frames = np.argsort(rng.random((n, len(FRAMES))), axis=1)[:, :_STATEMENTS].tolist()
    closing = rng.integers(len(CLOSINGS), size=n).tolist()
    number = rng.integers(2, 1000, size=(n, 2)).tolist()
    long = (difficulty + rng.standard_normal(n) > 0.3).tolist()
    texts = []
    for row in range(n):
        parts = [FRAMES[f] for f in frames[row][: _STATEMENTS - 1 + long[row]]]
        left = iter(nouns[row])
        k, more = number[row]
        said = [
            part.format(*(next(left) for _ in range(part.count("{}"))), a=adjective, k=k, big=k + more)
            for part, adjective in zip(parts, adjectives[row], strict=False)
        ]
        texts.append(" ".join([*said, CLOSINGS[closing[row]].format(*nouns[row][-2:])]))
    return texts


def _nouns(vocab: Vocabulary, topic: IntArray, rng: np.random.Generator) -> StrArray:
    """(n, 14) words: most of the query's topic and dataset, some of other topics, the rest shared by all datasets."""
    shape = (len(topic), _NOUNS)
    kind = rng.random(shape)
    other = rng.integers(len(vocab.topics), size=shape)
    table, width = _padded(vocab.topics)
    line = np.where(kind < OWN_TOPIC, topic[:, None], other)
    out = table[line, rng.integers(width[line])]
    own = np.array(vocab.words)[rng.integers(len(vocab.words), size=shape)]
    shared = _shared("words")[rng.integers(len(_shared("words")), size=shape)]
    from_topic, from_dataset = OWN_TOPIC + OTHER_TOPIC, OWN_TOPIC + OTHER_TOPIC + DATASET
    return np.where(kind < from_topic, out, np.where(kind < from_dataset, own, shared))


def _padded(topics: tuple[tuple[str, ...], ...]) -> tuple[StrArray, IntArray]:
    """Topic words as a rectangle, and the number of words of each topic."""
    width = np.array([len(line) for line in topics])
    return np.array([[*line, *[""] * (width.max() - len(line))] for line in topics]), width


def _adjectives(difficulty: FloatArray, rng: np.random.Generator) -> StrArray:
    """(n, 3) adjectives, from the hard list more often for hard queries."""
    shape = (len(difficulty), _STATEMENTS)
    is_hard = rng.random(shape) < 1.0 / (1.0 + np.exp(-1.2 * difficulty[:, None]))
    easy, hard = _shared("easy"), _shared("hard")
    return np.where(is_hard, hard[rng.integers(len(hard), size=shape)], easy[rng.integers(len(easy), size=shape)])


def _shared(key: str) -> StrArray:
    return np.array(_word_file()["shared"][key].split())
