"""Gradient boosting: trees on the main directions of the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.metrics import known_mean
from llmrouterbench.routers._linear_models import fit_costs
from llmrouterbench.routers._probes import tally
from llmrouterbench.table import Estimate, FloatArray, IntArray, Outcomes, Queries

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

WHO = "router 'gbm'"
_BLOCK = 1024
_LEAST_LEAF = 20
"""Fewest queries in a leaf."""


@dataclass(frozen=True)
class Trees:
    """t regression trees side by side, their nodes numbered through; a leaf is its own left and right child.

    root       (t,)
    feature    (nodes,)
    threshold  (nodes,) rows with feature <= threshold go left
    left, right  (nodes,)
    value      (nodes, m) what a leaf adds to the estimate of each model
    """

    root: IntArray
    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    depth: int

    def leaves(self, x: NDArray[np.float32]) -> IntArray:
        """Leaf (n, t) of rows (n, d) in each tree."""
        node = np.tile(self.root, (len(x), 1))
        rows = np.arange(len(x))[:, None]
        for _ in range(self.depth):
            goes_left = x[rows, self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        return node

    def __call__(self, x: NDArray[np.float32]) -> FloatArray:
        """Sum (n, m) of the values of the leaves."""
        from scipy.sparse import csr_matrix

        total = np.empty((len(x), self.value.shape[1]))
        for start in range(0, len(x), _BLOCK):
            leaf = self.leaves(x[start : start + _BLOCK])
            ends = np.arange(0, leaf.size + 1, leaf.shape[1])
            chosen = csr_matrix((np.ones(leaf.size), leaf.ravel(), ends), shape=(len(leaf), len(self.value)))
            total[start : start + _BLOCK] = np.asarray(chosen @ self.value)
        return total


class GBM:
    """Boosted regression trees of squared error, every leaf with one value per model.

    trees    rounds of boosting
    depth    of a tree
    rate     learning rate
    dims     directions of the embedding that trees see (those of largest variance in training)
    shrink   leaf values are sums of residuals / (queries + shrink)

    Each round sees half the queries and a quarter of the directions. Costs are ridge regressions of USD.

    Source: Friedman, "Stochastic gradient boosting" (2002); leaves with a value per output: Zhang and Jung, "GBDT-MO"
    (arXiv 1909.04558).
    Differs: the models of the pool share the trees and differ in the leaves, where one booster per model takes as many
    times longer to fit and decide; a model that was not measured on a query does not count in that leaf.
    """

    grid = {"depth": (4, 3, 5), "rate": (0.1, 0.05)}

    def __init__(
        self,
        trees: int = 60,
        depth: int = 4,
        rate: float = 0.1,
        dims: int = 64,
        shrink: float = 10.0,
        seed: int = 42,
    ) -> None:
        if min(trees, depth, dims) < 1:
            raise ValueError(f"trees, depth and dims must be at least 1, got {trees}, {depth} and {dims}")
        if not 0.0 < rate <= 1.0 or shrink < 0:
            raise ValueError(f"rate must be in (0, 1] and shrink at least 0, got {rate:g} and {shrink:g}")
        self.trees, self.depth, self.rate, self.dims = trees, depth, rate, dims
        self.shrink, self.seed = shrink, seed

    def fit(self, train: Outcomes) -> Self:
        """Boost from every model's mean."""
        embedding = train.queries.embedded(WHO)
        self.models_ = train.models
        self.measured_ = np.isfinite(train.score).any(axis=0)
        self.mean_ = np.nan_to_num(known_mean(train.score, axis=0), nan=0.0)
        self.middle_, self.axes_ = self._directions(embedding)
        x = self._reduced(train.queries)
        residual = train.score - self.mean_
        grown = []
        rng = np.random.default_rng(self.seed)
        for _ in range(self.trees):
            tree = self._tree(x, residual, rng)
            residual = residual - tree(x)
            grown.append(tree)
        self.trees_ = side_by_side(grown)
        self.costs_ = fit_costs(embedding, train.cost)
        return self

    def _tree(self, x: NDArray[np.float32], residual: FloatArray, rng: np.random.Generator) -> Trees:
        """One tree fitted to half of the rows, with shrunken leaf values."""
        from sklearn.tree import DecisionTreeRegressor

        half = np.sort(rng.permutation(len(x))[: max(1, len(x) // 2)])
        tree = DecisionTreeRegressor(
            max_depth=self.depth,
            min_samples_leaf=_LEAST_LEAF,
            max_features=0.25,
            random_state=int(rng.integers(2**31)),
        ).fit(x[half], np.nan_to_num(residual[half], nan=0.0))
        count = int(tree.tree_.node_count)
        leaf = np.asarray(tree.apply(x[half]), dtype=np.int64)
        sums = tally(residual[half], leaf, count)
        value = self.rate * sums.total / np.maximum(sums.count + self.shrink, 1.0)
        return as_trees(tree, value)

    def _directions(self, embedding: FloatArray) -> tuple[FloatArray, FloatArray]:
        from sklearn.decomposition import PCA

        dims = min(self.dims, *embedding.shape)
        found = PCA(n_components=dims, random_state=self.seed).fit(embedding)
        return np.asarray(found.mean_, dtype=np.float64), np.asarray(found.components_.T, dtype=np.float64)

    def _reduced(self, queries: Queries) -> NDArray[np.float32]:
        reduced = (queries.embedded(WHO) - self.middle_) @ self.axes_
        return reduced.astype(np.float32)  # what scikit-learn's trees compare

    def predict(self, queries: Queries) -> Estimate:
        """Expected outcomes (n, m); a score may lie a little outside [0, 1]."""
        score = self.mean_ + self.trees_(self._reduced(queries))
        return Estimate(self.models_, np.where(self.measured_, score, 0.0), self.costs_(queries.embedded(WHO)))


def as_trees(tree: DecisionTreeRegressor, value: FloatArray) -> Trees:
    """A fitted scikit-learn tree as arrays, with these values (nodes, m) in its nodes."""
    inner: Any = tree.tree_
    leaf = inner.children_left < 0
    own = np.arange(inner.node_count)
    return Trees(
        root=np.zeros(1, dtype=np.int64),
        feature=np.where(leaf, 0, inner.feature).astype(np.int64),
        threshold=np.asarray(inner.threshold, dtype=np.float64),
        left=np.where(leaf, own, inner.children_left).astype(np.int64),
        right=np.where(leaf, own, inner.children_right).astype(np.int64),
        value=value,
        depth=int(inner.max_depth),
    )


def side_by_side(trees: list[Trees]) -> Trees:
    """Single trees as one forest, nodes numbered through."""
    offset = np.cumsum([0, *(len(tree.value) for tree in trees[:-1])])
    return Trees(
        root=np.asarray(offset, dtype=np.int64),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=np.concatenate([tree.left + at for tree, at in zip(trees, offset, strict=True)]),
        right=np.concatenate([tree.right + at for tree, at in zip(trees, offset, strict=True)]),
        value=np.concatenate([tree.value for tree in trees]),
        depth=max(tree.depth for tree in trees),
    )
