"""The matrix of routers: corrections by hand and against their definitions, words, and error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.reporting.words import standing_sentence
from llmrouterbench.stats import Sample, holm
from llmrouterbench.studies.differences import benjamini_hochberg, compare_columns, p_value

P = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).map(np.array)


def sample(*columns: np.ndarray) -> Sample:
    score = np.stack(columns, axis=1).astype(float)
    return Sample(np.full(len(score), "x"), np.arange(len(score)), score, np.full(score.shape, np.nan))


def test_corrections_by_hand() -> None:
    p = np.array([0.001, 0.02, 0.04, 0.5])
    assert holm(p).tolist() == pytest.approx([0.004, 0.06, 0.08, 0.5])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.004, 0.04, 4 * 0.04 / 3, 0.5])


@given(P)
def test_corrections_never_lower_a_p_value_and_keep_the_order(p: np.ndarray) -> None:
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert (adjusted >= p - 1e-12).all()
        assert (adjusted <= 1.0).all()
        order = np.argsort(p, kind="stable")
        assert (np.diff(adjusted[order]) >= -1e-12).all()
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()
    assert (holm(p) <= np.minimum(p * len(p), 1.0) + 1e-12).all()


def test_the_matrix_is_antisymmetric_and_says_it_in_words() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400) < 0.5
    better = base | (rng.random(400) < 0.5)
    twin = base.copy()
    twin[:2] = ~twin[:2]
    found = compare_columns([sample(base, better, twin)], ["base", "better", "twin"])
    assert found.names[0] == "better"
    np.testing.assert_allclose(found.difference, -found.difference.T)
    np.testing.assert_allclose(found.low, -found.high.T)
    np.testing.assert_allclose(found.adjusted, found.adjusted.T)
    assert found.tied_with("base") == ("twin",)
    assert standing_sentence(found, "better") == "better: better than 2 of 2 others (holm, level 0.05)"
    assert standing_sentence(found, "base") == (
        "base: worse than 1 of 2 others, not distinguishable from twin (holm, level 0.05)"
    )
    with pytest.raises(KeyError, match="did you mean 'base'"):
        standing_sentence(found, "bse")


def test_equal_columns_cannot_be_told_apart() -> None:
    column = np.random.default_rng(1).random(50)
    found = compare_columns([sample(column, column)], ["a", "b"])
    assert found.p.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert standing_sentence(found, "a") == "a: not distinguishable from b (holm, level 0.05)"


def test_missing_scores_and_one_router_are_no_error() -> None:
    column = np.random.default_rng(1).random(50)
    holes = np.where(np.arange(50) % 5 == 0, np.nan, column)
    found = compare_columns([sample(column, holes)], ["a", "b"])
    assert np.isfinite(found.difference).all()
    nothing = compare_columns([sample(column, np.full(50, np.nan))], ["a", "b"])
    assert nothing.tied_with("a") == ("b",)
    assert standing_sentence(compare_columns([sample(column)], ["a"]), "a") == "a: alone (holm, level 0.05)"


def test_p_values_of_equal_routers_are_honest() -> None:
    # 200 pairs of routers of equal strength: about 5 % may be below 0.05 without correction
    rng = np.random.default_rng(5)
    low = 0
    for _ in range(200):
        a, b = rng.random((2, 150)) < 0.5
        found = compare_columns([sample(a, b)], ["a", "b"], replicates=200)
        low += found.p[0, 1] < 0.05
    assert 1 <= low <= 22


def test_bad_settings_are_refused() -> None:
    one = sample(np.ones(5), np.zeros(5))
    with pytest.raises(ValueError, match="no multiple-comparison control named 'homl'; did you mean 'holm'"):
        compare_columns([one], ["a", "b"], control="homl")
    with pytest.raises(ValueError, match="between 0 and 1"):
        compare_columns([one], ["a", "b"], alpha=1.0)


def test_a_certain_difference_without_spread() -> None:
    assert p_value(1.0, np.ones(10)) == 0.0
    assert p_value(float("nan"), np.ones(10)) == 1.0
