"""What the datasets with a mathematical answer share: the prompt, and the score by equality."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets._marks import boxed_together
from llmrouterbench.datasets._numbers import LONGEST, parts
from llmrouterbench.datasets.answers import boxed, differing, final, is_expression, visible
from llmrouterbench.datasets.equality import decided
from llmrouterbench.replies import Item, Score


def math_prompt(item: Item) -> str:
    """A prompt: the problem, and the last line that a reply must end with."""
    return (
        f"{item.query}\n\nSolve this problem step by step. Put the final answer, and nothing else, in \\boxed{{}} on"
        " the last line of your reply."
    )


def score_math(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply's last marked answer equals the target; NaN where the comparison failed.

    Boxes that only "and" or a comma part are one list where the target is a list.
    """
    if not reply.strip():
        return Score(0.0, "", "empty reply")
    text = visible(reply)
    score = compared(item, answer_in(text), instruments)
    together = boxed_together(text)
    if score.value == 0 and len(together) > 1 and len(parts(str(item.target))) > 1:
        joined = compared(item, ", ".join(together), instruments)
        score = joined if joined.value == 1 else score
    note = differing(text, is_expression, lambda one, other: decided(one, other) is True)
    return replace(score, reason=score.reason or note)


def compared(item: Item, answer: str | None, instruments: Instruments) -> Score:
    """The score of an answer that was read from a reply."""
    if not answer:
        return Score(0.0, "", "no answer found")
    try:
        return Score(float(instruments.equal(answer, str(item.target))), answer[:500])
    except TimeoutError as error:
        return Score(math.nan, answer[:500], str(error))


def answer_in(text: str) -> str | None:
    """The final answer of a reply: the last that it marks or states, or a last line that is a number alone.

    >>> answer_in("204"), answer_in("It follows that x is large."), answer_in("So it is **204**")
    ('204', None, None)
    """
    found = final(text, is_expression)
    if found is not None:
        return found
    last = text[-LONGEST:].strip().rsplit("\n", 1)[-1].strip(" *$.`")
    return last if re.fullmatch(r"[-+−]?[\d.,/]{1,40}%?|\\[dt]?frac\{\d+\}\{\d+\}", last) else None


def official_math(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official code's reading of a mathematical answer: the last box, or "Answer:" where "Final Answer" stands.

    Source: LLMRouterBench (arXiv 2601.07206), its code at 0e267fb, evaluation/MATH500/math500.py. Differs: equality is
    ours; the official one refuses an unreduced fraction and has no time limit.
    """
    return compared(item, official_answer(reply), instruments)


def official_math_or_integer(item: Item, reply: str, instruments: Instruments) -> Score:
    """As `official_math`; without a box the last integer anywhere in the reply is the answer.

    Source: LLMRouterBench (arXiv 2601.07206), its code at 0e267fb, evaluation/AIME/aime.py.
    """
    answer = official_answer(reply)
    if answer is None:
        integers = re.findall(r"\b\d+\b", reply[-100_000:])
        answer = integers[-1] if integers else None
    return compared(item, answer, instruments)


def official_answer(reply: str) -> str | None:
    """The text that the official code takes for the answer, thoughts included; None where there is none."""
    if "\\boxed" in reply:
        return boxed(reply)
    if "Final Answer" in reply:
        said = re.findall(r"(?i)answer[ \t]*:\s*([^\n]{1,4000})", reply)
        return said[-1].strip() if said else None
    return None
