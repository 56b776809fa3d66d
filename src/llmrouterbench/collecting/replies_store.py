"""Replies on disk: one folder that grows while models answer, and that a kill at any moment leaves readable.

    manifest.json                     format, schema, the config (no secrets), a fingerprint of every model, the source
    items/<dataset>.jsonl             one item a line, with the prompt as it is sent: what the config asks
    left/<dataset>.jsonl              items that the config once asked and no longer does; their replies stay
    replies/<dataset>/<model>.jsonl   one reply a line, appended as replies come; the last line of an item counts
    writer.lock                       locked by the one process that writes, with its number

    owner                             the folder's own name, for leases in a cache
    calls.log                         "+" for a call that was sent, "-" for one that ended, with USD that it may cost:
                                      what was in flight at a kill; "=" for what such calls may have cost before

A question that is asked otherwise than before has its replies taken back: a line that says so is appended for its item,
and the item is without a reply until it is asked again. What was paid for is never removed.

File names are percent-encoded. Every reply is one write at the moment it comes; a process that is killed leaves at most
one torn line at the end of a file, which readers leave out and the next writer cuts off and counts. Lines are brought
to the disk (fsync) when the writer closes: a power cut may cost the last ones, a kill does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import orjson
import polars as pl

from llmrouterbench.collecting._folder_lock import holder
from llmrouterbench.files import read_marked
from llmrouterbench.replies import Item, Reply

FORMAT = "llmrouterbench/replies"
SCHEMA = 1
LOCK = "writer.lock"
TAKEN_BACK = "the question was changed after this reply"
"""Reason of a line that takes back the replies before it."""

_TYPES: dict[str, pl.DataType] = {
    "str": pl.String(),
    "Status": pl.String(),
    "int": pl.Int64(),
    "int | None": pl.Int64(),
    "float | None": pl.Float64(),
}
REPLY_COLUMNS: dict[str, pl.DataType] = {field.name: _TYPES[str(field.type)] for field in fields(Reply)}
"""Columns of `scan_replies`, those of `Reply`."""
_REPLY_FIELDS = frozenset(REPLY_COLUMNS)


@dataclass(frozen=True)
class Prompted:
    """An item and the text that models are sent for it."""

    item: Item
    prompt: str

    @property
    def question(self) -> list[Any]:
        """What a model is sent: the prompt and the images."""
        return [self.prompt, *(self.item.details.get("images") or ())]


@dataclass(frozen=True)
class Edits:
    """How the items that a config asks differ from those that a folder holds, by item id.

    otherwise  asked otherwise than before: their replies no longer count
    relabelled the same question with another right answer, label or detail
    joined     not in the folder's items; left: in the folder's items and no longer asked
    moved      whether those that stay stand in another order
    """

    otherwise: frozenset[str]
    relabelled: frozenset[str]
    joined: frozenset[str]
    left: frozenset[str]
    moved: bool

    def __bool__(self) -> bool:
        return bool(self.otherwise or self.relabelled or self.joined or self.left or self.moved)


@dataclass(frozen=True)
class Tally:
    """What a folder holds of one model on one dataset: items, the last replies by status, their tokens and cost (USD).

    cost is the sum of what is known; `unpriced` counts replies without a cost. `paid` is what this folder's own calls
    cost: without replies that came from the cache, with failed calls that were repeated later.
    """

    items: int = 0
    ok: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    unpriced: int = 0
    paid: float = 0.0

    @property
    def missing(self) -> int:
        """Items without any reply."""
        return self.items - self.ok - self.failed


def file_stem(name: str) -> str:
    """A model or dataset name as a file name that can be read back.

    >>> file_stem("openai/gpt-5:free"), file_stem("..")
    ('openai%2Fgpt-5%3Afree', '%2E.')
    """
    stem = quote(name, safe=" ")
    return "%2E" + stem[1:] if stem.startswith(".") else stem


def items_path(folder: Path, dataset: str) -> Path:
    """Where the items of a dataset lie."""
    return folder / "items" / f"{file_stem(dataset)}.jsonl"


def left_path(folder: Path, dataset: str) -> Path:
    """Where the items lie that are no longer asked."""
    return folder / "left" / f"{file_stem(dataset)}.jsonl"


def replies_path(folder: Path, dataset: str, model: str) -> Path:
    """Where the replies of a model on a dataset lie."""
    return folder / "replies" / file_stem(dataset) / f"{file_stem(model)}.jsonl"


def read_replies_manifest(folder: Path) -> dict[str, Any]:
    """The manifest. Raises FileNotFoundError where there is none, ValueError for another kind of folder or schema."""
    return read_marked(folder, FORMAT, SCHEMA)


def pool_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The models of the config that a folder was last collected with, in the order in which they joined.

    A manifest whose config names no models has them all.
    """
    configured = [model["name"] for model in manifest["config"].get("models", [])]
    return tuple(name for name in manifest["models"] if name in configured or not configured)


def stored_datasets(folder: Path) -> list[str]:
    """Names of the datasets whose items a folder holds."""
    return [unquote(path.stem) for path in sorted(folder.glob("items/*.jsonl"))]


def read_items(folder: Path, dataset: str) -> list[Prompted]:
    """The items of a dataset with their prompts, in the dataset's order. Raises FileNotFoundError without them."""
    path = items_path(folder, dataset)
    if not path.is_file():
        raise FileNotFoundError(f"{path} must hold the items of {dataset!r}, got no file; collect that dataset first")
    return read_item_lines(path)


def read_item_lines(path: Path) -> list[Prompted]:
    """The items in a file, [] without one."""
    if not path.is_file():
        return []
    return [_prompted(row) for _, row in _lines(path, path.read_bytes())]


