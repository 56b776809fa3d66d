"""`make house`: count the house again and write the numbers into docs/architecture.md.

What is refused (circles, private names across rooms) is refused in tests/test_house.py, with these same functions.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.additions import ADDITIONS
from benchmarks.pages import put

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "llmrouterbench"
SOURCE = ROOT / "src" / PACKAGE
PAGE = ROOT / "docs" / "architecture.md"
MARKS = "<!-- made by `make house` -->", "<!-- end -->"
SHORT = 4
"""Lines under which a helper that is called once is listed."""


@lru_cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def room(module: str) -> str:
    """The folder or top file that a module belongs to; "" for the package's front."""
    return module.partition(".")[2].partition(".")[0]


def top_files() -> list[str]:
    """Modules that lie loose at the top, without the front."""
    return sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


def imports(module: str) -> Iterator[tuple[str, str, str]]:
    """(module imported, name taken from it or "", name it has here) of each import, inside functions as well."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                target = (whole, "") if whole in modules() else (node.module, alias.name)
                yield (*target, alias.asname or alias.name)


def arrows() -> dict[str, set[str]]:
    """Module -> modules of the package that it imports; without those of a package's front to its own files.

    A front (`__init__`) opens files of its own by name, inside functions: a registry, no circle.
    """
    return {
        name: {to for to, _, _ in imports(name) if to in modules() and not f"{to}.".startswith(f"{name}.")}
        for name in modules()
    }


def rooms_arrows(of: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between rooms."""
    between: dict[str, set[str]] = {room(module): set() for module in of}
    for module, targets in of.items():
        between[room(module)] |= {room(to) for to in targets} - {room(module)}
    return between


def circles(of: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of two or more that reach one another along the arrows."""
    reached = {start: _reached(of, start) for start in of}
    groups = {tuple(sorted(other for other in reached[one] if one in reached[other])) for one in of}
    return sorted(list(group) for group in groups if len(group) > 1)


def _reached(of: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [*of[start]]
    while ahead:
        one = ahead.pop()
        if one not in seen:
            seen.add(one)
            ahead += of[one]
    return seen


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names_across_rooms() -> list[str]:
    """Underscore names of another room that a module imports, or reaches as an attribute of an imported module."""
    found = []
    for module, tree in modules().items():
        theirs = {}
        for to, name, here in imports(module):
            if to not in modules() or room(to) == room(module):
                continue
            if any(map(_private, (*to.split("."), name))):
                found.append(f"{module} imports {to}{'.' * bool(name)}{name}")
            if not name:
                theirs[here] = to
        private = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _private(node.attr))
        values = ((ast.unparse(node.value), node.attr) for node in private)
        found += [f"{module} reaches into {theirs[value]}.{name}" for value, name in values if value in theirs]
    return found


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    """Every function and method with its module."""
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield module, node


def length(function: Function) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def helpers_called_once() -> list[tuple[str, str, int]]:
    """(module, name, lines) of private functions that their module names in one place only."""
    uses = {
        module: Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Name | ast.Attribute)
        )
        for module, tree in modules().items()
    }
    private = [(module, function) for module, function in functions() if _private(function.name)]
    return [(module, one.name, length(one)) for module, one in private if uses[module][one.name] == 1]


def lines() -> int:
    """Lines of Python in the package."""
    return sum(path.read_text(encoding="utf-8").count("\n") for path in SOURCE.rglob("*.py"))


def table() -> str:
    """The counts as a Markdown table."""
    between = arrows()
    once = helpers_called_once()
    median, most_of, most = np.percentile([length(one) for _, one in functions()], (50, 95, 100), method="nearest")
    rows = {
        "top files": len(top_files()),
        "rooms (folders)": sum(1 for path in SOURCE.iterdir() if (path / "__init__.py").is_file()),
        "Python files; lines": f"{len(modules())}; {lines():,}",
        "circles between rooms": len(circles(rooms_arrows(between))),
        "circles between modules": len(circles(between)),
        "private names across rooms": len(private_names_across_rooms()),
        "private helpers called once, per 1,000 lines": f"{1000 * len(once) / lines():.1f}",
        f"of these, shorter than {SHORT} lines": sum(size < SHORT for _, _, size in once),
        "lines of a function: median, 95 %, most": f"{median}, {most_of}, {most}",
        **{f"files to add {what}": f"{len(files)}: {', '.join(files)}" for what, files in ADDITIONS.items()},
    }
    return "\n".join(["| what | now |", "|---|---|", *(f"| {what} | {count} |" for what, count in rows.items())])


def main() -> None:
    """Write the counts into the page, and list the short helpers called once with `--helpers`."""
    found = table()
    put(PAGE, MARKS, found)
    print(found)
    for module, name, size in sorted(helpers_called_once()):
        if "--helpers" in sys.argv and size < SHORT:
            print(f"{module}.{name}: called once, {size} lines")


if __name__ == "__main__":
    main()
