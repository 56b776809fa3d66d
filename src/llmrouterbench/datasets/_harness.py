"""What the datasets share that a harness of their own scores: checks of the reports that it wrote."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from llmrouterbench.files import read_json
from llmrouterbench.replies import Score


def read_object(path: Path, needs: str, what: str) -> dict[str, Any]:
    """The JSON object in a harness's report, which must have the key `needs`. Raises ValueError otherwise."""
    found = read_json(path)
    if not isinstance(found, dict) or needs not in found:
        got = f"the keys {', '.join(sorted(found)[:8]) or 'none'}" if isinstance(found, dict) else type(found).__name__
        raise ValueError(
            f"{path} must be {what} with the key {needs!r}, got {got}; name the file that the harness wrote"
        )
    return found


def await_harness(name: str, answer: str = "") -> Score:
    """The score of a reply that only the harness can score: none yet, and what to do."""
    return Score(math.nan, answer, f"{name} is scored by its own harness; run it and import its report")
