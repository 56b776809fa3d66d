"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
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
