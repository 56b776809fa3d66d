"""Programs run in the sandbox by two workers; the same programs, run unprotected by the same Python, are the
reference."""

from __future__ import annotations

from benchmarks.measure import Measured, Row, measure

RUNS = 300
WORKERS = 2
TARGET = "60 a second"

SETUP = """
import subprocess, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from llmrouterbench.sandbox.run import open_sandbox
programs = [
    '''def between(numbers, low, high):
    return [n for n in sorted(numbers) if low <= n < high]

assert between([5, 1, 9, 3], 2, 9) == [3, 5]
assert between([], 0, 1) == []
print("passed")
''',
    '''import math

def primes(most):
    return [n for n in range(2, most) if all(n % d for d in range(2, math.isqrt(n) + 1))]

assert primes(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
assert len(primes(1000)) == 168
print("passed")
''',
    '''from collections import Counter

def anagrams(words):
    return max(Counter("".join(sorted(word)) for word in words).values())

assert anagrams(["ab", "ba", "abc", "b"]) == 2
print("passed")
''',
]
sandbox = open_sandbox(workers={workers})
folder = Path(tempfile.mkdtemp())
files = [folder / str(number) for number in range({runs})]
for number, file in enumerate(files):
    file.write_text(programs[number % len(programs)])
def ours(file):
    return sandbox.run(file.read_text(), "", 10.0).stdout
def theirs(file):
    return subprocess.run([sandbox.python, "-I", file], capture_output=True, text=True, timeout=10.0).stdout
"""
CODE = """
with ThreadPoolExecutor({workers}) as pool:
    assert set(pool.map({who}, files)) == {{"passed\\n"}}
"""


def _measured(who: str) -> Measured:
    fields = {"workers": WORKERS, "runs": RUNS, "who": who}
    return measure(CODE.format(**fields), SETUP.format(**fields), repeat=3)


def rows() -> list[Row]:
    """Seconds for `RUNS` short programs."""
    mine, reference = _measured("ours"), _measured("theirs")
    what = f"run {RUNS} short programs in the sandbox, {WORKERS} workers ({RUNS / mine.seconds:,.0f} a second)"
    return [Row(what, mine, f"{WORKERS} threads, subprocess.run, unprotected", reference, TARGET)]
