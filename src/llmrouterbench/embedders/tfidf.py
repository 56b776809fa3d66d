"""TF-IDF and truncated SVD: the embedder of the base install, fitted on the training texts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.files import read_json, write_json
from llmrouterbench.table import BoolArray, FloatArray

# A word, or one character of a script that writes without spaces (kana, Chinese characters).
_TERM = r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"


class _Fitted(NamedTuple):
    """What a text is read with: terms of a text, column of a term, its weight, the axes, the mean direction.

    idf (terms,), axes (terms, d), mean (d,) of the training texts
    """

    analyze: Callable[[str], list[str]]
    column: dict[str | None, int]
    idf: NDArray[np.float32]
    axes: NDArray[np.float32]
    mean: NDArray[np.float32]

    def projected(self, text: str) -> NDArray[np.float32]:
        """Place (d,) on the axes, bit for bit as scikit-learn's sparse matrices give it, in a tenth of their time."""
        count = Counter(map(self.column.get, self.analyze(text)))
        count.pop(None, None)
        if not count:
            return np.zeros_like(self.mean)
        column, times = np.array(sorted(count.items()), dtype=np.int64).T
        weight = (np.log(times.astype(np.float32)) + np.float32(1)) * self.idf[column]
        length = np.sqrt(np.cumsum((weight * weight).astype(np.float64))[-1])  # summed in order, as scikit-learn does
        unit = (weight / length).astype(np.float32)
        return np.asarray((unit[:, None] * self.axes[column]).sum(axis=0))


class TfidfSvd:
    """Weighs words and word pairs by TF-IDF (logarithmic counts) and keeps the first axes of their SVD.

    dimensions    axes to keep; a corpus with fewer independent texts or terms gives fewer
    ngrams        shortest and longest run of words that counts as a term
    max_features  terms to keep, the most frequent first

    A text without any known term (the empty text too) gets the mean direction of the training texts. `fit` remembers
    the texts; the work is done by the first `embed`, so that cached vectors cost no fit.

    Source: Deerwester et al., 1990 (latent semantic analysis); Halko, Martinsson, Tropp, 2011, arXiv 0909.4061.

    >>> vectors = TfidfSvd(dimensions=2).fit(["red apple", "green apple", "blue sky"]).embed(["apple", "sky"])
    >>> vectors.shape, bool(abs(vectors[0] @ vectors[1]) < 0.1)
    ((2, 2), True)
    """

    fitted_on_train = True

    def __init__(
        self, dimensions: int = 256, ngrams: tuple[int, int] = (1, 2), max_features: int = 50_000, seed: int = 0
    ) -> None:
        if dimensions < 1 or max_features < 1 or not 1 <= ngrams[0] <= ngrams[1]:
            raise ValueError(
                "dimensions and max_features must be at least 1 and ngrams an ascending pair,"
                f" got {dimensions}, {max_features} and {ngrams}"
            )
        self.dimensions = dimensions
        self.ngrams = ngrams
        self.max_features = max_features
        self.seed = seed
        self._train: list[str] = []

    def fit(self, texts: Sequence[str]) -> Self:
        """Take the training texts. Raises ValueError when none of them holds a word."""
        if not any(character.isalnum() for text in texts for character in text):
            raise ValueError(f"training texts must hold a word to fit TF-IDF on, got none in {len(texts)} texts")
        self._train = list(texts)
        for name in ("key", "_fitted"):
            self.__dict__.pop(name, None)
        return self

    @cached_property
    def key(self) -> str:
        """Settings, the scikit-learn version and the sha256 of the training texts."""
        digest = hashlib.sha256()
        for text in self._fit_texts():
            digest.update(hashlib.sha256(text.encode()).digest())
        return (
            f"tfidf-svd dimensions={self.dimensions} ngrams={self.ngrams[0]}-{self.ngrams[1]}"
            f" max_features={self.max_features} seed={self.seed} scikit-learn={version('scikit-learn')}"
            f" train={digest.hexdigest()}"
        )

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors (n, d)."""
        fitted = self._fitted
        projected = np.array([fitted.projected(text) for text in texts]).reshape(len(texts), fitted.axes.shape[1])
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        unit = np.where(length > 1e-6, projected / np.maximum(length, 1e-6), fitted.mean).astype(np.float64)
        rows: FloatArray = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        return rows

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        """All False: every text is read whole."""
        return np.zeros(len(texts), dtype=np.bool_)

    def _fit_texts(self) -> list[str]:
        if not self._train:
            raise ValueError("TfidfSvd must be fitted before it embeds; call fit(training texts)")
        return self._train

    def save_files(self, folder: Path) -> None:
        """Write what was learned: terms as JSON, numbers as NPZ."""
        fitted = self._fitted
        terms = sorted(fitted.column, key=fitted.column.__getitem__)
        write_json(folder / "tfidf.json", {"key": self.key, "settings": self._settings(), "terms": terms})
        np.savez(folder / "tfidf.npz", idf=fitted.idf, axes=fitted.axes, mean=fitted.mean)

    @classmethod
    def load_files(cls, folder: Path) -> Self:
        """Read what `save_files` wrote; it embeds bit for bit as the saved one."""
        saved = read_json(folder / "tfidf.json")
        settings = saved["settings"]
        embedder = cls(settings["dimensions"], tuple(settings["ngrams"]), settings["max_features"], settings["seed"])
        with np.load(folder / "tfidf.npz", allow_pickle=False) as arrays:
            numbers = [arrays[name] for name in ("idf", "axes", "mean")]
        column = {term: i for i, term in enumerate(saved["terms"])}
        analyze = embedder._vectorizer().build_analyzer()
        embedder.__dict__.update(key=saved["key"], _fitted=_Fitted(analyze, column, *numbers))
        return embedder

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("dimensions", "ngrams", "max_features", "seed")}

    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=self.ngrams,
            max_features=self.max_features,
            sublinear_tf=True,
            token_pattern=_TERM,
            dtype=np.float32,
        )

    @cached_property
    def _fitted(self) -> _Fitted:
        from sklearn.utils.extmath import randomized_svd

        vectorizer = self._vectorizer()
        weights = vectorizer.fit_transform(self._fit_texts())
        wanted = min(self.dimensions, *weights.shape)
        _, strength, axes = randomized_svd(weights, wanted, n_iter=4, random_state=self.seed)
        axes = np.ascontiguousarray(axes[strength > 1e-5 * strength[0]].T)  # axes of no strength are rounding noise
        mean = np.asarray((weights @ axes).mean(axis=0), dtype=np.float32)
        column = {term: int(i) for term, i in vectorizer.vocabulary_.items()}
        idf = np.asarray(vectorizer.idf_, dtype=np.float32)
        return _Fitted(vectorizer.build_analyzer(), column, idf, axes, mean / np.linalg.norm(mean))
