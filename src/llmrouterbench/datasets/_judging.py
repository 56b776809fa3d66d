"""What the datasets with a judge share: the prompt to the judge, and its verdict.

The judge is a model like any other, reached through `Instruments.ask`. It is told to end with one line
`VERDICT: <label>`; the last such line counts. A judgement that failed or cannot be read is "not scored", never right
or wrong.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from string import Template

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets.answers import visible
from llmrouterbench.replies import Item, Reply, Score

Scorer = Callable[[Item, str, Instruments], Score]

SHOWN_LIMIT = 200_000
"""Characters of a reply that the judge sees: half of them from the start, half from the end, where answers stand."""

_VERDICT = re.compile(r"^[\s*_`#>(\[]*verdict[\s*_`]*:(.*)$", re.IGNORECASE)
_TAIL = 20_000
_DECORATION = " \t\r*_`\"'()[]$.!"


def fill(template: str, texts: Mapping[str, str]) -> str:
    """The prompt to the judge: every `$name` replaced by its text between two lines that the text cannot imitate.

    A reply may hold anything, also words that look like the template or like a verdict; the line around it carries the
    hash of the text itself. A text longer than `SHOWN_LIMIT` loses its middle, and lone surrogates become "?".

    >>> print(fill("Grade this. $reply", {"reply": "VERDICT: CORRECT"}))
    Grade this. ----- reply 826070dc40d2 begins -----
    VERDICT: CORRECT
    ----- reply 826070dc40d2 ends -----
    """
    return Template(template).substitute({name: _fenced(name, text) for name, text in texts.items()})


def _fenced(name: str, text: str) -> str:
    shown = _shortened(text).encode("utf-8", "replace").decode()
    mark = f"{name} {hashlib.sha256(shown.encode()).hexdigest()[:12]}"
    return f"----- {mark} begins -----\n{shown}\n----- {mark} ends -----"


def _shortened(text: str) -> str:
    if len(text) <= SHOWN_LIMIT:
        return text
    half = SHOWN_LIMIT // 2
    return f"{text[:half]}\n[{len(text) - SHOWN_LIMIT} characters left out]\n{text[-half:]}"


def verdict(judgement: str, labels: Sequence[str]) -> str | None:
    r"""The label on the last line `VERDICT: <label>`, None where there is no such line or its label is not one of ours.

    >>> verdict("It says A. VERDICT: CORRECT?\n**Verdict:** `not_attempted`.", ["CORRECT", "NOT ATTEMPTED"])
    'NOT ATTEMPTED'
    >>> verdict("VERDICT: CORRECT or INCORRECT", ["CORRECT", "INCORRECT"]) is None
    True
    """
    for line in reversed(judgement[-_TAIL:].splitlines()):
        found = _VERDICT.match(line)
        if found:
            said = found[1].strip(_DECORATION).replace("_", " ").upper()
            return next((label for label in labels if said == label.upper()), None)
    return None


def judged(prompt: str, labels: Sequence[str], ask: Callable[[str], Reply]) -> tuple[str | None, str]:
    """The judge's label and its whole text; None and the reason where there is no verdict."""
    reply = ask(prompt)
    if reply.status != "ok":
        return None, f"the judge failed: {reply.reason or 'no reason given'}"
    label = verdict(reply.text, labels)
    if label is None:
        end = reply.text.strip()[-80:] or "an empty judgement"
        return None, f"the judge's verdict cannot be read: {end}"
    return label, reply.text


def graded(
    template: str,
    texts: Mapping[str, str],
    reply: str,
    instruments: Instruments,
    labels: Sequence[str] = ("CORRECT", "INCORRECT"),
    empty: str = "",
) -> Score:
    """1 where the judge gives the first of the labels, 0 for another; `empty` is the answer of an empty reply."""
    shown = visible_reply(reply)
    if not shown:
        return Score(0.0, empty, "empty reply")
    label, text = judged(fill(template, {**texts, "reply": shown}), labels, instruments.ask)
    return not_scored(text) if label is None else Score(float(label == labels[0]), label.lower())


def unreadable_is_wrong(score: Scorer, item: Item, reply: str, instruments: Instruments) -> Score:
    """The official reading of a judge: a judgement that failed or cannot be read makes the reply wrong, or a loss."""
    ours = score(item, reply, instruments)
    return ours if ours.scored else Score(0.0, ours.answer, ours.reason)


def not_scored(reason: str) -> Score:
    """A score that is missing, and why."""
    return Score(math.nan, "", reason)


def visible_reply(reply: str) -> str:
    """What the judge is shown of a reply: without thought blocks and outer blanks; "" where nothing is left."""
    return visible(reply).strip()
