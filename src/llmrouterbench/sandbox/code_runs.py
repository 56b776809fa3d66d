"""Solutions run against their tests in the sandbox, so that no solution can say of itself that it passed.

`failure` is for tests that are Python: the solution runs in one process, the tests in another that began to read them
only afterwards; only plain data passes between the two, and the verdict carries a token made for this one run.
`answers` is for tests that are inputs and outputs: the expected outputs never enter the sandbox.

What remains possible: a solution may tell the inputs apart and answer from memory, and objects that are no plain data
(trees the tests build from the solution's own classes) answer for themselves, except to "==".
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from llmrouterbench.sandbox.programs import missing, parsed
from llmrouterbench.sandbox.run import Execution

RunProgram = Callable[[str, str, float], Execution]
"""Runs a Python program on its standard input, for so many seconds at most: `Sandbox.run`."""

_TESTS = Path(__file__).with_name("_inside_tests.py")
_CASES = Path(__file__).with_name("_inside_cases.py")
_BATCH_BYTES = 1 << 24
_ROOM = 1 << 12


def failure(
    run_program: RunProgram, code: str, tests: str, entries: Sequence[str], seconds: float, before: str = ""
) -> str:
    """Why the code does not pass the tests, "" where it does.

    entries   names the tests take from the solution; the first one is what the task asks for
    before    trusted code the tests may use (the helper functions of a prompt)
    """
    token = secrets.token_hex(16)
    tree = parsed(tests)
    modules = sorted((missing(tree) if tree else set()) & sys.stdlib_module_names - set(entries))
    said = {"token": token, "tests": tests, "before": before, "modules": modules}
    program = f"{_TESTS.read_text('utf-8')}\n\nmain({code!r}, {list(entries)!r})\n"
    run = run_program(program, json.dumps(said), seconds)
    verdict = _object(run.stdout)
    return str(verdict["failed"]) if verdict.get("token") == token else _why(run)


def answers(
    run_program: RunProgram, code: str, entry: str, cases: Sequence[tuple[str, str]], seconds: float
) -> Iterator[tuple[str, str]]:
    """What the code answers to each case (input, expected output), as (answer, why there is none); ends at a failure.

    entry     method of `Solution`, or function, to be called with the input's lines; "" for a program that reads input
    seconds   limit of each case
    """
    tree = parsed(code)
    names = sorted(missing(tree)) if tree else []
    for batch in _batches(cases):
        said = {"code": code, "entry": entry, "names": names, "seconds": seconds}
        said |= {"cases": [(given, _most(expected)) for given, expected in batch]}
        run = run_program(_CASES.read_text("utf-8"), json.dumps(said), (seconds + 1) * len(batch) + 5)
        lines = run.stdout.splitlines()
        for number in range(len(batch)):
            said = _object(lines[number]) if number < len(lines) else {}
            if "out" not in said:
                yield "", _explained(str(said.get("failed") or _why(run)), run)
                return
            yield str(said["out"]), ""


def _batches(cases: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """As many cases at a time as one run's input and output may hold."""
    batch: list[tuple[str, str]] = []
    size = 0
    for given, expected in cases:
        more = len(given) + _most(expected)
        if batch and size + more > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((given, expected))
        size += more
    if batch:
        yield batch


def _most(expected: str) -> int:
    return 2 * len(expected.encode(errors="replace")) + _ROOM


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _explained(why: str, run: Execution) -> str:
    return ": ".join([why, *run.stderr.strip().splitlines()[-1:]]) if why == "the program fails" else why


def _why(run: Execution) -> str:
    """Why there is no verdict: the run was stopped, or the program ended its tests' process with its own."""
    return run.stopped or f"the program broke off its tests (exit status {run.status})"
