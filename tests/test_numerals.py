"""Every form of a number, over all numbers that there are."""

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.numerals import (
    NONE,
    UNKNOWN,
    accuracy,
    count,
    interval,
    number,
    p_value,
    percent,
    points,
    seconds,
    significant,
    usd,
)
from llmrouterbench.stats import Interval

FORMS: dict[str, Callable[[float | None], str]] = {
    form.__name__: form for form in (number, significant, percent, accuracy, points, usd, seconds, count, p_value)
}
known = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
every = st.floats(min_value=-1e300, max_value=1e300) | st.sampled_from([math.nan, math.inf, -math.inf])
anything = st.none() | every | known | st.floats(min_value=-1e-3, max_value=1e-3)


@pytest.mark.parametrize("name", FORMS)
@given(value=anything)
def test_no_form_prints_what_is_no_number(name: str, value: float | None) -> None:
    text = FORMS[name](value)
    lower = text.lower()
    assert "nan" not in lower
    assert "inf" not in lower
    assert "e" not in lower.replace(UNKNOWN, ""), "an exponent"
    assert not re.fullmatch(r"-[0.,]+( s)?", text), "a negative zero"
    assert (text == UNKNOWN) == (value is None or not math.isfinite(value))


@pytest.mark.parametrize("name", FORMS)
@given(value=known)
def test_a_form_says_the_number_it_was_given(name: str, value: float) -> None:
    text = FORMS[name](value)
    if text == "<0.001":
        assert 0.0 <= value < 0.0005
        return
    read = float(text.replace(",", "").removesuffix(" s")) / (
        100.0 if name in ("percent", "accuracy", "points") else 1.0
    )
    near = {"count": 0.5, "number": 0.005, "usd": 0.005, "p_value": 0.0005}.get(name, 0.0)
    near = 0.0005 if name in ("percent", "accuracy", "points") else near
    assert math.isclose(read, value, rel_tol=0.006, abs_tol=near + 1e-12)


@pytest.mark.parametrize("name", ["significant", "usd", "seconds"])
@given(value=st.floats(min_value=1e-9, max_value=1e9))
def test_a_small_number_never_prints_as_zero(name: str, value: float) -> None:
    assert re.search("[1-9]", FORMS[name](value))


@pytest.mark.parametrize("name", FORMS)
@given(value=every, low=every, high=every)
def test_an_interval_is_said_where_there_is_one(name: str, value: float, low: float, high: float) -> None:
    text = interval(Interval(value, low, high), FORMS[name], " units")
    assert "nan" not in text.lower()
    assert "inf" not in text.lower()
    if not math.isfinite(value):
        assert text == UNKNOWN
    else:
        assert text.startswith(f"{FORMS[name](value)} units")
        assert ("[" in text) == (math.isfinite(low) and math.isfinite(high))
    assert interval(None, FORMS[name]) == NONE
