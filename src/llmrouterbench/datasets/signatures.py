"""What two replies are compared by: the signature of a reply, read as the answers of its kind of task are."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from llmrouterbench.datasets._code import find_code
from llmrouterbench.datasets.answers import SEVERAL, boxed, final, final_number, is_number, letter, stated, visible
from llmrouterbench.sandbox.programs import parsed

_OPTION = re.compile(r"(?m)^[ \t]*[(\[]?([A-Z])[).\]:][ \t]+(\S.*)$")
_FUNCTION = re.compile(r"(?m)^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(")
_HELPER = re.compile(r"(?i)_*(?:test|check|main)")
_WORD = re.compile(r"[^\W_]+")
_SHORT = 40
"""Characters of a reply that is nothing but an answer."""
_LOOKED_AT = 200
"""Replies to a task from which its kind is told."""


def options_in(prompt: str) -> dict[str, str]:
    r"""The lettered options of the last question in a prompt; {} where it has none.

    >>> options_in("Sky?\nA) red\nB) blue\nAnswer: B\n\nGrass?\nA) green\nB) red\nC) grey\nAnswer:")
    {'A': 'green', 'B': 'red', 'C': 'grey'}
    """
    listed = _OPTION.findall(prompt)
    starts = [place for place, (name, _) in enumerate(listed) if name == "A"]
    last = listed[starts[-1] :] if starts else []
    found = {name: text for place, (name, text) in enumerate(last) if name == chr(ord("A") + place)}
    return found if len(found) > 1 else {}


def _letter(reply: str, prompt: str) -> str:
    options = options_in(prompt)
    said = letter(visible(reply), options) if options else None
    return said if said and said != SEVERAL and said in options else ""


def _answer(reply: str, prompt: str) -> str:
    """A number up to equality, or the words of a marked answer; a short reply is its own answer."""
    del prompt
    text = visible(reply)
    said = final(text) or (text if len(text.strip()) <= _SHORT else "")
    if is_number(said) and (value := final_number(said)):
        return str(value.value)
    return " ".join(_WORD.findall(said.casefold()))


def _code(reply: str, prompt: str) -> str:
    """The number of arguments of the last function that is no test."""
    del prompt
    names = [name for name in _FUNCTION.findall(visible(reply)) if not _HELPER.match(name)]
    tree = parsed(find_code(reply, names[-1])) if names else None
    if tree is None:
        return ""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    took = [node.args for node in found if node.name == names[-1]]
    return f"{len([*took[-1].posonlyargs, *took[-1].args])} arguments" if took else ""


def _text(reply: str, prompt: str) -> str:
    del prompt
    return " ".join(_WORD.findall(visible(reply).casefold()))


_READERS: dict[str, Callable[[str, str], str]] = {"letter": _letter, "code": _code, "answer": _answer, "text": _text}
"""Kind of task -> signature of (reply, prompt), "" for a reply without one; of several that fit the first is taken."""


@lru_cache(1 << 16)
def signature(kind: str, reply: str, prompt: str) -> str:
    """What a reply to a task of this kind is compared by; "" where it says nothing of the kind."""
    return _READERS[kind](reply, prompt)


def kind_of(replies: Sequence[str], prompts: Sequence[str]) -> str:
    r"""The kind of a task: the first under which at least half of some replies to it have a signature.

    An answer must be marked, or be all that a reply says.

    >>> kind_of(["C", "The answer is (B)."], ["Q?\nA) x\nB) y\nC) z"] * 2)
    'letter'
    >>> kind_of(["It is a long story about nothing that anybody could ever call an answer."], ["Tell!"])
    'text'
    """
    some = range(0, len(replies), max(1, len(replies) // _LOOKED_AT))
    for kind in _READERS:
        found = [
            bool(signature(kind, replies[i], prompts[i])) and (kind != "answer" or _marked(replies[i])) for i in some
        ]
        if found and np.mean(found) >= 0.5:
            return kind
    return "text"


def _marked(reply: str) -> bool:
    text = visible(reply)
    return len(text.strip()) <= _SHORT or (boxed(text) or stated(text)) is not None


def alike(kind: str, one: str, other: str) -> float:
    """How far two signatures agree, in [0, 1]: equal or not; of texts the cosine of their words. 0 without one.

    >>> alike("letter", "A", "A"), alike("letter", "", ""), round(alike("text", "a b", "b c"), 2)
    (1.0, 0.0, 0.5)
    """
    if not one or not other:
        return 0.0
    if kind != "text" or one == other:
        return float(one == other)
    left, right = Counter(one.split()), Counter(other.split())
    shared = sum(count * right[word] for word, count in left.items())
    lengths = sum(n * n for n in left.values()) * sum(n * n for n in right.values())
    return float(shared / np.sqrt(lengths))
