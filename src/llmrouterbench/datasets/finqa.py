"""FinQA: 1,147 questions about numbers in pages of financial reports, each a text with a table.

A number is right when it is the report's answer, or when it agrees with the exact result of the answer's program to the
precision of the less precise of the two, but to no less than three digits unless the report's answer has fewer: where
the report rounds 0.0267 to 0.03, 0.027 is right and 0.034 is not. A percentage may be written as 12.5%, 12.5 or 0.125,
a negative number in brackets; millions may be written out. Answers yes and no compare as words.

Differs from the official LLMRouterBench code, which also takes for equal what rounds to the same integer: 0.93 and
0.61, and of 1,234 and 1,999 it reads the 1. `official` does that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._characters import without_fonts
from llmrouterbench.datasets._numbers import Number, last_number, number
from llmrouterbench.datasets._rows import json_rows
from llmrouterbench.datasets._solving import answer_in, compared, official_answer
from llmrouterbench.datasets.answers import differing, final, is_number, same_words, visible
from llmrouterbench.replies import Item, Score

_FILE = "dataset/test.json"
_SCALES = (10**3, 10**6, 10**9)
_DIGITS = 3
_EXACT = 5
"""Decimals of a program's result."""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The questions; the target holds the report's answer ("12.5%", "" in a few) and the program's exact result."""
    rows = json_rows(files[_FILE], ("id", "pre_text", "post_text", "table", "qa"))
    return [
        Item(
            row["id"],
            row["qa"]["question"],
            {"answer": str(row["qa"]["answer"]), "exact": row["qa"]["exe_ans"]},
            details={"before": row["pre_text"], "table": row["table"], "after": row["post_text"]},
        )
        for row in rows
    ]


