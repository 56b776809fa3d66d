"""Scores on a scale that the user names: 1 to 5, percent, words. Nothing is guessed."""

from __future__ import annotations

import re

import polars as pl

from llmrouterbench.table import BoolArray, FloatArray

_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_ORDERED = (
    ("no", "yes"), ("n", "y"), ("fail", "pass"), ("failed", "passed"), ("incorrect", "correct"), ("wrong", "right"),
    ("false", "true"), ("bad", "good"), ("f", "d", "c", "b", "a"),
)  # fmt: skip


def scaled(values: pl.Series, scale: str) -> tuple[FloatArray, BoolArray]:
    """Scores (n,) in [0, 1], and where (n,) something stands that is not on the scale.

    `scale` is WORST-BEST of numbers, where values may have a percent sign, or all words from worst to best with commas.

    >>> scaled(pl.Series(["1", "4", "5", "7"]), "1-5")[0].tolist()
    [0.0, 0.75, 1.0, nan]
    >>> scaled(pl.Series(["B", "f"]), "F,D,C,B,A")[0].tolist()
    [0.75, 0.0]
    """
    words = _steps(scale)
    text = values.cast(pl.String).str.strip_chars()
    if isinstance(words, dict):
        worth = text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Float64)
    else:
        worst, best = words
        worth = (text.str.strip_suffix("%").cast(pl.Float64, strict=False) - worst) / (best - worst)
    there = worth.is_between(0, 1).fill_null(value=False)
    numbers = worth.set(~there, None).fill_null(float("nan")).to_numpy(writable=True)
    return numbers, (~there & (text.fill_null("") != "")).to_numpy()


def _steps(scale: str) -> tuple[float, float] | dict[str, float]:
    """Worst and best number, or what each word is worth."""
    if ends := re.fullmatch(rf"\s*{_NUMBER}\s*(?:-|\.\.)\s*{_NUMBER}\s*", scale):
        worst, best = float(ends[1]), float(ends[2])
        if worst != best:
            return worst, best
    words = [word.strip().lower() for word in scale.split(",")]
    if len(words) < 2 or len(set(words)) < len(words) or "" in words:
        raise ValueError(
            f"a scale must be WORST-BEST, such as 1-5, or words from worst to best, such as no,yes, got {scale!r}"
        )
    return {word: at / (len(words) - 1) for at, word in enumerate(words)}


def check_scale(scale: str) -> None:
    """Raise ValueError where it is no scale; "" is none."""
    if scale:
        _steps(scale)


def hint(values: pl.Series) -> str:
    """What to say where scores are not between 0 and 1: how their scale is named."""
    texts = values.drop_nulls().cast(pl.String).str.strip_chars().str.to_lowercase().unique().head(1000)
    for words in _ORDERED:
        if set(texts) <= {*words, ""}:
            return f"say what is worst and best (--scale {','.join(words)})"
    numbers = texts.str.strip_suffix("%").cast(pl.Float64, strict=False).drop_nulls()
    largest = numbers.max() if len(numbers) else None
    if not isinstance(largest, float) or largest <= 1:
        return "leave it empty if unknown, or name all words from worst to best (--scale no,yes)"
    return (
        f"say its scale (--scale WORST-BEST, such as {'1-5' if largest <= 5 else '0-10' if largest <= 10 else '0-100'})"
    )
