"""Tokens where the provider does not tell them: counted from the text, so that a reply without usage is not free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BYTES_PER_TOKEN = 4
"""Of UTF-8: English has four or five a token, Chinese three."""
IMAGE_TOKENS = 4000
"""Taken for an image or another attachment when a cost is bounded."""
COUNTED_IMAGE_TOKENS = 1000
"""Taken for one when a cost is counted afterwards."""
PREAMBLE_TOKENS = 100
"""What a server's template adds to the messages of a request at most."""

_ATTACHED = re.compile(rb'"(?:url|image_url|file_data|file_url)"[ \t\r\n]*:[ \t\r\n]*"[^"\\]*')
"""An attachment of a message: its bytes, or its address."""


def text_bytes(value: Any) -> int:
    """UTF-8 bytes of every text in a JSON value, keys left out.

    >>> text_bytes({"content": "Grüße", "tool_calls": [{"arguments": "{}"}]})
    9
    """
    waiting, found = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found += len(one) if one.isascii() else len(one.encode("utf-8", "surrogatepass"))
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


def tokens_of(size: int, pieces: int = 0) -> int:
    """Tokens of a text of so many bytes that came in so many pieces: most servers send one token in each.

    >>> tokens_of(9), tokens_of(9, pieces=5)
    (3, 5)
    """
    return max(pieces, -(-size // BYTES_PER_TOKEN))


def tokens_of_request(raw: bytes) -> tuple[int, int]:
    """Tokens in of a JSON body: as counted, and the most that it can be: one a byte, and so many an attachment.

    >>> tokens_of_request(b'{"input": "Hi"}')
    (4, 115)
    """
    attached, size = 0, len(raw)
    for match in _ATTACHED.finditer(raw):
        attached += 1
        size -= match.end() - match.start()
    counted = tokens_of(size) + COUNTED_IMAGE_TOKENS * attached
    return counted, len(raw) + PREAMBLE_TOKENS + IMAGE_TOKENS * attached
