"""Attacks on the sandbox, once in bubblewrap and once under Landlock: nothing gets out, nothing stays behind."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import attacks
from llmrouterbench.sandbox import run as _sandbox
from llmrouterbench.sandbox._uids import UIDS_A_PROCESS, free_uid
from llmrouterbench.sandbox.run import Execution, Limits, Sandbox, open_sandbox
from solving import WAYS, Way, assert_nothing_left, opened, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and Landlock are Linux")

SECRET = "the-secret-of-this-test"
HONEST = "print(sum(int(word) for word in input().split()))"
GUEST = 54_321


@pytest.fixture(scope="module", params=WAYS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


@dataclass(frozen=True)
class Outside:
    """What a program must not reach."""

    folder: Path
    port: int
    victim: int

    def program(self, attack: str) -> str:
        return attacks.program(attack, FOLDER=self.folder, PORT=self.port, VICTIM=self.victim)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as door,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(["sleep", "600"]) as victim,
    ):
        folder, port = Path(name), server.getsockname()[1]
        folder.chmod(0o777)
        for name, content in (("secret", SECRET), ("deleted", ""), ("moved", "")):
            (folder / name).write_text(content)
        door.bind(str(folder / "door"))
        abstract.bind(f"\0door{port}")
        door.listen()
        abstract.listen()
        (folder / "door").chmod(0o777)
        yield Outside(folder, port, victim.pid)
        victim.kill()


def untouched(outside: Outside) -> bool:
    names = {"secret", "deleted", "moved", "door"}
    found = {path.name for path in outside.folder.iterdir()}
    return found == names and (outside.folder / "secret").read_text() == SECRET


@pytest.mark.parametrize("name", attacks.UNPROTECTED_OUT)
def test_attack_works_where_nothing_protects(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # a world of its own: it gets hurt
        for file in ("secret", "deleted", "moved"):
            Path(folder, file).write_text(SECRET)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket(socket.AF_UNIX) as door,
            socket.socket(socket.AF_UNIX) as abstract,
        ):
            port = server.getsockname()[1]
            door.bind(f"{folder}/door")
            abstract.bind(f"\0door{port}")
            door.listen()
            abstract.listen()
            text = attacks.program(attacks.UNPROTECTED_OUT[name], FOLDER=folder, PORT=port, VICTIM=os.getpid())
            said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert said.stdout.startswith("OUT"), said


@pytest.mark.parametrize("name", [*attacks.UNPROTECTED_OUT, *attacks.HELD])
def test_attack_is_held(name: str, sandbox: Sandbox, outside: Outside) -> None:
    said = sandbox.run(outside.program({**attacks.UNPROTECTED_OUT, **attacks.HELD}[name]), "", 20.0)
    assert "HELD" in said.stdout, said
    assert "OUT" not in said.stdout, said
    assert SECRET not in said.stdout
    assert untouched(outside)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="numbers of system calls differ")
@pytest.mark.parametrize("name", attacks.SYSTEM_CALLS)
def test_system_call_is_refused(name: str, sandbox: Sandbox, outside: Outside) -> None:
    said = sandbox.run(outside.program(attacks.SYSTEM_CALLS[name]), "", 20.0)
    assert "OUT" not in said.stdout, said
    if name == "the other call table":
        assert said.stdout.startswith("HELD")
    else:
        assert "[Errno 1]" in said.stdout or (name in attacks.UNKNOWN and "[Errno 38]" in said.stdout), said


def test_nothing_of_the_environment_is_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_API_KEY", SECRET)
    with subprocess.Popen(["sleep", "600"]) as holder:
        said = sandbox.run(attacks.ENVIRONMENT.replace("VICTIM", str(holder.pid)), "", 20.0)
        holder.kill()
    assert said.status == 0, said.stderr
    assert "PATH" in said.stdout
    assert SECRET not in said.stdout + said.stderr
    assert "API_KEY" not in said.stdout + said.stderr


def test_no_file_but_the_standard_ones_is_inherited(sandbox: Sandbox) -> None:
    program = """
import os
for number in range(3, 1024):
    try:
        print(number, os.fstat(number))
    except OSError:
        pass
"""
    with open(__file__) as file:
        os.set_inheritable(file.fileno(), True)
        said = sandbox.run(program, "", 20.0)
    assert (said.status, said.stdout) == (0, ""), said


def test_no_module_is_looked_for_where_a_program_may_write(sandbox: Sandbox) -> None:
    program = """
import os, sys
for place in sys.path:
    try:
        os.makedirs(place, exist_ok=True)
        open(os.path.join(place, "planted.py"), "w").close()
        print("OUT", place)
    except OSError:
        print("HELD", place)
