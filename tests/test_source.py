"""A result is known by the code that it was made with, in a file or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmrouterbench.source import source_of

CELL = """
from llmrouterbench.source import source_of
LIMIT = 3

def helped(value):
    return value + 1 + LIMIT

class Mine:
    "What it is."
    size: int = 4

    def __init__(self, k=2):
        self.k = k

    def fit(self, train):
        return [helped(one) for one in train if one not in {"a", "b", "c"}]

    @property
    def other(self):
        return self.k

print(source_of(Mine), source_of(type("Empty", (), {"__module__": "__main__"})))
"""


def said(code: str, seed: str = "0") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    return done.stdout.split()


@pytest.mark.slow
def test_a_class_that_no_file_holds_is_known_by_what_it_does() -> None:
    """Wherever it is typed, whenever it is run again; a change to it, or to a function that it uses, is seen."""
    first = said(CELL)
    assert len(set(first)) == 2
    assert all(len(one) == 64 for one in first)
    assert said("\n\n# a remark\n" + CELL.replace("What it is", "What it does"), seed="7") == first
    changes = [
        ("value + 1", "value + 2"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("k=2", "k=3"),
        ("size: int = 4", "size: int = 5"),
        ('"b"', '"d"'),
    ]
    for old, new in [*changes, ("return self.k", "return -self.k")]:
        assert said(CELL.replace(old, new))[0] != first[0], (old, new)


def test_a_class_in_a_file_is_known_by_the_file(tmp_path: Path) -> None:
    code = "from llmrouterbench.source import source_of\nclass Mine: pass\nprint(source_of(Mine))\n"
    out = []
    for text in (code, code, code + "# changed\n"):
        (tmp_path / "mine.py").write_text(text)
        out.append(subprocess.check_output([sys.executable, str(tmp_path / "mine.py")], text=True))
    assert out[0] == out[1] != out[2]


def test_ours_and_what_python_has_need_none() -> None:
    assert source_of(source_of) == source_of(len) == source_of(dict) == ""
