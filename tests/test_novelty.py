"""Queries out of distribution, on directions that are near or far by construction."""

import numpy as np
import pytest

from llmrouterbench.production.novelty import MOST, fit_novelty, nearest_cosine
from llmrouterbench.table import FloatArray


def around(axis: int, n: int, seed: int, d: int = 8) -> FloatArray:
    rows = np.eye(d)[axis] + 0.1 * np.random.default_rng(seed).standard_normal((n, d))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


NOTHING = np.eye(8)[7]


def test_a_share_of_ordinary_queries_is_far_and_all_of_another_direction() -> None:
    novelty = fit_novelty(around(0, 300, 0), around(0, 400, 1), NOTHING, 0.05, 0)
    assert novelty.far(around(0, 2000, 2)).mean() == pytest.approx(0.05, abs=0.03)
    assert novelty.far(around(3, 50, 3)).all()
    assert not novelty.far(around(0, 300, 0)).any()  # what is known is near to itself


def test_a_text_that_says_nothing_is_far_although_it_lies_amid_the_others() -> None:
    known = np.concatenate([around(7, 50, 0), around(0, 50, 1)])
    novelty = fit_novelty(known, around(7, 50, 2), NOTHING, 0.01, 0)
    assert nearest_cosine(NOTHING[None], novelty.known)[0] > 0.9
    assert novelty.far(NOTHING[None]).all()


def test_no_share_means_that_only_nothing_is_far() -> None:
    novelty = fit_novelty(around(0, 50, 0), around(0, 50, 1), NOTHING, 0.0, 0)
    assert novelty.far(np.stack([-np.eye(8)[0], NOTHING])).tolist() == [False, True]
    with pytest.raises(ValueError, match="from 0 to below 1, got 1"):
        fit_novelty(around(0, 5, 0), around(0, 5, 1), NOTHING, 1.0, 0)


def test_one_query_is_judged_as_in_a_crowd_and_a_sample_is_kept_of_many() -> None:
    novelty = fit_novelty(around(0, MOST + 500, 0), around(0, 300, 1), NOTHING, 0.1, 0)
    assert novelty.known.shape == (MOST, 8)
    queries = np.concatenate([around(0, 200, 5), around(2, 20, 6)])
    assert [bool(novelty.far(row[None])[0]) for row in queries] == novelty.far(queries).tolist()
