"""`fit` on a log of 10,000 queries and 10 models with TF-IDF, and `route` one query at a time."""

from __future__ import annotations

import tempfile

from benchmarks.measure import Measured, Row, measure

_SETUP = """
import numpy as np
from llmrouterbench import FittedRouter, simulate
from llmrouterbench.production.fitting import fit
everything = simulate("performance-cost")
rows = np.sort(np.random.default_rng(0).permutation(len(everything))[:10_000])
log = everything.take(rows).select(everything.models[:10])
texts = list(log.queries.prompt)
"""
_FIT = """
fit(log).save({folder!r})
"""
_PLAIN_SETUP = """
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
words = TfidfVectorizer(ngram_range=(1, 2), max_features=50_000, sublinear_tf=True)
best = np.nan_to_num(log.score, nan=-1.0).argmax(axis=1)
"""
_PLAIN = """
model = make_pipeline(words, TruncatedSVD(256, random_state=0), LogisticRegression(max_iter=200)).fit(texts, best)
"""
_ROUTE_SETUP = """
router = FittedRouter.load({folder!r})
router.route(texts[0])
"""
_ROUTE = """
for text in texts[:2000]:
    router.route(text)
"""
_PREDICT = """
for text in texts[:200]:
    model.predict([text])
"""


def rows() -> list[Row]:
    """Two rows: the fit, and 2,000 decisions one by one (the reference is timed on 200 and scaled)."""
    with tempfile.TemporaryDirectory() as name:
        folder = f"{name}/router"
        fitted = measure(_FIT.format(folder=folder), _SETUP)
        plain = measure(_PLAIN, _SETUP + _PLAIN_SETUP)
        routed = measure(_ROUTE, _SETUP + _ROUTE_SETUP.format(folder=folder))
        predicted = measure(_PREDICT, _SETUP + _PLAIN_SETUP + _PLAIN)
    reference = "scikit-learn pipeline of TF-IDF, SVD and one classifier of the best model"
    return [
        Row(
            "fit: 10,000 queries, 10 models, TF-IDF; router and trade-off chosen, calibrated, stored",
            fitted,
            f"{reference}: no choice, no calibration, no policies",
            plain,
            "under 60 s on 2 cores",
        ),
        Row(
            "route: 2,000 queries one by one, with novelty, calibration and fallback order",
            routed,
            f"{reference}, predict alone (200 timed, scaled)",
            Measured(10 * predicted.seconds, predicted.peak),
            "about 1 ms a query",
        ),
    ]
