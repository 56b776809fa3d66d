"""Names as people type and print them: suggestions for mistyped ones, and text that no name can break."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error sentence: the nearest known name, or the choice there is.

    >>> did_you_mean("kn", ["knn", "avengers"])
    "; did you mean 'knn'?"
    >>> did_you_mean("zzz", ["knn", "avengers"])
    '; there are avengers, knn'
    """
    names = sorted(set(known))
    lower = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    return f"; there are {listed(names)}" if names else "; there is none"


def markdown_safe(value: object) -> str:
    r"""Any value as one line of text that cannot break a Markdown table or smuggle markup into a page.

    Control characters are left out, such as those that turn the direction of the text behind them.

    >>> markdown_safe("<script>|x`")
    "&lt;script&gt;\\|x'"
    """
    kept = (c for c in str(value) if c.isspace() or not unicodedata.category(c).startswith("C"))
    text = " ".join("".join(kept).split())
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'"), ("|", "\\|")):
        text = text.replace(mark, safe)
    return text


def isolated(name: str) -> str:
    """A name inside a sentence; one that runs from right to left, or says so, must not turn the words around it.

    >>> isolated("knn"), isolated("\u05d0") == "\u2068\u05d0\u2069"
    ('knn', True)
    """
    turns = any(unicodedata.bidirectional(c) in ("R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI") for c in name)
    return f"\u2068{name}\u2069" if turns else name


def listed(names: Sequence[object], most: int = 12) -> str:
    """The first names of a list inside a sentence, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(isolated(str(name)) for name in names[:most]) + more
