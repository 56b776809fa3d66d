"""Runs inside bubblewrap, where no program runs: a server, which forks a process for each run, in new namespaces.

The server forks and waits. It is told nothing but descriptors that it does not read and a number, and nobody in a run
can name it. A keeper, one for each run, makes the namespaces, says who runs in them and how it ended. The run is the
first process of its namespaces: it closes what it inherits, restricts itself for good, and becomes the program.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMESPACES = {"user": 1 << 28, "mnt": 1 << 17, "pid": 1 << 29, "net": 1 << 30, "ipc": 1 << 27, "uts": 1 << 26}
_NAMESPACES["cgroup"] = 1 << 25
_NO_SETUID_NO_DEVICES_NO_PROGRAMS = 2 | 4 | 8
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 22, 24, 38, 47
_CAPABILITIES = 0x20080522
"""Version of the structures that capset takes."""

_LIBRARY = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """struct sock_fprog: how many lines, and where they lie."""

    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_char_p)]


def main(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Serve until nobody asks any more; return in the process of a run, with the program and where it is to run.

    settings   `modules`: names to import beforehand; `heads`: what programs begin with, to be run beforehand;
               `limits`: name of a resource limit -> value; `filter`: of seccomp
    """
    control = socket.socket(fileno=os.dup(0))
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    for name in settings["modules"]:
        __import__(name)
    heads = {text: _begun(text) for text in settings["heads"]}
    gc.freeze()  # a run has no need to look through all this
    while True:
        said, fds, _, _ = socket.recv_fds(control, 64, 5)
        if not said:
            os._exit(0)
        keeper = os.fork()
        if keeper == 0:
            return _split(_kept(control, settings, int(said), fds), heads)
        for fd in fds:
            os.close(fd)
        if os.waitpid(keeper, 0)[1] != 0:  # nobody watches the run any more: end it, and all
            os._exit(1)


def _begun(text: str) -> Any:
    """The module that a program which begins with this text runs in."""
    module = type(sys)("__main__")
    exec(compile(text, "main.py", "exec"), module.__dict__)
    return module


def _split(program: str, heads: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The part of a program that has not run yet, and its module's names."""
    head = next(filter(program.startswith, heads), "")
    module = sys.modules["__main__"] = heads.get(head) or type(sys)("__main__")
    sys.argv = ["main.py"]
    return compile("\n" * head.count("\n") + program[len(head) :], "main.py", "exec"), module.__dict__


def _kept(control: socket.socket, settings: dict[str, Any], cpu: int, fds: list[int]) -> str:
    """Return the program in the restricted process of the run; its keeper waits, tells and ends here."""
    run, status = None, 1
    try:
        _unshare(*_NAMESPACES)
        run = os.fork()
        if run == 0:
            control.close()
            return _restricted({**settings["limits"], "cpu": cpu}, settings["filter"], *fds)
        ending = os.pidfd_open(run)
        socket.send_fds(control, [b"run"], [ending])
        for fd in fds:
            os.close(fd)
        waiting = select.poll()
        waiting.register(control, 0)  # says when nobody is there any more
        waiting.register(ending, select.POLLIN)
        if all(fd == ending for fd, _ in waiting.poll()):
            control.send(str(os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])).encode())
            status = 0
    except OSError as error:
        if run == 0:
            raise
        os.write(fds[3], str(error).encode())
    finally:
        if run != 0:
            os._exit(status)
    raise AssertionError


def _restricted(limits: dict[str, int], lines: bytes, program: int, *files: int) -> str:
    """Give up for good what a program must not have; its text.

    files   its standard input, output and error, and where to say that it begins
    """
    os.setsid()  # first: what is sent to a group reaches the server's no more
    for number in range(3):
        os.dup2(files[number], number)
    _ask("mount", b"proc", b"/proc", b"proc", _NO_SETUID_NO_DEVICES_NO_PROGRAMS, None)
    with open(program, "rb") as file:
        text = file.read().decode()
    _write("/proc/sys/user/max_user_namespaces", "1")
    _unshare("user")  # one that owns none of the others
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
    info = os.dup2(files[3], 3)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > info:
            _close(int(name))
    _open_standard_files()
    _drop_capabilities()
    _ask("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)
    _ask("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filtered = _Filter(len(lines) // 8, lines)
    _ask("prctl", _PR_SET_SECCOMP, 2, ctypes.byref(filtered), 0, 0)
    os.write(info, b"{}")  # from here on the program answers for what happens
    os.close(info)
    return text


def _unshare(*names: str) -> None:
    """New namespaces of these kinds, where the kernel has them; we keep the one user that there is."""
    user, group = os.getuid(), os.getgid()
    _ask("unshare", sum(_NAMESPACES[name] for name in names if os.path.exists(f"/proc/self/ns/{name}")))
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _drop_capabilities() -> None:
    _ask("prctl", _PR_CAP_AMBIENT, 4, 0, 0, 0)
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in range(last + 1):
        _ask("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
    _ask("capset", (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)())


def _open_standard_files() -> None:
    """As Python does when it starts."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        mode, buffering = ("w" if number else "r"), (1 if number == 2 else -1)
        new = os.fdopen(number, mode, buffering, old.encoding, old.errors, "\n", closefd=False)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:  # the one that listed them
        return


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _ask(name: str, *given: Any) -> None:
    """Call a function of the C library that says 0."""
    longs = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in given]
    if getattr(_LIBRARY, name)(*longs) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
