"""What a program says of itself before it runs: whether it is Python, what it defines and what it lacks."""

from __future__ import annotations

import ast
import builtins
import threading
import warnings

LONGEST = 1 << 18
"""Characters of the longest piece that is looked at as a program."""
PARSING = threading.Lock()
"""Held while a piece is parsed without warnings: catch_warnings is not made for threads."""


def parsed(code: str) -> ast.Module | None:
    """The program's syntax tree, None where it is no Python (or longer than any solution).

    >>> parsed("x = 1") is None, parsed("x = ") is None
    (False, True)
    """
    if len(code) > LONGEST:
        return None
    try:
        with PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defined(tree: ast.Module) -> set[str]:
    r"""Names a program gives itself at top level: functions, classes, imports, assignments not of themselves.

    >>> sorted(defined(ast.parse("import a.b as c\ndef f(): x = 1\ny = z = 2\nw = w(3)")))
    ['c', 'f', 'y', 'z']
    """
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            names |= stored - _names(node.value) if isinstance(node, ast.Assign) else stored
    return names


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def missing(tree: ast.Module) -> set[str]:
    """Names a program uses and neither defines, anywhere, nor finds among the builtins.

    >>> missing(ast.parse("def f(x: List[int]): return sqrt(len(x))")) == {"List", "sqrt"}
    True
    """
    used, given = set[str](), defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else given).add(node.id)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            given.add(node.name)
        elif isinstance(node, ast.alias):
            given.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            given.add(node.name)
    return used - given - set(dir(builtins))
