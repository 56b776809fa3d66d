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
    same("x", "x+0")  # the first comparison loads the rest
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        _die_after(limit)
        left, right = orjson.loads(line)
        answers.write(b"1\n" if same(left, right) else b"0\n")
        _die_after(0)


def _comparison() -> Callable[[str, str], bool]:
    """The function that compares; its imports take a second."""
    from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

    # Units are read before: here the m of 3m would be taken for metres.
    rules = NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="none")
    reading = [LatexExtractionConfig(normalization_config=rules), ExprExtractionConfig()]

    def same(left: str, right: str) -> bool:
        with contextlib.suppress(RecursionError, MemoryError):  # too deep or too large: not shown to be equal
            read = [parse(f"${answer}$", reading, parsing_timeout=None) for answer in (left, right)]
            if not all(read):
                return False
            equal = verify(read[0], read[1], timeout_seconds=None, allow_set_relation_comp=True, strict=True)
            return bool(equal) and not _far_apart(read[0][0], read[1][0])
        return False

    return same


def _far_apart(one: object, other: object) -> bool:
    """Whether two numbers differ by more than a millionth of the larger: math-verify rounds to six decimals."""
    from sympy import Expr  # type: ignore[import-untyped]

    with contextlib.suppress(TypeError, ValueError, AttributeError, ArithmeticError):
        if isinstance(one, Expr) and isinstance(other, Expr) and not (one.free_symbols or other.free_symbols):
            left, right = one.evalf(30), other.evalf(30)
            return bool(abs(left - right) > 1e-6 * max(abs(left), abs(right)))
    return False


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, ValueError):  # not on Windows; a lower limit stays
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _die_after(seconds: float) -> None:
    """Let the system end this process after so many seconds of processor time, even inside one long multiplication.

    0 calls it off. What it waits for a core on a busy machine is not counted.
    """
    with contextlib.suppress(ImportError, AttributeError):  # Windows has no such timer; the parent watches too
        import signal

        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))
