"""Programs that try to get out of the sandbox. Each says OUT where it got out, HELD where it was held.

PORT, FOLDER, VICTIM are replaced: a loopback port that listens, a folder that everybody may write to and that holds
the file `secret` and the socket `door`, the id of a process.
"""

from __future__ import annotations

_TRY = """
def attempt(act, *given):
    try:
        said = act(*given)
    except (OSError, MemoryError, ValueError) as error:
        print("HELD", type(error).__name__, error)
    else:
        print("OUT", act, said)
"""
_CALL = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(x86_64, aarch64, *given):
    number = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
    said = libc.syscall(number, *given)
    if said < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return said
"""

UNPROTECTED_OUT: dict[str, str] = {
    "network": "import socket\nattempt(socket.create_connection, ('127.0.0.1', PORT), 2)",
    "datagram": "import socket\n"
    "attempt(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT)))",
    "door in the file system": "import socket\nattempt(lambda: socket.socket(socket.AF_UNIX).connect('FOLDER/door'))",
    "door without a file": "import socket\nattempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0doorPORT'))",
    "name look-up": "import socket\nattempt(socket.getaddrinfo, 'localhost', 80)",
    "outside file": "attempt(lambda: open('FOLDER/secret').read())",
    "outside folder": "import os\nattempt(os.listdir, 'FOLDER')",
    "system file": "attempt(lambda: open('/etc/passwd').read())",
    "writing outside": "attempt(lambda: open('FOLDER/written', 'w').write('x'))",
    "deleting outside": "import os\nattempt(os.unlink, 'FOLDER/deleted')",
    "moving outside": "import os\nattempt(os.rename, 'FOLDER/moved', 'FOLDER/away')",
    "permissions outside": "import os\nattempt(os.chmod, 'FOLDER/secret', 0o600)",
    "cutting outside": "import os\nattempt(os.truncate, 'FOLDER/secret', 0)",
    "up and out": "attempt(lambda: open('../../../../../..FOLDER/secret').read())",
    "by the root of a process": "attempt(lambda: open('/proc/self/root' + 'FOLDER/secret').read())",
    "pipe in the file system": "import os\nattempt(os.mkfifo, 'FOLDER/pipe')",
    "another process": "import os\nattempt(os.kill, VICTIM, 0)",
    "another's environment": "attempt(lambda: open('/proc/VICTIM/environ').read() and 'read')",
    "another's memory": "attempt(lambda: open('/proc/VICTIM/maps').read() and 'read')",
    "another's limits": "import resource\nattempt(resource.prlimit, VICTIM, resource.RLIMIT_CORE, (0, 0))",
    "another's cores": "import os\nattempt(os.sched_setaffinity, VICTIM, os.sched_getaffinity(0))",
    "another's rank": "import os\nattempt(os.setpriority, os.PRIO_PROCESS, VICTIM, 0)",
    "watching outside": "attempt(lambda: call(254, 27, call(294, 26, 0), b'FOLDER', 2))",
    "locks of files": "import fcntl\nattempt(fcntl.lockf, open('/usr/bin/env', 'rb'), fcntl.LOCK_SH)",
    "locks of whole files": "import fcntl\nattempt(fcntl.flock, open('/usr/bin/env', 'rb'), fcntl.LOCK_SH)",
    "memory that no process shows": "import mmap\nattempt(mmap.mmap, -1, 4096)",
    "memory of a device": "import mmap, os\nattempt(lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096))",
}
"""Harmless ones, that do get out where nothing holds them."""

_LINK = "import os\nos.chdir('/tmp' if os.access('/tmp', os.W_OK) else '/')\n"
HELD: dict[str, str] = {
    "network by IPv6": "import socket\nattempt(socket.socket, socket.AF_INET6)",
    "link to outside": _LINK + "attempt(lambda: (os.symlink('FOLDER/secret', 'link'), open('link').read()))",
    "link to the folder": _LINK + "attempt(lambda: (os.symlink('FOLDER', 'up'), open('up/secret').read()))",
    "link written through": _LINK + "attempt(lambda: (os.symlink('FOLDER/written', 'w'), open('w', 'w').write('x')))",
    "link in the place of the program": "import os\nattempt(lambda: (os.unlink('main.py'),"
    " os.symlink('FOLDER/secret', 'main.py'), open('main.py').read()))",
    "hard link to outside": _LINK + "attempt(os.link, 'FOLDER/secret', 'hard')",
    "root of the first process": "attempt(lambda: open('/proc/1/root' + 'FOLDER/secret').read())",
    "memory of the first process": "import os\n"
    "attempt(lambda: open(f'/proc/{1 if os.getpid() != 1 else os.getppid()}/mem', 'rb').read(1))",
    "shadow": "attempt(lambda: open('/etc/shadow').read())",
    "homes": "import os\nattempt(os.listdir, '/root')\nattempt(os.listdir, '/home')",
    "writing to /usr": "attempt(lambda: open('/usr/lib/written', 'w'))",
    "writing to /": "attempt(lambda: open('/written', 'w'))",
    "devices": "attempt(lambda: open('/dev/mem', 'rb'))\nattempt(lambda: open('/dev/kmsg', 'rb'))",
    "new device": _LINK + "attempt(os.mknod, 'disk', 0o600 | 0x6000, os.makedev(8, 0))",
    "root again": "import os\nattempt(os.setuid, 0)\nattempt(os.setgid, 0)\nattempt(os.setgroups, [0])",
    "other root": "import os\nattempt(os.chroot, '/usr')",
    "kernel settings": "attempt(lambda: open('/proc/sys/kernel/core_pattern', 'w').write('x'))",
    "host name": "import socket\nattempt(socket.sethostname, 'mine')",
    "limits": "import resource\nfor name in ('NPROC', 'CPU', 'AS', 'FSIZE', 'NOFILE'):\n"
    "    number = getattr(resource, 'RLIMIT_' + name)\n"
    "    attempt(resource.setrlimit, number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
    "attributes the new way": "import ctypes\n"
    "value = ctypes.create_string_buffer(b'x' * 8)\n"
    "given = (ctypes.c_uint64 * 2)(ctypes.addressof(value), 8)\n"
    "attempt(call, 463, 463, -100, b'FOLDER/secret', 0, b'user.mine', given, 16)",
    "rank of all of a user": "import os\nattempt(os.setpriority, os.PRIO_USER, 0, 1)",
    "timers without end": "import ctypes\nlibc, made = ctypes.CDLL(None), 0\n"
    "while made < 5000 and libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())) == 0:\n    made += 1\n"
    "print('OUT' if made == 5000 else 'HELD')",
    "input rewritten": "import os\nattempt(os.pwrite, 0, b'x', 0)",
    "program with another's rights": "import os, subprocess\n"
    "found = [path for path in ('/usr/bin/su', '/usr/bin/passwd', '/usr/bin/mount') if os.path.exists(path)]\n"
    "for path in found:\n"
    "    said = subprocess.run(['/usr/bin/python3', '-S', '-c', 'import os; print(os.geteuid())'],"
    " capture_output=True, text=True)\n"
    "    print('OUT' if said.stdout.strip() == '0' else 'HELD')\n"
    "text = open('/proc/self/status').read() if os.access('/proc/self/status', os.R_OK) else ''\n"
    "print('OUT' if text and 'NoNewPrivs:\\t1' not in text else 'HELD')",
}
SYSTEM_CALLS: dict[str, str] = {
    "mount": "attempt(call, 165, 40, b'none', b'/usr', b'tmpfs', 0, None)",
    "unmount": "attempt(call, 166, 39, b'/usr', 2)",
    "new mount": "attempt(call, 430, 430, b'tmpfs', 0)",
    "pivot": "attempt(call, 155, 41, b'/usr', b'/usr')",
    "new user namespace": "attempt(call, 272, 97, 0x10000000)",
    "new network namespace": "attempt(call, 272, 97, 0x40000000)",
    "clone into namespaces": "attempt(call, 56, 220, 0x10000000 | 17, None, None, None, None)",
    "clone, the new way": "attempt(call, 435, 435, None, 88)",
    "another's namespace": "attempt(call, 308, 268, 0, 0)",
    "tracing": "import os\nattempt(call, 101, 117, 16, os.getppid(), None, None)",
    "reading another's memory": "import os\nattempt(call, 310, 270, os.getppid(), None, 0, None, 0, 0)",
    "taking another's file": "attempt(call, 438, 438, 0, 0, 0)",
    "rings": "attempt(call, 425, 425, 1, None)",
    "kernel programs": "attempt(call, 321, 280, 0, None, 0)",
    "kernel modules": "attempt(call, 175, 105, None, 0, b'')",
    "keys": "attempt(call, 248, 217, b'user', b'x', b'y', 1, -4)",
    "counters": "attempt(call, 298, 241, None, 0, -1, -1, 0)",
    "page faults": "attempt(call, 323, 282, 0)",
    "restart": "attempt(call, 169, 142, 0, 0, 0)",
    "memory without a name": "attempt(call, 319, 279, b'x', 0)",
    "shared memory": "attempt(call, 29, 194, 0, 4096, 0o1600)",
    "memory of others": "attempt(call, 30, 196, 0, None, 0)",
    "another's shared memory": "attempt(call, 31, 195, 0, 2, None)",
    "sending to others": "attempt(call, 69, 189, 0, b'12345678x', 1, 0o4000)",
    "reading from others": "attempt(call, 70, 188, 0, None, 0, 0, 0o4000)",
    "ending their messages": "attempt(call, 71, 187, 0, 0, None)",
    "semaphores": "attempt(call, 65, 193, 0, None, 0)\nattempt(call, 66, 191, 0, 0, 0)",
    "queues with names": "attempt(call, 240, 180, b'x', 0o102, 0o600, None)\nattempt(call, 241, 181, b'x')",
    "kernel log": "attempt(call, 103, 116, 10, None, 0)",
    "pages in a pipe": "attempt(call, 278, 75, 1, None, 0, 0)",
    "pages moved": "attempt(call, 279, 239, 1, 0, None, None, None, 0)",
    "rules without end": "attempt(call, 444, 444, None, 0, 1)",
    "shared mapping": "attempt(call, 9, 222, None, 4096, 3, 0x21, -1, 0)",
    "lock": "attempt(call, 72, 25, 0, 6, None)\nattempt(call, 72, 25, 0, 37, None)",
    "lease": "attempt(call, 72, 25, 0, 1024, 0)",
    "notices": "attempt(call, 72, 25, 0, 1026, 1)",
    "limits of another": "attempt(call, 302, 261, 1, 7, None, None)",
    "rank of another": "attempt(call, 144, 119, 1, 0, None)\nattempt(call, 314, 274, 1, None, 0)",
    "line discipline": "attempt(call, 16, 29, 0, 0x5423, None)",
    "typing for another": "attempt(call, 16, 29, 0, 0x5412, b'x')",
    "flags of a file": "attempt(call, 16, 29, 0, 0x40086602, None)",
    "pair of another family": "attempt(call, 53, 199, 30, 1, 0, None)",
    "a call that is newer": "attempt(call, 463, 463, -1, None, 0, None, None, 0)",
    "the other call table": "import sys\nprint('HELD', flush=True)\nattempt(call, 0x40000000 + 39, 999)",
}
ON_SERVERS: dict[str, str] = {
    "a child of one's parent": "attempt(call, 56, 220, 0x8000 | 17, None, None, None, None)",
    "a signal to the group it was in": "import os\n"
    "print('HELD' if os.getpgrp() == os.getpid() == os.getsid(0) else 'OUT')",
    "the group of a parent": "import os\nattempt(os.setpgid, 0, 0)\nattempt(os.killpg, os.getppid() or 1 << 20, 0)",
    "the socket in memory": "import gc, socket\n"
    "found = [one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() >= 0]\n"
    "print('OUT' if found else 'HELD')",
    "what is left in frames": "import os, sys\nframe, found = sys._getframe(), []\n"
    "while frame:\n    found += [v for v in frame.f_locals.values() if isinstance(v, int) and 3 <= v < 1024]\n"
    "    frame = frame.f_back\n"
    "for number in (*found, *range(3, 1024)):\n    attempt(os.fstat, number)",
    "programs of others in memory": "maps = [line.split() for line in open('/proc/self/maps') if ' rw-p ' in line]\n"
    "first, then = (bytes(reversed(text)) for text in (b' yb tfel', b'rehtona'))\n"
    "memory, found = open('/proc/self/mem', 'rb'), 0\n"
    "for span, *_ in maps:\n"
    "    low, high = (int(end, 16) for end in span.split('-'))\n"
    "    memory.seek(low)\n"
    "    parts = memory.read(high - low).split(first)\n"
    "    found += sum(part.startswith(then) for part in parts[1:])\n"
    "print('OUT' if found else 'HELD')",
    "the process list below": "import os\nattempt(call, 166, 39, b'/proc', 2)\n"
    "print('HELD' if [n for n in os.listdir('/proc') if n.isdigit()] == ['1'] else 'OUT')",
    "more user namespaces": "attempt(lambda: open('/proc/sys/user/max_user_namespaces', 'w').write('9'))\n"
    "attempt(call, 272, 97, 0x10000000)",
}
"""On the process that forked a run."""
UNKNOWN = ("clone, the new way", "a call that is newer")
"""Those that the kernel says it has not got."""

DAEMON = """
import os, signal, time
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for number in range(3):
    os.close(number)
