"""What a program says of itself before it runs: whether it is Python, what it defines and what it lacks."""

from __future__ import annotations

import ast
import builtins
import threading
import warnings
from collections.abc import Container

from llmrouterbench.sandbox.modules import imported

LONGEST = 1 << 18
"""Characters of the longest piece that is looked at as a program."""
_RUNNERS = ("main", "TestLoader", "defaultTestLoader")
_PATCHABLE = ("builtins.input", "builtins.print", "builtins.open", "sys.stdin", "sys.stdout", "sys.stderr")
_OF_ONE_PROCESS = frozenset(
    [
        "os.environ",
        "os.environb",
        "sys.argv",
        "types.FunctionType",
        "types.LambdaType",
        "weakref.ref",
        "weakref.proxy",
        "pytest.warns",
        "pytest.deprecated_call",
        "assertWarns",
        "assertWarnsRegex",
        "assertLogs",
        "assertNoLogs",
        "putenv",
        "getcontext",
        "setcontext",
        "isfunction",
        "isgeneratorfunction",
        "iscoroutinefunction",
        "isasyncgenfunction",
        "getsource",
        "getsourcelines",
        "getsourcefile",
    ]
)
"""What a process has but once, or knows of its own functions alone: settings, warnings, logs, source."""
PARSING = threading.Lock()
"""Held by whoever parses: neither catch_warnings nor the parser of CPython 3.11, which counts its depth for all threads
together ("AST constructor recursion depth mismatch"), is made for threads.
"""


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


def unfit(tests: str, offered: Container[str] = ()) -> str:
    r"""Why tests cannot be put to a solution that runs in another sandbox; "" where they can.

    offered   modules that the sandbox has besides the standard library

    >>> unfit("import numpy\nassert f(1) == 2")
    'the tests need numpy, which the sandbox has not got'
    >>> unfit("def test_f():\n    assert f(1) == 2")
    'the tests define test_f and never call it; call it below'
    >>> unfit("assert f(1) == 2")
    ''
    """
    tree = parsed(tests)
    if tree is None:
        return "the tests are no Python"
    lacking = sorted(name for name in imported(tree) if name not in offered)
    if lacking:
        return f"the tests need {' and '.join(lacking)}, which the sandbox has not got"
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    runner = any(isinstance(node, ast.Attribute) and node.attr in _RUNNERS for node in ast.walk(tree))
    for node in tree.body:
        name = getattr(node, "name", "")  # of a function or a class
        if name.lower().startswith("test") and name not in used and not (runner and isinstance(node, ast.ClassDef)):
            return f"the tests define {name} and never call it; call it below"
    drawn = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is(node.value, "random")}
    if drawn == {"seed"}:
        return "the tests call random.seed, and the solution draws from a generator of its own"
    return next(filter(None, map(_apart, ast.walk(tree))), "")


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _apart(node: ast.AST) -> str:
    """What a part of the tests wants to share with the solution that the two do not share."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) in _OF_ONE_PROCESS:
        return f"the tests use {ast.unparse(node)}, and the solution runs in a process of its own"
    if isinstance(node, ast.AsyncFor | ast.AsyncWith) or (isinstance(node, ast.comprehension) and node.is_async):
        return "the tests use async for or async with, which cannot be done between two processes"
    if not isinstance(node, ast.Call):
        return ""
    called = ast.unparse(node.func)
    first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
    place, method = called.partition(".")[0], called.rpartition(".")[2]
    if called == "open" or place in ("tempfile", "shutil") or method in ("open", "write_text", "write_bytes"):
        return f"the tests call {called}, and the solution sees no file of theirs; hand over an io.StringIO"
    if method == "patch" and isinstance(first, str) and not first.startswith(_PATCHABLE):
        return (
            f"the tests patch {first!r}, which the solution has of its own; only builtins.input, print and open can be"
        )
    records = any(word.arg == "record" for word in node.keywords)
    if method in _OF_ONE_PROCESS or (method == "catch_warnings" and records):
        return f"the tests call {called}, and the solution runs in a process of its own"
    if called == "pytest.main":
        return "the tests call pytest.main, which finds no file of theirs; call what they define"
    return ""
