"""The code in a reply: the whole reply is searched, in time linear in its length."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from llmrouterbench.datasets import Instruments
from llmrouterbench.datasets.answers import visible
from llmrouterbench.replies import Score
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.sandbox.programs import LONGEST, PARSING, defined, missing, parsed

_PYTHON = frozenset({"python", "py", "python3", "py3", "python2", "ipython", "pycon"})
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)(.*)$")
_OPENS_LATE = re.compile(r"[^`](`{3,})(python3?|py3?)[ \t]*$", re.IGNORECASE)
_START = re.compile(r"^(?:import\s+\w|from\s+[\w.]+\s+import\b|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+|@\w)")
_GOES_ON = re.compile(
    r"^(?:\s|$|#|[)\]}]|@\w|(?:import|from|def|class|async|if|elif|else|for|while|try|except|finally|with|match|print"
    r"|return|global|assert|raise|del|pass)\b"
    r"|[A-Za-z_][\w.\[\]'\", ]*\s*(?:[-+*/%|&^]|//|\*\*|>>|<<)?=[^=]|\w+\(.*\)\s*$)"
)
_PRINTS = re.compile(r"\b(?:print|input|sys|stdout|open|os)\b")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_TRIPLE = re.compile(r'"""|\'\'\'')
_CUTS, _LOOK_AHEAD = 8, 400
SECONDS = 10.0
"""Limit of a run of all tests of one item."""


def score_code(code: str, entries: list[str], tests: str, instruments: Instruments, stub: str = "") -> Score:
    """1 where code defines the names in `entries` and passes the tests that take them from it, else 0 with the reason.

    Not scored where that cannot be known here.

    stub  what the prompt gave of the code; it stands before it
    """
    if not code:
        return Score(0.0, "", f"no code that defines {entries[0]} in the reply")
    return replace(scored(instruments.run, stub + code, tests, entries, SECONDS, before=stub), answer=code)


@dataclass(frozen=True)
class Block:
    """A fenced piece of a reply: its text, the language it was said to be ("" where none was said)."""

    text: str
    language: str = ""


def blocks(text: str) -> list[Block]:
    r"""The fenced blocks in order; the last one may lack its end.

    >>> blocks("so:\n```python\nx = 1\n```\nor\n~~~\ny")
    [Block(text='x = 1\n', language='python'), Block(text='y\n', language='')]
    """
    found: list[Block] = []
    fence, language, lines = "", "", list[str]()
    for line in text.splitlines():
        opening = _opening(line)
        if opening and (not fence or (opening[1] in _PYTHON and opening[0] == fence)):  # the one before was not closed
            found += [_block(lines, language)] if fence else []
            (fence, language), lines = opening, []
        elif fence and _closes(line, fence):
            found.append(_block(lines, language))
            fence = ""
        elif fence and line.rstrip().endswith(fence):
            found.append(_block([*lines, line.rstrip().removesuffix(fence)], language))
            fence = ""
        elif fence:
            lines.append(line)
    return [*found, _block(lines, language)] if fence else found


def _opening(line: str) -> tuple[str, str] | None:
    """The fence that a line opens, and the language it says."""
    if "```" not in line and "~~~" not in line:
        return None
    if (said := _FENCE.match(line)) is not None:
        return None if "`" in said[3] else (said[1], said[2].lower())
    late = _OPENS_LATE.search(line)
    return None if late is None else (late[1], late[2].lower())


def _closes(line: str, fence: str) -> bool:
    said = _FENCE.match(line) if fence in line else None
    return said is not None and said[1].startswith(fence) and not said[2] and not said[3].strip()


def _block(lines: list[str], language: str) -> Block:
    if lines and all(line.startswith((">>> ", "... ", ">>>", "...")) for line in lines if line.strip()):
        lines = [line[4:] for line in lines]
    text = "\n".join(lines) + "\n"
    return Block(textwrap.dedent(text) if text[0] in " \t" else text, language)


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
    fenced = [b for b in blocks(text) if (b.language in _PYTHON or not b.language) and not b.text.isspace()]
    chosen = _defining(fenced, entry) if entry else _program(fenced)
    if chosen:
        return chosen
    if code := _unfenced(text, entry):
        return code
    return _continued(stub, [block.text for block in fenced], text) if stub else ""


