r"""Reading an answer out of a reply: what every scorer asks, in a few functions.

Rules that hold for every reader here. Thoughts are cut out first (`visible`); a thought that never ends leaves nothing.
A marked answer (a box, <answer>, "####", a line "Answer: ...") beats prose after it, unless the prose says an answer
too; of several the last one counts, as in the official graders of these datasets, even if it contradicts the ones
before, and `differing` says so. What is denied, doubted, quoted or asked is no answer. A statement that names two
options at once ("A or B") is none. Every reader takes time linear in the reply.

    visible                  a reply without its thoughts: read this, not the reply
    final                    the answer of its last box or statement, as text; `boxed` and `stated` look for one of them
    final_number             the same as a number
    letter                   the option it chooses, by letter or by words; SEVERAL where it names two at once
    same_words, same_phrase  whether two answers are the same words

A scorer of your own is a function of item, reply and instruments (`datasets.Instruments`):

>>> from llmrouterbench.replies import Item, Score
>>> def score(item, reply, instruments):
...     said = final(visible(reply))
...     return Score(float(said is not None and same_phrase(said, item.target)), said or "")
>>> score(Item("1", "Capital of Peru?", "Lima"), "<think>Quito?</think>The answer is **Lima**.", None).value
1.0
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice

from llmrouterbench.datasets import _languages as words
from llmrouterbench.datasets._characters import folded, without_fonts
from llmrouterbench.datasets._letters import SEVERAL, Choice, choice
from llmrouterbench.datasets._marks import Mark, last_box, marks, plain_end
from llmrouterbench.datasets._numbers import Number, last_number, number, number_words
from llmrouterbench.datasets._phrases import same_phrase, same_words
from llmrouterbench.datasets._thoughts import visible

__all__ = [
    "SEVERAL",
    "Choice",
    "boxed",
    "choice",
    "differing",
    "final",
    "final_line",
    "final_number",
    "is_expression",
    "is_number",
    "letter",
    "lines_after",
    "same_phrase",
    "same_words",
    "stated",
    "visible",
]
_MARKS = 50
"""Marks of a reply that are compared with one another."""


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} that is closed and not empty.

    >>> boxed(r"\boxed{\frac{1}{2}} or rather \boxed{\text{C}}")
    '\\text{C}'
    """
    found = last_box(text)
    return found.text if found else None


def stated(text: str) -> str | None:
    r"""What the last "answer is ...", "Final Answer: ...", "#### ..." or <answer> says.

    >>> stated("So the final answer is $\\frac{3}{4}$. I hope it is correct.")
    '\\frac{3}{4}'
    >>> stated("**Final Answer**\n\n12 apples")
    '12 apples'
    """
    return next((mark.text for mark in marks(folded(text)) if mark.kind != "box"), None)


def final(text: str, fits: Callable[[str], bool] | None = None) -> str | None:
    r"""The answer that a reply marks or states, the last one.

    fits  whether a text can be such an answer at all; what does not fit counts only where nothing does. None: words
          can be anything, so that only a correction ("Wait, the answer is ...") takes the place of a marked answer

    >>> final(r"The answer is 4. No: \boxed{5}"), final("I do not know.")
    ('5', None)
    >>> final(r"\boxed{204}" + "\n\nThe answer is consistent with the table.", is_expression)
    '204'
    """
    found = _best(text, fits)
    return found.text if found else None


def final_line(text: str) -> str | None:
    """The line of the answer that a reply marks or states, from the answer on, nothing cut out of it.

    >>> final_line("The answer is St. Louis. It lies on a river.")
    'St. Louis. It lies on a river'
    """
    found = _best(text, None)
    if found is None or found.kind in ("box", "tag"):
        return found.text if found else None
    return plain_end(found.rest.strip().split("\n", 1)[0])


@lru_cache(16)
def _marked(text: str) -> list[Mark]:
    """The last marks of a reply; a scorer asks for them more than once."""
    return list(islice(marks(folded(text)), _MARKS))


def _best(text: str, fits: Callable[[str], bool] | None) -> Mark | None:
    return max(_marked(text), key=lambda mark: (_rank(mark, fits), mark.at), default=None)


def _rank(mark: Mark, fits: Callable[[str], bool] | None) -> float:
    """How much a mark is worth: 3 an answer of the right kind, down to 0 a comment on one.

    Prose that goes on in words ("the solution is 5 times larger") is worth less than a mark, unless it corrects one.
    """
    comment = bool(words.COMMENT.match(mark.text)) and mark.kind not in ("box", "tag")
    if fits:
        aside = mark.kind == "prose" and _PROSE.search(_FUNCTIONS.sub("", mark.text)) is not None
        return (
            2.5
            if fits(mark.text) and aside and not words.CORRECTED.search(mark.lead)
            else 3
            if fits(mark.text)
            else 0
            if comment and mark.kind == "prose"
            else 1
            if comment or mark.kind == "prose"
            else 2
        )
    if mark.kind == "prose":
        return 0 if comment else 3 if words.CORRECTED.search(mark.lead) else 1
    return 0 if comment else 3


