"""The rules of a bench: what two benches must share to be compared, as one value wherever a bench is described.

Python (`bench(outcomes, out, Rules(tune=True))`), the YAML of `run`, the options of the command line and runs.json all
hold a `Rules`; a rule has one name in all of them. Routers, seeds and where the work is done are no rules: a folder of
runs takes more of them later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from llmrouterbench.naming import did_you_mean
from llmrouterbench.splits import FILES, KINDS, NearCopies
from llmrouterbench.stats import IntervalRule
from llmrouterbench.strict import Name, Strict

ProtocolName = Literal["safe", "paper"]
EmbeddedText = Literal["prompt", "query"]
PointRule = Literal["out-of-fold", "validation"]
RouterSeed = Literal["split", "fixed"]
LATER: dict[str, tuple[str, str]] = {
    "router_seed": ("fixed", "split"),
    "near_copies": ("long-texts", "one-word"),
    "points": ("validation", "out-of-fold"),
    "intervals": ("percentile", "t"),
}
"""Rules that came after version 0.1: what it did, and what is done now."""


def _one_of(what: str, names: Sequence[str], *, said: bool = True) -> BeforeValidator:
    """A check that suggests the nearest name; without `said`, None passes too."""

    def check(value: Any) -> Any:
        if value not in names and (said or value is not None):
            raise ValueError(f"no {what} named {value!r}{did_you_mean(str(value), names)}")
        return value

    return BeforeValidator(check)


def _inside(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise ValueError(f"must be between 0 and 1, both excluded, got {value}")
    return value


Share = Annotated[float, AfterValidator(_inside)]


class Rules(Strict):
    """What makes two benches comparable. Raises ValueError with one sentence for a rule that cannot be.

    protocol      "safe"; or "paper": the official split, and beside the numbers chosen on validation the paper's peak
                  on test, over operating points and the checkpoints of routers that train by epochs
    setting       "performance", "performance-cost" or a TOML file of your own; None: all that the outcomes hold
    split         a kind of `splits.make_split`, or a file that `splits.load_split` reads; None: the protocol's own kind
    ratio         share of the unique queries of a dataset that goes to train
    held_out      datasets that go to test whole
    validation    share of train that operating points are chosen on
    embedder      a spec of `embedders.make_embedder`
    text          what it embeds: the "prompt", or the bare "query"
    strip_shared  whether lines that many training texts share are left out of it
    tune          whether each router's grid is searched on validation
    router_seed   random start of a router that is given none: that of the "split", as the authors' runs have it; or
                  "fixed", the default of its constructor
    near_copies   what the safe split keeps together beside copies: texts that differ in "one-word", in validation
                  too; or "long-texts" alone, by their word 3-grams
    points        what operating points are chosen on: all of train, "out-of-fold", the end where quality decides unless
                  another point is better by a standard error; or the "validation" part, whatever is best there
    intervals     "t", with what few queries do not show (see `stats`); or "percentile", those of version 0.1

    The last ones came later. None is what the folder of runs has that is extended, and in a new one the first that is
    named here; a folder of before has the other.

    >>> Rules(protocol="paper").split_kind, Rules(split="mine.json").split_kind
    ('paper', 'file')
    >>> Rules(ratio=1.5)
    Traceback (most recent call last):
        ...
    ValueError: ratio: must be between 0 and 1, both excluded, got 1.5
    """

    protocol: Annotated[ProtocolName, _one_of("protocol", get_args(ProtocolName))] = "safe"
    setting: Name | None = None
    split: Name | None = None
    ratio: Share = 0.7
    held_out: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    validation: Share = 0.2
    embedder: Name = "tfidf"
    text: Annotated[EmbeddedText, _one_of("text", get_args(EmbeddedText))] = "prompt"
    strip_shared: bool = False
    tune: bool = False
    router_seed: Annotated[RouterSeed | None, _one_of("router seed", get_args(RouterSeed), said=False)] = None
    near_copies: Annotated[NearCopies | None, _one_of("near copies", get_args(NearCopies), said=False)] = None
    points: Annotated[PointRule | None, _one_of("rule of points", get_args(PointRule), said=False)] = None
    intervals: Annotated[IntervalRule | None, _one_of("interval rule", get_args(IntervalRule), said=False)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.split_kind not in (*KINDS, "file"):
            known = f"{did_you_mean(str(self.split), KINDS)} (or give a file: {', '.join(FILES)})"
            raise ValueError(f"no split named {self.split!r}{known}")
        if self.protocol == "paper" and self.split_kind != "paper":
            raise ValueError(f"protocol 'paper' has the split 'paper', got {self.split!r}; leave the split out")
        if self.split_file and (self.held_out or self.ratio != type(self).model_fields["ratio"].default):
            raise ValueError(
                f"a split from a file has parts of its own, got ratio {self.ratio:g} and held_out {list(self.held_out)}"
                f" beside {self.split!r}; leave them out"
            )
        return self

    @property
    def split_file(self) -> Path | None:
        """The file of the split; None where it is made."""
        return Path(self.split) if self.split and self.split.lower().endswith(FILES) else None

    @property
    def vectors_file(self) -> Path | None:
        """The file of precomputed vectors; None where the embedder is none."""
        return Path(self.embedder.removeprefix("file:")) if self.embedder.startswith("file:") else None

    @property
    def split_kind(self) -> str:
        """How the split comes about: "safe", "paper" or "file"."""
        return "file" if self.split_file else self.split or self.protocol

    def changed(self, **values: Any) -> Self:
        """The same rules but for some. Raises ValueError for an unknown rule or a value that it cannot have."""
        return type(self)(**{**self.model_dump(), **values})

    def from_folder(self, folder: Path) -> Self:
        """The same rules with the files that they name looked for from a folder, where the config lies."""
        named: dict[str, str] = {}
        if self.setting and self.setting.endswith(".toml"):
            named["setting"] = str((folder / self.setting).resolve())
        if self.split_file:
            named["split"] = str((folder / self.split_file).resolve())
        if self.vectors_file:
            named["embedder"] = f"file:{(folder / self.vectors_file).resolve()}"
        return self.model_copy(update=named)

    @property
    def files(self) -> list[Path]:
        """Files that the rules name and whose content decides: a split, precomputed vectors."""
        return [path for path in (self.split_file, self.vectors_file) if path]

    @property
    def present(self) -> Self:
        """The same, with what is done now where nothing is said."""
        said = {name: getattr(self, name) or now for name, (_, now) in LATER.items()}
        return self.model_copy(update=said)

    def like(self, other: Rules) -> Self:
        """The same, with the later rules of another bench where nothing is said."""
        return self.model_copy(update={name: getattr(self, name) or getattr(other, name) for name in LATER})

    def stored(self) -> dict[str, Any]:
        """The rules as runs.json and the keys of decisions spell them."""
        return {
            "protocol": self.protocol,
            "setting": self.setting,
            "split": {"kind": self.split_kind, "ratio": self.ratio, "held_out": list(self.held_out)},
            "validation_share": self.validation,
            "tune": self.tune,
            "embedder": {"name": self.embedder, "text": self.text, "strip": self.strip_shared},
            **{name: getattr(self, name) for name, (old, _) in LATER.items() if getattr(self, name) not in (None, old)},
        }

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """The rules in a runs.json; what an older one does not say was not there to choose.

        >>> old = Rules.from_stored(Rules(held_out=("aime",)).stored())
        >>> old.held_out, old.router_seed, old.points, old.intervals
        (('aime',), 'fixed', 'validation', 'percentile')
        """
        split, embedder = stored["split"], stored.get("embedder") or {}
        protocol, kind = stored.get("protocol", "safe"), split["kind"]
        found = {
            "protocol": protocol,
            "setting": stored.get("setting"),
            "split": split["file"] if kind == "file" else None if kind == protocol else kind,
            "ratio": split.get("ratio"),
            "held_out": split.get("held_out"),
            "validation": stored.get("validation_share"),
            "embedder": embedder.get("name"),
            "text": embedder.get("text"),
            "strip_shared": embedder.get("strip"),
            "tune": stored.get("tune"),
            **{name: stored.get(name, old) for name, (old, _) in LATER.items()},
        }
        return cls(**{name: value for name, value in found.items() if value is not None})

    def __repr__(self) -> str:
        said = (f"{name}={value!r}" for name, value in self if value != type(self).model_fields[name].default)
        return f"{type(self).__name__}({', '.join(said)})"
