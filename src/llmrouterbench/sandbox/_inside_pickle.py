"""Runs inside a sandbox: opens a pickle, which comes in pieces when it asks for them, and says the table in it as text.

What it says: "?" for the next piece and "<" for all of them again, then a file's ending, its text in pieces that
begin with "=", and nothing; or "!" and why there is no table.
"""

from __future__ import annotations

import io
import sys

from llmrouterbench.sandbox._inside_wire import Broken, Wire, wire_of_standard_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ROWS, _PIECE = 500, 1 << 20
_PARTS = ("train", "val", "test")


class Pieces(io.RawIOBase):
    """A file whose bytes are asked for."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.left = wire, memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        if not self.left:
            self.wire.say("?")
            self.left = memoryview(self.wire.take())
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def opened(wire: Wire) -> Any:
    """What a pickle holds; frames of an older pandas by what pandas has for these, which is slow."""
    from pickle import load

    try:
        return load(io.BufferedReader(Pieces(wire), _PIECE))
    except Exception:
        if "pandas" not in sys.modules:
            raise
        from importlib import import_module

        wire.say("<")
        return import_module("pandas.compat.pickle_compat").Unpickler(io.BufferedReader(Pieces(wire), _PIECE)).load()


def table(value: Any) -> Iterator[str]:
    """The ending of a file and its text. Raises ValueError where a value holds no table that we know."""
    if hasattr(value, "to_csv") and hasattr(value, "columns"):
        yield ".csv"
        for start in range(0, max(len(value), 1), _ROWS):
            yield value.iloc[start : start + _ROWS].to_csv(index=False, header=not start)
    elif isinstance(value, dict) and "prompt" in value and ("easy" in value or "hard" in value):
        yield ".jsonl"
        yield from routereval(value)
    elif isinstance(value, dict) and {"model", "data"} <= value.keys():
        raise ValueError("RouterEval's scores without the texts of their questions; import router_dataset/*.pkl")
    else:
        raise ValueError(f"a {type(value).__name__}; save a table of it as CSV and import that")


def routereval(value: Any) -> Iterator[str]:
    """RouterEval: its models, then a line a query. A model that stands in several pools is said once."""
    from json import dumps

    pools = [pool for name in ("easy", "hard") for size in (value.get(name) or {}).values() for pool in size.values()]
    columns: dict[tuple[str, bytes], tuple[Any, int]] = {}
    for pool in pools:
        for at, model in enumerate(pool["model"]):
            said = b"".join(pool["data"][f"{part}_score"][:, at].tobytes() for part in _PARTS)
            columns.setdefault((str(model), said), (pool["data"], at))
    yield dumps({"routereval": 1, "models": [model for model, _ in columns]}) + "\n"
    for part in _PARTS:
        indices = value["split_index"][f"{part}_indices"].tolist()
        for row, (index, prompt) in enumerate(zip(indices, value["prompt"][f"{part}_prompt"], strict=True)):
            scores = [float(data[f"{part}_score"][row, at]) for data, at in columns.values()]
            yield dumps({"id": str(index), "query": str(prompt), "scores": scores}) + "\n"


def main() -> None:
    """Open what is sent, and say what is in it."""
    wire = wire_of_standard_files()
    sys.setrecursionlimit(10_000)
    try:
        pieces = table(opened(wire))
        wire.say(next(pieces))
        for text in pieces:
            wire.say(f"={text}")
        wire.say("")
    except Broken:
        raise
    except ModuleNotFoundError as error:
        wire.say(f"!it needs {error.name}, which is not installed; pip install 'llmrouterbench[pickles]'")
    except BaseException as error:
        wire.say(f"!{type(error).__name__}: {error}")
