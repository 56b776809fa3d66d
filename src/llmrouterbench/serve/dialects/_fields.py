"""An object of a request, read field by field: what is neither taken nor left out by name is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from llmrouterbench.serve.refusals import RefusedError, short

T = TypeVar("T")
_KINDS = {str: "a text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


class Fields:
    """One object. null is the same as a field that is not there.

    where     its place in the body, "" for the body itself
    left_out  gets the names of fields that are read and left out

    >>> fields = Fields({"role": "user", "mood": "good"}, "messages[0]", set())
    >>> fields.text("role")
    'user'
    >>> fields.close()
    Traceback (most recent call last):
        ...
    llmrouterbench.serve.refusals.RefusedError: messages[0].mood has no form in chat completions, which providers \
speak here; leave it out
    """

    def __init__(self, value: Any, where: str, left_out: set[str]) -> None:
        self.where = where
        self._left_out = left_out
        if not isinstance(value, dict):
            raise RefusedError(400, f"{where} must be an object, got {short(value)}")
        self._values = {name: one for name, one in value.items() if one is not None}

    def place(self, name: str) -> str:
        """The place of one of its fields."""
        return f"{self.where}.{name}" if self.where else name

    def any(self, name: str) -> Any:
        """A field of any kind, None where it is not there."""
        return self._values.pop(name, None)

    def of(self, kind: type[T], name: str) -> T | None:
        """A field of one kind, None where it is not there."""
        value = self.any(name)
        if value is not None and not (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            raise RefusedError(400, f"{self.place(name)} must be {_KINDS[kind]}, got {short(value)}")
        return value

    def text(self, name: str) -> str:
        """A text that must be there."""
        if (value := self.of(str, name)) is None:
            raise RefusedError(400, f"{self.place(name)} must be a text, got none")
        return value

    def object(self, name: str) -> Fields | None:
        """An object within it."""
        value = self.any(name)
        return None if value is None else self.within(name, value)

    def within(self, name: str, value: Any) -> Fields:
        """A value that was one of its fields, as an object."""
        return Fields(value, self.place(name), self._left_out)

    def each(self, name: str) -> Iterator[Fields]:
        """The objects of a list within it."""
        for number, one in enumerate(self.of(list, name) or ()):
            yield Fields(one, f"{self.place(name)}[{number}]", self._left_out)

    def parts(self, name: str, kind: str) -> Iterator[Fields]:
        """The objects of a list within it; a text stands for one object of that type."""
        if isinstance(self._values.get(name), str):
            yield Fields({"type": kind, "text": self.any(name)}, self.place(name), self._left_out)
        else:
            yield from self.each(name)

    def copied(self, *names: str) -> Iterator[tuple[str, Any]]:
        """Fields that chat completions have too, of the same name and meaning."""
        for name in names:
            if (value := self.any(name)) is not None:
                yield name, value

    def leave_out(self, *names: str) -> None:
        """Fields that do not change what is asked, and say nothing to a provider."""
        self._left_out.update(name for name in names if name in self._values)
        self.pass_over(*names)

    def pass_over(self, *names: str) -> None:
        """Fields that say nothing more."""
        for name in names:
            self._values.pop(name, None)

    def expect(self, name: str, *allowed: Any, remedy: str) -> None:
        """A field that may only say what is true here anyway."""
        if (value := self.any(name)) is not None and value not in allowed:
            raise RefusedError(400, f"{self.place(name)} must be {_either(allowed)}, got {short(value)}; {remedy}")

    def unknown(self, what: str, value: str) -> NoReturn:
        """Refuse a kind that has no translation."""
        place = self.place(what)
        raise RefusedError(400, f"{place} {value[:60]!r} has no form in chat completions, which providers speak here")

    def close(self) -> None:
        """Refuse what is left."""
        for name in self._values:
            place = self.place(name[:60])
            raise RefusedError(
                400, f"{place} has no form in chat completions, which providers speak here; leave it out"
            )


def _either(allowed: Iterable[Any]) -> str:
    return " or ".join([*(json.dumps(one) for one in allowed), "absent"])
