"""Neighbours and clusters of more training queries than can all be compared."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans

from llmrouterbench.persist import load_router, save_router
from llmrouterbench.routers import make_router
from llmrouterbench.routers._k_means import k_means
from llmrouterbench.routers._neighbours import COMPARED, WHOLE, Cells, Single, near_rows
from llmrouterbench.table import Outcomes

pytestmark = pytest.mark.slow
TOPICS, DIMENSIONS, K = 40, 16, 20


def topics(n: int, seed: int, spread: float = 0.5) -> Single:
    """Unit rows (n, d) about 40 centres, the same ones for every seed; row i belongs to topic i % 40."""
    centre = np.random.default_rng(7).standard_normal((TOPICS, DIMENSIONS))
    rows = centre[np.arange(n) % TOPICS] + spread * np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
    unit: Single = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def training() -> Single:
    return topics(WHOLE + 10_000, 1)


@pytest.fixture(scope="module")
def cells(training: Single) -> Cells:
    made = Cells.of(training)
    assert made is not None
    return made


def marked(training: Single, queries: Single, cells: Cells | None) -> np.ndarray:
    """Which training rows (q, n) count for each query."""
    found = np.full((len(queries), len(training)), -1.0)
    for block, (near,) in near_rows(training, queries, [K], cells):
        assert (found[block] == -1.0).all()
        found[block] = near.toarray()
    assert (found >= 0.0).all()
    return found > 0.0


def test_up_to_the_limit_every_training_query_is_compared() -> None:
    assert Cells.of(topics(WHOLE, 1)) is None


def test_cells_hold_every_training_query_once_and_enough_are_compared(training: Single, cells: Cells) -> None:
    assert np.array_equal(np.sort(cells.row), np.arange(len(training)))
    for cell in range(0, len(cells.centre), 32):
        about = cells.about(cell, COMPARED)
        assert COMPARED <= len(about) < len(training)
        assert (np.diff(about) > 0).all()
        assert set(cells.row[cells.start[cell] : cells.start[cell + 1]]) <= set(about)


def test_neighbours_among_cells_are_nearly_those_among_all(training: Single, cells: Cells) -> None:
    queries = topics(200, 2)
    some, every = marked(training, queries, cells), marked(training, queries, None)
    assert (some.sum(axis=1) >= K).all()
    assert (some & every).sum() / every.sum() > 0.95
    # Whatever was missed, what was found is the nearest of what was compared.
    similarity = queries @ training.T
    for row in range(0, 200, 40):
        about = cells.about(int((queries[row] @ cells.centre.T).argmax()), COMPARED)
        kth = np.sort(similarity[row, about])[-K]
        assert set(np.flatnonzero(some[row])) == {int(one) for one in about if similarity[row, one] >= kth - 1e-7}


def test_of_many_neighbours_ten_times_as_many_are_compared(training: Single, cells: Cells) -> None:
    ((_, (near,)),) = near_rows(training, topics(1, 2), [5000], cells)
    assert near.shape == (1, len(training))
    assert near.nnz >= 5000


def test_copies_of_one_query_are_one_cell_whoever_is_asked() -> None:
    rows = np.repeat(topics(1, 3), WHOLE + 1, axis=0)
    cells = Cells.of(rows)
    assert cells is not None
    assert np.isfinite(cells.centre).all()
    assert marked(rows, -topics(1, 3), cells).all()


def test_a_query_alone_has_the_neighbours_that_it_has_among_others(training: Single, cells: Cells) -> None:
    queries = topics(30, 3)
    together = marked(training, queries, cells)
    assert all(np.array_equal(marked(training, queries[[i]], cells)[0], together[i]) for i in range(30))


@pytest.mark.parametrize(
    "name", ["knn", *(pytest.param(name, marks=pytest.mark.prove) for name in ("knn_guard", "carrot"))]
)
def test_a_router_of_many_queries_is_stored_with_its_cells(name: str, training: Single, tmp_path: Path) -> None:
    n = len(training)
    wins = (np.arange(n) % TOPICS < TOPICS / 2)[:, None] == np.array([True, False])
    table = Outcomes.of([f"q{i}" for i in range(n)], ["a", "b"], wins, cost=np.ones((n, 2)))
    router = make_router(name).fit(table.with_embedding(training.astype(np.float64)))
    asked = Outcomes.of([f"r{i}" for i in range(400)], ["a", "b"], np.zeros((400, 2)))
    queries = asked.with_embedding(topics(400, 4, 0.1).astype(np.float64)).queries
    said = router.predict(queries).score
    assert np.array_equal(said.argmax(axis=1), (np.arange(400) % TOPICS >= TOPICS / 2).astype(int))
    save_router(router, tmp_path / "router")
    again = load_router(tmp_path / "router")
    assert isinstance(vars(again)["cells_"], Cells)
    assert np.array_equal(again.predict(queries).score, said)


def test_k_means_of_few_rows_is_scikit_learns() -> None:
    rows = topics(2000, 5).astype(np.float64)
    label, centroid = k_means(rows, TOPICS, 42, 3)
    theirs = KMeans(TOPICS, random_state=42, n_init=3).fit(rows)
    assert np.array_equal(label, theirs.labels_)
    assert np.array_equal(centroid, theirs.cluster_centers_)


@pytest.mark.prove
def test_k_means_of_many_rows_finds_the_same_topics_and_puts_every_row_to_the_nearest() -> None:
    rows = topics(WHOLE + 10_000, 6, 0.2).astype(np.float64)
    label, centroid = k_means(rows, TOPICS, 42, 10)
    distance = (centroid**2).sum(axis=1) - 2.0 * rows @ centroid.T
    assert np.array_equal(label, distance.argmin(axis=1))
    topic = np.arange(len(rows)) % TOPICS
    most = [np.bincount(topic[label == i], minlength=TOPICS).max() for i in range(TOPICS)]
    assert sum(most) / len(rows) > 0.99


def test_fewer_distinct_rows_give_fewer_clusters() -> None:
    label, centroid = k_means(np.eye(3)[np.arange(9) % 3], 5, 0, 1)
    assert (len(centroid), len(set(label.tolist()))) == (3, 3)
