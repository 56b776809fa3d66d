"""Routers that fail: in a module, so that worker processes can read them."""

from __future__ import annotations

import os
import signal
from typing import Self

from llmrouterbench.table import Estimate, Outcomes, Queries


class Failing:
    """Raises what it is told to when it is fitted."""

    def __init__(self, error: type[Exception] = ValueError) -> None:
        self.error = error

    def fit(self, train: Outcomes) -> Self:
        raise self.error("I cannot learn from this")

    def predict(self, queries: Queries) -> Estimate:
        raise NotImplementedError


class Killed(Failing):
    """Ends the process that fits it as the kernel does when memory is short."""

    def fit(self, train: Outcomes) -> Self:
        os.kill(os.getpid(), signal.SIGKILL)
        return self
