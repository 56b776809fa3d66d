"""Prices: overrides first, the listed ones by address, unknown stays unknown; costs worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.calling.calls import Answer, Endpoint, Usage
from llmrouterbench.calling.prices import Price, PriceConfig, cost, price
from llmrouterbench.strict import parse_strict

OPENAI = Endpoint("openai", "https://api.openai.com/v1")
LOCAL = Endpoint("local", "http://localhost:8000/v1")


def test_a_listed_price_has_source_and_date() -> None:
    pytest.importorskip("genai_prices")
    found = price("gpt-4o", OPENAI)
    assert found is not None
    assert (found.input, found.output, found.cached_input) == (2.5, 10.0, 1.25)
    assert found.source.startswith("genai-prices ")
    assert len(found.date) == 10


def test_long_prompts_have_their_own_listed_price() -> None:
    pytest.importorskip("genai_prices")
    google = Endpoint("google", "https://generativelanguage.googleapis.com/v1beta/openai")
    found = price("gemini-2.5-pro", google)
    assert found is not None
    (start, longer) = found.tiers[0]
    assert start == 200_000
    assert longer.input > found.input
    assert cost(Usage(200_001, 0), found) == pytest.approx(200_001 * longer.input / 1e6)
    assert cost(Usage(200_000, 0), found) == pytest.approx(200_000 * found.input / 1e6)


def test_what_is_not_listed_is_unknown() -> None:
    pytest.importorskip("genai_prices")
    assert price("no-such-model-at-all", OPENAI) is None
    assert price("gpt-4o", LOCAL) is None, "a model on one's own server costs not what its provider asks"


def test_litellm_models_are_priced_by_their_prefix() -> None:
    pytest.importorskip("genai_prices")
    anywhere = Endpoint("any", "", transport="litellm")
    assert price("openai/gpt-4o", anywhere) == price("gpt-4o", OPENAI)
    assert price("gpt-4o", anywhere) is None


def test_the_config_comes_first() -> None:
    own = PriceConfig(input=1, output=2.5, cached_input=0.5, date="2026-11-01")
    assert price("gpt-4o", OPENAI, own) == Price(1.0, 2.5, 0.5, source="config", date="2026-11-01")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"input": 1}, "p: output is missing"),
        ({"input": -1, "output": 1}, "p: input must be greater than or equal to 0, got -1"),
        ({"input": "1", "output": 1}, "p: input must be a number, got '1'"),
        ({"input": True, "output": 1}, "p: input must be a number, got True"),
        ({"input": 1, "output": float("nan")}, "p: output must be a number, got nan"),
        ({"input": 1, "output": float("inf")}, "p: output must be a number, got inf"),
        ({"input": 1, "output": 1, "cached": 1}, "unknown key 'cached'; did you mean 'cached_input'"),
    ],
)
def test_a_price_that_is_none_is_refused(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_strict(PriceConfig, raw, "p")
    assert sentence in str(caught.value)


def test_a_price_may_say_whose_it_is_and_from_which_day() -> None:
    raw = yaml.safe_load("{input: 1, output: 2, reasoning: 3, source: a letter, date: 2026-11-01}")
    assert parse_strict(PriceConfig, raw, "p").price() == Price(1.0, 2.0, None, 3.0, "a letter", "2026-11-01")


def test_a_cost_worked_by_hand() -> None:
    dear = Price(input=3.0, output=15.0, cached_input=0.3, reasoning=20.0)
    answer = Answer(tokens_in=1000, tokens_out=500, tokens_cached=200, tokens_reasoning=100)
    # 800 at 3 and 200 at 0.3; 400 at 15 and 100 at 20 USD a million
    assert cost(answer, dear) == pytest.approx((800 * 3 + 200 * 0.3 + 400 * 15 + 100 * 20) / 1e6)


def test_the_providers_own_figure_comes_first() -> None:
    assert cost(Answer(tokens_in=10, tokens_out=10, provider_cost=0.25), Price(1.0, 1.0)) == 0.25
    assert cost(Answer(provider_cost=0.0), None) == 0.0, "the provider says that it was free"


@pytest.mark.parametrize("usage", [Usage(), Usage(tokens_in=5), Usage(tokens_out=5)])
def test_an_unknown_cost_stays_unknown(usage: Usage) -> None:
    assert cost(usage, Price(1.0, 1.0)) is None
    assert cost(Usage(5, 5), None) is None


@given(
    tokens=st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    dollars=st.tuples(st.floats(0, 100), st.floats(0, 100)),
)
def test_parts_at_the_same_price_change_nothing(
    tokens: tuple[int, int], shares: tuple[float, float], dollars: tuple[float, float]
) -> None:
    parts = Usage(*tokens, int(tokens[0] * shares[0]), int(tokens[1] * shares[1]))
    assert cost(parts, Price(*dollars)) == pytest.approx(cost(Usage(*tokens), Price(*dollars)))
