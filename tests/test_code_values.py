"""What crosses between a solution and its tests, each in a sandbox of its own: every kind of value, both ways.

The parts of tests/cases/code_values.md: a right solution passes its tests, a wrong one does not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrouterbench.datasets._own_scorers import entries_of
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.sandbox.modules import imported
from llmrouterbench.sandbox.run import Sandbox, offered, open_sandbox

PARTS = {
    name: re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)",
        (Path(__file__).parent / "cases" / "code_values.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        opened = open_sandbox(workers=2)
    except OSError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.mark.parametrize("name", PARTS)
def test_right_solution_passes_and_wrong_one_fails(name: str, sandbox: Sandbox) -> None:
    right, tests, wrong = PARTS[name]
    for module in imported(ast.parse(tests)) - offered().keys():
        pytest.skip(f"{module} is not installed here")
    entries = entries_of(tests)
    said = scored(sandbox.run, right, tests, entries, 20.0)
    assert (said.value, said.reason) == (1.0, "")
    said = scored(sandbox.run, wrong, tests, entries, 20.0)
    assert said.value == 0.0, said.reason
