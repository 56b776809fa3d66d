"""What several models said to the same queries, compared: what a judge of replies may know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from llmrouterbench.datasets.signatures import alike, signature
from llmrouterbench.table import FloatArray, IntArray, Replies


@dataclass(frozen=True)
class Said:
    """What p models said to n queries, compared.

    valid  (n, p) whether the reply has a signature, as 0 or 1; NaN where there is no reply
    alike  (n, p, p) how far two replies agree, in [0, 1]
    """

    valid: FloatArray
    alike: FloatArray

    @classmethod
    def of(cls, replies: Replies, prompts: Sequence[str], kinds: Sequence[str], models: Sequence[int]) -> Self:
        """Compare the replies of some models to queries of these kinds (n,)."""
        n, p = len(prompts), len(models)
        valid, same = np.full((n, p), np.nan), np.zeros((n, p, p))
        read = signature if n > 1 else signature.__wrapped__  # a query alone is a user's: what it was told is not kept
        for row, (prompt, kind) in enumerate(zip(prompts, kinds, strict=True)):
            there = [i for i, model in enumerate(models) if (row, model) in replies]
            said = {i: read(kind, replies[row, models[i]], prompt) for i in there}
            valid[row, there] = [float(said[i] != "") for i in there]
            for one, other in combinations(there, 2):
                same[row, one, other] = same[row, other, one] = alike(kind, said[one], said[other])
        return cls(valid, same)

    def features(self, rows: IntArray, some: IntArray, *, compare: bool) -> FloatArray:
        r"""One, validity, agreement of each pair, and the largest number of replies that agree, of `some` models.

        A reply that is not there has no signature.

        >>> said = Said.of({(0, 3): "A", (0, 5): "A", (0, 7): "B"}, ["?\nA) x\nB) y"], ["letter"], [3, 5, 7])
        >>> said.features(np.array([0]), np.arange(3), compare=True).tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0]]
        """
        valid = np.nan_to_num(self.valid[np.ix_(rows, some)])
        same = self.alike[np.ix_(rows, some, some)]
        pairs = [same[:, [one], other] for one, other in combinations(range(len(some)), 2)]
        largest = (same.sum(axis=2) + valid).max(axis=1, keepdims=True)
        compared = [*pairs, largest] if compare and pairs else []
        return np.hstack([np.ones((len(rows), 1)), valid, *compared])