def item_line(entry: Prompted) -> bytes:
    """An item as a line of a file."""
    return orjson.dumps({**vars(entry.item), "prompt": entry.prompt}) + b"\n"


def _prompted(row: dict[str, Any]) -> Prompted:
    prompt = row.pop("prompt")
    return Prompted(Item(**row), prompt)


def edits(folder: Path, dataset: str, asked: Iterable[Prompted]) -> Edits:
    """How items that are to be asked differ from those that the folder holds, and once held."""
    stored = {entry.item.id: entry for entry in read_item_lines(items_path(folder, dataset))}
    once = {entry.item.id: entry for entry in read_item_lines(left_path(folder, dataset))} | stored
    given = {entry.item.id: entry for entry in asked}
    otherwise = frozenset(name for name in given.keys() & once.keys() if given[name].question != once[name].question)
    stay = given.keys() & stored.keys()
    return Edits(
        otherwise=otherwise,
        relabelled=frozenset(name for name in stay if item_line(given[name]) != item_line(stored[name])) - otherwise,
        joined=frozenset(given.keys() - stored.keys()),
        left=frozenset(stored.keys() - given.keys()),
        moved=[name for name in given if name in stored] != [name for name in stored if name in given],
    )


def read_replies(folder: Path, dataset: str, model: str) -> dict[str, Reply]:
    """The last reply of every item that has one; {} where there is none yet.

    Raises ValueError for a damaged line that is not the torn last one.
    """
    last = {reply.item: reply for reply in read_reply_lines(folder, dataset, model)}
    return {item: reply for item, reply in last.items() if reply.reason != TAKEN_BACK}


def read_reply_lines(folder: Path, dataset: str, model: str) -> list[Reply]:
    """Every whole line of a model on a dataset, in the order they came. Raises ValueError for a damaged one."""
    path = replies_path(folder, dataset, model)
    data, _ = whole_lines(path.read_bytes() if path.is_file() else b"")
    rows = (row for _, row in _lines(path, data))
    return [Reply(**{key: value for key, value in row.items() if key in _REPLY_FIELDS}) for row in rows]


def scan_replies(folder: Path) -> pl.DataFrame:
    """All replies that count, a row each, with the columns of `Reply`."""
    frames = []
    for path in sorted(folder.glob("replies/*/*.jsonl")):
        data, _ = whole_lines(path.read_bytes())
        if data:
            frames.append(last_lines(_frame(data, path)))
    return pl.concat(frames) if frames else pl.DataFrame(schema=REPLY_COLUMNS)


def tally(folder: Path) -> dict[tuple[str, str], Tally]:
    """What the folder holds by (dataset, model), for the datasets and models that its config asks."""
    models = pool_of(read_replies_manifest(folder))
    out = {}
    for dataset in stored_datasets(folder):
        items = [entry.item.id for entry in read_items(folder, dataset)]
        for model in models:
            out[dataset, model] = tally_lines(reply_lines(folder, dataset, model), items)
    return out


def paid_in(folder: Path) -> float:
    """USD that the calls of all runs into a folder cost, whatever the config names today."""
    paths = sorted(folder.glob("replies/*/*.jsonl"))
    return sum(_paid(reply_lines(folder, unquote(path.parent.name), unquote(path.stem))) for path in paths)


def _paid(lines: pl.DataFrame) -> float:
    return float(lines.filter(pl.col("attempts") > 0)["cost"].sum())


def writer_of(folder: Path) -> str:
    """The process that is writing the folder, "" where none is."""
    return holder(folder / LOCK)


def reply_lines(folder: Path, dataset: str, model: str, without: Collection[str] = ()) -> pl.DataFrame:
    """Every whole line of a model on a dataset, in the order they came, with all columns of `Reply` but the text.

    without  items whose lines are left out
    """
    path = replies_path(folder, dataset, model)
    data, _ = whole_lines(path.read_bytes() if path.is_file() else b"")
    frame = _frame(data, path) if data else pl.DataFrame(schema=REPLY_COLUMNS)
    return frame.drop("text").filter(~pl.col("item").is_in(list(without)))


def last_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """The line of every item that counts; none for an item whose replies were taken back."""
    return lines.unique("item", keep="last", maintain_order=True).filter(pl.col("reason").ne_missing(TAKEN_BACK))


def tally_lines(lines: pl.DataFrame, items: Sequence[str]) -> Tally:
    """What the lines of one model on one dataset add up to, for some items."""
    last = last_lines(lines).filter(pl.col("item").is_in(items))
    ok = last["status"] == "ok"
    return Tally(
        items=len(items),
        ok=int(ok.sum()),
        failed=int((~ok).sum()),
        tokens_in=int(last["tokens_in"].sum()),
        tokens_out=int(last["tokens_out"].sum()),
        cost=float(last["cost"].sum()),
        unpriced=last["cost"].null_count(),
        paid=_paid(lines),
    )


def _frame(data: bytes, path: Path) -> pl.DataFrame:
    try:
        return pl.read_ndjson(data, schema=REPLY_COLUMNS)
    except pl.exceptions.PolarsError:
        for _ in _lines(path, data):  # says which line it is
            pass
        raise


def whole_lines(data: bytes) -> tuple[bytes, int]:
    r"""The lines that end, and how many are torn (0 or 1).

    >>> whole_lines(b'{"a": 1}\n{"a"'), whole_lines(b"")
    ((b'{"a": 1}\n', 1), (b'', 0))
    """
    end = data.rfind(b"\n") + 1
    return data[:end], int(end < len(data))


def _lines(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{path}:{number} must be JSON, got {line[:60]!r}; remove that line") from error