def prompt(item: Item) -> str:
    """The text before the table, the table, the text after it, the question."""
    table = "\n".join("| " + " | ".join(str(cell).strip() for cell in row) + " |" for row in item.details["table"])
    before, after = (" ".join(item.details[part]) for part in ("before", "after"))
    return (
        f"Here is an extract of a financial report.\n\n{before}\n\n{table}\n\n{after}\n\nQuestion: {item.query}\n\n"
        "Work it out step by step from the extract. Put the final answer, and nothing else, in \\boxed{} on the last"
        " line of your reply."
    )


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the number, or the word, that the reply ends in is right at the precision it is given in."""
    del instruments
    if not reply.strip():
        return Score(0.0, "", "empty reply")
    text, wanted = visible(reply), item.target
    if isinstance(wanted["exact"], str):
        said = final(text, lambda said: _same_choice(said, "yes") or _same_choice(said, "no")) or answer_in(text)
        return (
            Score(float(_same_choice(said, wanted["exact"])), said[:500]) if said else Score(0.0, "", "no answer found")
        )
    bare = text.strip()
    said = final(text, is_number) or answer_in(text) or (bare if "\n" not in bare and is_number(bare[:200]) else "")
    if not said:
        return Score(0.0, "", "no answer found")
    value = number(without_fonts(said)) or last_number(said)
    if value is None:
        return Score(0.0, said[:500], "no number in the answer")
    note = differing(text, is_number, _same_value)
    return Score(float(right(value, wanted)), said[:500], note)


def _same_value(one: str, other: str) -> bool:
    values = [number(without_fonts(said)) for said in (one, other)]
    return all(values) and agrees(*[value for value in values if value])


def _same_choice(said: str, wanted: str) -> bool:
    words = re.match(r"\W*(?:\\?text\s?\{)?\W*([a-zA-Z]+)", said)
    return words is not None and same_words(str(words[1]), wanted)


def right(said: Number, target: Mapping[str, str | float]) -> bool:
    """Whether a number is the right one, given the report's answer (text, may be "") and the program's exact result.

    Where the report's answer is the exact result rounded, a number is right as the report writes it, or as near to the
    exact result as it is written itself, but to no less than three digits unless the report has fewer.

    >>> [right(number(said), {"answer": "0.03", "exact": 0.0267}) for said in ("0.034", "0.027", "0.03")]
    [False, True, True]
    """
    written, exact = number(str(target["answer"])), number(repr(target["exact"]))
    if exact is not None:
        exact = replace(exact, decimals=max(exact.decimals, _EXACT))
    if written is None or exact is None:
        return any(agrees(said, gold) for gold in (written, exact) if gold is not None)
    precise = next((pair for pair in _spellings(exact, written) if _agrees_as(*pair)), None)
    if precise is None:
        return agrees(said, written) or agrees(said, exact)
    return any(
        one == reported or _agrees_as(one, place, precise[0], precise[1], rounded)
        for one, place, reported, rounded in _spellings(said, written)
    )


def agrees(said: Number, gold: Number) -> bool:
    """Whether two numbers are the same at the precision of the less precise one.

    >>> agrees(number("12.54%"), number("12.5%")), agrees(number("0.93"), number("0.61"))
    (True, False)
    >>> agrees(number("0.125"), number("12.5%")), agrees(number("$3.2 million"), number("3.2"))
    (True, True)
    """
    return any(_agrees_as(*pair) for pair in _spellings(said, gold))


def _spellings(said: Number, gold: Number) -> Iterator[tuple[Fraction, Fraction, Fraction, Fraction]]:
    """Value and unit of the last place of both, as written, and with a percent sign or a scale word on either side."""
    sizes = [each.scale * Fraction(1, 10**each.decimals) for each in (said, gold)]
    one, other = said.written * said.scale, gold.written * gold.scale
    yield one, sizes[0], other, sizes[1]
    if said.percent and not gold.percent:
        yield one / 100, sizes[0] / 100, other, sizes[1]
    if gold.percent and not said.percent:
        yield one * 100, sizes[0] * 100, other, sizes[1]
    for scale in _SCALES:
        yield one / scale, sizes[0] / scale, other, sizes[1]


def _agrees_as(
    one: Fraction, one_place: Fraction, other: Fraction, other_place: Fraction, least: Fraction = Fraction(0)
) -> bool:
    """Whether two numbers agree in their places: in three digits, or in as many as the right answer or `least` has."""
    if one == other:
        return True
    place = max(one_place, other_place)
    finest = max(_place(other), other_place, least)
    return bool(abs(one - other) <= min(place, finest) * Fraction(51, 100))


def _place(value: Fraction) -> Fraction:
    """The place of the last of a number's first digits: 0.001 for 0.14136."""
    if not value:
        return Fraction(0)
    exponent = math.floor(math.log10(abs(value.numerator)) - math.log10(value.denominator))
    return Fraction(10) ** (exponent - _DIGITS + 1)


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official code's reading: equal as mathematics, or the first numbers in both equal after rounding to integers.

    Source: LLMRouterBench (arXiv 2601.07206), its code at 0e267fb, evaluation/FinQA/finqa.py.
    """
    said, wanted = official_answer(reply) if "\\boxed" in reply else None, str(item.target["answer"])
    if not said:
        return Score(0.0, "", "no answer found")
    if _rounded(said) == _rounded(wanted):
        return Score(1.0, said[:500], "official reading")
    return compared(Item(item.id, item.query, wanted), said, instruments)


def _rounded(text: str) -> str:
    found = re.search(r"-?\d{1,300}(?:\.\d{1,300})?", text)
    return str(round(float(found[0]), 0)) if found else text


DATASET = Dataset(
    name="finqa",
    title="FinQA",
    domain="Knowledge",
    source=Source(
        "github",
        "czyssrs/FinQA",
        "0f16e2867befa6840783e58be38c9efb9229d742",
        {_FILE: "831dbfb2e785dbc227f895ce3f24046433467aec67b09db2bd6ac7692a8a30dc"},
    ),
    licence="MIT",
    citation="Chen et al. 2021, FinQA: A Dataset of Numerical Reasoning over Financial Data, arXiv 2109.00122",
    size=1147,
    shots=0,
    kind="math",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
)
