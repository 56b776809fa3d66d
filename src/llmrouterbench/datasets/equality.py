r"""Whether two mathematical answers are equal: at once where strings or numbers decide, else by math-verify in workers.

Readings. A percent sign, a degree sign, a currency sign and units carry no weight ("12\%" is right for "12" and for
"0.12"). Tuples and intervals compare element by element, in order; sets and bare lists in any order. Words compare as
words, not as products of letters. What is longer than 1,500 characters or nested deeper than 40 braces is not parsed.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from fractions import Fraction
from importlib.util import find_spec
from types import TracebackType
from typing import Self

import orjson

from llmrouterbench.datasets._numbers import parts

_LONGEST = 1_500
_DEEPEST = 40
_REMEMBERED = 50_000

_FULL_NUMBER = re.compile(r"[-+]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:e[-+]?\d{1,3})?")
_FULL_FRACTION = re.compile(r"([-+]?)(?:\\frac\{([-+]?\d{1,100})\}\{([-+]?\d{1,100})\}|([-+]?\d{1,100})/(\d{1,100}))")
_MIXED = re.compile(r"([-+]?)(\d{1,100})\\frac\{(\d{1,100})\}\{(\d{1,100})\}")
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox|operatorname)\s?\{([^{}]{0,300})\}")
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_UNIT = re.compile(
    r"(?<=[\d}])\s*\\?(?:cm|mm|km|m|inches|inch|in|feet|foot|ft|yards?|miles?|meters?|metres?|centimeters?|degrees?|"
    r"seconds?|minutes?|hours?|days?|weeks?|months?|years?|dollars?|cents?|units?|square\s?units?|cubic\s?\w{1,12}|"
    r"square\s?\w{1,12}|sq\s?\w{1,12}|kg|grams?|g|liters?|mph)(?:\s?\^\s?\{?[23]\}?)?\s*$"
)
_NAME = re.compile(r"[a-zA-Z](?:\([a-z]\))?=(?=[^=]+$)")
_REMOVED = str.maketrans({"$": None, "~": None, "\u00a0": None})
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "π": "\\pi ", "∞": "\\infty "})


def normal(answer: str) -> str:
    r"""One spelling for answers that differ only in LaTeX: spaces, \left, \dfrac, \text, units, a name before "=".

    >>> normal(r"x = \dfrac 12"), normal(r"$12{,}000\text{ cm}^2$"), normal(r"90^{\circ}")
    ('\\frac{1}{2}', '12000', '90')
    """
    text = answer.replace("\\$", "").translate(_SIGNS).translate(_REMOVED).strip().rstrip(".")
    text = _TEXT.sub(r" \1", text.replace("{,}", ",").replace("\\%", "%"))
    text = re.sub(r"\^\s?\{?\s?\\circ\s?\}?|°|\\degree", "", text)
    text = re.sub(r"\\(?:left|right|big|Big|displaystyle)(?![a-zA-Z])|(?<!\\)\\[,;:! ]", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    text = re.sub(r"\s+", " ", _UNIT.sub("", text.strip())).strip()
    text = re.sub(r"\\frac\s?([0-9a-z])\s?([0-9a-z])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s?([0-9a-z])\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\sqrt\s?([0-9a-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![a-zA-Z]) | (?![a-zA-Z])", "", text)
    return _NAME.sub("", text, count=1) if _NAME.match(text) else text


def plain_number(text: str) -> Fraction | None:
    r"""The exact value of a normal spelling that is one number or fraction, percent signs apart; None for all else.

    >>> plain_number(r"-\frac{3}{4}"), plain_number("1.50"), plain_number("x")
    (Fraction(-3, 4), Fraction(3, 2), None)
    """
    text = text.removesuffix("%")
    if _FULL_NUMBER.fullmatch(text):
        return Fraction(text if text[-1] != "." else text[:-1])
    found = _FULL_FRACTION.fullmatch(text)
    if found:
        over, under = int(found[2] or found[4]), int(found[3] or found[5])
        return Fraction(over, under) * (-1 if found[1] == "-" else 1) if under else None
    mixed = _MIXED.fullmatch(text)
    if mixed and int(mixed[4]):
        return (int(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))) * (-1 if mixed[1] == "-" else 1)
    return None


def decided(left: str, right: str) -> bool | None:
    r"""Whether two answers are equal where that takes no algebra; None where it does.

    >>> decided(r"\frac12", "0.5"), decided("4", "5"), decided(r"\sqrt{8}", r"2\sqrt{2}")
    (True, False, None)
    """
    if len(left) > _LONGEST or len(right) > _LONGEST:
        return left.strip() == right.strip()
    one, other = normal(left), normal(right)
    if one == other:
        return bool(one)
    if not one or not other or _too_deep(one) or _too_deep(other):
        return False
    values = plain_number(one), plain_number(other)
    if values[0] is not None and values[1] is not None:
        return _same_number(values[0], values[1], one.endswith("%") != other.endswith("%"))
    return _decided_words(one, other)


def _same_number(one: Fraction, other: Fraction, one_is_percent: bool) -> bool:
    return one == other or (one_is_percent and (one == other * 100 or other == one * 100))


def _too_deep(text: str) -> bool:
    depth = deepest = 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def _decided_words(one: str, other: str) -> bool | None:
    """Words are equal as words: "east" is not a product of four letters. One letter may stand in brackets."""
    words = [re.sub(r"^\(([A-Za-z])\)$", r"\1", text) for text in (one, other)]
    if all(re.fullmatch(r"[A-Za-z][A-Za-z' -]*", text) for text in words):
        one, other = (text.casefold() if len(text) > 1 else text for text in words)
        if one == other or max(len(one), len(other)) > 3 or min(len(one), len(other)) == 1:
            return one == other
    return None


def tuples(left: str, right: str) -> list[tuple[str, str]] | None:
    r"""Pairs of elements of two tuples or intervals in the same brackets; None where these are not such.

    >>> tuples(r"(1, \pi)", r"\left(1,\pi\right)")
    [('1', '1'), ('\\pi', '\\pi')]
    """
    one, other = normal(left), normal(right)
    if one[:1] not in ("(", "[") or one[:1] != other[:1] or one[-1:] != other[-1:] or one[-1:] not in (")", "]"):
        return None
    ones, others = (parts(f"({text[1:-1]})") for text in (one, other))
    return list(zip(ones, others, strict=True)) if len(ones) == len(others) > 1 else None


def _writable(text: str) -> str:
    """Without lone surrogates, which no pipe takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _Worker:
    """One process that compares; it is ready when its first line has come."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        command = [sys.executable, "-m", "llmrouterbench.datasets._math_worker", str(limit + 1)]
        # The pipes close with the process; its errors are sympy's complaints about what models write.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
        )
        self._ready = False

    def equal(self, left: str, right: str) -> bool | None:
        """Whether they are equal; None when the process did not live to say it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self._ready and self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(
                "the process that compares mathematics did not start; try `python -c 'import math_verify'`"
            )
        self._ready = True
        watch = threading.Timer(self._limit, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(orjson.dumps([left, right]) + b"\n")
            self._process.stdin.flush()
            return {b"1\n": True, b"0\n": False}.get(self._process.stdout.readline())
        except BrokenPipeError:
            return None
        finally:
            watch.cancel()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class MathPool:
    """Compares mathematical answers in worker processes, for any number of threads; use it in a `with` block.

    workers  processes; they start when the first pair needs algebra
    limit    seconds for one pair; a worker that overruns is killed and replaced

    Raises ImportError without math-verify.
    """

    def __init__(self, workers: int = 2, limit: float = 5.0) -> None:
        if workers < 1 or limit <= 0:
            raise ValueError(f"MathPool needs workers >= 1 and limit > 0, got {workers} and {limit}")
        if find_spec("math_verify") is None:
            raise ImportError("math scoring needs math-verify; pip install 'llmrouterbench[score]'")
        self._limit = limit
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._workers = workers
        self._known: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(self._workers):
            worker = self._idle.get()
            if worker is not None:
                worker.close()

    def equal(self, a: str, b: str) -> bool:
        """Whether two answers are equal. Raises TimeoutError where that cannot be found out within the limit."""
        known = decided(a, b)
        if known is not None:
            return known
        pairs = tuples(a, b)
        if pairs is not None:
            return all(self.equal(one, other) for one, other in pairs)
        pair = _writable(normal(a)), _writable(normal(b))
        with self._lock:
            known = self._known.get(pair)
        return self._compared(*pair) if known is None else known

    def _compared(self, a: str, b: str) -> bool:
        worker = self._idle.get()
        kept: _Worker | None = None
        try:
            worker = worker or _Worker(self._limit)
            said = worker.equal(a, b)
            kept = worker if said is not None else None
        finally:
            if worker is not None and kept is None:
                worker.close()
            self._idle.put(kept)
        if said is None:
            raise TimeoutError(f"comparing two answers took more than {self._limit:g} s or more than 2 GiB")
        with self._lock:
            self._known[a, b] = said
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return said
