"""Modules beyond the standard library that programs in the sandbox may import: those of the environment that scores.

Contest judges offer them, and models write for those judges. They are shown read-only, and only where the sandbox's
Python is of the same version as ours, so that compiled ones fit. Where one is missing, a program that fails for want of
it is not scored.
"""

from __future__ import annotations

import ast
import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

_CONTESTS = "bitarray gmpy2 more_itertools mpmath networkx numpy pandas scipy sortedcontainers sympy"
_TESTS = "pytest"
_NEEDED = "_pytest attr dateutil iniconfig packaging pluggy py pygments pytz six tzdata"
OFFERED = frozenset(f"{_CONTESTS} {_TESTS} {_NEEDED}".split())
"""What is offered where it is installed, with what it needs itself."""


@cache
def installed(*more: str) -> dict[str, Path]:
    """Name -> folder or file, of the offered modules that are installed here; everybody must be able to read them.

    A compiled module's own libraries lie beside it (`numpy.libs`) and are listed with it.
    """
    found = {}
    for name in sorted(OFFERED.union(more)):
        spec = PathFinder.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        path = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        for each in (path, path.with_name(f"{name}.libs")):
            if each.exists() and readable(each):
                found[each.name.removesuffix(".py")] = each
    return found


def readable(path: Path) -> bool:
    """Whether the user who runs the programs may read it: anybody, where we are root and they are not."""
    if os.geteuid() != 0:
        return os.access(path, os.R_OK)
    places = [path, *path.resolve().parents]
    return all(place.stat().st_mode & 0o001 for place in places[1:]) and bool(path.stat().st_mode & 0o004)


def imported(tree: ast.AST) -> set[str]:
    r"""Top-level names of the modules that a program imports, the standard library aside.

    >>> sorted(imported(ast.parse("import os, numpy.linalg as la\ndef f():\n from sympy.abc import x")))
    ['numpy', 'sympy']
    """
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names