def _defining(fenced: list[Block], entry: str) -> str:
    for at in reversed(range(len(fenced))):
        tree = parsed(fenced[at].text) if entry in fenced[at].text else None
        if tree is not None and entry in defined(tree):
            return _joined(fenced[:at], fenced[at].text, tree)
    return ""


def _joined(earlier: list[Block], code: str, tree: ast.Module) -> str:
    """The code, after the earlier blocks that define what it lacks."""
    lacking, parts = missing(tree), [code]
    for block in reversed(earlier):
        if not any(name in block.text for name in lacking) or (before := parsed(block.text)) is None:
            continue
        if lacking & defined(before):
            lacking = (lacking | missing(before)) - defined(before)
            parts.append(block.text)
    return "".join(reversed(parts))


def _program(fenced: list[Block]) -> str:
    """The last block that prints, those said to be Python first: samples of input parse as Python too."""
    for said in (True, False):
        for at in reversed(range(len(fenced))):
            if (fenced[at].language in _PYTHON) is not said or not _PRINTS.search(fenced[at].text):
                continue
            tree = parsed(fenced[at].text)
            if tree is not None and _prints(tree):
                return _joined(fenced[:at], fenced[at].text, tree)
    return next((b.text for b in reversed(fenced) if b.language in _PYTHON and parsed(b.text) is not None), "")


def _prints(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Name) and _PRINTS.fullmatch(node.id) for node in ast.walk(tree))


def _unfenced(text: str, entry: str) -> str:
    """The last stretch of code lines that defines `entry`; without one, the longest that prints."""
    best = ""
    for stretch in _stretches(text):
        if entry not in stretch:
            continue
        for code in map(_cut, _starts(stretch)):
            tree = parsed(code)
            if tree is not None and (entry in defined(tree) if entry else _prints(tree) and len(code) >= len(best)):
                best = code
                break
    return best


def _starts(stretch: str) -> Iterator[str]:
    """The stretch, then its parts from each of the first definitions and imports on: prose may look like code."""
    yield stretch
    lines = stretch.splitlines(keepends=True)
    for at in [at for at, line in enumerate(lines[:_LOOK_AHEAD]) if at and _START.match(line)][:_CUTS]:
        yield "".join(lines[at:])


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
    if len(code) > LONGEST:
        return ""
    for _ in range(_CUTS):
        try:
            with PARSING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(code)
            return code
        except SyntaxError as error:
            keep = min((error.lineno or 1) - 1, code.count("\n") - 1)
            code = "".join(code.splitlines(keepends=True)[: max(keep, 0)])
        except (ValueError, RecursionError, MemoryError):
            return ""
    return ""


def _continued(stub: str, fenced: list[str], text: str) -> str:
    """The stub with what follows it: the last fenced body, or the bare reply."""
    for body in [*reversed(fenced[-_CUTS:]), text]:
        if len(body) > LONGEST:
            continue
        for shape in (body, textwrap.indent(textwrap.dedent(body), "    ")):
            code = stub.rstrip() + "\n" + shape.strip("\n") + "\n"
            tree = parsed(code)
            if tree is not None and any(map(_does_something, tree.body[-1:])):
                return code
    return ""


def _does_something(node: ast.stmt) -> bool:
    """Whether a function has more than a docstring and functions within."""
    return isinstance(node, ast.FunctionDef) and any(not isinstance(n, _DEFINITIONS) for n in node.body[1:])


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
        text = "\n".join(lines[start:end])
        tree = parsed(text)
        if tree is not None and any(line.strip() for line in lines[start:end]):
            kept = [_own_text(text, node) for node in tree.body if _kept_officially(node)]
            return "\n".join(kept) + "\n" if kept else ""
    return ""


def _own_text(text: str, node: ast.stmt) -> str:
    """A statement as it was written: what `ast.unparse` of a newer Python writes, an older one may not read."""
    decorators = [f"@{ast.get_source_segment(text, one)}" for one in getattr(node, "decorator_list", [])]
    return "\n".join([*decorators, ast.get_source_segment(text, node) or ""])


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
