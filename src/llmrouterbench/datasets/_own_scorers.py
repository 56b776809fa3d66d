"""The built-in scorers that a dataset of a user's own can name: exact, letter, number, math, code, judge."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from string import ascii_uppercase

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets._judging import graded
from llmrouterbench.datasets.answers import final, final_number, letter, same_phrase, visible
from llmrouterbench.replies import Item, Score

LETTERS = ascii_uppercase
"""The letters of options, in their order."""
_CLOSE = Fraction(1, 10**6)


def exact(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer is the target in the same words, a leading article apart; a list holds alternatives."""
    text = visible(reply).strip()
    said = (final(text) or text)[:500]
    targets = item.target if isinstance(item.target, list) else [item.target]
    right = any(same_phrase(said, str(target)) for target in targets)
    return Score(float(right), said, "" if said else "empty reply")


def choose_letter(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply chooses the target's letter."""
    options: dict[str, str] = dict(zip(LETTERS, item.details.get("options", []), strict=False))
    said = letter(visible(reply), options) or ""
    return Score(float(said == item.target), said, "" if said else "no answer in the reply")


def close_number(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer is the target within a millionth; "25 %" is 0.25 and 25."""
    said = final_number(visible(reply))
    if said is None:
        return Score(0.0, "", "no number in the reply")
    wanted = Fraction(item.target)
    right = any(abs(each - wanted) <= _CLOSE * max(abs(wanted), Fraction(1)) for each in (said.value, said.written))
    return Score(float(right), str(float(said.value)))


def equal_math(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the answer equals the target as mathematics."""
    text = visible(reply).strip()
    said = final(text) or (text if len(text) < 200 else "")
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
