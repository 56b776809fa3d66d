"""The nouns of collecting and scoring: items of a dataset, raw replies of a model, scores of a reply.

A failed call is a reply with status "failed" and a reason; it is never an empty right or wrong answer. NaN as a score
means "not scored", with the reason beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Item:
    """One query of a dataset, with what its prompt and its scorer need.

    id        unique in the dataset and the same at every load
    query     the bare question, without template
    target    the right answer in JSON: text, number, list, or None where tests or a judge decide
    subset    the part of the dataset (people3, test_3000); "" where there is only one
    details   anything else in JSON: options, table, tests, entry_point, rule, images (data addresses)
    """

    id: str
    query: str
    target: Any = None
    subset: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a model answered to one item, with its usage; `None` is "the provider did not say".

    dataset, item, model   whose reply it is; `item` is Item.id
    text                   the raw reply, "" for a failed call
    status, reason         "ok", or "failed" and why; an ok reply may carry a reason too (length, content_filter, empty)
    tokens_in, tokens_out  as billed; tokens_cached is part of tokens_in, tokens_reasoning part of tokens_out
    cost                   USD of this reply with the attempts that failed before it
    seconds                wall time of the successful attempt; first_token_seconds where the reply was streamed
    attempts               calls made, the last one included
    key                    the cache key (see cache.py); at: UTC time in ISO 8601
    served                 the model's id as the server says it, which an aggregator may choose; "" where it says none
    price                  the price that the cost was made with, as JSON; "" where the provider said the cost itself
                           (provider_cost, USD), or nobody knows
    """

    dataset: str
    item: str
    model: str
    text: str
    status: Status = "ok"
    reason: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    cost: float | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    attempts: int = 1
    key: str = ""
    at: str = ""
    served: str = ""
    tokens_cache_write: int | None = None
    provider_cost: float | None = None
    price: str = ""


@dataclass(frozen=True)
class Score:
    """The score of one reply in [0, 1], NaN where it could not be scored.

    answer   what was read from the reply
    reason   why it is not scored, or what decided (empty reply, time limit, judge unreadable)

    >>> Score(1.0, "42").scored, Score(math.nan, "", "the judge did not answer").scored
    (True, False)
    """

    value: float
    answer: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if not (math.isnan(self.value) or 0.0 <= self.value <= 1.0):
            raise ValueError(f"Score.value must be in [0, 1] or NaN (not scored), got {self.value}")

    @property
    def scored(self) -> bool:
        """Whether the reply has a score."""
        return not math.isnan(self.value)