"""
    said = sandbox.run(program, "", 20.0)
    assert "HELD" in said.stdout, said
    assert "OUT" not in said.stdout, said


def test_no_more_processes_than_allowed(sandbox: Sandbox) -> None:
    said = sandbox.run(attacks.FORKS, "", 20.0)
    assert 1 <= int(said.stdout) <= Limits().processes
    assert_nothing_left()


def test_fork_bomb_is_stopped_and_swept(sandbox: Sandbox) -> None:
    said = sandbox.run(attacks.FORK_BOMB, "", 1.0)
    assert said.stopped == "time limit"
    assert_nothing_left()


def test_memory_of_one_process_is_limited(sandbox: Sandbox) -> None:
    said = sandbox.run("held = bytearray(2 << 30)", "", 20.0)
    assert "MemoryError" in said.stderr


@pytest.mark.parametrize("way", WAYS)
def test_memory_of_all_processes_is_limited(way: Way) -> None:
    with opened(way, Limits(total=200 << 20)) as own:
        said = own.run(attacks.TREE_OF_MEMORY, "", 20.0)
        assert said.stopped == "memory limit"
        assert said.seconds < 20
    assert_nothing_left()


@pytest.mark.parametrize("way", WAYS)
def test_what_the_kernel_holds_for_open_files_is_memory_too(way: Way) -> None:
    with opened(way, Limits(total=400 << 20)) as own:
        said = own.run(attacks.SOCKETS, "", 20.0)
        assert said.stopped == "memory limit"
    assert_nothing_left()


@pytest.mark.parametrize("program", ["while True: pass", "import time; time.sleep(60)", attacks.STUBBORN])
def test_time_is_limited(program: str, sandbox: Sandbox) -> None:
    said = sandbox.run(program, "", 0.5)
    assert said.stopped == "time limit"
    assert said.seconds >= 0.5
    assert_nothing_left()


def test_one_big_file_is_refused(sandbox: Sandbox) -> None:
    program = "import os\nos.chdir('/tmp' if os.access('/tmp', os.W_OK) else '/')\n"
    program += "attempt(lambda: open('big', 'wb').write(bytes(32 << 20)))"
    said = sandbox.run(attacks.program(program), "", 20.0)
    assert "OUT" not in said.stdout, said
    assert said.stdout.startswith("HELD") or said.status != 0


def test_many_files_fill_no_more_than_the_disk_allowed(sandbox: Sandbox) -> None:
    said = sandbox.run(attacks.MANY_FILES, "", 20.0)
    assert said.stdout.startswith("HELD"), said
    assert int(said.stdout.split()[-1]) <= Limits().disk


@pytest.mark.parametrize("way", WAYS)
def test_endless_output_is_cut(way: Way) -> None:
    with opened(way, Limits(output=1 << 20)) as own:
        said = own.run("while True: print('x' * 1000)", "", 20.0)
        assert said.stopped == "output limit"
        assert len(said.stdout) == 1 << 20
    assert_nothing_left()


def test_endless_complaints_are_cut_and_do_not_stop_a_program(sandbox: Sandbox) -> None:
    program = "import sys\nfor _ in range(10_000): print('x' * 1000, file=sys.stderr)\nprint('done')"
    said = sandbox.run(program, "", 20.0)
    assert (said.status, said.stdout) == (0, "done\n")
    assert len(said.stderr) <= 1 << 16


def test_nobody_else_is_killed(sandbox: Sandbox, outside: Outside) -> None:
    said = sandbox.run(outside.program(attacks.KILLER), "", 20.0)
    assert said.stdout == "done\n", said
    assert processes(os.getuid()) >= {outside.victim, os.getpid()}
    state = Path(f"/proc/{outside.victim}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "S"


def test_daemon_does_not_outlive_its_run(sandbox: Sandbox) -> None:
    said = sandbox.run(attacks.DAEMON, "", 20.0)
    assert said.stopped == ""
    assert_nothing_left()


def test_honest_programs_pass_beside_attacks(sandbox: Sandbox, outside: Outside) -> None:
    bad = [attacks.FORK_BOMB, attacks.STUBBORN, attacks.DAEMON, attacks.MANY_FILES, outside.program(attacks.KILLER)]
    with ThreadPoolExecutor(2) as pool:
        stopping = [pool.submit(sandbox.run, program, "", 1.0) for program in bad]
        honest = [pool.submit(sandbox.run, HONEST, f"{n} 1\n", 30.0) for n in range(20)]
        assert [run.result().stdout for run in honest] == [f"{n + 1}\n" for n in range(20)]
        assert len([run.result() for run in stopping]) == len(bad)
    assert_nothing_left()


def test_program_sees_its_input_and_says_its_status(sandbox: Sandbox) -> None:
    said = sandbox.run("import sys\nprint(sys.stdin.read()[::-1])\nsys.exit(3)", "abc", 20.0)
    assert said == Execution(3, "cba\n", "", said.seconds)


def test_order_of_a_set_is_the_same_in_every_run(sandbox: Sandbox) -> None:
    program = "print(list({str(n) for n in range(50)}))"
    assert len({sandbox.run(program, "", 20.0).stdout for _ in range(3)}) == 1


def test_strange_bytes_of_program_input_and_output_pass(sandbox: Sandbox) -> None:
    said = sandbox.run("import sys\nsys.stdout.buffer.write(b'\\xff\\x00ok')\n# \ud800", "\ud800", 20.0)
    assert said.stdout == "\ufffd\x00ok"


def test_runs_leave_no_open_file(sandbox: Sandbox) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        sandbox.run("print(1)", "", 20.0)
    assert len(os.listdir("/proc/self/fd")) == before


ORDINARY = """
import json, os, subprocess, sys
from llmrouterbench.sandbox.run import open_sandbox
way, uid, programs = json.loads(sys.stdin.read())
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
sandbox = open_sandbox(only="landlock" if way == "landlock" else "bubblewrap")
if way == "bubblewrap":
    sandbox._serves = False
