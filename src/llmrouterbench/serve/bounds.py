"""What one call can cost: a bound before it, so that a budget holds, and a count after it where no usage is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.prices import Price, dearest

LONGEST_REPLY = 131_072
"""Tokens out at most where neither request nor config says; no model that we know of writes more at once."""
SAFE_TOKENS = 4096
"""Tokens out that every model can be told to keep to, where its own maximum is not known."""
LEAST_TOKENS = 16
"""With less room than this nothing is asked; it is also the least that OpenAI takes."""
GUESSED_TOKENS_OUT = 1000
"""Tokens out of a call that was cut before anything of it was seen."""


@dataclass(frozen=True)
class Bound:
    """What one call can cost at most.

    input   USD of what is sent; token: USD of one token out, of all choices together
    tokens  most tokens out of a choice, as the request or the model's own maximum has it
    firm    whether `tokens` is known; else a smaller number is kept to what every model takes
    counted tokens in, as counted; choices: replies asked for at once
    """

    input: float = 0.0
    token: float = 0.0
    tokens: int = 0
    firm: bool = True
    counted: int = 0
    choices: int = 1

    @property
    def most(self) -> float:
        """USD to set aside."""
        return self.input + self.tokens * self.token

    @property
    def least(self) -> float:
        """USD below which it is not worth asking."""
        return self.input + min(self.tokens, LEAST_TOKENS) * self.token

    def clamp(self, granted: float) -> int | None:
        """Tokens out that so many USD pay for, None: all of them."""
        if granted >= self.most or self.token <= 0.0:
            return None
        paid = math.floor((granted - self.input) / self.token * (1 + 1e-12))
        return max(1, paid if self.firm else min(paid, SAFE_TOKENS))

    def seen(self, tokens_out: int | None) -> Usage:
        """Usage of a call that did not tell it; None: nothing of its reply was seen."""
        guess = min(self.tokens, GUESSED_TOKENS_OUT) * self.choices
        return Usage(tokens_in=self.counted, tokens_out=guess if tokens_out is None else tokens_out)


def bound_of(
    price: Price | None,
    sizes: tuple[int, int],
    *,
    asked: int | None = None,
    choices: int = 1,
    window: int | None = None,
    longest: int | None = None,
) -> Bound:
    """The bound of a call to a model of this price; without a price only its counts are known.

    sizes    tokens in, counted and at most; asked: the request's own maximum of tokens out
    window   tokens that the model takes in and gives out together; longest: tokens that it gives out at most

    >>> bound = bound_of(Price(1.0, 2.0), (100, 400), asked=1000)
    >>> round(bound.most, 6), bound.clamp(bound.most), bound.clamp(0.0014)
    (0.0024, None, 500)
    """
    counted, most_in = sizes
    most_in = min(most_in, window or most_in)
    most_out = min([most for most in (asked, longest, window) if most is not None] or [LONGEST_REPLY])
    firm = asked is not None or longest is not None
    into, out = (0.0, 0.0) if price is None else dearest(price, most_in)
    return Bound(into, out * choices, most_out, firm, counted, choices)
