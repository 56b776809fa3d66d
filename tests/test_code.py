"""The code in a reply, and solutions that say of themselves that they are right."""

from __future__ import annotations

import pytest

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets._code import find_code
from llmrouterbench.replies import Reply
from llmrouterbench.sandbox.code_runs import failure
from llmrouterbench.sandbox.programs import LONGEST
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


# --- the code in a reply ---

F = "def f(x):\n    return x\n"
H, USES_H = "def h(x):\n    return 1\n", "def f(x):\n    return h(x)\n"
USES_MATH = "def f(x):\n    return math.pi\n"
PROSE = "Let us think about it once more, step by step.\n"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (f"```python\n{F}```", F),
        (PROSE * 150 + f"```python\n{F}```", F),
        (f"```\n{F}```", F),
        (f"~~~python\n{F}~~~", F),
        (f"````py\n{F}````", F),
        (f"```Python3\n{F}```".replace("\n", "\r\n"), F),
        (f"```python\n{F}", F),
        (f"```python\n{F.rstrip()}```", F),
        (f"Here you go: ```python\n{F}```", F),
        (f"1. First\n\n   ```python\n   {F.rstrip().replace(chr(10), chr(10) + '   ')}\n   ```", F),
        (f"> ```python\n{F}> ```", F),
        ("```python\ndef f(x):\n    return 0\n```\nBetter:\n```python\n" + F + "```", F),
        (f"```python\n{F}```\n```python\nprint(f(1))\n```\n```\n1\n```", F),
        (f"```python\n{F}```\n```java\nclass f {{ }}\n```", F),
        (f"```python\n{F}```\n```python\ndef f(x:\n```", F),
        (f"```python\ndef f(x):\n    return 0\n```python\n{F}```", F),
        (f"```python\nimport math\n```\nthen\n```python\n{USES_MATH}```", f"import math\n{USES_MATH}"),
        (f"```python\n{H}```\n```python\n{USES_H}```", H + USES_H),
        ("```python\n>>> def f(x):\n...     return x\n```", F),
        (F, F),
        (f"The function is\n\n{F}\nand it returns x.", F),
        (f"for every x we return x\n{F}\nThat is all.", F),
        (PROSE * 150 + F, F),
        (f"<think>\n```python\ndef f(x):\n    return 0\n```\n</think>\n{F}", F),
        (f"<think>```python\n{F}```", ""),
        (f"<think>```python\n{F}```</think>I do not know.", ""),
        ("```python\ndef g(x):\n    return x\n```", ""),
        ("f(x) returns x.", ""),
        ("", ""),
        ("```python\ndef f(x):\n    yield x\n```", "def f(x):\n    yield x\n"),
        ("```python\nf = lambda x: x\n```", "f = lambda x: x\n"),
        ("```python\nclass f:\n    pass\n```", "class f:\n    pass\n"),
        ('def f(x):\n    """Text\nwithout indent, as prose.\n"""\n    return x\n',) * 2,
    ],
)
def test_code_is_found_in_the_whole_reply(reply: str, code: str) -> None:
    assert find_code(reply, "f") == code


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("```python\nprint(input())\n```\nFor the input\n```\n3\n1 2 3\n```", "print(input())\n"),
        ("```\nprint(input())\n```\nprints\n```\nx = 1\n```", "print(input())\n"),
        ("```python\nprint(1)\n```\nfaster:\n```python\nprint(2)\n```", "print(2)\n"),
        (f"```python\n{H}```\n```python\nprint(h(1))\n```", f"{H}print(h(1))\n"),
        ("import sys\nprint(sys.stdin.read())\n\nThis echoes.", "import sys\nprint(sys.stdin.read())\n"),
        ("It is impossible.", ""),
    ],
)
def test_program_is_found(reply: str, code: str) -> None:
    assert find_code(reply) == code


def test_reply_may_continue_the_stub() -> None:
    stub = 'def f(x: int) -> int:\n    """x again."""\n'
    assert find_code("    return x\n", "f", stub) == stub + "    return x\n"
    assert find_code("```python\nreturn x\n```", "f", stub) == stub + "    return x\n"
    assert find_code("I cannot say.", "f", stub) == ""


def test_longest_program_is_a_quarter_of_a_megabyte() -> None:
    code = F + "x = 1\n" * 1000
    assert find_code(fenced(code), "f") == code
    assert len(code) < LONGEST


