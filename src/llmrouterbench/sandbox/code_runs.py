"""Solutions run against their tests in sandboxes, so that no solution can say of itself that it passed.

`scored` is for tests that are Python: the solution runs in one sandbox, the tests in another. They share no memory, no
folder and no descriptor; questions and answers cross as plain data, and this process carries them.
`wrong_answer` is for tests that are inputs and outputs: the expected outputs never leave this process.

What remains possible is written in docs/sandbox.md.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from llmrouterbench.replies import Score
from llmrouterbench.sandbox._inside_values import Codec
from llmrouterbench.sandbox.modules import OFFERED, imported
from llmrouterbench.sandbox.programs import missing, parsed, unfit
from llmrouterbench.sandbox.run import CASES, SOLUTION, RunProgram, inside, offered
from llmrouterbench.sandbox.session import BUSY, Session, Stopped

_PRINTED, _CALLED = 1 << 24, 1 << 20
"""Bytes of an answer that we hold beyond twice what is expected in print, or 32 times in a value."""


def scored(
    run_program: RunProgram, code: str, tests: str, entries: Sequence[str], seconds: float, before: str = ""
) -> Score:
    """1 where the code passes the tests, else 0 with the reason; not scored where it cannot be known here.

    entries   names the tests take from the solution; the first one is what the task asks for
    before    trusted code the tests may use (the helper functions of a prompt)
    """
    if why := unfit(tests, offered()):
        return Score(math.nan, code, why)
    tree = parsed(tests)
    modules = sorted((missing(tree) if tree else set()) & sys.stdlib_module_names - set(entries))
    job = {"tests": tests, "before": before, "modules": modules, "entries": list(entries)}
    examination = _Examination(json.dumps(job).encode(), seconds)
    program = f"{inside(*SOLUTION)}main({code!r}, {list(entries)!r})\n"
    run = run_program(program, examination, seconds, modules=_may_import(code, tests, before))
    verdict = examination.verdict
    if run.stopped == BUSY or "unjudged" in verdict:
        return Score(math.nan, code, verdict.get("unjudged", run.stopped))
    why = run.stopped or verdict.get("failed", "the program ended before its tests did")
    return Score(1.0, code) if why == "" else _lacking(code) or Score(0.0, code, why)


def answered(
    run_program: RunProgram,
    code: str,
    entry: str,
    cases: Sequence[tuple[str, str]],
    seconds: float,
    same: Callable[[Any, str], bool],
) -> Score:
    """1 where the code answers every case (input, expected output), else 0 with the first that it does not.

    entry     method of `Solution`, or function, to be called with the input's lines, which are JSON; "" for a program
              that reads its input and prints
    seconds   the time of each case
    same      whether what was printed, or returned, is what was expected
    """
    tree = parsed(code)
    names = sorted(missing(tree)) if tree else []
    questions = _Questions({"code": code, "entry": entry, "names": names}, cases, seconds, same)
    program = inside(*CASES) + "main()\n"
    run = run_program(program, questions, (seconds + 1) * len(cases) + 5, modules=_may_import(code))
    if run.stopped == BUSY:
        return Score(math.nan, code, BUSY)
    if questions.right == len(cases):
        return Score(1.0, code)
    why = questions.why or run.stopped or "the program ended"
    return _lacking(code) or Score(0.0, code, f"test {questions.right + 1} of {len(cases)}: {why}")


def _may_import(*programs: str) -> bool:
    """Whether a program, or what it is given, names one of the modules that contest judges offer, if only in a text."""
    return any(not OFFERED.isdisjoint(re.findall(r"\w+", program)) for program in programs)


def _lacking(code: str) -> Score | None:
    """Not scored, where a program that failed imports what contest judges offer and we have not got."""
    tree = parsed(code)
    lacking = sorted(imported(tree) & OFFERED - offered().keys()) if tree else []
    return Score(math.nan, code, f"needs {' and '.join(lacking)}, which the sandbox has not got") if lacking else None


class _Examination:
    """Carries messages between a solution and the process that reads its tests, until there is a verdict."""

    def __init__(self, job: bytes, seconds: float) -> None:
        self.job, self.seconds = job, seconds
        self.verdict: dict[str, str] = {}

    def __call__(self, solution: Session) -> None:
        self.verdict = {}
        with solution.judge() as judge:
            judge.at_rest = False
            judge.begin(self.seconds)
            judge.say(self.job)
            try:
                judge.say(_answer(solution, judge))
                while not (said := judge.hear(beside=[solution])).startswith(b'{"verdict"'):
                    solution.say(said)
                    judge.say(_answer(solution, judge))
            except Stopped as ended:
                solution.stop(judge.stopped or f"the tests broke off: {ended}")
                return
            self.verdict = json.loads(said)["verdict"]
            judge.at_rest = True


def _answer(solution: Session, judge: Session) -> bytes:
    try:
        return solution.hear(beside=[judge])
    except Stopped:
        ended = solution.stopped or "the program ended before its tests did"
        return json.dumps({"ended": ended, "classes": [], "heap": []}).encode()


class _Questions:
    """Puts cases to a program, one by one, and compares what it answers, up to the first that is wrong."""

    def __init__(
        self,
        program: dict[str, Any],
        cases: Sequence[tuple[str, str]],
        seconds: float,
        same: Callable[[Any, str], bool],
    ) -> None:
        self.program, self.cases, self.seconds, self.same = program, cases, seconds, same
        self.right, self.why = 0, ""

    def __call__(self, session: Session) -> None:
        self.right, self.why = 0, ""
        session.begin(self.seconds)
        session.say(json.dumps(self.program).encode())
        self.why = session.hear().decode(errors="replace")
        for given, expected in self.cases if not self.why else ():
            size = len(expected.encode(errors="replace"))
            most = _CALLED + 32 * size if self.program["entry"] else _PRINTED + 2 * size
            session.begin(self.seconds)
            session.say(json.dumps({"given": given, "most": most}).encode())
            self.why = self._judged(session.hear(most=most + 1), expected)
            if self.why:
                return
            self.right += 1

    def _judged(self, said: bytes, expected: str) -> str:
        kind, content = said[:1], said[1:]
        if kind == b"F":
            return content[:500].decode(errors="replace")
        try:
            answer = _Values().value(content.decode()) if kind == b"V" else content.decode(errors="replace")
        except Exception:
            return "the program answers with what is no value"
        return "" if self.same(answer, expected) else "wrong answer"


class _Opaque:
    """A value that is no plain data: it equals nothing."""

    def __call__(self) -> None:
        """Stand for a function too."""


class _Values(Codec):
    """Reads plain data alone."""

    def __init__(self) -> None:
        super().__init__(0)
        self._backed: dict[int, bool] = {}

    def value(self, text: str) -> Any:
        """The value in a message. Raises whatever a message raises that is none."""
        return self.unpack(self.read(text)["ok"])

    def mirror(self, number: int, *told: Any) -> None:
        """Take in a class: nothing is known of it."""
        self._backed[number] = told[-1] in ("int", "str", "tuple")
        self.keep(_Opaque(), number)

    def new(self, number: int, of: int, backing: Any) -> Any:
        """Take in an object: the value that it has besides, or none."""
        return self.keep(self.unpack(backing) if self._backed[of] else _Opaque(), number)

    def new_error(self, *told: Any) -> Any:
        """Take in an exception: no value."""
        return _Opaque()

    def empty(self, kind: str, content: Any) -> Any:
        """A container with nothing in it."""
        return _Opaque() if kind in ("array", "ndarray") else super().empty(kind, content)

    def fill(self, thing: Any, kind: str, content: Any) -> None:
        """Give a container its content."""
        if not isinstance(thing, _Opaque):
            super().fill(thing, kind, content)