time.sleep(300)
"""
FORK_BOMB = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
FORKS = """
import os, time
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count)
"""
STUBBORN = """
import os, signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
os.fork()
os.fork()
while True:
    time.sleep(1)
"""
KILLER = """
import os, signal
for number in (signal.SIGKILL, signal.SIGSTOP):
    for pid in (-1, os.getppid(), VICTIM, *range(2, 400)):
        if pid != os.getpid():
            try:
                os.kill(pid, number)
            except OSError:
                pass
print("done")
"""
MANY_FILES = """
import os
written = 0
try:
    for number in range(400):
        with open(f"/tmp/{number}", "wb") as file:
            written += file.write(bytes(1 << 20))
except OSError as error:
    print("HELD", error)
print(written)
"""
TREE_OF_MEMORY = """
import os, time
for _ in range(3):
    os.fork()
held = bytearray(60 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(30)
"""
SOCKETS = """
import os, socket, time
for _ in range(4):
    os.fork()
held = []
try:
    while True:
        held += socket.socketpair()
        for end in held[-2:]:
            end.setblocking(False)
            try:
                while True:
                    end.send(bytes(1 << 16))
            except BlockingIOError:
                pass
except OSError:
    time.sleep(30)
"""
ENVIRONMENT = """
import os
print(dict(os.environ))
for name in ["self", *range(1, 400), VICTIM]:
    try:
        print(open(f"/proc/{name}/environ").read())
    except OSError:
        pass
"""


def program(attack: str, **given: object) -> str:
    """The attack with what it needs, ready to run."""
    for name, value in given.items():
        attack = attack.replace(name, str(value))
    return _TRY + _CALL + attack + "\n"
