r"""SWE-bench Verified: 500 GitHub issues to be solved by a patch, which the repository's own tests check.

Source: Jimenez et al. 2024, "SWE-bench: Can Language Models Resolve Real-World GitHub Issues?", arXiv 2310.06770;
Verified: OpenAI, August 2024. Its harness builds a container for every repository, so it stays a user's own install:

    pip install swebench                  # needs Docker and about 120 GB of disk
    python -m swebench.harness.run_evaluation --dataset_name SWE-bench/SWE-bench_Verified --split test \
        --predictions_path predictions.jsonl --run_id mine --max_workers 4

`write_predictions` writes predictions.jsonl; the harness leaves `<model>.mine.json`, which `read_report` reads. The
prompt here shows the issue alone, without the repository: models that solve it work as agents in a checkout, and then
their patches are what `write_predictions` is given. Cost and tokens are those of the replies, for the report has none.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._harness import await_harness, read_object
from llmrouterbench.datasets.answers import visible
from llmrouterbench.files import write_bytes
from llmrouterbench.replies import Item, Reply, Score

_FILE = "data/test-00000-of-00001.parquet"
_FENCE = re.compile(r"^```[ \t]*(?:diff|patch|udiff)[ \t]*\r?\n(.*?)^```", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_START = re.compile(r"^(?:diff --git |--- (?:a/|/dev/null))", re.MULTILINE)
_OUTCOMES = {"resolved_ids": 1.0, "unresolved_ids": 0.0, "empty_patch_ids": 0.0}
PROMPT = """\
Below is an issue of the repository {repository} at commit {commit}. Write a patch that resolves it.

{query}

Reply with one unified diff in a block that starts with ```diff. Paths are relative to the repository's root and begin
with a/ and b/, and the patch must apply with `git apply`.
"""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The issues; `details` hold repository and base commit. The right patch and the tests stay with the harness."""
    import polars

    columns = ["instance_id", "repo", "base_commit", "problem_statement"]
    rows = polars.read_parquet(files[_FILE], columns=columns).iter_rows()
    return [Item(name, issue, None, "", {"repo": repo, "base_commit": commit}) for name, repo, commit, issue in rows]


def prompt(item: Item) -> str:
    """The issue with its repository and commit."""
    return PROMPT.format(repository=item.details["repo"], commit=item.details["base_commit"], query=item.query)


def patch_of(reply: str) -> str:
    r"""The patch in a reply: its blocks marked as diff, else all from the first diff header on; "" if none.

    Blocks for different places are one patch; a block that changes a place anew takes the place of the one before.

    >>> patch_of("Done.\n```diff\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n```\nThat is it.")
    '--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n'
    """
    text = visible(reply).replace("\r\n", "\n")
    blocks = [block for block in _FENCE.findall(text) if _START.search(block)]
    if blocks:
        return "".join(_latest(blocks))
    start = _START.search(text)
    if start is None:
        return ""
    return text[start.start() :].partition("\n```")[0].rstrip("\n") + "\n"


def _latest(blocks: Sequence[str]) -> list[str]:
    """The blocks in their order, without those that a later one changes anew."""
    kept: list[str] = []
    taken: dict[str, list[tuple[int, int]]] = {}
    for block in reversed(blocks):
        places = _places(block)
        if not any(_overlaps(taken.get(name, []), start, end) for name, start, end in places):
            kept.append(block)
            for name, start, end in places:
                insort(taken.setdefault(name, []), (start, end))
    return kept[::-1]


def _overlaps(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether lines from `start` to before `end` meet one of the ranges, which are sorted and apart."""
    before = bisect_left(taken, (end, 0))
    return before > 0 and taken[before - 1][1] > start


def _places(block: str) -> list[tuple[str, int, int]]:
    """(file, first line, line after the last) of every hunk of a block; all lines of a file for one without numbers."""
    found: list[tuple[str, int, int]] = []
    for part in re.split(r"(?m)^(?=--- [^\n]*\n\+\+\+ )", block):
        names = re.findall(r"(?m)^(?:---|\+\+\+) (?:[ab]/)?(\S+)", part)[:2]
        name = next((name for name in names if name != "/dev/null"), "")
        hunks = re.findall(r"(?m)^@@ -(\d{1,9})(?:,(\d{1,9}))? ", part)
        lines = [(int(start), int(start) + max(int(size or 1), 1)) for start, size in hunks]
        found += [(name, start, end) for start, end in lines or [(0, 10**9)] if name]
    return found


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """0 for a reply without a patch; any other needs the harness and is not scored here."""
    patch = patch_of(reply)
    return await_harness("SWE-bench", patch) if patch else Score(0.0, "", "no patch in the reply")


def write_predictions(items: Iterable[Item], replies: Sequence[Reply], path: Path) -> int:
    """Write the harness's predictions file, one JSON line an item, and return the number of lines.

    An item without an ok reply has no line: the harness then counts it as incomplete, and it is not scored. Raises
    ValueError for replies of several models, which the harness cannot tell apart, or for several replies to one item.
    """
    models = sorted({reply.model for reply in replies})
    if len(models) > 1:
        raise ValueError(f"a predictions file must be of one model, got {', '.join(models)}; write one file a model")
    by_item: dict[str, Reply] = {}
    for reply in replies:
        if by_item.setdefault(reply.item, reply) is not reply:
            raise ValueError(f"a predictions file must have one reply an item, got two to {reply.item}; choose one")
    lines = [_line(item, by_item[item.id]) for item in items if item.id in by_item and by_item[item.id].status == "ok"]
    write_bytes(path, b"".join(lines))
    return len(lines)


def _line(item: Item, reply: Reply) -> bytes:
    patch = patch_of(reply.text).encode("utf-8", "replace").decode()
    row = {"instance_id": item.id, "model_name_or_path": reply.model, "model_patch": patch}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read_report(path: Path) -> dict[str, Score]:
    """Item id -> score from the harness's run report: 1 resolved, 0 unresolved or empty patch, NaN where it failed.

    Items without a prediction (`incomplete_ids`) are left out. Raises ValueError for a file that is no run report, or
    one that names an item both as resolved and as unresolved.
    """
    report = read_object(path, "resolved_ids", "a run report of SWE-bench")
    scores: dict[str, Score] = {}
    for key, value in _OUTCOMES.items():
        for name in report.get(key, []):
            if name in scores:
                raise ValueError(f"{path}: {name} must have one outcome, got two ({key} and another); run it again")
            scores[name] = Score(value, "", "empty patch" if key == "empty_patch_ids" else "")
    for name in report.get("error_ids", []):
        scores[name] = Score(math.nan, "", "the harness failed: error_ids")
    return scores


DATASET = Dataset(
    name="swe-bench",
    title="SWE-Bench",
    domain="Code",
    source=Source(
        "hub",
        "SWE-bench/SWE-bench_Verified",
        "78f471bf655a3137b2e8a75af1501690ec009ec3",
        {_FILE: "030cfd7f2a704c4c0226e7f104c725a3b41230b1d3517f9c915ad7ea5be3fa25"},
    ),
    licence="not stated on the hub; the harness is MIT",
    citation="Jimenez et al. 2024, arXiv 2310.06770",
    size=500,
    shots=0,
    kind="harness",
    version=2,
    read=read,
    prompt=prompt,
    score=score,
)
