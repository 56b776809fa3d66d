"""How good is a reply? A logistic regression on its text, its length and what was expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrouterbench.routers._linear_models import Affine, fit_affine, logistic_loss, sigmoid
from llmrouterbench.table import FloatArray, IntArray

_WORDS = 256
_LAST = 2000
"""Characters at the end of a reply that are read: where answers stand."""
_MOST_ROWS = 20_000
"""Replies that a judge is fitted to; more are sampled down."""
_PENALTY = 3.0


@dataclass(frozen=True)
class ReplyJudge:
    """Expected score of a reply, from its text and the estimate before it was read.

    usual   (m,) mean log length of each model's replies
    affine  from features to the log odds of a good reply
    """

    usual: FloatArray
    affine: Affine

    def __call__(self, text: Sequence[str], model: IntArray, prior: FloatArray) -> FloatArray:
        """Scores (n,) of replies `text` by models (n,), of which `prior` (n,) was expected."""
        return sigmoid(self.affine(_features(text, model, prior, self.usual)))[:, 0]


def fit_judge(
    text: Sequence[str], model: IntArray, prior: FloatArray, score: FloatArray, models: int, seed: int
) -> ReplyJudge:
    """Fit to replies (n,) with known scores (n,)."""
    kept = np.sort(np.random.default_rng(seed).permutation(len(text))[:_MOST_ROWS])
    text, model, prior, score = [text[i] for i in kept], model[kept], prior[kept], score[kept]
    length = _log_length(text)
    count = np.bincount(model, minlength=models)
    overall = length.mean() if len(length) else 0.0
    usual = np.where(count > 0, np.bincount(model, length, minlength=models) / np.maximum(count, 1), overall)
    features = _features(text, model, prior, usual)
    return ReplyJudge(usual, fit_affine(features, score[:, None], logistic_loss, _PENALTY))


def _features(text: Sequence[str], model: IntArray, prior: FloatArray, usual: FloatArray) -> FloatArray:
    """Log odds of the prior, length against the model's usual one and its square, the model, and hashed words."""
    from sklearn.feature_extraction.text import HashingVectorizer

    odds = np.clip(prior, 0.01, 0.99)
    longer = _log_length(text) - usual[model]
    plain = np.stack([np.log(odds / (1.0 - odds)), longer, longer**2], axis=1)
    words = HashingVectorizer(n_features=_WORDS, ngram_range=(1, 2), alternate_sign=False, token_pattern=r"\w+|[^\w\s]")
    counts: Any = words.transform([reply[-_LAST:] for reply in text]) if len(text) else np.zeros((0, _WORDS))
    return np.hstack([plain, np.eye(len(usual))[model], counts.toarray() if len(text) else counts])


def _log_length(text: Sequence[str]) -> FloatArray:
    return np.log1p(np.array([len(reply) for reply in text], dtype=np.float64))
