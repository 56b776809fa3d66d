"""Scoring stored replies: letters in replies of 1 kB, and mathematics on a realistic mix, beside plain references.

The plain reference for letters is one regular expression; for mathematics it is math-verify, called in one process for
every reply. The mix: of ten answers six are equal strings or plain numbers, two are fractions or intervals, two need
algebra; a third of all are wrong.
"""

from __future__ import annotations

from benchmarks.measure import Measured, Row, measure

LETTERS = 20_000
MATHS = 3_000
REFERENCE_MATHS = 300
LETTER_TARGET, MATH_TARGET = "20,000 a second", "300 a second"

REPLIES = """
import random
from llmrouterbench.replies import Item
draw = random.Random(0)
WORDS = "so we take the first part of this and put it into what was given above which leads to one more here".split()
def reasoning(size):
    text = ""
    while len(text) < size:
        text += " ".join(draw.choices(WORDS, k=12)).capitalize() + ". "
    return text[:size]
"""
LETTER_WORK = """
OPTIONS = {{"A": "red", "B": "green", "C": "blue", "D": "grey"}}
FORMS = ("Answer: {{}}", "**Answer:** ({{}})", "The final answer is {{}}.", "\\\\boxed{{{{{{}}}}}}")
work = []
for number in range({count}):
    item = Item(str(number), "?", "ABCD"[number % 4], details={{"options": OPTIONS}})
    work.append((item, reasoning(980) + "\\n" + FORMS[number % 4].format("ABCD"[number % 3])))
"""
OUR_LETTERS = """
from llmrouterbench.datasets import dataset
from llmrouterbench.scoring.scores import Bench, score_replies
bench, medqa = Bench(), dataset("medqa")
"""
THEIR_LETTERS = """
import re
ANSWER = re.compile(r"(?i)(?:answer|boxed)(?:\\\\s*(?:is|:))?[\\\\s*({{]*([A-D])\\\\b")
"""
MATH_WORK = """
def pair(n):
    kind = n % 10
    if kind < 3: return str(n), str(n)
    if kind < 5: return f"{{n:,}}.0", str(n)
    if kind == 5: return f"x = {{n}}", str(n)
    if kind == 6: return f"\\\\dfrac{{{{{{n}}}}}}{{{{7}}}}", f"\\\\frac{{{{{{n}}}}}}{{{{7}}}}"
    if kind == 7: return f"\\\\left[ {{n}}, \\\\infty \\\\right)", f"[{{n}},\\\\infty)"
    if kind == 8: return f"\\\\sqrt{{{{{{8 * n}}}}}}", f"2\\\\sqrt{{{{{{2 * n}}}}}}"
    return f"{{n}}x + x^2", f"x^2+{{n}}x"
work = []
for number in range({count}):
    said, target = pair(number + 2)
    if number % 3 == 0:
        said = pair(number + 12)[0]
    work.append((Item(str(number), "?", target), reasoning(1500) + f"\\nSo \\\\boxed{{{{{{said}}}}}}."))
"""
OUR_MATHS = """
from llmrouterbench.datasets import dataset
from llmrouterbench.scoring.scores import Bench, score_replies
bench, math500 = Bench(), dataset("math500")
bench.instruments(math500).equal("\\\\sqrt{{12}}", "2\\\\sqrt{{3}}")  # the workers are up
"""
THEIR_MATHS = """
import logging
from math_verify import parse, verify
logging.disable(logging.CRITICAL)
"""


def letters() -> Row:
    """Letters read from replies of 1 kB."""
    work = (REPLIES + LETTER_WORK).format(count=LETTERS)
    ours = measure("score_replies(medqa, work, bench)", work + OUR_LETTERS)
    theirs = measure(
        "[ANSWER.findall(reply)[-1:] == [item.target] for item, reply in work]", work + THEIR_LETTERS.format()
    )
    what = f"score {LETTERS:,} replies of 1 kB by their letter ({LETTERS / ours.seconds:,.0f} a second)"
    return Row(what, ours, "one regular expression", theirs, LETTER_TARGET)


def maths() -> Row:
    """Mathematics on the mix; the reference is measured on fewer replies and scaled."""
    setup = (REPLIES + MATH_WORK).format
    ours = measure("with bench: score_replies(math500, work, bench)", setup(count=MATHS) + OUR_MATHS.format())
    code = "[verify(parse('$' + item.target + '$'), parse(reply)) for item, reply in work]"
    few = measure(code, setup(count=REFERENCE_MATHS) + THEIR_MATHS)
    theirs = Measured(few.seconds * MATHS / REFERENCE_MATHS, few.peak)
    what = f"score {MATHS:,} mathematical replies ({MATHS / ours.seconds:,.0f} a second)"
    return Row(what, ours, "math-verify on every reply, in one process", theirs, MATH_TARGET)


def rows() -> list[Row]:
    """Both."""
    return [letters(), maths()]
