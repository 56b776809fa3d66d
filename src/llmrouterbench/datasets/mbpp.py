"""MBPP: 974 small Python functions, each described in a sentence and by three assertions.

Source: Austin et al. 2021, "Program Synthesis with Large Language Models", arXiv 2108.07732. The prompt shows the three
assertions, as the paper's does: without them nobody could know the function's name.

Differs from the official LLMRouterBench code, which reads only the first 100 lines of a reply and drops functions
without a return statement, generators among them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._code import find_code, official_code, score_code
from llmrouterbench.replies import Item, Score
from llmrouterbench.sandbox.programs import defined, missing, parsed

_FILE = "mbpp/mbpp.jsonl"
PROMPT = """\
{query}

Your Python code must pass these tests:

```python
{tests}
```

Reply with the whole code, imports included and the tests left out, in one ```python code block.
"""


def read(files: Mapping[str, Path]) -> list[Item]:
    """All 974 tasks, those the paper keeps for training and prompting included, as in the paper's Table 9."""
    rows = [orjson.loads(line) for line in files[_FILE].read_bytes().splitlines() if line.strip()]
    return [_item(row) for row in rows]


def _item(row: dict[str, Any]) -> Item:
    setup = row.get("test_setup_code") or ""
    entries = entry_names(row["code"], "\n".join([setup, *row["test_list"]]))
    details = {"tests": row["test_list"], "setup": setup, "entries": entries}
    return Item(str(row["task_id"]), row["text"], details=details)


def entry_names(code: str, tests: str) -> list[str]:
    r"""What the tests take from a solution, in the order they name it: functions, and classes where they build objects.

    >>> entry_names("class Node: ...\ndef height(root): ...", "root = Node(1)\nassert height(root) == 1")
    ['height', 'Node']
    """
    reference, tree = parsed(code.replace("\r\n", "\n")), parsed(tests)
    if tree is None:
        raise ValueError(f"tests must be Python, got {tests[:200]!r}; the file is not MBPP's")
    given = defined(reference) if reference else set()
    wanted = (missing(tree) - sys.stdlib_module_names) | given
    asserts = [node for node in tree.body if isinstance(node, ast.Assert)]
    others = [node for node in tree.body if not isinstance(node, ast.Assert)]
    used = [inner.id for node in [*asserts, *others] for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return [name for name in dict.fromkeys(used) if name in wanted]


def prompt(item: Item) -> str:
    """The sentence and the assertions."""
    return PROMPT.format(query=item.query, tests=_tests(item).strip("\n"))


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last complete definition of the function passes the three assertions."""
    entries = item.details["entries"]
    return score_code(find_code(reply, entries[0]), entries, _tests(item), instruments)


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official reading: the first 100 lines, without functions that lack a return."""
    return score_code(official_code(reply), item.details["entries"], _tests(item), instruments)


def _tests(item: Item) -> str:
    setup = item.details.get("setup", "")
    return "\n".join([*([setup] if setup else []), *item.details["tests"]]) + "\n"


DATASET = Dataset(
    name="mbpp",
    title="MBPP",
    domain="Code",
    # No sha256 of this file is published; the first load records it.
    source=Source(
        place="github",
        repository="google-research/google-research",
        revision="2251e8c67a7fe7d6348714967ee101080b28e956",
        files={_FILE: ""},
    ),
    licence="CC-BY-4.0",
    citation="Austin et al. 2021, Program Synthesis with Large Language Models, arXiv:2108.07732",
    size=974,
    shots=0,
    kind="code",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
)
