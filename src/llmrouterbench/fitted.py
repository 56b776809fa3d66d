"""A fitted router in production: load its folder once, then `route` queries.

Note for serve: this is the interface. `route` is thread-safe and takes about a millisecond with TF-IDF; `propensity` is
below 1 only for policies with `--explore`; then the model chosen is `ranking[0]`, and the policy's own first choice
follows. `FittedRouter.embed_texts` gives the vectors that `/v1/embeddings` must not be confused with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmrouterbench.serving_policy import ServingPolicy
from llmrouterbench.table import Estimate


@dataclass(frozen=True)
class Decision:
    """Who serves one query, and why.

    model       who serves
    ranking     all allowed models, best first under the policy: the order of fallback
    score       calibrated score that is expected of `model`
    cost        expected USD; NaN unknown
    seconds     expected; NaN unknown
    reason      "policy", "out of distribution", "nothing meets the policy" or "exploration"
    propensity  probability with which this model was chosen; 1 without exploration
    """

    model: str
    ranking: tuple[str, ...]
    score: float
    cost: float
    seconds: float
    reason: str
    propensity: float


class FittedRouter:
    """A router, its embedder, calibration and policies, as `llmrouterbench fit` stored them."""

    models: tuple[str, ...]
    default_policy: ServingPolicy

    @classmethod
    def load(cls, folder: str | Path) -> FittedRouter:
        """Read a folder. Raises ValueError where any byte of it was changed."""
        raise NotImplementedError

    def route(
        self, query: str, policy: ServingPolicy | str | None = None, *, allowed: Collection[str] | None = None
    ) -> Decision:
        """Decide one query."""
        return self.route_many([query], policy, allowed=allowed)[0]

    def route_many(
        self,
        queries: Sequence[str],
        policy: ServingPolicy | str | None = None,
        *,
        allowed: Collection[str] | None = None,
    ) -> list[Decision]:
        """Decide queries, each as if alone."""
        raise NotImplementedError

    def estimate(self, queries: Sequence[str]) -> Estimate:
        """Calibrated expectations (n, m)."""
        raise NotImplementedError
