"""Runs that a server forks (`_server.py`, `_inside_server.py`): none sees, changes or outlives another."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import attacks
from cheats import CHEATS, CHECKS, RIGHT
from llmrouterbench.datasets import livecodebench
from llmrouterbench.sandbox import run as sandbox_run
from llmrouterbench.sandbox._bubblewrap import bubblewrap
from llmrouterbench.sandbox._usage import usage
from llmrouterbench.sandbox.code_runs import answered, scored
from llmrouterbench.sandbox.run import Sandbox, open_sandbox
from llmrouterbench.sandbox.session import Session
from solving import WAYS, Way, assert_nothing_left, opened, processes, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is Linux")
GUEST = 54_323

SEEN = """
import gc, os, resource, signal, socket, sys, time

def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return type(error).__name__

def files(top):
    for place, folders, names in os.walk(top):
        if place == "/":
            folders[:] = [name for name in folders if name not in ("usr", "proc")]
        for name in (".", *names):
            said = os.lstat(os.path.join(place, name))
            yield place, name, said.st_mode, said.st_uid, said.st_size
            yield said.st_mtime_ns, said.st_ctime_ns, said.st_atime_ns

STATUS = "Pid PPid Uid Gid Groups NSpid NSpgid NSsid Threads SigQ SigBlk SigIgn SigCgt ShdPnd Umask"
STATUS += " CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters"
status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
mounts = [line.split()[2:] for line in read("/proc/self/mountinfo").splitlines()]
seen = {
    "status": [status[name] for name in STATUS.split()],
    "limits": read("/proc/self/limits"),
    "mounts": [[place, *rest] for _, place, *rest in mounts],
    "environment": [dict(os.environ), read("/proc/self/environ")],
    "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
    "open files": [(fd, os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]) for fd in ("0", "1", "2")],
    "how many": len(os.listdir("/proc/self/fd")),
    "files": list(files("/")),
    "network": [read("/proc/net/" + name) for name in ("unix", "tcp", "udp", "dev")],
    "of others": [read("/proc/sysvipc/" + name) for name in ("msg", "sem", "shm")],
    "user namespaces": read("/proc/sys/user/max_user_namespaces"),
    "names": [socket.gethostname(), os.getcwd(), sys.argv, sys.path, os.getpgrp(), os.getsid(0), os.getppid()],
    "modules": sorted(sys.modules),
    "settings": [sys.getrecursionlimit(), gc.get_threshold(), tuple(sys.flags), sys.stdin.encoding, sys.stdout.errors],
    "set": list({str(n) for n in range(50)}),
    "builtins": sorted(vars(__builtins__)) if not isinstance(__builtins__, dict) else sorted(__builtins__),
    "rank": [os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0)],
    "signals": [str(signal.getsignal(number)) for number in (1, 2, 13, 15, 17)],
    "timers": [signal.getitimer(which)[0] for which in (0, 1, 2)],
    "used": [resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.process_time() < 1],
}
print(repr(seen))
"""
MESSAGES = """
import builtins, ctypes, gc, os, random, resource, signal, socket, sys
builtins.left = sys.left = os.environ["LEFT"] = "here"
sys.modules["left"] = sys
os.putenv("LEFT", "here")
sys.setrecursionlimit(5000)
random.seed(1)
gc.disable()
os.umask(0o777)
os.nice(5)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.setitimer(signal.ITIMER_REAL, 100)
pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for act in (
    lambda: ctypes.CDLL(None).connect(pair[0].fileno(), b"\\0" * 16, 16),
    lambda: pair[0].bind("\\0left"),
    lambda: os.open("/dev/ptmx", os.O_RDWR),
    *(lambda path=path: os.utime(path, (1, 1)) for path in ("/", "/dev", "/dev/pts", "/dev/shm", "/box", "/dev/null")),
    *(lambda path=path: os.chmod(path, 0) for path in ("/", "/dev", "/dev/pts", "/dev/shm", "/box", "/box/server.py")),
    *(lambda path=path: os.mkdir(path + "/left") for path in ("/", "/dev", "/dev/pts", "/dev/shm", "/box", "/tmp")),
    lambda: open("/proc/sys/user/max_user_namespaces", "w").write("0"),
    lambda: open("/proc/self/oom_score_adj", "w").write("1000"),
    lambda: os.kill(0, signal.SIGSTOP),
    lambda: os.killpg(0, signal.SIGKILL),
    lambda: os.kill(-1, signal.SIGKILL),
):
    try:
        act()
    except (OSError, AttributeError, OverflowError):
        pass
