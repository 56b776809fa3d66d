"""What a submission says of itself: a card, and its JSON Schema, which is made of the same class."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from llmrouterbench.records import read_json_file
from llmrouterbench.strict import Name, Strict, json_schema, parse_plain

FILE = "card.json"
SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
"""A name that is a folder on every system and needs no quotes."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
_LINK = r"^https?://[^\s<>\"']+$"
TrainedOn = Literal["this board's train part", "other public data", "private data", "nothing"]


def _plain(text: str) -> str:
    if any(ord(c) < 32 or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in text):
        raise ValueError("must be one line without control characters")
    return text


Line = Annotated[Name, Field(max_length=2000), AfterValidator(_plain)]


def check_slug(name: str) -> str:
    """A name that a folder can have everywhere. Raises ValueError.

    >>> check_slug("knn-5")
    'knn-5'
    >>> check_slug("../other")
    Traceback (most recent call last):
        ...
    ValueError: a name must be letters, digits, '.', '_' or '-', at most 60, a letter or digit first, got '../other'
    """
    plain = re.fullmatch(SLUG, name) and not name.endswith((".", "\n"))
    if not plain or name.partition(".")[0].lower() in _RESERVED:
        raise ValueError(
            f"a name must be letters, digits, '.', '_' or '-', at most 60, a letter or digit first, got {name!r}"
        )
    return name


class Card(Strict):
    """What the authors of a router say of it; no number in it is ever used.

    name        the folder of the submission, and its row
    authors     who made it
    method      what it does, in a sentence or a few
    code        where its code is; None: closed
    trained_on  what it learned from
    data        which other data that were
    seeds       random starts, in words
    replaces    name of an earlier submission of the same authors, which leaves the ranks
    submitted   the day, YYYY-MM-DD

    >>> Card(name="knn", authors=("Ada",), method="nearest neighbours", trained_on=("nothing",)).code is None
    True
    """

    name: Annotated[Name, Field(pattern=SLUG), AfterValidator(check_slug)]
    authors: Annotated[tuple[Line, ...], Field(strict=False, min_length=1, max_length=50)]
    method: Line
    code: Annotated[str | None, Field(pattern=_LINK, max_length=500)] = None
    trained_on: Annotated[tuple[TrainedOn, ...], Field(strict=False, min_length=1)]
    data: Line | None = None
    seeds: Line | None = None
    replaces: Annotated[str | None, Field(pattern=SLUG)] = None
    submitted: Annotated[str | None, Field(pattern=r"^\d{4}-\d\d-\d\d$")] = None


def read_card(path: Path) -> Card:
    """Read a card. Raises FileNotFoundError, and ValueError with one sentence on what is wrong."""
    if not path.is_file():
        raise FileNotFoundError(f"a card must be in a file, got none at {path}; write one, see card.schema.json")
    return parse_plain(Card, read_json_file(path), str(path))


def card_schema() -> dict[str, Any]:
    """The JSON Schema of a card, for editors and other tools."""
    return json_schema(Card)
