"""The process that compares two mathematical answers for `_math.MathPool`; run as a module, it speaks JSON lines.

math-verify needs signal alarms or none at all, and sympy may compute for hours or fill the memory: so it lives in a
process of its own, which the operating system ends when it overruns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable

_MEMORY = 2 << 30


def main(limit: float) -> None:
    """Answer one line on standard output for each pair on standard input: 1 equal, 0 not."""
    import orjson

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    _bound_memory()
    _quiet()
    same = _comparison()
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        _die_after(limit)
        left, right = orjson.loads(line)
        answers.write(b"1\n" if same(left, right) else b"0\n")
        _die_after(0)


def _comparison() -> Callable[[str, str], bool]:
    """The function that compares; its imports take a second."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

    reading = [LatexExtractionConfig(), ExprExtractionConfig()]

    def same(left: str, right: str) -> bool:
        with contextlib.suppress(RecursionError, MemoryError):  # too deep or too large: not shown to be equal
            read = [parse(f"${answer}$", reading, parsing_timeout=None) for answer in (left, right)]
            return bool(
                all(read) and verify(read[0], read[1], timeout_seconds=None, allow_set_relation_comp=True, strict=True)
            )
        return False

    return same


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, ValueError):  # not on Windows; a lower limit stays
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _die_after(seconds: float) -> None:
    """Let the system end this process after so many seconds, even inside one long multiplication; 0 calls it off."""
    with contextlib.suppress(ImportError, AttributeError):  # Windows has no such timer; the parent watches too
        import signal

        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))
