"""Prices of models, dated and with their source: the config's own first, else the table of genai-prices; and costs.

What nobody knows stays unknown (None): a model on a server of your own is not priced as the provider's of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from llmrouterbench.calling.calls import Endpoint, Usage
from llmrouterbench.calling.config import Later

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_MILLION = 1e6
CHARACTERS_PER_TOKEN = 4
GUESSED_TOKENS_OUT = 1000
"""Output tokens of a reply of which nothing is known."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens.

    cached_input, reasoning  None: billed as other input and output
    source, date             who says so, and for which day (ISO 8601)
    tiers                    (prompt tokens, Price): longer prompts are billed so, all of their tokens
    """

    input: float
    output: float
    cached_input: float | None = None
    reasoning: float | None = None
    source: str = ""
    date: str = ""
    tiers: tuple[tuple[int, Price], ...] = ()


_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Day = Annotated[str, BeforeValidator(lambda day: day.isoformat() if isinstance(day, date) else day)]


class PriceConfig(Later):
    """A price in a YAML file: USD per million tokens, for models that no price table knows.

    cached_input, reasoning  null: billed as other input and output
    source, date             who says so, and for which day
    """

    later = frozenset({"reasoning", "source", "date"})

    input: _Dollars
    output: _Dollars
    cached_input: _Dollars | None = None
    reasoning: _Dollars | None = None
    source: str = ""
    date: _Day = ""

    def price(self) -> Price:
        """The price that it says."""
        return Price(self.input, self.output, self.cached_input, self.reasoning, self.source or "config", self.date)


def price(model: str, endpoint: Endpoint, own: PriceConfig | None = None) -> Price | None:
    """The price of a provider's model: its own, else the one that genai-prices lists; None where nobody knows it.

    Raises ImportError where genai-prices is needed and not installed.

    >>> price("mine", Endpoint("local", "http://localhost:8000/v1"), PriceConfig(input=0.5, output=1)).output
    1.0
    """
    return own.price() if own is not None else _listed_price(model, endpoint)


def _listed_price(model: str, endpoint: Endpoint) -> Price | None:
    """The price in genai-prices, for today; nothing is downloaded."""
    try:
        from genai_prices import __version__
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        raise ImportError("prices of models need genai-prices; pip install 'llmrouterbench[collect]'") from error
    provider, _, name = model.partition("/") if endpoint.transport == "litellm" else ("", "", model)
    now = datetime.now(UTC)
    try:
        _, found = get_snapshot().find_provider_model(name, None, provider or None, endpoint.url or None)
    except LookupError:
        return None
    if not (provider or endpoint.url):
        return None
    return _flat_price(found.get_prices(now), f"genai-prices {__version__}", now.date().isoformat())


def _flat_price(listed: ModelPrice, source: str, date: str) -> Price | None:
    """A Price with its tiers; None where input or output has none."""
    names = {"input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok"}
    steps: set[int] = {0}
    for name in names.values():
        steps.update(tier.start for tier in getattr(getattr(listed, name, None), "tiers", ()))
    prices = []
    for step in sorted(steps):
        at = {field: _at_step(getattr(listed, name, None), step) for field, name in names.items()}
        if at["input"] is None or at["output"] is None:
            return None
        prices.append((step, Price(at["input"], at["output"], at["cached_input"], source=source, date=date)))
    first = prices[0][1]
    return Price(first.input, first.output, first.cached_input, None, source, date, tuple(prices[1:]))


def _at_step(listed: Any, step: int) -> float | None:
    """USD per million tokens for prompts above `step` tokens."""
    if listed is None:
        return None
    amount = getattr(listed, "base", listed)
    for tier in getattr(listed, "tiers", ()):
        amount = tier.price if tier.start <= step else amount
    return float(amount)


def cost(usage: Usage, price: Price | None) -> float | None:
    """USD of an Answer, or of the Usage of a failed attempt: the provider's own figure first, else tokens times price.

    None where neither is known. Cached tokens are part of the input, reasoning tokens part of the output.

    >>> cost(Usage(tokens_in=1000, tokens_out=100, tokens_cached=400), Price(input=2.0, output=10.0, cached_input=0.5))
    0.0024
    >>> cost(Usage(tokens_in=1000), Price(2.0, 10.0)) is None
    True
    """
    if usage.provider_cost is not None:
        return usage.provider_cost
    if price is None or usage.tokens_in is None or usage.tokens_out is None:
        return None
    for above, tier in price.tiers:
        price = tier if usage.tokens_in > above else price
    cached, reasoning = usage.tokens_cached or 0, usage.tokens_reasoning or 0
    dollars = (
        (usage.tokens_in - cached) * price.input
        + cached * (price.input if price.cached_input is None else price.cached_input)
        + (usage.tokens_out - reasoning) * price.output
        + reasoning * (price.output if price.reasoning is None else price.reasoning)
    )
    return dollars / _MILLION


def add_cost(one: float | None, other: float | None) -> float | None:
    """The sum of two costs in USD, None where one is unknown.

    >>> add_cost(0.5, 0.25), add_cost(0.5, None)
    (0.75, None)
    """
    return None if one is None or other is None else one + other
