"""Solutions that want to pass tests which they do not know, from tests/cases/cheats.md."""

from __future__ import annotations

import re
from pathlib import Path

_PARTS = re.split(r"^# ", (Path(__file__).parent / "cases" / "cheats.md").read_text("utf-8"), flags=re.MULTILINE)


def _blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _solutions(text: str) -> dict[str, str]:
    before, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    put = "".join(_blocks(before))
    return {part.partition("\n")[0]: put + _blocks(part)[0] for part in parts}


CHECKS = _blocks(_PARTS[2])[0]
"""Passed where any one of many checks holds: what a solution gets wrong in one form it may get right in another."""
RIGHT = "def f(given):\n    return 42"
GROUPS = {part.partition("\n")[0]: _solutions(part) for part in _PARTS[3:]}
"""Kind of cheat -> name -> solution; FOLDER and VICTIM are to be replaced."""
CHEATS = {name: code for group in GROUPS.values() for name, code in group.items()}
