"""No solution passes tests that it does not know: in bubblewrap and under Landlock, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cheats import CHEATS, CHECKS, GROUPS, RIGHT
from llmrouterbench.datasets import Instruments, humaneval
from llmrouterbench.replies import Reply, Score
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.sandbox.run import Sandbox
from solving import WAYS, Way, fenced, humaneval_rows, left, opened, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and Landlock are Linux")
GUEST = 54_322


@pytest.fixture(scope="module", params=WAYS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def outside() -> Iterator[Callable[[str], str]]:
    """What a solution must leave alone: a folder and a process, put in the place of their names."""
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(["sleep", "3600"]) as victim:
        os.chmod(folder, 0o777)
        yield lambda code: code.replace("FOLDER", folder).replace("VICTIM", str(victim.pid))
        assert os.listdir(folder) == []
        assert victim.poll() is None
        assert Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        victim.kill()


def test_right_solution_passes_every_kind_of_check(sandbox: Sandbox) -> None:
    said = scored(sandbox.run, RIGHT, CHECKS, ["f"], 30.0)
    assert (said.value, said.reason) == (1.0, "")


@pytest.mark.parametrize("name", CHEATS)
def test_cheat_does_not_pass(name: str, sandbox: Sandbox, outside: Callable[[str], str]) -> None:
    said = scored(sandbox.run, outside(CHEATS[name]), CHECKS, ["f"], 1.0)
    assert said.value == 0.0, said
    assert said.reason


def test_nothing_of_one_solution_is_there_for_the_next(sandbox: Sandbox, outside: Callable[[str], str]) -> None:
    cheats = GROUPS["What is no conversation"] | GROUPS["Who wants to run in the tests' place"]
    for cheat in cheats.values():
        scored(sandbox.run, outside(cheat), CHECKS, ["f"], 1.0)
        said = scored(sandbox.run, RIGHT, CHECKS, ["f"], 30.0)
        assert (said.value, said.reason) == (1.0, ""), cheat


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_when_a_sandbox_is_closed(way: Way, outside: Callable[[str], str]) -> None:
    kept = processes()  # of other sandboxes that are open now
    before = len(os.listdir("/proc/self/fd"))
    with opened(way) as own:
        for cheat in ("a process that goes on", "fork bomb", "kills everybody", "stops itself"):
            scored(own.run, outside(CHEATS[cheat]), CHECKS, ["f"], 0.5)
        assert left() <= kept
    assert len(os.listdir("/proc/self/fd")) == before
    end = time.monotonic() + 20  # the kernel takes a moment to take namespaces down
    while processes() - kept and time.monotonic() < end:
        time.sleep(0.02)
    assert not processes() - kept


ORDINARY = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.sandbox.run import open_sandbox
way, uid, checks, programs = json.loads(sys.stdin.read())
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
own = open_sandbox(only="landlock" if way == "landlock" else "bubblewrap", workers=2)
if way == "bubblewrap":
    own._serves = False
with own, ThreadPoolExecutor(2) as pool:
    said = [*pool.map(lambda code: scored(own.run, code, checks, ["f"], 1.0), programs)]
    print(json.dumps([own._serves, [[score.value, score.reason] for score in said]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's sandbox is what all other tests here open")
@pytest.mark.parametrize("way", WAYS)
def test_no_cheat_passes_in_the_sandbox_of_an_ordinary_user(way: Way, outside: Callable[[str], str]) -> None:
    programs = [RIGHT, *map(outside, CHEATS.values()), RIGHT]
    given = json.dumps([way, GUEST, CHECKS, programs])
    run = subprocess.run([sys.executable, "-c", ORDINARY], input=given, capture_output=True, text=True)
    if "no sandbox works" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    serves, ((first, why), *said, (last, _)) = json.loads(run.stdout)
    assert bool(serves) == (way == "forked")
    assert (first, last) == (1.0, 1.0), why
    assert {name: score for name, (score, _) in zip(CHEATS, said, strict=True) if score != 0.0} == {}
    assert not any(owner(path) == GUEST for path in Path("/proc").glob("[0-9]*"))


def owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return -1


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


@pytest.mark.slow
def test_every_humaneval_reference_passes_and_no_mutant_and_no_cheat_does(sandbox: Sandbox) -> None:
    rows = humaneval_rows()
    assert len(rows) == humaneval.DATASET.size == 164
    kinds = ("Values that lie", "Who looks for the tests", "Who wants to run in the tests' place")
    cheats = [code for kind in kinds for code in GROUPS[kind].values()]
    lies = [f"{cheats[at % len(cheats)]}\n{item.details['entry_point']} = f\n" for at, (item, _) in enumerate(rows)]

    def scores(codes: list[str]) -> dict[str, Score]:
        with ThreadPoolExecutor(2) as pool:
            replies = zip((item for item, _ in rows), map(fenced, codes), strict=True)
            said = pool.map(lambda row: humaneval.score(row[0], row[1], instruments(sandbox)), replies)
            return {item.id: score for (item, _), score in zip(rows, said, strict=True)}

    right = scores([code for _, code in rows])
    assert {name: score.reason for name, score in right.items() if score.value != 1.0} == {}
    wrong = scores([code + CHANGED.format(entry=item.details["entry_point"]) for item, code in rows])
    assert [name for name, score in wrong.items() if score.value != 0.0] == []
    broken = [name for name, score in wrong.items() if "loaded" in score.reason or "limit" in score.reason]
    assert broken == []  # they fail by their answers
    lied = scores(lies)
    assert [name for name, score in lied.items() if score.value != 0.0] == []


def instruments(sandbox: Sandbox) -> Instruments:
    def equal_is_not_asked(left: str, right: str) -> bool:
        raise AssertionError("code scoring compares no mathematics")

    def nobody_is_asked(prompt: str) -> Reply:
        raise AssertionError("code scoring asks no judge")

    return Instruments(equal_is_not_asked, sandbox.run, nobody_is_asked)
