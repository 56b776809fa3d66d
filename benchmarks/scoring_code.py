"""Solutions and their tests run in two sandboxes each, by two workers; the same programs, run unprotected by the same
Python, are the reference."""

from __future__ import annotations

from benchmarks.measure import Measured, Row, measure

RUNS = 300
WORKERS = 2
TARGET = "60 a second"

SETUP = """
import subprocess, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.sandbox.run import open_sandbox
solutions = [
    ('between', '''def between(numbers, low, high):
    return [n for n in sorted(numbers) if low <= n < high]
''', '''assert between([5, 1, 9, 3], 2, 9) == [3, 5]
assert between([], 0, 1) == []
'''),
    ('primes', '''import math

def primes(most):
    return [n for n in range(2, most) if all(n % d for d in range(2, math.isqrt(n) + 1))]
''', '''assert primes(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
assert len(primes(1000)) == 168
'''),
    ('anagrams', '''from collections import Counter

def anagrams(words):
    return max(Counter("".join(sorted(word)) for word in words).values())
''', '''assert anagrams(["ab", "ba", "abc", "b"]) == 2
'''),
]
sandbox = open_sandbox(workers={workers})
folder = Path(tempfile.mkdtemp())
jobs = []
for number in range({runs}):
    entry, code, tests = solutions[number % len(solutions)]
    file = folder / str(number)
    file.write_text(code + tests)
    jobs.append((entry, code, tests, file))
def ours(job):
    entry, code, tests, _ = job
    return scored(sandbox.run, code, tests, [entry], 10.0).value
def theirs(job):
    return float(subprocess.run([sandbox.python, "-I", job[-1]], timeout=10.0).returncode == 0)
"""
CODE = """
with sandbox, ThreadPoolExecutor({workers}) as pool:
    assert set(pool.map({who}, jobs)) == {{1.0}}
"""


def _measured(who: str) -> Measured:
    fields = {"workers": WORKERS, "runs": RUNS, "who": who}
    return measure(CODE.format(**fields), SETUP.format(**fields), repeat=3)


def rows() -> list[Row]:
    """Seconds for `RUNS` short solutions against their tests."""
    mine, reference = _measured("ours"), _measured("theirs")
    what = f"score {RUNS} short solutions in sandboxes, {WORKERS} workers ({RUNS / mine.seconds:,.0f} a second)"
    return [Row(what, mine, f"{WORKERS} threads, subprocess.run, unprotected", reference, TARGET)]
