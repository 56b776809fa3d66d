"""HumanEval whole, hand-made problems of MBPP and LiveCodeBench of every kind, and bad replies to each."""

from __future__ import annotations

import base64
import json
import math
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmrouterbench.datasets import Dataset, Instruments, _code, dataset, humaneval, livecodebench, mbpp
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox import code_runs
from llmrouterbench.sandbox import run as sandbox_run
from llmrouterbench.sandbox._usage import waited
from llmrouterbench.sandbox.code_runs import answered, scored
from llmrouterbench.sandbox.run import Sandbox, offered, open_sandbox
from solving import WAYS, fenced, humaneval_rows, opened


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


# --- HumanEval ---


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


# --- modules, time, and tests that cannot be judged ---


@pytest.fixture(scope="module", params=WAYS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


USES = {
    "numpy": "int(numpy.linalg.det(numpy.eye(3) * n).round())",
    "sortedcontainers": "len(sortedcontainers.SortedList(range(n ** 3)))",
    "networkx": "networkx.complete_graph(n + 1).number_of_edges() * 9 // 2",
}


@pytest.mark.parametrize("module", USES)
def test_modules_that_contest_judges_offer_can_be_imported(module: str, sandbox: Sandbox) -> None:
    if module not in offered():
        pytest.skip(f"{module} is not installed here")
    code = f"import {module}\n\ndef f(n):\n    return {USES[module]}\n"
    assert scored(sandbox.run, code, "assert f(3) == 27", ["f"], 20.0) == Score(1.0, code)
    assert scored(sandbox.run, code, "assert f(3) == 28", ["f"], 20.0).value == 0.0
    program = f"import {module}\nn = int(input())\nprint({USES[module]})\n"
    assert answered(sandbox.run, program, "", [("3\n", "27")], 20.0, livecodebench.same_output).value == 1.0


WITHOUT_IMPORT = {
    "by name": ("def f(n):\n    return __import__('numpy').arange(n)[-1] + 1\n", "assert f(3) == 3"),
    "of the tests": ("def f(n):\n    return n.sum()\n", "import numpy\nassert f(numpy.array([1, 2])) == 3"),
}


@pytest.mark.parametrize("way", WITHOUT_IMPORT)
def test_modules_are_there_for_who_does_not_import_them_plainly(way: str, sandbox: Sandbox) -> None:
    if "numpy" not in offered():
        pytest.skip("numpy is not installed here")
    code, tests = WITHOUT_IMPORT[way]
    assert scored(sandbox.run, code, tests, ["f"], 20.0) == Score(1.0, code)


def test_no_other_module_can_be_imported(sandbox: Sandbox) -> None:
    code = "try:\n    import orjson\nexcept ModuleNotFoundError:\n    orjson = None\n\ndef f(n):\n    return orjson\n"
    assert scored(sandbox.run, code, "assert f(1) is None", ["f"], 20.0).value == 1.0
    said = scored(sandbox.run, "import orjson\n\ndef f(n):\n    return n\n", "assert f(1) == 1", ["f"], 20.0)
    assert (said.value, said.reason[:40]) == (0.0, "the program fails when it is loaded: Mod")


def test_program_that_lacks_what_judges_offer_is_not_scored(
    instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_runs, "offered", dict)
    monkeypatch.setattr(sandbox_run, "offered", dict)
    code = "import numpy\n\ndef f(n):\n    return int(numpy.int64(n))\n"
    said = scored(instruments.run, code, "assert f(1) == 1", ["f"], 20.0)
    assert math.isnan(said.value)
    assert said.reason == "needs numpy, which the sandbox has not got"
    said = answered(instruments.run, f"{code}print(f(1))", "", [("", "1")], 20.0, livecodebench.same_output)
    assert math.isnan(said.value)
    either = "try:\n    import numpy\nexcept ImportError:\n    numpy = None\n\ndef f(n):\n    return n\n"
    assert scored(instruments.run, either, "assert f(1) == 1", ["f"], 20.0).value == 1.0
    assert scored(instruments.run, code, "import numpy\nassert f(1) == 1", ["f"], 20.0).reason.startswith(
        "the tests need"
    )


UNJUDGED = {
    "no Python": ("assert f(1 == 1", "the tests are no Python"),
    "a missing module": ("import nowhere\nassert f(1) == 1", "the tests need nowhere"),
    "a test that nobody calls": ("def test_f():\n    assert f(1) == 2", "the tests define test_f and never call it"),
    "cases that nobody runs": (
        "import unittest\nclass TestF(unittest.TestCase):\n    def test(self):\n        f(1)",
        "the tests define TestF and never call it",
    ),
    "a file": ("with open('x', 'w') as file:\n    file.write(f(1))", "the tests call open"),
    "the environment": ("import os\nos.environ['X'] = '1'\nf(1)", "the tests use os.environ"),
    "warnings": ("import warnings\nwith warnings.catch_warnings(record=True):\n    f(1)", "the tests call warnings."),
    "logs": ("import unittest\nwith unittest.TestCase().assertLogs():\n    f(1)", "the tests call unittest."),
    "precision": ("from decimal import getcontext\ngetcontext().prec = 5\nf(1)", "the tests call getcontext"),
    "a seed": ("import random\nrandom.seed(1)\nassert f(1) == 1", "the tests call random.seed"),
    "source": ("import inspect\ninspect.getsource(f)", "the tests call inspect.getsource"),
    "an asynchronous loop": (
        "import asyncio\nasync def m():\n    return [x async for x in f(1)]\nasyncio.run(m())",
        "the tests use async for",
    ),
    "a patch": (
        "from unittest.mock import patch\nwith patch('random.random'):\n    f(1)",
        "the tests patch 'random.random'",
    ),
}
LATE = {
    "a derived class": (
        "class Mine(Base):\n    pass\nassert Mine().x == 1",
        "class Base:\n    x = 1",
        "derive a class",
    ),
    "a pickled object": ("import pickle\npickle.dumps(Base())", "class Base:\n    pass", "pickle an object"),
    "a look into a huge value": (
        "assert Base()[3] == 'x'",
        "def Base():\n    return ['x' * 1000] * 80_000",
        "look into a value of more than 64 MiB",
    ),
    "a huge argument": (
        "assert Base('x' * (80 << 20)) == 1",
        "def Base(text):\n    return 1",
        "hand over more than 64 MiB",
    ),
    "an object compared with a value": (
        "assert Base(5) == 5",
        "class Base:\n    def __init__(self, n):\n        self.n = n\n"
        "    def __eq__(self, other):\n        return self.n == other",
        "compare an object of the solution's class with a value",
    ),
}


@pytest.mark.parametrize("name", UNJUDGED)
def test_tests_that_cannot_be_judged_are_never_the_models_fault(name: str, instruments: Instruments) -> None:
    tests, why = UNJUDGED[name]
    said = scored(instruments.run, "def f(n):\n    return n\n", tests, ["f"], 20.0)
    assert math.isnan(said.value)
    assert said.reason.startswith(why)


@pytest.mark.parametrize("name", LATE)
def test_what_tests_do_and_cannot_be_judged_is_never_the_models_fault(name: str, instruments: Instruments) -> None:
    tests, code, why = LATE[name]
    for around in (tests, f"try:\n    {tests.replace(chr(10), chr(10) + '    ')}\nexcept:\n    pass"):
        said = scored(instruments.run, code, around, ["Base"], 20.0)
        assert math.isnan(said.value), said
        assert why in said.reason


def test_tests_may_draw_their_own_numbers_and_silence_warnings(instruments: Instruments) -> None:
    tests = "import random, warnings\nrandom.seed(1)\nwarnings.simplefilter('ignore')\nn = random.random()\n"
    said = scored(instruments.run, "def f(n):\n    return n\n", f"{tests}assert f(n) == n", ["f"], 20.0)
    assert (said.value, said.reason) == (1.0, "")


def test_huge_value_equals_nothing_and_has_a_length(instruments: Instruments) -> None:
    code = "def f():\n    return ['x' * 1000] * 80_000\n"
    assert scored(instruments.run, code, "assert f() == [0, 0]", ["f"], 20.0).value == 0.0
    assert scored(instruments.run, code, "assert len(f()) == 80_000", ["f"], 20.0).value == 1.0


def test_what_a_busy_machine_does_is_not_the_programs_time(sandbox: Sandbox) -> None:
    if not waited():
        pytest.skip("the kernel does not count what a thread waits for a core")
    burn = [sys.executable, "-S", "-c", "while True: pass"]
    work = "import time\n\ndef f(n):\n    while time.process_time() < n:\n        pass\n    return n\n"
    others = [subprocess.Popen(burn) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        right = scored(sandbox.run, work, "assert f(0.7) == 0.7", ["f"], 1.5)
        slow = scored(sandbox.run, work, "assert f(60) == 60", ["f"], 0.5)
        asleep = scored(sandbox.run, f"{work}time.sleep(60)", "assert f(0) == 0", ["f"], 0.5)
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert right == Score(1.0, work)
    assert (slow.value, slow.reason) == (0.0, "time limit")
    assert (asleep.value, asleep.reason) == (0.0, "time limit")


def test_time_is_of_all_processes_together(sandbox: Sandbox) -> None:
    code = "import os\n\ndef f(n):\n    for _ in range(3):\n        os.fork()\n    while True:\n        pass\n"
    said = scored(sandbox.run, code, "assert f(1) == 1", ["f"], 2.0)
    assert (said.value, said.reason) == (0.0, "time limit")


def test_time_of_the_tests_is_limited_too(sandbox: Sandbox) -> None:
    said = scored(sandbox.run, "def f(n):\n    return n\n", "while f(1) == 1: pass", ["f"], 1.0)
    assert (said.value, said.reason) == (0.0, "time limit")


def test_each_case_has_its_own_time(sandbox: Sandbox) -> None:
    code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(input())\n"
    cases = [(f"{n}\n", str(n)) for n in range(5)]
    assert answered(sandbox.run, code, "", cases, 1.0, livecodebench.same_output).value == 1.0
    said = answered(sandbox.run, code.replace("0.3", "5.0"), "", cases, 0.2, livecodebench.same_output)
    assert (said.value, said.reason) == (0.0, "test 1 of 5: time limit")
