"""Names as people type and print them: suggestions for mistyped ones, and text that no name can break."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


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
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"; there are {shown}" if names else "; there is none"


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
