"""A seccomp filter as bytes: the system calls no sandboxed program needs, refused by the kernel (Linux, x86_64, arm64).

Numbers as in the kernel's asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import struct

# network, other processes, mounts and namespaces, kernel, what others of this machine share, and memory that no limit
# counts or that outlives a process
_REFUSED = {
    "x86_64": (
        *(41, 101, 310, 311, 312, 165, 166, 155, 161, 272, 308, 428, 429, 430, 431, 432, 433, 438, 442),
        *(167, 169, 170, 175, 176, 313, 320, 321, 248, 249, 250, 298, 300, 304, 323, 425, 426, 427),
        *(319, 447, 29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241),
        *(73, 103, 141, 251, 253, 254, 294, 256, 279, 278, 444, 445, 446),
    ),
    "aarch64": (
        *(198, 117, 270, 271, 272, 40, 39, 41, 51, 97, 268, 428, 429, 430, 431, 432, 433, 438, 442),
        *(224, 142, 161, 105, 106, 273, 294, 280, 217, 218, 219, 241, 262, 265, 282, 425, 426, 427),
        *(279, 447, 194, 195, 196, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181),
        *(32, 116, 140, 30, 26, 27, 238, 239, 75, 444, 445, 446),
    ),
}
# mode, owner, times and extended attributes of files: Landlock does not guard them
_ATTRIBUTES = {
    "x86_64": (90, 91, 268, 452, 92, 93, 94, 260, 280, 132, 235, 261, 188, 189, 190, 197, 198, 199),
    "aarch64": (52, 53, 452, 55, 54, 88, 5, 6, 7, 14, 15, 16),
}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE3, _NEWEST = 435, 462
_NAMESPACES = 0x7E020000
_X32 = 0x40000000

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Operations of a filter; the third one is true of what is as large, too."""
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000

# on x86_64, on aarch64, argument, and what that argument must not be
_REFUSED_WITH: tuple[tuple[int, int, int, tuple[tuple[int, int], ...]], ...] = (
    (56, 220, 0, ((_ANY_BIT, _NAMESPACES),)),  # clone
    (9, 222, 3, ((_ANY_BIT, 1),)),  # mmap: memory that is shared is seen in no process that has not touched it
    (72, 25, 1, tuple((_EQUAL, command) for command in (6, 7, 37, 38, 1024, 1026))),  # fcntl: locks, leases, notices
    (16, 29, 1, ((_EQUAL, 0x5412), (_EQUAL, 0x541C), (_EQUAL, 0x5423), (_ABOVE, 0x5461))),  # ioctl: but for terminals
    (53, 199, 0, ((_ABOVE, 2),)),  # socketpair of any family but AF_UNIX
    *((x86_64, aarch64, 0, ((_ABOVE, 1),)) for x86_64, aarch64 in ((302, 261), (142, 118), (144, 119), (203, 122))),
    (314, 274, 0, ((_ABOVE, 1),)),  # as those: limits, rank and cores of a process other than the caller
)


def refusing(machine: str, attributes: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`; b"" for a machine whose numbers are not listed here.

    attributes   refuse changes of mode, owner and times of files too

    >>> len(refusing("x86_64")) % 8, refusing("riscv64")
    (0, b'')
    """
    if machine not in _REFUSED:
        return b""
    numbers = _REFUSED[machine] + (_ATTRIBUTES[machine] if attributes else ())
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    lines += [(_ABOVE, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in numbers:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]  # its flags lie out of a filter's sight
    lines += [(_ABOVE, 0, 1, _NEWEST + 1), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]  # what is newer is not known here
    for x86_64, aarch64, argument, tests in _REFUSED_WITH:
        lines += [(_EQUAL, 0, 2 + 2 * len(tests), x86_64 if machine == "x86_64" else aarch64)]
        lines += [(_LOAD, 0, 0, 16 + 8 * argument)]
        for test, value in tests:
            lines += [(test, 0, 1, value), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
        lines += [(_RETURN, 0, 0, _ALLOW)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