_PROSE = re.compile(r"[^\W\d_]{3,}")
_FUNCTIONS = re.compile(
    r"\\[a-zA-Z]+|\b(?:sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|lg|exp|sqrt|cbrt|max|min|gcd|lcm|mod|det|lim|inf"
    r"|frac|pi|theta|phi|alpha|beta|infty|infinity|deg|and|or)\b"
)


def is_expression(text: str) -> bool:
    r"""Whether a text begins as mathematics: with a number, a sign, LaTeX or a name of one or two letters.

    >>> is_expression("204"), is_expression(r"\frac{1}{2}"), is_expression("x = 3"), is_expression("nine")
    (True, True, True, True)
    >>> is_expression("The problem is solved"), is_expression("consistent with it")
    (False, False)
    """
    text = text.strip()
    if re.match(r"[-+−±~≈(\[{|]*\s*[$€£¥]?\s*(?:\d|\.\d|\\[a-zA-Z{(]|[√∛∜∞∅π°½⅓¼¾⅔])", text):
        return True
    return bool(text) and (not _PROSE.search(_FUNCTIONS.sub("", text)) or number_words(text) is not None)


def letter(text: str, options: Mapping[str, str]) -> str | None:
    r"""The letter that a reply to a multiple-choice question chooses; an option's own words count as its letter.

    `options` is letter -> text. The result may be a letter that is no option; `SEVERAL` where two are named at once.

    >>> options = {"A": "red", "B": "green", "C": "blue"}
    >>> [letter(reply, options) for reply in ("**Answer:** (C)", r"\boxed{\text{C}}", "The answer is blue.", "B")]
    ['C', 'C', 'C', 'B']
    >>> letter("Answer: Because of this, I cannot say.", options) is None
    True
    """
    return choice(text, options).letter or None


def final_number(text: str) -> Number | None:
    """The number that a reply marks or states, the last one; without such, the last calculation's, or the last.

    `value` is an exact fraction, in which 25 % is 1/4; `written` is it as it stands there, 25.

    >>> final_number("#### Ann has 4 pears.").value, final_number("#### 7 (The answer is positive.)").value
    (Fraction(4, 1), Fraction(7, 1))
    """
    text = folded(text)
    found = _best(text, is_number)
    said = without_fonts(found.text) if found else ""
    aside = re.sub(r"\([^()]*\)", "", said)
    return number(said) or last_number(aside) or last_number(said) or _concluded(text) or last_number(text)


def is_number(text: str) -> bool:
    """Whether a text begins with a number, not with a multiple of some x.

    >>> is_number("$12 a day"), is_number("0.3x"), is_number("twelve")
    (True, False, True)
    """
    text = without_fonts(text)
    return number(text) is not None and re.match(r"\W*\d[\d.,]*[a-zA-Z](?![a-zA-Z])", text) is None


def _concluded(text: str) -> Number | None:
    """The first number of the last line where it is the last result: "... = 9. So it takes 9 minutes for 3 miles"."""
    before, _, line = text[-100_000:].rstrip().rpartition("\n")
    results = deque(re.finditer(r"=\s*(?=[-+]?[$€£]?\d)", before), maxlen=1)
    first = re.search(r"(?<![\d.,])[-$€£]{0,2}\d", line[:2_000])
    if not (results and first) or "=" in line or re.match(r"(?:Since|If|As|With|Because)\b", line):
        return None
    result, said = number(before[results[0].end() : results[0].end() + 60]), number(line[first.start() :])
    return said if result and said and result.value == said.value else None


def differing(text: str, fits: Callable[[str], bool] | None, same: Callable[[str, str], bool]) -> str:
    """A note where a reply marks answers that differ from the last one, "" where it does not.

    fits  whether a text can be such an answer at all
    same  whether two marked answers are the same

    >>> differing("Answer: 4 ... Answer: 5", is_expression, str.__eq__)
    '2 different answers are marked; the last one counts'
    """
    found = [mark.text for mark in _marked(text) if _rank(mark, fits) == 3]
    distinct: list[str] = []
    for said in found:
        if not any(same(said, other) for other in distinct):
            distinct.append(said)
    return f"{len(distinct)} different answers are marked; the last one counts" if len(distinct) > 1 else ""


def lines_after(text: str) -> list[str]:
    r"""The lines of the last label or heading "Answer", up to a blank line; [] where there is none.

    >>> lines_after("Answer:\n1. ant\n2. bee\n\nDone.")
    ['1. ant', '2. bee']
    """
    found = next((mark for mark in _marked(text) if mark.kind in ("label", "tag")), None)
    return re.split(r"\n\s*\n", found.rest.strip(), maxsplit=1)[0].splitlines() if found else []
