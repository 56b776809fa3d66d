"""The code in a reply: the whole reply is searched, in time linear in its length."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from llmrouterbench.datasets._answers import visible

LONGEST = 1 << 18
"""Characters of the longest piece that is looked at as a program."""
_PYTHON = frozenset({"python", "py", "python3", "py3", "python2", "ipython", "pycon"})
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)(.*)$")
_START = re.compile(r"^(?:import\s+\w|from\s+[\w.]+\s+import\b|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+|@\w)")
_GOES_ON = re.compile(
    r"^(?:\s|$|#|[)\]}]|@\w|(?:import|from|def|class|async|if|elif|else|for|while|try|except|finally|with|match|print"
    r"|return|global|assert|raise|del|pass)\b"
    r"|[A-Za-z_][\w.\[\]'\", ]*\s*(?:[-+*/%|&^]|//|\*\*|>>|<<)?=[^=]|\w+\(.*\)\s*$)"
)
_TRIPLE = re.compile(r'"""|\'\'\'')
_CUTS = 8
_PARSING = threading.Lock()  # catch_warnings is not made for threads


@dataclass(frozen=True)
class Block:
    """A fenced piece of a reply: its text, the language it was said to be ("" where none was said)."""

    text: str
    language: str = ""


def parsed(code: str) -> ast.Module | None:
    """The program's syntax tree, None where it is no Python (or longer than any solution).

    >>> parsed("x = 1") is None, parsed("x = ") is None
    (False, True)
    """
    if len(code) > LONGEST:
        return None
    try:
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def blocks(text: str) -> list[Block]:
    r"""The fenced blocks in order; the last one may lack its end.

    >>> blocks("so:\n```python\nx = 1\n```\nor\n~~~\ny")
    [Block(text='x = 1\n', language='python'), Block(text='y\n', language='')]
    """
    found: list[Block] = []
    fence, language, lines = "", "", list[str]()
    for line in text.splitlines():
        said = _FENCE.match(line)
        if not fence and said and "`" not in said[3]:
            fence, language, lines = said[1], said[2].lower(), []
        elif fence and said and said[1].startswith(fence) and not said[2] and not said[3].strip():
            found.append(_block(lines, language))
            fence = ""
        elif fence:
            lines.append(line)
    return [*found, _block(lines, language)] if fence else found


def _block(lines: list[str], language: str) -> Block:
    if lines and all(line.startswith((">>> ", "... ", ">>>", "...")) for line in lines if line.strip()):
        lines = [line[4:] for line in lines]
    return Block("".join(line + "\n" for line in textwrap.dedent("\n".join(lines)).split("\n")), language)


def defined(tree: ast.Module) -> set[str]:
    r"""Names a program gives itself at top level: functions, classes, imports, assignments.

    >>> sorted(defined(ast.parse("import a.b as c\ndef f(): x = 1\ny = z = 2")))
    ['c', 'f', 'y', 'z']
    """
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


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


def find_code(reply: str, entry: str = "", stub: str = "") -> str:
    r"""The program in a reply, "" where there is none: the last complete block that defines `entry` wins.

    entry   function or class that must be defined; "" for a program that reads and prints
    stub    what the prompt began and the reply may only continue (HumanEval): a signature with its docstring

    A thought block counts as no part of the reply. A block that lacks names which earlier blocks define is joined to
    them; without fences the longest stretch of lines that reads as Python counts.

    >>> find_code("First ```python\ndef f(): return 0\n``` hm.\n```python\ndef f():\n    yield 1\n```", "f")
    'def f():\n    yield 1\n'
    >>> find_code("The function is\n\ndef f(x):\n    return x\n\nIt returns x.", "f")
    'def f(x):\n    return x\n'
    """
    text = visible(reply)
    fenced = [block for block in blocks(text) if block.language in _PYTHON or not block.language]
    trees = [(block, tree) for block in fenced if (tree := parsed(block.text)) is not None and tree.body]
    chosen = _defining(trees, entry) if entry else _program(trees)
    if chosen:
        return chosen
    if code := _unfenced(text, entry):
        return code
    return _continued(stub, [block.text for block in fenced], text) if stub else ""


def _defining(trees: list[tuple[Block, ast.Module]], entry: str) -> str:
    for at in reversed(range(len(trees))):
        block, tree = trees[at]
        if entry in defined(tree):
            return _joined(trees[:at], block.text, tree)
    return ""


