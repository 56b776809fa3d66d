"""The command line of bubblewrap: a sandbox with no network, no home folder, no other process, nothing to write to.

What each option is there for was found by trying, see `tests/test_sandbox.py`:

--as-pid-1     else dead processes pile up where the host's pid 1 reaps late, until nothing starts any more
prlimit        inside, so that processes are counted in the sandbox's own user namespace
--info-fd      tells the process id to kill; killing bwrap itself leaves that to the kernel's death signal
--tmpfs        no terminals: their file system is its maker's to change, and a server's is there for many runs
--remount-ro   "/" and "/dev" are file systems in memory, whose files nothing can count: none stays writable
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def bubblewrap(
    bwrap: str,
    interpreter: list[str],
    roots: list[str],
    modules: Mapping[str, Path],
    limits: Mapping[str, int] | None,
    fds: Mapping[str, int],
) -> list[str]:
    """The arguments that run `interpreter` on the program that lies in fds["program"].

    roots     folders outside /usr that the interpreter needs, shown read-only
    modules   name -> file or folder, of what may be imported besides the standard library
    limits    prlimit's options (nproc, as, fsize, nofile, core, cpu); without cpu the run outlives its thread; None for
              a server, which makes namespaces and restricts each run itself
    fds       "program", "info" and, where there is a filter, "seccomp": descriptors the command inherits
    """
    seccomp = ["--seccomp", str(fds["seccomp"])] if "seccomp" in fds else []
    file = "server.py" if limits is None else "main.py"
    within = [f"--{name}={value}" for name, value in (limits or {}).items()]
    return [
        *(bwrap, "--info-fd", str(fds["info"]), *_isolated(), *_environment(), *_system()),
        *(() if limits is None else ("--disable-userns",)),
        *(("--die-with-parent",) if limits and "cpu" in limits else ()),
        *(word for root in roots for word in ("--ro-bind", root, root)),
        *(word for path in modules.values() for word in ("--ro-bind", str(path), f"/modules/{path.name}")),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/pts"),
        *("--perms", "0444", "--file", str(fds["program"]), f"/box/{file}"),
        *(word for place in ("/dev/pts", "/dev", "/") for word in ("--remount-ro", place)),
        *("--chdir", "/box", *seccomp, "--"),
        *(() if limits is None else ("/usr/bin/prlimit", *within, "--")),
        *(*interpreter, file),
    ]


def _isolated() -> list[str]:
    names = "unshare-all as-pid-1 unshare-user new-session clearenv"
    return [
        *(f"--{name}" for name in names.split()),
        *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--cap-drop", "ALL"),
    ]


def _environment() -> list[str]:
    said = {"PATH": "/usr/bin:/bin", "HOME": "/box", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    said |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "/modules"}
    return [word for name, value in said.items() for word in ("--setenv", name, value)]


def _system() -> list[str]:
    """/usr, the links of a merged /usr or the folders of an unmerged one, and the linker's cache."""
    said = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64"):
        folder = Path("/", name)
        if folder.is_symlink():
            said += ["--symlink", os.readlink(folder), f"/{name}"]
        elif folder.is_dir():
            said += ["--ro-bind", f"/{name}", f"/{name}"]
    return [*said, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
