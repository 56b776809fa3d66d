"""Mathematical equality: decided at once, by algebra in a worker, or not at all within the limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("math_verify", reason="needs the extra llmrouterbench[score]")

from llmrouterbench.datasets._spelling import normal, spelled
from llmrouterbench.datasets.equality import MathPool, decided, tuples
from work import deadline

BOMB = "9^{9^{9^9}}"


@pytest.fixture(scope="module")
def pool() -> Iterator[MathPool]:
    with MathPool(workers=2, limit=10.0) as pool:
        yield pool


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\dfrac12", "1/2", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        ("(3,2)", "(5,1)", False),
        ("(1,2)", "(2,1)", False),
        ("x>2", r"(2,\infty)", True),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt 3}", True),
        ("2x+1", "1+2x", True),
        ("p-q", "q-p", False),
        (r"10\%", "0.1", True),
        ("10%", "10", True),
        (r"\text{Evelyn}", "evelyn", True),
        ("Evelyn", "nylevE", False),
        (r"3\pi", "9.42", False),
        (r"11\text{ cm}", "11", True),
        (r"90^\circ", "90", True),
        ("1,2,3", "3, 2, 1", True),
        ("1,2,3", "1,2,4", False),
        ("5", "x=5", True),
        (r"1\frac{1}{2}", "1.5", True),
        ("1,234", "1234", True),
        (r"\text{(C)}", "C", True),
        (r"x \in [-2,7]", "[-2,7]", True),
        ("[-2,7]", "[-2,7)", False),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        (r"(-\infty,0)\cup(0,\infty)", r"(-\infty, 0) \cup (0, \infty)", True),
        (r"\$32{,}348", "32348", True),
        ("10^3", "1000", True),
        ("0.333", r"\frac13", False),
        ("\ud800", "3", False),
        ("", "", False),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", True),
    ],
)
def test_equality(pool: MathPool, left: str, right: str, equal: bool) -> None:
    assert pool.equal(left, right) is equal
    assert pool.equal(right, left) is equal


@given(st.fractions(max_denominator=10**6))
def test_a_fraction_equals_its_spellings(value: Fraction) -> None:
    over, under = value.numerator, value.denominator
    assert decided(f"{over}/{under}", rf"\dfrac{{{over}}}{{{under}}}")
    assert decided(rf"\frac{{{2 * over}}}{{{2 * under}}}", f"{over}/{under}")
    assert not decided(f"{over}/{under}", f"{over + under}/{under}")


@given(st.text(max_size=60))
@example("%")
def test_normal_spelling_is_stable_in_kind(text: str) -> None:
    assert decided(text, text) is bool(normal(text))
    spelled(text)
    tuples(text, text)


@pytest.mark.parametrize("bomb", [r"\sqrt{" * 200 + "2" + "}" * 200, "x" * 100_000, "{" * 5000, "\\frac" * 2000])
def test_what_is_too_large_is_not_parsed(bomb: str) -> None:
    with deadline(10.0):
        assert decided(bomb, "2") is False


def test_a_worker_that_overruns_is_replaced() -> None:
    with MathPool(workers=1, limit=1.0) as pool:
        assert pool.equal(r"\sqrt{8}", r"2\sqrt{2}")
        with pytest.raises(TimeoutError, match="took more than 1 s"):
            pool.equal(BOMB, "3x")
        assert pool.equal(r"\sqrt{12}", r"2\sqrt{3}")


@pytest.mark.slow
def test_many_threads_share_few_workers(pool: MathPool) -> None:
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda n: pool.equal(rf"\sqrt{{{n * n * 2}}}", rf"{n}\sqrt{{2}}"), range(2, 40)))
    assert all(results)


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_no_process_outlives_its_pool() -> None:
    before = children()
    with MathPool(workers=2, limit=2.0) as pool:
        pool.equal("x^2", "x*x+y")
        assert len(children()) == len(before) + 1
        with pytest.raises(TimeoutError):
            pool.equal(BOMB, "3y")
    assert children() == before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_no_worker_outlives_a_killed_parent() -> None:
    code = (
        "from llmrouterbench.datasets.equality import MathPool\n"
        "with MathPool(1, 2.0) as pool:\n"
        "    pool.equal('2x', 'x+x')\n"
        f"    print('ready', flush=True)\n    pool.equal('{BOMB}', '3z')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        (worker,) = children(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10.0
        while running(worker) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not running(worker)


def children(of: int | None = None) -> set[int]:
    listed: list[str] = []
    for task in Path(f"/proc/{of or os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended since
            listed += (task / "children").read_text().split()
    return {int(pid) for pid in listed if b"_math_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="workers >= 1"):
        MathPool(workers=0)


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrouterbench.datasets.equality.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"llmrouterbench\[score\]"):
        MathPool()
