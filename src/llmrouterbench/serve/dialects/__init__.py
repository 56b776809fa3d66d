"""The dialects that clients may speak, by path: one file each."""

from __future__ import annotations

from llmrouterbench.serve.dialects import chat, completions, messages, responses
from llmrouterbench.serve.dialects.dialect import Dialect

DIALECTS: dict[str, Dialect] = {one.PATH: one for one in (chat, completions, messages, responses)}
