"""What installed packages add to ours, by their entry points: routers, datasets, embedders, importers.

A plug-in cannot take one of our names. One that is broken fails alone and in one sentence, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any


@dataclass(frozen=True)
class PlugIn:
    """One entry point: what kind it is of, its name, what it names ("package.module:attribute"), whose it is."""

    kind: str
    name: str
    target: str
    package: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of package {self.package}"

    def load(self) -> Any:
        """What it names. Raises ImportError, in one sentence, whatever the code of the package raises."""
        try:
            return EntryPoint(self.name, self.target, "").load()
        except (Exception, SystemExit) as error:
            raise ImportError(f"{self} must be importable, got {_said(error)}; update or uninstall it") from error

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of it gives. ValueError, OSError and ImportError pass; others become a ValueError."""
        try:
            return function(*arguments)
        except (ValueError, OSError, ImportError):
            raise
        except Exception as error:
            raise ValueError(f"{self} must do its work, got {_said(error)}; tell its authors") from error

    def wrong(self, needs: str, got: object) -> ImportError:
        """The error to raise where it gave something else than it must."""
        return ImportError(f"{self} must be {needs}, got {type(got).__name__} at {self.target}; tell its authors")


@dataclass(frozen=True)
class PlugIns:
    """The plug-ins of one kind.

    kind   "router"; its entry points stand in the group "llmrouterbench.routers"
    ours   names that no plug-in can take
    needs  name and what an entry point gave -> what it must be instead, such as "a Dataset"; "" where it is right
    """

    kind: str
    ours: Collection[str]
    needs: Callable[[str, Any], str]

    def installed(self) -> dict[str, PlugIn]:
        """Name -> plug-in, in order of names; of two packages with one name the first in the alphabet counts."""
        found: dict[str, PlugIn] = {}
        for one in self._all():
            if one.name not in self.ours:
                found.setdefault(one.name, one)
        return found

    def load(self, name: str) -> Any:
        """What an installed plug-in names. Raises ImportError in one sentence where it is broken."""
        one = self.installed()[name]
        found = one.load()
        if needs := self.needs(name, found):
            raise one.wrong(needs, found)
        return found

    def states(self) -> list[tuple[PlugIn, str]]:
        """Every plug-in, and why it cannot be used; "" where it can."""
        used = self.installed()
        return [(one, self._fault(one.name) if used.get(one.name) == one else "name is taken") for one in self._all()]

    def _fault(self, name: str) -> str:
        try:
            self.load(name)
        except ImportError as error:
            return str(error)
        return ""

    def _all(self) -> list[PlugIn]:
        points = _listed(f"llmrouterbench.{self.kind}s")
        found = [PlugIn(self.kind, one.name, one.value, one.dist.name if one.dist else "unknown") for one in points]
        return sorted(found, key=lambda one: (one.name, one.package))


def _listed(group: str) -> Iterable[EntryPoint]:
    try:
        return entry_points(group=group)
    except Exception:  # some package's list is damaged: those of the others still count
        return [point for package in distributions() for point in _points(package)[0] if point.group == group]


def damaged() -> list[str]:
    """A sentence for each installed package whose list of entry points cannot be read."""
    return [said for package in distributions() if (said := _points(package)[1])]


def _points(package: Distribution) -> tuple[Iterable[EntryPoint], str]:
    """The entry points of a package, and why they cannot be read."""
    try:
        return package.entry_points, ""
    except Exception as error:
        return (), f"package {package.name} must list its entry points as NAME = MODULE:NAME, got {_said(error)}"


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