with sandbox, subprocess.Popen(["sleep", "600"]) as victim:
    said = [sandbox.run(program.replace("VICTIM", str(victim.pid)), "", 20.0) for program in programs]
    alive = victim.poll() is None
    victim.kill()
print(json.dumps([alive, sandbox._serves, [[run.stdout, run.stderr] for run in said]]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's sandbox is what all other tests here open")
@pytest.mark.parametrize("way", WAYS)
def test_sandbox_of_an_ordinary_user_holds_too(way: Way, outside: Outside) -> None:
    for path in (outside.folder, *outside.folder.iterdir()):
        os.chown(path, GUEST, GUEST)  # so that nothing but the sandbox protects it
    programs = [*attacks.UNPROTECTED_OUT.values(), *attacks.HELD.values(), attacks.KILLER, attacks.DAEMON, HONEST]
    texts = [attacks.program(text, FOLDER=outside.folder, PORT=outside.port) for text in programs]
    run = subprocess.run(
        [sys.executable, "-c", ORDINARY], input=json.dumps([way, GUEST, texts]), capture_output=True, text=True
    )
    if "no sandbox works" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    alive, serves, said = json.loads(run.stdout)
    assert alive
    assert bool(serves) == (way == "forked")
    for text, (printed, _) in zip(texts[:-3], said[:-3], strict=True):
        assert "HELD" in printed, (text, printed)
        assert "OUT" not in printed, (text, printed)
    assert said[-3][0] == "done\n"
    assert untouched(outside)
    assert not processes(GUEST)


def test_refuses_to_run_unprotected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_sandbox, "_program", lambda name: str(tmp_path / name))
    monkeypatch.setattr(_sandbox, "_LAUNCHER", tmp_path / "launcher.py")
    with pytest.raises(OSError, match="install bubblewrap, or say --unsafe-exec to run it unprotected"):
        open_sandbox()


def test_unprotected_only_where_unsafe_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    working = _sandbox.Sandbox._once

    def failing(self: Sandbox, program: str, stdin: str, seconds: float, modules: bool = True) -> Execution:
        if self.name != "none":
            raise OSError("no namespaces here")
        return working(self, program, stdin, seconds, modules)

    monkeypatch.setattr(_sandbox.Sandbox, "_once", failing)
    with pytest.raises(OSError, match="no namespaces here"):
        open_sandbox()
    unsafe = open_sandbox(unsafe=True)
    assert unsafe.name == "none"
    assert unsafe.run("while True: pass", "", 0.3).stopped == "time limit"
    assert_nothing_left()


def test_bubblewrap_first_landlock_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened("bubblewrap"):
        assert open_sandbox().name == "bubblewrap"
    with opened("landlock"):
        monkeypatch.setattr(_sandbox, "bubblewrap", lambda *given: ["/usr/bin/false"])
        assert open_sandbox().name == "landlock"


def test_start_that_fails_for_a_moment_is_tried_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    working, calls = sandbox._once, list[str]()

    def once(program: str, stdin: str, seconds: float, modules: bool = True) -> Execution:
        calls.append(program)
        if len(calls) < 3:
            raise BlockingIOError("no process left")
        return working(program, stdin, seconds, modules)

    monkeypatch.setattr(sandbox, "_once", once)
    assert sandbox.run("print(1)", "", 20.0).stdout == "1\n"
    assert len(calls) == 3


def test_every_run_has_a_user_id_of_its_own() -> None:
    assert len({free_uid(slot) for slot in range(UIDS_A_PROCESS)}) == UIDS_A_PROCESS


@pytest.mark.parametrize("way", WAYS)
def test_runs_of_two_sandboxes_do_not_end_each_other(way: Way) -> None:
    with opened(way) as sandbox, opened(way) as other, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(other.run, "import time\ntime.sleep(1)\nprint('done')", "", 20.0)
        for _ in range(5):
            sandbox.run("print(1)", "", 20.0)
        assert slow.result().stdout == "done\n"


def test_wrong_use_is_said() -> None:
    with pytest.raises(ValueError, match="workers must be"):
        Sandbox("none", workers=0)
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        Sandbox("none").run("", "", 0)
