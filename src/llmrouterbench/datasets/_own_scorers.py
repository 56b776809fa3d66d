"""The built-in scorers that a dataset of a user's own can name: exact, letter, number, math, code, judge."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import islice
from string import ascii_uppercase

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets._judging import graded
from llmrouterbench.datasets._numbers import number
from llmrouterbench.datasets.answers import (
    SEVERAL,
    choice,
    differing,
    final,
    final_line,
    final_number,
    is_expression,
    is_number,
    same_phrase,
    visible,
)
from llmrouterbench.replies import Item, Score

SCORERS_VERSION = "3"
"""Part of the identity of every score by one of these; goes up when one of them changes its mind about a reply."""
LETTERS = ascii_uppercase
"""The letters of options, in their order."""
_CLOSE = Fraction(1, 10**6)
_SHORT = (
    "St Dr Mr Ms Mrs Mt Ft Jr Sr vs No Prof Sgt Gen Capt Col Lt Maj Rev Hon Gov Sen Inc Co Jan Feb Aug Sept Oct Dec"
)
_END = re.compile(
    r"(?<![A-Z])"
    + "".join(rf"(?<!\b{short})" for short in _SHORT.split())
    + r"(?:(?<!\.[a-z])[.。](?=\s)|(?:(?<=\.[a-z])\.|[!?])(?=\s+[^\sa-z]))|\s(?:because|since|which|where)\s"
)
"""Where an answer ends and a sentence or a clause goes on; not behind an initial or an abbreviation."""
_ENDS = 20
"""Ends of an answer that are tried."""


def exact(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer is the target in the same words, a leading article apart; a list holds alternatives.

    A sentence may follow the answer ("St. Louis. It lies ..."); nothing is cut out of a name.
    """
    text = visible(reply).strip()
    targets = [str(target) for target in (item.target if isinstance(item.target, list) else [item.target])]
    line = final_line(text) or text.strip(' *_`"“”')
    if not line:
        return Score(0.0, "", "empty reply")
    ends = [*(found.start() for found in islice(_END.finditer(line), _ENDS)), len(line)]
    end = next((end for end in ends if any(same_phrase(line[:end], target) for target in targets)), None)
    said = line[: ends[0] if end is None else end]
    return Score(float(end is not None), said[:500], differing(text, None, same_phrase))


def choose_letter(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply chooses the target's letter."""
    options: dict[str, str] = dict(zip(LETTERS, item.details.get("options", []), strict=False))
    found = choice(visible(reply), options)
    if found.letter in ("", SEVERAL):
        return Score(0.0, "", "several letters in one answer" if found.letter else "no answer in the reply")
    return Score(float(found.letter == item.target), found.letter, found.note)


def close_number(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer is the target within a millionth; "25 %" is 0.25 and 25, "(7)" is 7 and -7."""
    text = visible(reply)
    said = final_number(text)
    if said is None:
        return Score(0.0, "", "no number in the reply")
    wanted = Fraction(item.target)
    values = {said.value, said.written, *((-said.value, -said.written) if said.bracketed else ())}
    right = any(abs(each - wanted) <= _CLOSE * (abs(wanted) or 1) for each in values)
    return Score(float(right), _written(said.value), differing(text, is_number, _same_number))


def _written(value: Fraction) -> str:
    try:
        return str(float(value))
    except OverflowError:
        return "a number beyond 1e308"


def _same_number(one: str, other: str) -> bool:
    values = [number(said) for said in (one, other)]
    return all(values) and len({value.value for value in values if value}) == 1


def equal_math(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer equals the target as mathematics."""
    text = visible(reply).strip()
    said = final(text, is_expression) or (text if len(text) < 200 else "")
    if not said:
        return Score(0.0, "", "no answer in the reply")
    try:
        return Score(float(instruments.equal(str(item.target), said)), said)
    except TimeoutError:
        return Score(math.nan, said, "the comparison took longer than its limit")


def pass_tests(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply's code passes the item's tests in the sandbox."""
    from llmrouterbench.datasets._code import find_code, score_code

    entries = item.details["entries"]
    return score_code(find_code(reply, entries[0]), entries, item.details["tests"], instruments)


def entries_of(tests: str) -> list[str]:
    r"""The names that tests take from a solution, in the order they stand there; [] for tests that are no Python.

    >>> entries_of("import math\nassert g(f(1)) == math.pi")
    ['g', 'f']
    """
    from llmrouterbench.sandbox.programs import missing, parsed

    tree = parsed(tests)
    names = missing(tree) - sys.stdlib_module_names if tree else set()
    return [name for name in dict.fromkeys(re.findall(r"\w+", tests)) if name in names]


def unfit_tests(tests: str) -> str:
    """Why tests cannot be put to a solution in the sandbox; "" where they can."""
    from llmrouterbench.sandbox.programs import unfit
    from llmrouterbench.sandbox.run import offered

    return unfit(tests, offered())


def ask_judge(template: str, item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the judge ends with VERDICT: CORRECT, 0 for INCORRECT; anything else is not scored."""
    return graded(template, {"query": item.query, "target": str(item.target)}, reply, instruments)


SCORERS: Mapping[str, Callable[..., Score]] = {
    "exact": exact,
    "letter": choose_letter,
    "number": close_number,
    "math": equal_math,
    "code": pass_tests,
    "judge": ask_judge,
}
"""Name in the YAML file -> scorer (item, reply, instruments); `judge` takes its template first."""
