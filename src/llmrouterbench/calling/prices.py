"""Prices of models, dated and with their source: the config's own first, else the table of genai-prices; and costs.

What nobody knows stays unknown (None): a model on a server of your own is not priced as the provider's of that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import BeforeValidator, Field

from llmrouterbench.calling.calls import Endpoint, Usage
from llmrouterbench.calling.config import Later

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_MILLION = 1e6
CHARACTERS_PER_TOKEN = 4
GUESSED_TOKENS_OUT = 1000
"""Output tokens of a reply of which nothing is known."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens.

    cached_input, cache_write  of input read from and written into the provider's cache, None: as other input
    reasoning                None: billed as other output
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
    cache_write: float | None = None


def price_text(price: Price | None) -> str:
    """A price as JSON that `read_price` reads, "" for None.

    >>> price_text(Price(0.5, 2.0, source="config"))
    '{"input":0.5,"output":2.0,"source":"config"}'
    """
    return "" if price is None else orjson.dumps(_said(price)).decode()


def _said(price: Price) -> dict[str, Any]:
    said = {name: value for name, value in vars(price).items() if value not in (None, "", ())}
    return said | {"tiers": [(above, _said(tier)) for above, tier in price.tiers]} if price.tiers else said


def read_price(text: str) -> Price | None:
    """The price that `price_text` wrote; None for ""."""
    return _price_in(orjson.loads(text)) if text else None


def _price_in(said: dict[str, Any]) -> Price:
    return Price(**{**said, "tiers": tuple((above, _price_in(tier)) for above, tier in said.get("tiers", ()))})


def amounts(price: Price) -> Price:
    """A price without who says so and when: two that are equal ask for the same."""
    return replace(price, source="", date="", tiers=tuple((above, amounts(tier)) for above, tier in price.tiers))


_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Day = Annotated[str, BeforeValidator(lambda day: day.isoformat() if isinstance(day, date) else day)]


class PriceConfig(Later):
    """A price in a YAML file: USD per million tokens, for models that no price table knows.

    cached_input, cache_write, reasoning  null: billed as other input and output
    source, date                          who says so, and for which day
    """

    later = frozenset({"reasoning", "source", "date", "cache_write"})

    input: _Dollars
    output: _Dollars
    cached_input: _Dollars | None = None
    reasoning: _Dollars | None = None
    cache_write: _Dollars | None = None
    source: str = ""
    date: _Day = ""

    def price(self) -> Price:
        """The price that it says."""
        source = self.source or "config"
        return Price(
            self.input, self.output, self.cached_input, self.reasoning, source, self.date, cache_write=self.cache_write
        )


def price(model: str, endpoint: Endpoint, own: PriceConfig | None = None, *, only_input: bool = False) -> Price | None:
    """The price of a provider's model: its own, else the one that genai-prices lists; None where nobody knows it.

    only_input  whether a listed price may lack one for output, as those of embeddings do

    Raises ImportError where genai-prices is needed and not installed.

    >>> price("mine", Endpoint("local", "http://localhost:8000/v1"), PriceConfig(input=0.5, output=1)).output
    1.0
    """
    return own.price() if own is not None else _listed_price(model, endpoint, only_input)


def context_window(model: str, endpoint: Endpoint) -> int | None:
    """Tokens of prompt and reply together, as genai-prices lists them; None where it does not."""
    found = _listed(model, endpoint)
    return None if found is None else found.context_window


def _listed_price(model: str, endpoint: Endpoint, only_input: bool) -> Price | None:
    """The price in genai-prices, for today; nothing is downloaded."""
    found, now = _listed(model, endpoint), datetime.now(UTC)
    if found is None:
        return None
    from genai_prices import __version__

    return _flat_price(found.get_prices(now), f"genai-prices {__version__}", now.date().isoformat(), only_input)


def _listed(model: str, endpoint: Endpoint) -> ModelInfo | None:
    """What genai-prices knows of a provider's model."""
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        raise ImportError("prices of models need genai-prices; pip install 'llmrouterbench[collect]'") from error
    provider, _, name = model.partition("/") if endpoint.transport == "litellm" else ("", "", model)
    if not (provider or endpoint.url):
        return None
    try:
        return get_snapshot().find_provider_model(name, None, provider or None, endpoint.url or None)[1]
    except LookupError:
        return None


def _flat_price(listed: ModelPrice, source: str, date: str, only_input: bool) -> Price | None:
    """A Price with its tiers; None where input or output has none."""
    names = {
        "input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
    }  # fmt: skip
    steps: set[int] = {0}
    for name in names.values():
        steps.update(tier.start for tier in getattr(getattr(listed, name, None), "tiers", ()))
    prices = []
    for step in sorted(steps):
        at = {field: _at_step(getattr(listed, name, None), step) for field, name in names.items()}
        at["output"] = 0.0 if only_input and at["output"] is None else at["output"]
        if at["input"] is None or at["output"] is None:
            return None
        one = Price(
            at["input"], at["output"], at["cached_input"], source=source, date=date, cache_write=at["cache_write"]
        )
        prices.append((step, one))
    return replace(prices[0][1], tiers=tuple(prices[1:]))


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

    None where neither is known. Tokens read from and written into a cache are input, those of reasoning output.

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
    cached, reasoning, written = usage.tokens_cached or 0, usage.tokens_reasoning or 0, usage.tokens_cache_write or 0
    dollars = (
        (usage.tokens_in - cached - written) * price.input
        + written * (price.input if price.cache_write is None else price.cache_write)
        + cached * (price.input if price.cached_input is None else price.cached_input)
        + (usage.tokens_out - reasoning) * price.output
        + reasoning * (price.output if price.reasoning is None else price.reasoning)
    )
    return dollars / _MILLION


def dearest(price: Price, tokens_in: int) -> tuple[float, float]:
    """USD of so many tokens in, and of one token out, at the most that the price can ask for up to that many.

    >>> dearest(Price(1.0, 4.0, cache_write=2.0, reasoning=8.0), 1_000_000)
    (2.0, 8e-06)
    """
    tiers = [price, *(tier for above, tier in price.tiers if tokens_in > above)]
    into = max(max(tier.input, tier.cache_write or 0.0) for tier in tiers)
    out = max(max(tier.output, tier.reasoning or 0.0) for tier in tiers)
    return tokens_in * into / _MILLION, out / _MILLION


def add_cost(one: float | None, other: float | None) -> float | None:
    """The sum of two costs in USD, None where one is unknown.

    >>> add_cost(0.5, 0.25), add_cost(0.5, None)
    (0.75, None)
    """
    return None if one is None or other is None else one + other
