"""Split traffic: a share of the conversations is decided by a candidate, and the log says which.

The side of a conversation is a hash of both routers, the share and the conversation: the same in every process and
after a restart, and another one in the next experiment. Both sides decide every request, so that the log knows where
they differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmrouterbench.decision_log import CANDIDATE, RUNNING
from llmrouterbench.embedders.vectors import text_hash
from llmrouterbench.serve.chat_body import ChatBody
from llmrouterbench.serve.choosing import Choice, Chooser, Side

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.config import ServeConfig


@dataclass(frozen=True)
class Candidate:
    """A router that serves a share of the conversations."""

    router: FittedRouter
    share: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"--share must be above 0 and below 1, got {self.share:g}")


class Split(Chooser):
    """Decides by one of two routers; what is not routed is on no side.

    Raises ValueError where the candidate cannot follow the server's policy, or one model serves everything.
    """

    def __init__(self, running: FittedRouter, config: ServeConfig, candidate: Candidate, **more: Any) -> None:
        super().__init__(running, config, **more)
        if more.get("shadow"):
            raise ValueError("--candidate and --shadow must not both be given: under --shadow no router serves")
        self._candidate = Chooser(candidate.router, config, **more)
        self._share = candidate.share
        facts = json.dumps([running.facts, candidate.router.facts, candidate.share], sort_keys=True, default=str)
        self._experiment = text_hash(facts)[:16]

    def choose(self, body: ChatBody, who: str = "", conversation: str = "", models: Collection[str] = ()) -> Choice:
        """Who serves a request; see `Chooser.choose`."""
        running = super().choose(body, who, conversation, models)
        if running.router_model is None:
            return running
        candidate = self._candidate.choose(body, who, conversation, models)
        unit = text_hash(f"{self._experiment}\n{who}\n{conversation or body.opening()}")
        drawn = int.from_bytes(hashlib.sha256(unit.encode()).digest()[:7]) / 2.0**56
        name, mine, other, chance = (
            (CANDIDATE, candidate, running, self._share)
            if drawn < self._share
            else (RUNNING, running, candidate, 1.0 - self._share)
        )
        side = Side(self._experiment, unit, name, chance, mine.router_model or "", other.router_model or "")
        seconds = running.decision_seconds + candidate.decision_seconds
        return replace(mine, side=side, decision_seconds=seconds)
