"""What is made for a page of the docs, and what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

Marks = tuple[str, str]


def put(page: Path, marks: Marks, made: str) -> None:
    """Write what stands between two marks of a page anew; the rest stays."""
    page.write_text(between(page.read_text(encoding="utf-8"), marks, made), encoding="utf-8")


def between(page: str, marks: Marks, made: str) -> str:
    """The page with something else between two marks. Raises ValueError for a page without them.

    >>> between("a <!-- x --> old <!-- end --> b", ("<!-- x -->", "<!-- end -->"), "new").split()
    ['a', '<!--', 'x', '-->', 'new', '<!--', 'end', '-->', 'b']
    """
    before, rest = page.split(marks[0])
    _, after = rest.split(marks[1], 1)
    return f"{before}{marks[0]}\n\n{made}\n\n{marks[1]}{after}"


def hash_of(root: Path, names: Iterable[str]) -> str:
    """Hash of files, and of the Python files of folders: what was made of the same ones is not made again."""
    paths = [path for name in names for path in sorted({root / name, *(root / name).glob("*.py")}) if path.is_file()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
