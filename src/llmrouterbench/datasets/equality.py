r"""Whether two mathematical answers are equal: at once where strings or numbers decide, else by math-verify in workers.

Readings. A unit, a currency, a degree sign, a base or a name before "=" says nothing where the other answer has none;
where both have one they must agree. A percent sign carries no weight ("12\%" is right for "12" and for "0.12"). Numbers
compare exactly, however large or small. Tuples and intervals compare element by element, in order; sets and bare lists
in any order. Words compare as words, not as products of letters. What is longer than 1,500 characters or nested deeper
than 40 braces is not parsed.
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
from llmrouterbench.datasets._rational import exact
from llmrouterbench.datasets._spelling import Spelled, normal, spelled
from llmrouterbench.datasets._units import Unit, unit_of

_LONGEST = 1_500
_DEEPEST = 40
_REMEMBERED = 50_000
_PATIENCE = 6.0
"""Seconds that go by for one of the worker's processor time, before it is given up: the machine may be busy."""
_PLAIN = re.compile(r"[-+]?(?:[0-9]{1,300}|[0-9]{1,3}(?:,[0-9]{3}){1,99})(?:\.[0-9]{1,300})?")


def decided(left: str, right: str) -> bool | None:
    r"""Whether two answers are equal where that takes no algebra; None where it does.

    >>> decided(r"\frac12", "0.5"), decided("4", "5"), decided(r"\sqrt{8}", r"2\sqrt{2}")
    (True, False, None)
    >>> decided("3m", "3"), decided("3 m", "3"), decided("3 m", "300 cm"), decided("1011_2", "1011_{10}")
    (False, True, True, False)
    """
    if len(left) > _LONGEST or len(right) > _LONGEST:
        return left.strip() == right.strip()
    if _PLAIN.fullmatch(left) and _PLAIN.fullmatch(right):
        return Fraction(left.replace(",", "")) == Fraction(right.replace(",", ""))
    one, other = spelled(left), spelled(right)
    if not one.core or not other.core:  # nothing, or a unit alone
        return bool(normal(left)) and normal(left) == normal(right)
    if _too_deep(one.core) or _too_deep(other.core):
        return False
    if _is_equation(one, other):
        return True if _equation(one) == _equation(other) else None
    if ("=" in one.core) != ("=" in other.core):
        total = _TOTAL.fullmatch(one.core) or _TOTAL.fullmatch(other.core)
        value = other.core if "=" in one.core else one.core
        if total and not one.name and not other.name and None not in (exact(total[1]), exact(value)):
            return exact(total[1]) == exact(value)
    if ("=" in one.core) != ("=" in other.core) and not re.search(r"[\\,]", one.core + other.core):
        return False
    if one.base or other.base:
        return one.core == other.core and (not one.base or not other.base or one.base == other.base)
    if one.name and other.name and not _same_name(one.name, other.name):
        return None if re.search(r"(?<!\\)[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", one.core + other.core)) else False
    if (one.unit is None) != (other.unit is None) and _unspaced(left) == _unspaced(right):
        return True
    if any(_PAIR.fullmatch(each.core) for each in (one, other)) and any(
        each.core.startswith("\\{") for each in (one, other)
    ):
        return False
    factor = _factor(one.unit, other.unit)
    if factor is None:
        return False
    if one.core == other.core and factor == 1:
        return True
    return _decided_values(one, other, factor)


_TOTAL = re.compile(r"[a-zA-Z](?:[-+*]?[a-zA-Z])+=([^=]+)")
"""A sum or product of letters and what it is, as in "m+n=204"."""
_PAIR = re.compile(r"\([^()]*,[^()]*\)")
"""One tuple or open interval, which no set is."""


def _unspaced(text: str) -> str:
    return "".join(normal(text).split())


