"""Settings of a router as its constructor annotates them, checked before anything is fitted."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from llmrouterbench.naming import did_you_mean

_PLAIN = (bool, int, float, str, NoneType)


def check_settings(name: str, cls: type[Any], settings: dict[str, Any]) -> None:
    """Raise ValueError for a setting that a router does not have, or whose value its annotation does not allow.

    Annotations of plain values are held: bool, int, float, str, None, literals and unions of these.
    """
    known = inspect.signature(cls).parameters
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # an annotation that only type checkers can read
        hints = {}
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"router {name!r} has no setting {key!r}{did_you_mean(key, known)}")
        choices = _choices(hints.get(key))
        given = value.item() if isinstance(value, np.generic) else value
        if choices and not any(_allows(choice, given) for choice in choices):
            default = known[key].default
            usual = "" if default is inspect.Parameter.empty else f"; leave it out for {default!r}"
            said = " or ".join(map(_said, choices))
            raise ValueError(f"router {name!r}: {key} must be {said}, got {value!r}{usual}")


def _choices(hint: Any) -> list[Any]:
    """Types and literal values that an annotation allows; empty where it is not about plain values."""
    if get_origin(hint) in (Union, UnionType):
        parts = [_choices(one) for one in get_args(hint)]
        return [choice for part in parts for choice in part] if all(parts) else []
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [hint] if hint in _PLAIN else []


def _allows(choice: Any, value: Any) -> bool:
    if not isinstance(choice, type):
        return type(value) is type(choice) and bool(value == choice)
    if isinstance(value, bool):
        return choice is bool
    return isinstance(value, choice) or (choice is float and isinstance(value, int))


def _said(choice: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "none"}
    return words[choice] if isinstance(choice, type) else repr(choice)