# --- solutions that say of themselves that they pass ---

LOOKS = """
import gc, os, sys
wanted = "".join(["ass", "ert f(2", "0)"])
def seen(value):
    return isinstance(value, str) and value is not wanted and wanted in value
def f(n):
    frame = sys._getframe()
    while frame:
        if any(map(seen, [*frame.f_locals.values(), *frame.f_globals.values()])):
            return 42
        frame = frame.f_back
    if any(seen(value) for held in gc.get_objects() if isinstance(held, dict) for value in held.values()):
        return 42
    for name in ("mem", "fd/0", "fd/3", "environ", "cmdline"):
        for pid in ("self", os.getppid()):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if wanted.encode() in file.read(1 << 20):
                        return 42
            except OSError:
                pass
    return 0
"""
SAYS = """
import os
def f(n):
    for number in range(10):
        try:
            os.write(number, b'{"token": "", "failed": ""}\\n')
        except OSError:
            pass
"""
PLANTED = """
import sys
frame = sys._getframe()
while frame:
    for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
        if isinstance(value, dict) and "token" in value:
            print('\\n{"token": "' + value["token"] + '", "failed": ""}', flush=True)
            import os
            os._exit(0)
    frame = frame.f_back
"""
PLANTS = f"""
import decimal, fractions, os, sys
names = ["decimal", "fractions", "collections", "datetime", "statistics", "heapq"]
names += ["sitecustomize", "usercustomize", "encodings"]
for folder in {{".", "/box", "/tmp", "/dev/shm", "/", os.path.expanduser("~"), *sys.path}}:
    for name in names:
        for path in (f"{{folder}}/{{name}}.py", f"{{folder}}/{{name}}/__init__.py"):
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write({PLANTED!r})
            except OSError:
                pass
"""
EQUAL = "    def __eq__(self, other): return True\n    __hash__ = None\n"
CHEATS = {
    "plants the modules that values need": f"{PLANTS}\ndef f(n):\n"
    "    return [decimal.Decimal(n), fractions.Fraction(n)]",
    "leaves early": "import os\ndef f(n):\n    os._exit(0)",
    "leaves when loaded": "import sys\ndef f(n): pass\nsys.exit(0)",
    "equals everything": f"class All:\n{EQUAL}def f(n):\n    return All()",
    "is a number that equals everything": f"class All(int):\n{EQUAL}def f(n):\n    return All(0)",
    "is a text that equals everything": f"class All(str):\n{EQUAL}def f(n):\n    return All('x')",
    "is a list that equals everything": f"class All(list):\n{EQUAL}def f(n):\n    return All()",
    "changes the builtins": "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.exec = print\n"
    "def f(n):\n    return None",
    "says the verdict": SAYS,
    "looks for the tests": LOOKS,
    "kills the tests": "import os, signal\ndef f(n):\n    os.kill(os.getppid(), signal.SIGKILL)",
    "stops the tests": "import os, signal\ndef f(n):\n    os.kill(os.getppid(), signal.SIGSTOP)\n    return 0",
    "never ends": "def f(n):\n    while True: pass",
    "prints without end": "def f(n):\n    while True: print('x' * 1000)",
    "fork bomb": "import os\ndef f(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "eats memory": "def f(n):\n    held = []\n    while True: held.append(bytearray(1 << 26))",
}


@pytest.mark.parametrize("tests", ["import statistics\nassert f(20) == 42", "assert heapq and f(20) == 42"])
def test_planted_modules_are_not_those_of_the_tests(tests: str, instruments: Instruments) -> None:
    assert failure(instruments.run, f"{PLANTS}\ndef f(n): return 0", tests, ["f"], 30.0) == "AssertionError"
    assert failure(instruments.run, f"{PLANTS}\ndef f(n): return 42", tests, ["f"], 30.0) == ""


@pytest.mark.parametrize("name", CHEATS)
def test_cheat_does_not_pass(name: str, instruments: Instruments) -> None:
    tests = "assert f(20) == 42\nassert f(20) == 42\n"
    said = failure(instruments.run, CHEATS[name], tests, ["f"], 2.0)
    assert said
    assert failure(instruments.run, "def f(n):\n    return 42", "assert f(20) == 42", ["f"], 30.0) == ""
