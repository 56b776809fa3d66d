r"""The verdict in what a judge wrote: the label behind "VERDICT:", however the line is set.

A judge is told to end with one line `VERDICT: <label>`, and writes bold, lists, headings, tables, tags, JSON, LaTeX,
full-width signs, a reason behind the label, or the label on the line below. What is thought, what names two labels, and
what hedges is no verdict. The last verdict counts; three different ones on lines that follow one another are the labels
to choose from, repeated, and no verdict.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence

from llmrouterbench.datasets._characters import folded, without_fonts
from llmrouterbench.datasets._thoughts import visible

_TAIL, _LONG = 20_000, 2_000
"""Characters at the end of a judgement that are read, and those of a verdict with its reason."""
_MENU = 3
_TAG = re.compile(r"<(?:final_?)?verdict>\s*([^<>\n]*(?:[<>]{1,2}[^<>\n]*)?)\s*</(?:final_?)?verdict>", re.IGNORECASE)
_LINE = re.compile(
    r"[\s*_`#>(\[{|\"'“•·–—-]*+(?:\d{1,2}[.)]\s*+)?+[\s*_`\"'“\[(]*+"
    r"(?:(?:so|thus|hence|therefore)[\s,:]++)?(?:(?:the|my|our|final|overall)\s++){0,3}verdict[\s*_`\"'”\])]*+"
    r"(?:(?:is|:|=|\||[-–—](?!\w))[\s*_`\"']*+)++(.*)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[\s*_`#>]*+(?:(?:my|the|final|overall)\s++){0,2}verdict[\s*_`:]*+", re.IGNORECASE)
_DECORATION = " \t\r*_`\"'“”‘’()[]{}<>|$."
_LATEX = {r"\gg": ">>", r"\ll": "<<", r"\gt": ">", r"\lt": "<", r"\approx": "=", r"\sim": "=", r"\_": " "}
_LATEX_SIGN = re.compile(r"\\(?:gg|ll|gt|lt|approx|sim|_)(?![a-zA-Z])")
_SIGNS = str.maketrans({"≫": ">>", "≪": "<<", "»": ">>", "«": "<<", "≈": "=", "›": ">", "‹": "<"})
_COMPARED = re.compile(r"([AB])([<>]{1,2}|={1,2})([AB])(?![A-Za-z<>=])")
_GLOSS = re.compile(r"\s*+[*_`\"”'\])}>|$]*+\s*+(?:$|[(\[,;:.!|–—\u2192]|->|=>|-\s|\b(?:because|since|as|for)\b)")
_HEDGE = re.compile(
    r"[^\w?]*(?:or|not|partly|partially|almost|nearly|maybe|perhaps|possibly|probably|i (?:think|guess|suppose)|if"
    r"|unless|in part)\b",
    re.IGNORECASE,
)


def verdict(judgement: str, labels: Sequence[str]) -> str | None:
    r"""The label of the last verdict in a judgement, None where there is none or it is not one of the labels.

    >>> verdict("It says A. VERDICT: CORRECT?\n**Verdict:** `not_attempted`.", ["CORRECT", "NOT ATTEMPTED"])
    'NOT ATTEMPTED'
    >>> verdict("VERDICT: CORRECT or INCORRECT", ["CORRECT", "INCORRECT"]) is None
    True
    >>> verdict(r"- **Final verdict**： $A \gg B$ (A is clearly better)", ["A>>B", "A>B"])
    'A>>B'
    """
    said = [_label(line[:_LONG], labels) for line in _last_lines(visible(judgement)[-_TAIL:])]
    return said[0] if said and len(set(said)) < _MENU else None


def _last_lines(text: str) -> Iterator[str]:
    """What the last verdict says, and those on the lines right above it, without "VERDICT:"."""
    text = html.unescape(_TAG.sub(r"verdict: \1", folded(text)))
    begun = False
    below = ""
    for line in reversed([line for line in text.splitlines() if line.strip(" \t\r`")]):
        line = without_fonts(line)
        found = _LINE.fullmatch(line)
        words = found[1] if found else None
        if (words is not None and not words.strip(_DECORATION)) or (words is None and _HEADING.fullmatch(line)):
            words = below
        if begun and not (words and words.strip()):
            return
        if words is not None:
            begun = True
            yield words
        below = line if words is None else ""


def _label(said: str, labels: Sequence[str]) -> str | None:
    """The label that a text begins with, where nothing but a reason follows it."""
    said = _LATEX_SIGN.sub(lambda found: _LATEX[found[0]], said).translate(_SIGNS)
    said = re.sub(r"(?<!\s)\s*([<>=]+)\s*(?=[AB]\b)", r"\1", _unticked(said))
    found = _COMPARED.match(said.upper())
    if found:
        one, sign, other = found.groups()
        if "<" in sign:
            one, sign, other = other, sign.replace("<", ">"), one
        whole, rest = f"{one}{'=' if '=' in sign else sign}{other}", said[found.end() :]
        return whole if whole in labels and _is_reason(rest, labels) else None
    for label in sorted(labels, key=len, reverse=True):
        words = re.match(r"[\s_-]+".join(map(re.escape, label.split())) + r"(?!\w)", said, re.IGNORECASE)
        if words:
            return label if _is_reason(said[words.end() :], labels) else None
    return None


def _unticked(said: str) -> str:
    """A text without the decoration, tick or cross that it begins with."""
    said = said.lstrip(_DECORATION)
    while said and unicodedata.category(said[0]) in ("So", "Cf", "Mn"):
        said = said[1:].lstrip(_DECORATION)
    return said


def _is_reason(rest: str, labels: Sequence[str]) -> bool:
    """Whether what stands behind a label takes nothing back: no other label, no question, no hedge."""
    bare = _unticked(rest).strip(_DECORATION + ",;:!–—-")
    if not bare:
        return True
    if not _GLOSS.match(rest) or _HEDGE.match(bare) or rest.lstrip(_DECORATION).startswith("?"):
        return False
    flat = re.sub(r"(?<!\s)\s*([<>=]+)\s*", r"\1", bare)
    return not any(bare.upper() == label or re.search(rf"(?<!\w){re.escape(label)}(?!\w)", flat) for label in labels)
