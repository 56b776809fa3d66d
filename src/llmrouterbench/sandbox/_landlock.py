"""Its text runs in a process of its own: start a program under Landlock and limits, wait, and leave none behind.

The parent half stays outside the restrictions. It adopts what the program leaves behind (child subreaper), and kills it
when the program ends or when SIGTERM says stop. The child half restricts itself for good and becomes the program.

Landlock leaves open, compared to bubblewrap: names and sizes of outside files can be asked (stat), the process list is
the host's (its files are not readable), there is no writable folder at all, and the host name is the host's.

Few imports, and no `typing` or `json`: they are a third of the time that a run takes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # landlock_create_ruleset, _add_rule, _restrict_self on every machine
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_SWEEP_SECONDS = 5.0


class _Filter(ctypes.Structure):
    """struct sock_fprog: how many lines, and where they lie."""

    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_char_p)]


def main(settings: dict[str, Any]) -> bytes:
    """Return the program in the restricted child; the parent waits, sweeps and exits here."""
    with os.fdopen(settings["program"], "rb") as file:
        program = file.read()
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if not settings["lasting"]:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _prctl(_PR_SET_DUMPABLE, 0)
    signal.signal(signal.SIGTERM, _stop)
    child, status = None, 1
    try:
        child = os.fork()
        if child != 0:
            os.close(settings["info"])
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        if child != 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _sweep(child, settings["uid"])
            os._exit(status if status >= 0 else 128 - status)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _offer(settings["modules"])
    _restrict(settings)
    os.write(settings["info"], b"{}")  # from here on the program answers for what happens
    os.close(settings["info"])
    return program


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the sweep that follows is not to be broken off
    raise SystemExit(128 + number)


def _descendants(root: int) -> set[int]:
    """Living processes below `root`, from /proc."""
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            parents[int(name)] = int(fields[1])
    found, new = set[int](), {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _sweep(child: int | None, uid: int | None) -> None:
    """Kill all that is left, and reap it; a user id of its own makes that one system call."""
    end = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < end:
        if uid is not None:
            _kill_user(uid)
        elif sys.platform == "linux":
            _kill_tree()
        elif child is not None:  # no subreaper and no /proc: what the program started in a session of its own stays
            _kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _kill_user(uid: int) -> None:
    killer = os.fork()
    if killer == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        _kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(killer, 0)


def _kill_tree() -> None:
    """Stop everything first: what is stopped forks no more."""
    stopped: set[int] = set()
    while new := _descendants(os.getpid()) - stopped:
        for pid in new:
            _kill(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _restrict(settings: dict[str, Any]) -> None:
    """Limits, user id, Landlock, seccomp, in that order: each needs what the next one takes away."""
    import resource

    uid, limits = settings["uid"], dict(settings["limits"])
    if uid is None and sys.platform == "linux":
        limits["nproc"] += _tasks(os.getuid())  # counted per user, not per sandbox
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
    os.chdir("/")
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if settings["guard"]:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _landlock(settings["roots"], oldest=6 if uid is None else 3)
        lines = settings["filter"]
        filtered = _Filter(len(lines) // 8, lines)
        _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(filtered))


def _tasks(uid: int) -> int:
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def _offer(modules: dict[str, str]) -> None:
    """Let these modules be imported, and no others that lie beside them."""
    import _frozen_importlib_external as external

    class Offered:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            if path is not None or name not in modules:
                return None
            place = modules[name]
            folder = None if place.endswith((".py", ".so")) else [place]
            return external.spec_from_file_location(
                name, f"{place}/__init__.py" if folder else place, submodule_search_locations=folder
            )

    sys.meta_path.append(Offered)


def _landlock(roots: list[str], oldest: int) -> None:
    """Read and execute below `roots`, write to /dev/null, nothing else; no network, no signals to the outside.

    Before ABI 6 (Linux 6.12) it does not stop signals: good enough only where the parent has another user id.
    """
    abi = _call(_CREATE, None, 0, 1)
    if abi < oldest:
        raise OSError(f"Landlock must be ABI {oldest} or newer, got ABI {abi}")
    rights = (1 << 15) - 1 | (1 << 15 if abi >= 5 else 0)
    said = [rights, *([3] if abi >= 4 else []), *([3] if abi >= 6 else [])]
    ruleset = _call(_CREATE, (ctypes.c_uint64 * len(said))(*said), 8 * len(said), 0)
    for path in roots:
        folder = os.path.isdir(path)
        _allow(ruleset, path, _READ_FILE | (_EXECUTE | _READ_DIR if folder else 0))
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    _allow(ruleset, "/dev/urandom", _READ_FILE)
    _call(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
    _call(_ADD, ruleset, 1, ctypes.create_string_buffer(rule, 12), 0)
    os.close(place)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: Any) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(option: int, value: int, pointer: int = 0) -> None:
    if _libc().prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(pointer), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    text = main(eval(sys.argv[1]))
    sys.argv = ["main.py"]
    sys.modules["__main__"] = type(sys)("__main__")
    exec(compile(text, "main.py", "exec"), sys.modules["__main__"].__dict__)