def _decided_values(one: Spelled, other: Spelled, factor: Fraction) -> bool | None:
    values = exact(one.core), exact(other.core)
    if values[0] is not None and values[1] is not None:
        same = _same_number(values[0] * factor, values[1], one.percent != other.percent)
        return same or (None if re.search(r"\de-\d", one.core + other.core) else False)  # 2e-2 may be Euler's e
    if factor != 1:
        return False
    if any(value is not None for value in values) and any(map(_is_multiple, (one.core, other.core))):
        return False
    return _decided_words(one.core, other.core)


def _is_multiple(core: str) -> bool:
    """Whether a value is a multiple of a letter that is no constant: 3m is not 3, whatever m is."""
    return re.fullmatch(r"[-+]?[\d.]*[a-df-hj-zA-HJ-Z](?:\^\{?\d\}?)?", core) is not None


def _is_equation(one: Spelled, other: Spelled) -> bool:
    """Whether two answers are to be compared as equations: one is, and the other has a name to be one."""
    first, second = (re.search(r"(?<![<>\\])=", each.core) is not None for each in (one, other))
    return (first and (second or bool(other.name))) or (second and bool(one.name))


def _equation(answer: Spelled) -> str:
    return f"{answer.name}={answer.core}" if answer.name else answer.core


def _same_name(one: str, other: str) -> bool:
    """Whether two names before "=" can be the same: y is f(x), and words say nothing."""
    return one == other or not all(re.fullmatch(r"\\?[a-zA-Z]", name) for name in (one, other))


def _factor(one: Unit | None, other: Unit | None) -> Fraction | None:
    """By what a number in the first unit is multiplied to be one in the second; None where units differ in kind."""
    if one is None or other is None or not one.kinds or not other.kinds or one.name == other.name:
        return Fraction(1)
    if one.kinds != other.kinds:
        return None
    if one.size is None or other.size is None:
        return Fraction(1) if _singular(one.name) == _singular(other.name) else None
    return one.size / other.size


def _singular(name: str) -> str:
    return re.sub(r"[.\s]|s\b", "", name.lower())


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
    one, other = spelled(left).core, spelled(right).core
    if one[:1] not in ("(", "[") or one[:1] != other[:1] or one[-1:] != other[-1:] or one[-1:] not in (")", "]"):
        return None
    ones, others = (parts(f"({text[1:-1]})") for text in (one, other))
    return list(zip(ones, others, strict=True)) if len(ones) == len(others) > 1 else None


def _for_algebra(one: Spelled, other: Spelled) -> tuple[str, str]:
    """Two answers as the worker compares them: as equations or by their values, degrees beside pi as radians."""
    if _is_equation(one, other) or (one.name and other.name and one.name != other.name):
        return _writable(_equation(one)), _writable(_equation(other))
    sides = (_value(each, rest) for each, rest in ((one, other), (other, one)))
    return next(sides), next(sides)


def _value(answer: Spelled, beside: Spelled) -> str:
    core = re.sub(r"(\d+(?:\.\d+)?)\s?\^\{?\\circ\}?", r"\\frac{\1\\pi}{180}", answer.core)
    if answer.unit == unit_of("°") and beside.unit is None and "\\pi" in beside.core:
        core = rf"\frac{{({core})\pi}}{{180}}"
    return _writable(core + "\\%" * answer.percent)


def _writable(text: str) -> str:
    """Without lone surrogates, which no pipe takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _Worker:
    """One process that compares; it is ready when its first line has come."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        command = [sys.executable, "-m", "llmrouterbench.datasets._math_worker", str(limit)]
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
        watch = threading.Timer(_PATIENCE * self._limit, self._process.kill)
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
    limit    seconds of processor time for one pair; a worker that overruns is killed and replaced

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
        pair = _for_algebra(spelled(a), spelled(b))
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
            raise TimeoutError(f"comparing two answers took more than {self._limit:g} s of processor time, or 2 GiB")
        with self._lock:
            self._known[a, b] = said
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return said