print("HELD", flush=True)
os._exit(0)
"""
"""Leaves what it can for the next run to find."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with opened("forked") as sandbox:
        yield sandbox


@pytest.fixture
def single() -> Iterator[Sandbox]:
    """One server, whose runs follow one another; it may fail."""
    with open_sandbox(workers=1, only="bubblewrap") as sandbox:
        serving(sandbox)
        yield sandbox


def server_of(sandbox: Sandbox) -> list[int]:
    """The processes of the one server, bubblewrap's and its own, when the last keeper has gone."""
    (server,) = sandbox._servers.values()
    end = time.monotonic() + 20
    while len(tree := list(usage(server.session.process.pid))) > 2 and time.monotonic() < end:
        time.sleep(0.01)
    return tree


def seen(sandbox: Sandbox) -> dict[str, object]:
    said = sandbox.run(SEEN, "", 20.0, modules=False)
    assert said.status == 0, said.stderr
    return dict(eval(said.stdout))


def test_no_run_sees_what_another_has_done(single: Sandbox) -> None:
    first = seen(single)
    order = [MESSAGES, attacks.FORK_BOMB, attacks.STUBBORN, attacks.DAEMON, attacks.MANY_FILES, attacks.FORKS, MESSAGES]
    for program in order:
        single.run(program, "", 0.3, modules=False)
        now = seen(single)
        assert {name: (first[name], now[name]) for name in first if first[name] != now[name]} == {}, program
    assert single._serves
    assert len(server_of(single)) == 2


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(3))
def test_attacks_are_held_in_any_order_right_after_one_another(seed: int, single: Sandbox) -> None:
    first = seen(single)
    programs = {**attacks.HELD, **attacks.SYSTEM_CALLS, "leaves messages": MESSAGES}
    names = random.Random(seed).sample(sorted(programs), len(programs))
    for number, name in enumerate(names):
        text = attacks.program(programs[name], FOLDER="/nowhere", PORT=1, VICTIM=1_000_000)
        said = single.run(text, "", 20.0, modules=False)
        assert "OUT" not in said.stdout, (names[: number + 1], said)
        if number % 10 == 0:
            assert seen(single) == first, names[: number + 1]
    assert len(server_of(single)) == 2


@pytest.mark.prove
def test_scores_do_not_depend_on_what_ran_before(single: Sandbox) -> None:
    wrong = "def f(*given):\n    return None\n"
    for cheat in random.Random(0).sample(sorted(CHEATS), 12):
        scored(single.run, CHEATS[cheat].replace("FOLDER", "/nowhere").replace("VICTIM", "1000000"), CHECKS, ["f"], 0.3)
        assert scored(single.run, RIGHT, CHECKS, ["f"], 20.0).value == 1.0, cheat
        assert scored(single.run, wrong, CHECKS, ["f"], 20.0).value == 0.0, cheat


def test_run_shares_no_namespace_with_its_server_or_another_run(single: Sandbox) -> None:
    names = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
    program = f"import os\nprint([os.readlink('/proc/self/ns/' + name) for name in {names}])"
    of_run: list[str] = eval(single.run(program, "", 20.0, modules=False).stdout)
    of_others = {os.readlink(f"/proc/{pid}/ns/{name}") for pid in ("self", server_of(single)[1]) for name in names}
    assert len(set(of_run)) == len(names)
    assert not of_others & set(of_run)
    with open_sandbox(workers=1, only="bubblewrap") as other, open_sandbox(workers=1, only="bubblewrap") as third:
        both = list[list[str]]()
        text = program.replace("print(", "said = repr(").replace("import os", "import os, sys")
        text += "\nsys.stdout.buffer.write(len(said).to_bytes(8, 'big') + said.encode())"
        text += "\nsys.stdout.flush()\nsys.stdin.read(1)"

        def within(session: Session) -> None:
            third.run(text, lambda inner: both.append(eval(inner.hear())), 20.0, modules=False)
            both.append(eval(session.hear()))

        other.run(text, within, 20.0, modules=False)
    assert not set(both[0]) & set(both[1])


