"""A seccomp filter as bytes: the system calls no sandboxed program needs, refused by the kernel (Linux, x86_64, arm64).

Numbers as in the kernel's asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import struct

# network, other processes, mounts and namespaces, kernel, memory that no limit counts and that outlives a process
_REFUSED = {
    "x86_64": (
        *(41, 101, 310, 311, 312, 165, 166, 155, 161, 272, 308, 428, 429, 430, 431, 432, 433, 438, 442),
        *(167, 169, 170, 175, 176, 313, 320, 321, 248, 249, 250, 298, 300, 304, 323, 425, 426, 427),
        *(319, 447, 29, 64, 68, 240),
    ),
    "aarch64": (
        *(198, 117, 270, 271, 272, 40, 39, 41, 51, 97, 268, 428, 429, 430, 431, 432, 433, 438, 442),
        *(224, 142, 161, 105, 106, 273, 294, 280, 217, 218, 219, 241, 262, 265, 282, 425, 426, 427),
        *(279, 447, 194, 190, 186, 180),
    ),
}
# mode, owner, times and extended attributes of files: Landlock does not guard them
_ATTRIBUTES = {
    "x86_64": (90, 91, 268, 452, 92, 93, 94, 260, 280, 132, 235, 261, 188, 189, 190, 197, 198, 199),
    "aarch64": (52, 53, 452, 55, 54, 88, 5, 6, 7, 14, 15, 16),
}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_NAMESPACES = 0x7E020000
_X32 = 0x40000000

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000


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
    lines += [(_EQUAL, 0, 3, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NAMESPACES)]
    lines += [(_RETURN, 0, 0, _FAIL | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
