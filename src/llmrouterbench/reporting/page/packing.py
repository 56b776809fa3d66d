"""Numbers and texts made small: codes of a byte or two, columns behind one another, gzip, base64.

A packed table is what `explorer.js` reads: four bytes with the length of a JSON header, the header, then the columns as
little-endian whole numbers, each at a multiple of four bytes. The header says where each column starts, and what its
codes mean.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from llmrouterbench.files import json_bytes
from llmrouterbench.studies.hardness import SOLVED
from llmrouterbench.table import FloatArray

SCORES = 250
"""Steps of a score: 0, 1/2 and 1 stay exact, any other score moves by less than 0.004."""
UNKNOWN_SCORE = 255
CHEAPEST, DECADES, STEPS = -9, 14, 65_533
"""Costs from 1e-9 to 1e5 USD in equal ratios; a cost moves by less than 0.03 %."""
UNKNOWN_COST = 65_535
CODES = {
    "scores": SCORES, "unknown_score": UNKNOWN_SCORE, "cheapest": CHEAPEST, "decades": DECADES, "steps": STEPS,
    "unknown_cost": UNKNOWN_COST, "solved": SOLVED,
}  # fmt: skip
"""What the page reads codes by; it stands in the header of every packed table."""
Codes = NDArray[np.uint8] | NDArray[np.uint16]


def score_codes(score: FloatArray) -> NDArray[np.uint8]:
    """Scores in [0, 1] as bytes; NaN is 255.

    >>> score_codes(np.array([0.0, 0.5, 1.0, np.nan])).tolist()
    [0, 125, 250, 255]
    """
    codes = np.rint(SCORES * np.nan_to_num(score))
    codes = np.where(score < SOLVED, np.minimum(codes, SOLVED * SCORES - 1), codes)  # a wrong reply stays a wrong one
    return np.where(np.isfinite(score), codes, UNKNOWN_SCORE).astype(np.uint8)


def cost_codes(cost: FloatArray) -> NDArray[np.uint16]:
    """Costs in USD as two bytes on a scale of equal ratios; 0 is free, 65535 unknown.

    >>> cost_codes(np.array([0.0, 1e-9, 1.0, 1e9, np.nan])).tolist()
    [0, 1, 42129, 65534, 65535]
    """
    paid = cost > 0
    steps = (np.log10(np.where(paid, cost, 1.0)) - CHEAPEST) * (STEPS / DECADES)
    codes = np.where(paid, 1 + np.clip(np.rint(steps), 0, STEPS), 0)
    return np.where(np.isfinite(cost), codes, UNKNOWN_COST).astype(np.uint16)


def index_codes(index: NDArray[np.integer[Any]], most: int) -> Codes:
    """Positions 0 to `most` - 1 in the smallest type that holds them; -1 is the type's largest number.

    >>> index_codes(np.array([2, -1]), 3).tolist(), index_codes(np.array([2, -1]), 300).tolist()
    ([2, 255], [2, 65535])
    """
    return index.astype(np.uint8) if most < UNKNOWN_SCORE else index.astype(np.uint16)


def pack(header: Mapping[str, Any], columns: Mapping[str, Codes]) -> bytes:
    """One table as gzip; the same bytes for the same values."""
    places, body, at = {}, [], 0
    for name, column in columns.items():
        data = column.astype(column.dtype.newbyteorder("<")).tobytes()
        places[name] = {"at": at, "length": column.size, "bytes": column.itemsize}
        body.append(data + bytes(-len(data) % 4))
        at += len(body[-1])
    head = orjson.dumps({**header, "codes": CODES, "columns": places})
    head += b" " * (-len(head) % 4)
    return _gzip(len(head).to_bytes(4, "little") + head + b"".join(body))


def pack_texts(texts: list[str]) -> bytes:
    """Texts as gzipped JSON."""
    return _gzip(orjson.dumps(texts))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def in_html(packed: bytes) -> str:
    """Packed bytes as text that may stand in a page."""
    return base64.b64encode(packed).decode()


def json_in_html(value: Any) -> str:
    r"""JSON that may stand in a script element: it cannot end the element, nor start a comment in it.

    >>> json_in_html({"name": "</script>&", "cost": float("nan")})
    '{"name":"\\u003c/script\\u003e\\u0026","cost":null}'
    """
    text = json_bytes(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
