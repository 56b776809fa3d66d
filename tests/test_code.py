"""The code in a reply."""

from __future__ import annotations

import pytest

from llmrouterbench.datasets._code import find_code
from llmrouterbench.sandbox.programs import LONGEST


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
