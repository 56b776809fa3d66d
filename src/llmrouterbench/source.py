"""A hash of code that is not ours, by which a result that was made with other code is known."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from llmrouterbench.files import sha256_of

_NOT_WRITTEN = ("__module__", "__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__")
"""Attributes of a class that say nothing of what it does."""

_PLAIN = str | int | float | bool | bytes | tuple | None  # type: ignore[type-arg]


def source_of(thing: Any) -> str:
    """Hex sha256 over the Python files of the package or module that defines a function or a class.

    Of a notebook, a prompt or standard input, which are no file, over what it does, with the functions and classes
    from there that it uses. "" for our own, whose version counts, and for what Python itself has.

    >>> source_of(source_of), len(source_of(hashlib.sha256)) % 64
    ('', 0)
    """
    thing = getattr(thing, "func", thing)
    name = str(getattr(thing, "__module__", None) or type(thing).__module__)
    top = sys.modules.get(name.partition(".")[0])
    if top is None or top.__name__ == __name__.partition(".")[0]:
        return ""
    file = Path(str(getattr(top, "__file__", None) or ""))
    if not file.is_file():
        return hashlib.sha256(repr(list(_done(thing, name, set()))).encode()).hexdigest() if name == "__main__" else ""
    files = sorted(file.parent.rglob("*.py")) if hasattr(top, "__path__") else [file]
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


def _done(thing: Any, module: str, seen: set[int]) -> Iterator[Any]:
    """What code does, without where it stands: instructions, constants, and the same of what it names in its module."""
    thing = getattr(thing, "__func__", thing)
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, CodeType):
        yield thing.co_code, thing.co_names, thing.co_varnames
        for part in thing.co_consts:
            yield from _done(part, module, seen)
    elif isinstance(thing, FunctionType):
        yield from _done(thing.__code__, module, seen)
        yield repr((thing.__defaults__, thing.__kwdefaults__))
        named = [thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__]
        for one in named:
            if getattr(one, "__module__", None) == module or isinstance(one, _PLAIN):
                yield from _done(one, module, seen)
    elif isinstance(thing, property):
        yield from _done(thing.fget, module, seen)
    elif isinstance(thing, type):
        for base in thing.__mro__:
            if base.__module__ == module:
                for name, part in vars(base).items():
                    if name not in _NOT_WRITTEN:
                        yield name
                        yield from _done(part, module, seen)
    elif isinstance(thing, frozenset):
        yield sorted(map(repr, thing))
    elif isinstance(thing, _PLAIN):
        yield thing


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)