@pytest.mark.parametrize("name", attacks.ON_SERVERS)
def test_run_reaches_no_server(name: str, sandbox: Sandbox) -> None:
    for _ in range(2):  # both workers' servers
        sandbox.run("held = 'left by another' * 1000", "", 20.0, modules=False)
    said = sandbox.run(attacks.program(attacks.ON_SERVERS[name]), "", 20.0, modules=False)
    assert "HELD" in said.stdout, said
    assert "OUT" not in said.stdout, said


def test_what_is_random_is_another_in_every_run(sandbox: Sandbox) -> None:
    program = "import os, random, uuid\nprint(random.random(), os.urandom(8).hex(), uuid.uuid4())"
    said = [sandbox.run(program, "", 20.0).stdout.split() for _ in range(8)]
    assert all(len(set(column)) == 8 for column in zip(*said, strict=True))


def test_what_is_loaded_beforehand_gives_no_name_that_an_import_would_not(sandbox: Sandbox) -> None:
    program = """
import sys
there = [name for name in sys.modules if "." in name and name.partition(".")[0] in sys.stdlib_module_names]
print(repr(sorted(there)))
"""
    names: list[str] = eval(sandbox.run(program, "", 20.0).stdout)
    lacking = []
    for name in names:
        alone = [sandbox.python, "-I", "-S", "-c", f"import {name.partition('.')[0]}\n{name}"]
        lacking += [name] * (subprocess.run(alone, stderr=subprocess.DEVNULL).returncode != 0)
    assert lacking == ["collections.abc"]


@pytest.mark.parametrize("way", WAYS)
def test_abstract_classes_are_found_where_collections_is_imported(way: Way) -> None:
    code = "import collections\n\ndef f(n):\n    return isinstance(n, collections.abc.Hashable)\n"
    program = "import collections\nprint(isinstance(int(input()), collections.abc.Hashable))\n"
    with opened(way) as own:
        assert scored(own.run, code, "assert f(3)", ["f"], 20.0).value == 1.0
        assert answered(own.run, program, "", [("3\n", "True")], 20.0, livecodebench.same_output).value == 1.0


SPEAKS = """
import sys
sys.stdout.buffer.write((2).to_bytes(8, "big") + b"ok")
sys.stdout.flush()
sys.stdin.read(1)
print("done")
"""
TREE = ("bubblewrap", "server", "keeper", "run")


class Killing:
    """Speaks with a program; kills one of the processes it hangs on, the first time."""

    def __init__(self, sandbox: Sandbox, victim: str) -> None:
        (server,) = sandbox._servers.values()
        self.root, self.victim, self.times = server.session.process.pid, victim, 0

    def __call__(self, session: Session) -> None:
        assert session.hear() == b"ok"
        self.times += 1
        if self.times == 1:
            os.kill(list(usage(self.root))[TREE.index(self.victim)], signal.SIGKILL)
            if self.victim != "bubblewrap":  # only who started the server
                session.hear()
        session.say(b"")
        session.follow()


@pytest.mark.parametrize("victim", ["bubblewrap", "server", "keeper"])
def test_killed_server_is_replaced_and_its_run_made_again(victim: str, single: Sandbox) -> None:
    talk = Killing(single, victim)
    assert single.run(SPEAKS, talk, 20.0, modules=False).stdout == "done\n"
    assert talk.times == (1 if victim == "bubblewrap" else 2)
    for _ in range(2):
        assert single.run("print(1)", "", 20.0, modules=False).stdout == "1\n"
    assert single._serves
    assert len(server_of(single)) == 2