def _joined(earlier: list[tuple[Block, ast.Module]], code: str, tree: ast.Module) -> str:
    """The code, after the earlier blocks that define what it lacks."""
    lacking, parts = missing(tree), [code]
    for block, before in reversed(earlier):
        if lacking & defined(before):
            lacking -= defined(before)
            parts.append(block.text)
    return "".join(reversed(parts))


def _program(trees: list[tuple[Block, ast.Module]]) -> str:
    """The last block that prints, those said to be Python first: samples of input parse as Python too."""
    for said in (True, False):
        for at in reversed(range(len(trees))):
            block, tree = trees[at]
            if (block.language in _PYTHON) is said and _prints(tree):
                return _joined(trees[:at], block.text, tree)
    return next((block.text for block, _ in reversed(trees) if block.language in _PYTHON), "")


def _prints(tree: ast.Module) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return bool(names & {"print", "input", "sys", "stdout", "open", "os"})


def _unfenced(text: str, entry: str) -> str:
    """The last stretch of code lines that defines `entry`; without one, the longest that prints."""
    best = ""
    for stretch in _stretches(text):
        code = _cut(stretch)
        tree = parsed(code)
        if tree is None or not tree.body:
            continue
        if (entry in defined(tree)) if entry else (_prints(tree) and len(code) >= len(best)):
            best = code
    return best


def _stretches(text: str) -> Iterator[str]:
    """Runs of lines that begin like a definition or an import and go on like code; strings may hold anything."""
    lines: list[str] = []
    quote = ""
    for line in text.splitlines():
        if _FENCE.match(line) and not quote:
            line = ""
        if lines and not quote and not _GOES_ON.match(line):
            yield "".join(lines).rstrip() + "\n"
            lines = []
        if lines or _START.match(line) or (_GOES_ON.match(line) and line[:1].strip() and line[0] != "#"):
            lines.append(line + "\n")
            quote = _open_quote(line, quote)
        else:
            quote = ""
    if lines:
        yield "".join(lines).rstrip() + "\n"


def _open_quote(line: str, quote: str) -> str:
    for mark in _TRIPLE.findall(line):
        quote = "" if quote == mark else quote or mark
    return quote


def _cut(code: str) -> str:
    """Without the lines from the first one that is no Python; a few tries, each a parse."""
    for _ in range(_CUTS):
        try:
            with _PARSING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(code[:LONGEST])
            return code
        except SyntaxError as error:
            keep = min((error.lineno or 1) - 1, code.count("\n") - 1)
            code = "".join(code.splitlines(keepends=True)[: max(keep, 0)])
        except (ValueError, RecursionError, MemoryError):
            return ""
    return ""


def _continued(stub: str, fenced: list[str], text: str) -> str:
    """The stub with what follows it: the last fenced body, or the bare reply."""
    for body in [*reversed(fenced), text]:
        for shape in (body, textwrap.indent(textwrap.dedent(body), "    ")):
            code = stub.rstrip() + "\n" + shape.strip("\n") + "\n"
            tree = parsed(code)
            if tree is not None and any(map(_does_something, tree.body[-1:])):
                return code
    return ""


def _does_something(node: ast.stmt) -> bool:
    """Whether a function has more than a docstring."""
    return isinstance(node, ast.FunctionDef) and len(node.body) > 1


def official_code(reply: str) -> str:
    r"""The official reading: of the first 100 lines the longest stretch that parses, less functions without a return.

    Source: the official repository's code extraction, which follows EvalPlus' sanitizer.
    Differs: written anew from its description; stretches of equal length are decided for the first.

    >>> official_code("```python\ndef f():\n    yield 1\n```")
    ''
    """
    lines = reply.splitlines()[:100]
    spans = sorted(((a, b) for a in range(len(lines)) for b in range(a + 1, len(lines) + 1)), key=lambda s: s[0] - s[1])
    for start, end in spans:
        tree = parsed("\n".join(lines[start:end]))
        if tree is not None and any(line.strip() for line in lines[start:end]):
            kept = [node for node in tree.body if _kept_officially(node)]
            return "\n".join(ast.unparse(node) for node in kept) + "\n" if kept else ""
    return ""


def _kept_officially(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return any(isinstance(inner, ast.Return) for inner in ast.walk(node))
    return isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Assign)


def last_fenced(reply: str) -> str:
    r"""The official reading of LiveCodeBench: what stands between the last two lines with a fence.

    >>> last_fenced("```python\nx = 1\n```")
    'x = 1'
    """
    lines = reply.split("\n")
    marks = [at for at, line in enumerate(lines) if "```" in line]
    start, end = next(reversed(list(pairwise(marks))), (0, 0))
    return "\n".join(lines[start + 1 : end])
