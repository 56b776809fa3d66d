"""The nouns refuse what they must, and hand out what they hold."""

import pickle
from typing import Any

import numpy as np
import pytest

from llmrouterbench.table import PLANES, Estimate, Outcomes, Queries, Text, duplicate_groups


def small() -> Outcomes:
    return Outcomes.of(
        ["a", "b", "c"],
        ["small", "large"],
        [[1.0, 1.0], [0.0, 1.0], [np.nan, 0.5]],
        dataset=["x", "x", "y"],
        cost=[[1.0, 9.0], [1.0, 9.0], [np.nan, 9.0]],
    )


def test_wrong_shape_names_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"Outcomes.score must be \(queries, models\) = \(2, 1\), got \(1, 2\)"):
        Outcomes.of(["a", "b"], ["m"], [[1.0, 0.0]])


@pytest.mark.parametrize(("value", "shown"), [(7.0, "7"), (-0.1, "-0.1"), (np.inf, "inf")])
def test_score_out_of_range_names_query_and_model(value: float, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"Outcomes.score must be between 0 and 1, got {shown} for query '1'"):
        Outcomes.of(["a", "b"], ["m"], [[1.0], [value]])


def test_negative_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="Outcomes.cost must be between 0"):
        Outcomes.of(["a"], ["m"], [[1.0]], cost=[[-1.0]])


def test_repeated_names_are_refused() -> None:
    with pytest.raises(ValueError, match="every model must occur once in Outcomes, got 'm' twice"):
        Outcomes.of(["a"], ["m", "m"], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="every query id must occur once in Outcomes, got 'i' twice"):
        Outcomes.of(["a", "b"], ["m"], [[1.0], [1.0]], id=["i", "i"])


def test_take_and_select_keep_rows_and_columns_together() -> None:
    part = small().take(np.array([2, 0])).select(["large"])
    assert part.queries.id.tolist() == ["2", "0"]
    assert list(part.queries.text) == ["c", "a"]
    assert part.score.tolist() == [[0.5], [1.0]]
    assert part.dataset.tolist() == ["y", "x"]


def test_select_suggests_a_name() -> None:
    with pytest.raises(KeyError, match="no model named 'larg' in these outcomes; did you mean 'large'"):
        small().select(["larg"])


def test_content_hash_sees_every_number_and_ignores_negative_zero() -> None:
    same = Outcomes.of(["a"], ["m"], [[0.0]], cost=[[0.0]])
    assert same.content_hash == Outcomes.of(["a"], ["m"], [[-0.0]], cost=[[0.0]]).content_hash
    assert same.content_hash != Outcomes.of(["a"], ["m"], [[0.0]], cost=[[np.nan]]).content_hash
    assert same.content_hash != Outcomes.of(["a"], ["n"], [[0.0]], cost=[[0.0]]).content_hash


def test_text_is_read_at_the_first_look_only() -> None:
    reads = []

    def load() -> list[str]:
        reads.append(1)
        return ["a", "b", "c"]

    text = Text(load, np.arange(3)).take(np.array([1, 2]))
    assert (len(text), reads) == (2, [])
    assert (text[0], text[:], reads) == ("b", ["b", "c"], [1])


def test_text_travels_to_another_process_unread() -> None:
    text = Text.of(["a", "b"]).take(np.array([1]))
    assert list(pickle.loads(pickle.dumps(text))) == ["b"]


def test_queries_without_embedding_say_who_needs_it() -> None:
    with pytest.raises(ValueError, match="router 'knn' needs query embeddings"):
        Queries.of(["a"]).embedded("router 'knn'")


def test_embedding_must_have_a_row_per_query() -> None:
    with pytest.raises(ValueError, match=r"Queries.embedding must have one entry per query \(2\), got 1"):
        Queries.of(["a", "b"], embedding=np.ones((1, 3)))


def test_estimate_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="Estimate.score must be finite"):
        Estimate(("m",), np.array([[np.nan]]), np.array([[1.0]]))


def test_duplicates_count_within_a_dataset_only() -> None:
    names = np.array(["x", "y", "x", "x"])
    assert duplicate_groups(names, ["p", "p", "q", "p"]).tolist() == [0, 1, 2, 0]


def test_embeddings_go_with_their_queries() -> None:
    vectors = np.arange(6.0).reshape(3, 2)
    embedded = small().with_embedding(vectors)
    assert embedded.content_hash == small().content_hash
    np.testing.assert_array_equal(embedded.take(np.array([2, 0])).queries.embedded("a test"), vectors[[2, 0]])
    assert small().take(np.array([1])).queries.embedding is None


def test_every_plane_is_taken_selected_and_hashed() -> None:
    rng = np.random.default_rng(0)
    planes: dict[str, Any] = {name: rng.random((3, 2)) for name in PLANES}
    whole = Outcomes.of(["a", "b", "c"], ["m", "n"], **planes)
    for name, plane in planes.items():
        np.testing.assert_array_equal(getattr(whole.take(np.array([2, 1])), name), plane[[2, 1]])
        np.testing.assert_array_equal(getattr(whole.select(["n"]), name), plane[:, [1]])
        other = Outcomes.of(
            ["a", "b", "c"], ["m", "n"], **(planes | {name: np.where(plane == plane[0, 0], 0.5, plane)})
        )
        assert other.content_hash != whole.content_hash


def test_what_is_not_given_is_not_measured_and_not_simulated() -> None:
    plain = Outcomes.of(["a", "b"], ["m"], [[1.0], [0.0]], prompt=["Say a", "Say b"])
    assert not plain.simulated
    assert (plain.subset.tolist(), plain.dataset.tolist(), plain.index.tolist()) == (["", ""], ["data"] * 2, [0, 1])
    assert (list(plain.queries.prompt), list(plain.queries.text)) == (["Say a", "Say b"], ["a", "b"])
    assert all(np.isnan(getattr(plain, name)).all() for name in PLANES[1:])


@pytest.mark.parametrize("name", PLANES[1:])
def test_each_plane_is_named_where_it_is_wrong(name: str) -> None:
    wrong: dict[str, Any] = {name: [[1.0]]}
    with pytest.raises(ValueError, match=rf"Outcomes.{name} must be \(queries, models\) = \(2, 1\), got \(1, 1\)"):
        Outcomes.of(["a", "b"], ["m"], [[1.0], [0.0]], **wrong)
    wrong = {name: [[1.0], [-1.0]]}
    with pytest.raises(ValueError, match=rf"Outcomes.{name} must be between 0 and .*, got -1 for query 'q2'"):
        Outcomes.of(["a", "b"], ["m"], [[1.0], [0.0]], id=["q1", "q2"], **wrong)


def test_what_stands_twice_is_named() -> None:
    with pytest.raises(ValueError, match="every query id must occur once in Outcomes, got 'q' twice"):
        Outcomes.of(["a", "b", "c"], ["m"], [[1.0]] * 3, id=["p", "q", "q"])
    with pytest.raises(ValueError, match="every model must occur once in Outcomes, got 'n' twice"):
        Outcomes.of(["a"], ["m", "n", "n"], [[1.0] * 3])