def test_server_killed_between_two_runs_is_replaced(single: Sandbox) -> None:
    before = server_of(single)
    os.kill(before[1], signal.SIGKILL)
    for _ in range(2):  # the first one may still ask it
        assert single.run("print(1)", "", 20.0, modules=False).stdout == "1\n"
    assert not set(server_of(single)) & set(before)


def test_killed_run_has_failed_and_the_next_one_has_not(single: Sandbox) -> None:
    before, talk = server_of(single), Killing(single, "run")
    said = single.run(SPEAKS, talk, 20.0, modules=False)
    assert (said.status, said.stdout, talk.times) == (128 + signal.SIGKILL, "", 1)
    assert single.run("print(1)", "", 20.0, modules=False).stdout == "1\n"
    assert server_of(single) == before


KILLED = """
import os, sys
from llmrouterbench.sandbox.code_runs import answered, scored
from llmrouterbench.sandbox.run import open_sandbox
if GUEST:
    os.setgroups([])
    os.setresgid(GUEST, GUEST, GUEST)
    os.setresuid(GUEST, GUEST, GUEST)
with open_sandbox(only="bubblewrap") as sandbox:
    score = scored(sandbox.run, "def f(n):\\n    return n\\n", "assert f(1) == 1", ["f"], 20.0)
    print(score.value, sandbox._serves, flush=True)
    sandbox.run("import os\\nos.fork()\\nwhile True: pass", "", 600.0, modules=False)
"""


def test_nothing_goes_on_where_the_one_who_scores_is_killed() -> None:
    root = os.getuid() == 0
    text = KILLED.replace("GUEST", str(GUEST if root else 0))
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as scoring:
        assert scoring.stdout is not None
        said = scoring.stdout.readline().split()
        assert said[0] == "1.0"
        if said[1] != "True":
            scoring.kill()
            with open_sandbox(only="bubblewrap") as sandbox:
                serving(sandbox)
        mine = set[int]()
        while len(mine) < 8:  # two of a judge, two of a server, a keeper, two of the run
            mine = set(usage(scoring.pid))
        scoring.kill()
    end = time.monotonic() + 20
    while (alive := {pid for pid in mine if is_alive(pid)}) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive
    if root:
        assert not processes(GUEST)


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_machine_without_namespaces_in_namespaces_runs_each_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    making: Callable[..., list[str]] = bubblewrap

    def refused(*given: object) -> list[str]:
        first, *rest = making(*given)
        return [first, "--disable-userns", *(word for word in rest if word != "--disable-userns")]

    monkeypatch.setattr(sandbox_run, "bubblewrap", refused)
    with open_sandbox(only="bubblewrap", workers=1) as sandbox:
        assert sandbox.run("print(1)", "", 20.0).stdout == "1\n"
        assert sandbox._serves is False
        assert not sandbox._servers
        assert scored(sandbox.run, RIGHT, CHECKS, ["f"], 20.0).value == 1.0


def test_outside_a_with_no_server_is_kept() -> None:
    with opened("bubblewrap"):
        pass
    sandbox = open_sandbox(only="bubblewrap")
    assert sandbox.run("print(1)", "", 20.0).stdout == "1\n"
    assert not sandbox._servers
    assert_nothing_left()


def test_closed_server_leaves_not_even_a_dead_process() -> None:
    for _ in range(3):
        with open_sandbox(workers=1, only="bubblewrap") as sandbox:
            serving(sandbox)
            tree = server_of(sandbox)
        assert not any(Path(f"/proc/{pid}").exists() for pid in tree)


def test_many_runs_leave_no_descriptor_and_no_process(single: Sandbox) -> None:
    before = len(os.listdir("/proc/self/fd")), server_of(single)
    for number in range(30):
        said = single.run("print(input())", json.dumps(number), 20.0, modules=False)
        assert said.stdout == f"{number}\n"
    assert (len(os.listdir("/proc/self/fd")), server_of(single)) == before
