"""The nouns: queries, outcomes and estimates, as arrays with axes (query, model).

A value that exists is valid: the constructors check shapes and ranges once, so that code behind them can trust
what it holds. NaN means "not measured" everywhere; zero is a measurement.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.str_]

Plane = Literal["score", "cost", "tokens_in", "tokens_out", "seconds"]
PLANES: tuple[str, ...] = get_args(Plane)
"""The (queries, models) arrays of `Outcomes`, in the order in which they are stored and hashed."""
LOG_PLANES = ("propensity", "runs", "spread")
"""The arrays that only some sources know: None where nothing is known, and then neither stored nor hashed."""


_SHARES = ("score", "propensity", "spread")


@dataclass(frozen=True)
class _Held:
    """A loader of texts that are in memory already."""

    texts: Sequence[str]

    def __call__(self) -> Sequence[str]:
        return self.texts


Replies = Mapping[tuple[int, int], str]
"""Reply texts by (row, model): row and column of the outcomes beside which they stand."""


class Text(Sequence[str]):
    """Texts of n queries, read from disk at the first look and not before.

    `load` returns all n_all texts; `rows` picks those that belong to this view.

    >>> text = Text(lambda: ["a", "b", "c"], np.array([2, 0]))
    >>> len(text), text[0], list(text.take(np.array([1])))
    (2, 'c', ['a'])
    """

    def __init__(self, load: Callable[[], Sequence[str]], rows: IntArray) -> None:
        self._load = load
        self._rows = rows

    @classmethod
    def of(cls, texts: Sequence[str]) -> Text:
        """Wrap texts that are already in memory."""
        return texts if isinstance(texts, Text) else cls(_Held(texts), np.arange(len(texts)))

    def __getstate__(self) -> dict[str, Any]:
        return {"_load": self._load, "_rows": self._rows}  # texts that were read stay behind

    @cached_property
    def _texts(self) -> list[str]:
        everything = self._load()
        return [everything[row] for row in self._rows]

    def take(self, rows: IntArray) -> Text:
        """The texts of some rows, still unread."""
        return Text(self._load, self._rows[rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> list[str]: ...
    def __getitem__(self, item: int | slice) -> str | list[str]:
        return self._texts[item]


@dataclass(frozen=True)
class Queries:
    """What a router may see when it decides: no outcomes and no dataset name.

    id         (n,) unique
    text       (n,) the bare query
    prompt     (n,) the text sent to the models (the query in its template; the query itself where there is none)
    embedding  (n, d) unit rows, or None where no embedder ran
    """

    id: StrArray
    text: Text
    prompt: Text
    embedding: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.id)
        for name, part in (("text", self.text), ("prompt", self.prompt), ("embedding", self.embedding)):
            if part is not None and len(part) != n:
                raise ValueError(f"Queries.{name} must have one entry per query ({n}), got {len(part)}")
        if self.embedding is not None and self.embedding.ndim != 2:
            raise ValueError(f"Queries.embedding must be (queries, dimensions), got shape {self.embedding.shape}")

    @classmethod
    def of(cls, text: Sequence[str], id: Sequence[str] | None = None, embedding: FloatArray | None = None) -> Queries:
        """Queries from plain texts; ids are their positions unless given.

        >>> Queries.of(["2 + 2?", "Capital of Peru?"]).id.tolist()
        ['0', '1']
        """
        ids = np.array([str(i) for i in range(len(text))] if id is None else list(id), dtype=np.str_)
        return cls(ids, Text.of(text), Text.of(text), embedding)

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        embedding = "none" if self.embedding is None else str(self.embedding.shape)
        return f"Queries({len(self):,} texts, embedding {embedding})"

    def take(self, rows: IntArray) -> Queries:
        """The queries of some rows."""
        embedding = None if self.embedding is None else self.embedding[rows]
        return Queries(self.id[rows], self.text.take(rows), self.prompt.take(rows), embedding)

    def embedded(self, who: str) -> FloatArray:
        """The embedding (n, d), or a ValueError that says who needs it."""
        if self.embedding is None:
            raise ValueError(f"{who} needs query embeddings; pass queries with Queries.embedding set")
        return self.embedding


def _plane(name: str, values: ArrayLike | None, shape: tuple[int, int]) -> FloatArray:
    """One (queries, models) array of an Outcomes; all NaN when the caller has none."""
    if values is None:
        return np.full(shape, np.nan)
    plane = np.asarray(values, dtype=np.float64)
    if plane.shape != shape:
        raise ValueError(f"Outcomes.{name} must be (queries, models) = {shape}, got {plane.shape}")
    return plane


def _check_range(name: str, plane: FloatArray, low: float, high: float, where: Outcomes) -> None:
    bad = (plane < low) | (plane > high) | np.isinf(plane)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"Outcomes.{name} must be between {low:g} and {high:g}, got {plane[row, column]:g} for query"
            f" {str(where.queries.id[row])!r} and model {where.models[column]!r}; use NaN for 'not measured'"
        )


@dataclass(frozen=True)
class Outcomes:
    """What every model did on every query. NaN in any plane means "not measured".

    queries     n queries
    dataset     (n,) dataset of each query
    models      m model ids
    score       (n, m) quality in [0, 1]
    cost        (n, m) USD of the call
    tokens_in   (n, m) prompt tokens
    tokens_out  (n, m) completion tokens
    seconds     (n, m) measured latency
    group       (n,) queries with the same number are copies of one another (same dataset, same prompt)
    subset      (n,) part of the dataset the query was exported with ("test_1000"; "" where there is none)
    index       (n,) position of the record in its source file
    outside     models that were measured but that no router may choose, such as a commercial router; always last
    propensity  (n, m) probability with which the log would have measured the cell; None where no log says so
    runs        (n, m) runs whose mean the cell is; None where no cell was run twice
    spread      (n, m) sample standard deviation of the scores of these runs, NaN for one run; None as of `runs`
    cluster     (n,) queries with the same number are not independent, such as the turns of a conversation; copies share
                theirs. None: copies alone belong together
    simulated   True when no real model produced these numbers

    Raises ValueError on wrong shapes, scores outside [0, 1], negative costs, repeated ids or models.

    >>> outcomes = Outcomes.of(["a", "b"], ["small", "large"], [[1, 1], [0, 1]], cost=[[1, 9], [1, 9]])
    >>> outcomes.score.mean(axis=0).tolist()
    [0.5, 1.0]
    """

    queries: Queries
    dataset: StrArray
    models: tuple[str, ...]
    score: FloatArray
    cost: FloatArray
    tokens_in: FloatArray
    tokens_out: FloatArray
    seconds: FloatArray
    group: IntArray
    subset: StrArray
    index: IntArray
    outside: tuple[str, ...] = ()
    simulated: bool = False
    source: dict[str, Any] = field(default_factory=dict, compare=False)
    propensity: FloatArray | None = None
    runs: FloatArray | None = None
    spread: FloatArray | None = None
    cluster: IntArray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.queries), len(self.models))
        for name, plane in self.planes().items():
            if plane.shape != shape:
                raise ValueError(f"Outcomes.{name} must be (queries, models) = {shape}, got {plane.shape}")
            _check_range(name, plane, *self.bounds(name), self)
        for name in ("dataset", "group", "subset", "index", "together"):
            if len(getattr(self, name)) != shape[0]:
                raise ValueError(f"Outcomes.{name} must be (queries,) = ({shape[0]},), got {len(getattr(self, name))}")
        if len(set(zip(self.group.tolist(), self.together.tolist(), strict=True))) > len(set(self.group.tolist())):
            raise ValueError("copies of a query must share a cluster, got some that do not; join both with `joined`")
        if self.outside and self.models[-len(self.outside) :] != self.outside:
            raise ValueError(f"Outcomes.outside must be the last models, got {self.outside} in {self.models}")
        for name, values in (("query id", self.queries.id.tolist()), ("model", list(self.models))):
            if len(set(values)) != len(values):
                seen: set[str] = set()
                twice = next(v for v in values if v in seen or seen.add(v))  # type: ignore[func-returns-value]
                raise ValueError(f"every {name} must occur once in Outcomes, got {twice!r} twice")

    @classmethod
    def of(
        cls,
        text: Sequence[str],
        models: Sequence[str],
        score: ArrayLike,
        *,
        dataset: Sequence[str] | str = "data",
        cost: ArrayLike | None = None,
        tokens_in: ArrayLike | None = None,
        tokens_out: ArrayLike | None = None,
        seconds: ArrayLike | None = None,
        id: Sequence[str] | None = None,
        prompt: Sequence[str] | None = None,
        embedding: FloatArray | None = None,
        simulated: bool = False,
    ) -> Outcomes:
        """Outcomes from plain Python values; whatever is not given is "not measured"."""
        n, shape = len(text), (len(text), len(models))
        queries = Queries.of(text, id, embedding)
        if prompt is not None:
            queries = replace(queries, prompt=Text.of(prompt))
        names = np.array([dataset] * n if isinstance(dataset, str) else list(dataset), dtype=np.str_)
        return cls(
            queries=queries,
            dataset=names,
            models=tuple(models),
            score=_plane("score", score, shape),
            cost=_plane("cost", cost, shape),
            tokens_in=_plane("tokens_in", tokens_in, shape),
            tokens_out=_plane("tokens_out", tokens_out, shape),
            seconds=_plane("seconds", seconds, shape),
            group=duplicate_groups(names, queries.prompt),
            subset=np.full(n, "", dtype=np.str_),
            index=np.arange(n),
            simulated=simulated,
        )

    @classmethod
    def load(cls, folder: str | Path, setting: Any = None) -> Outcomes:
        """Read a stored folder, whole or as one `Setting` of it ("performance", "performance-cost", a TOML file)."""
        import llmrouterbench  # the front knows who reads folders; the noun does not

        return llmrouterbench.load_outcomes(folder, setting)

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        known, outside = int(np.isfinite(self.score).sum()), f", {len(self.outside)} outside" if self.outside else ""
        counts = f"{len(self):,} queries of {len(self.datasets)} datasets, {len(self.models)} models{outside}"
        mark = "SIMULATED, " if self.simulated else ""
        return f"Outcomes({mark}{counts}, {known:,} of {self.score.size:,} cells measured)"

    def _repr_html_(self) -> str:
        return str(import_module("llmrouterbench.reporting.notebook").of_outcomes(self))

    @property
    def pool(self) -> Outcomes:
        """The outcomes of the models that a router may choose: all but those `outside`."""
        return self.select([model for model in self.models if model not in self.outside]) if self.outside else self

    @property
    def together(self) -> IntArray:
        """Number (n,) of what a split keeps on one side and an interval counts as one: the cluster, else the copies."""
        return self.group if self.cluster is None else self.cluster

    @property
    def name(self) -> str:
        """What the data are called: their setting, else their source, else "own data"."""
        return str(self.source.get("setting") or self.source.get("name") or "own data")

    @property
    def datasets(self) -> list[str]:
        """Dataset names in plain string order."""
        return sorted(set(self.dataset.tolist()))

    def bounds(self, plane: str) -> tuple[float, float]:
        """The lowest and the highest number that may stand in a plane."""
        return 0.0, 1.0 if plane in _SHARES else float(np.finfo(np.float64).max)

    def planes(self) -> dict[str, FloatArray]:
        """Every (n, m) array by its name, those of logs where there are any."""
        found = {name: getattr(self, name) for name in (*PLANES, *LOG_PLANES)}
        return {name: plane for name, plane in found.items() if plane is not None}

    def take(self, rows: IntArray) -> Outcomes:
        """The outcomes of some queries."""
        planes: dict[str, Any] = {name: plane[rows] for name, plane in self.planes().items()}
        columns = {name: getattr(self, name)[rows] for name in ("dataset", "group", "subset", "index")}
        cluster = None if self.cluster is None else self.cluster[rows]
        return replace(self, queries=self.queries.take(rows), cluster=cluster, **planes, **columns)

    def select(self, models: Sequence[str]) -> Outcomes:
        """The outcomes of some models, in the order asked for. Raises KeyError on a model that is not there."""
        column = {model: i for i, model in enumerate(self.models)}
        for model in models:
            if model not in column:
                from llmrouterbench.naming import did_you_mean

                raise KeyError(f"no model named {model!r} in these outcomes{did_you_mean(model, self.models)}")
        keep = np.array([column[model] for model in models], dtype=np.int64)
        planes: dict[str, Any] = {name: plane[:, keep] for name, plane in self.planes().items()}
        return replace(self, models=tuple(models), outside=tuple(m for m in models if m in self.outside), **planes)

    def with_embedding(self, embedding: FloatArray) -> Outcomes:
        """The same outcomes with query embeddings (n, d) attached."""
        return replace(self, queries=replace(self.queries, embedding=embedding))

    @cached_property
    def content_hash(self) -> str:
        """sha256 over ids, datasets, models and every number: equal exactly when the data are equal."""
        digest = hashlib.sha256()
        for column in (
            self.queries.id,
            self.dataset,
            self.subset,
            np.array([*self.models, *self.outside], dtype=np.str_),
        ):
            digest.update("\x1f".join(column.tolist()).encode() + b"\x1e")
        for array in (self.group, self.index):
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        if self.cluster is not None:
            digest.update(b"\x1ecluster" + np.ascontiguousarray(self.cluster, dtype="<i8").tobytes())
        for name, plane in self.planes().items():
            if name in LOG_PLANES:
                digest.update(f"\x1e{name}".encode())
            canonical = np.where(np.isnan(plane), np.nan, plane + 0.0)  # one NaN, no negative zero
            digest.update(np.ascontiguousarray(canonical, dtype="<f8").tobytes())
        return digest.hexdigest()


def duplicate_groups(dataset: StrArray, prompt: Sequence[str]) -> IntArray:
    """Number (n,) of the first query with the same dataset and the same prompt.

    >>> duplicate_groups(np.array(["a", "a", "b"]), ["x", "x", "x"]).tolist()
    [0, 0, 2]
    """
    first: dict[tuple[str, str], int] = {}
    pairs = zip(dataset.tolist(), prompt, strict=True)
    return np.array([first.setdefault(pair, row) for row, pair in enumerate(pairs)], dtype=np.int64)


def joined(group: IntArray, other: IntArray | None) -> IntArray:
    """Number (n,) of the first query that is linked with each, by one numbering or the other, over any steps.

    >>> joined(np.array([0, 1, 1, 3]), np.array([7, 7, 8, 9])).tolist()
    [0, 0, 0, 3]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, links = len(group), []
    for numbers in (group,) if other is None else (group, other):
        _, first, at = np.unique(numbers, return_index=True, return_inverse=True)
        links.append(first[at])
    one, rows = np.concatenate(links), np.tile(np.arange(n), len(links))
    _, linked = connected_components(coo_array((np.ones(len(one)), (rows, one)), shape=(n, n)), directed=False)
    return np.asarray(np.unique(linked, return_index=True)[1][linked], dtype=np.int64)


@dataclass(frozen=True)
class Estimate:
    """A router's belief about unseen queries.

    models  m model ids, the columns
    score   (n, m) expected score; finite
    cost    (n, m) expected USD; NaN where the router has no idea
    """

    models: tuple[str, ...]
    score: FloatArray
    cost: FloatArray

    def __post_init__(self) -> None:
        if self.score.shape != self.cost.shape or self.score.shape[1:] != (len(self.models),):
            raise ValueError(
                f"Estimate.score and .cost must be (queries, models={len(self.models)}),"
                f" got {self.score.shape} and {self.cost.shape}"
            )
        if not np.isfinite(self.score).all():
            raise ValueError("Estimate.score must be finite; a router that knows nothing predicts a mean")

    def __repr__(self) -> str:
        costs = "with costs" if np.isfinite(self.cost).any() else "no cost known"
        return f"Estimate({len(self.score):,} queries, {len(self.models)} models, {costs})"

    def _repr_html_(self) -> str:
        return str(import_module("llmrouterbench.reporting.notebook").of_estimate(self))


_CONTRACTS = ("Ask", "ReplyReader", "Router", "Run", "TradeOffRouter")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What routers promise stood here once; old imports still find it in `contracts`."""
        if name not in _CONTRACTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"{name} is in llmrouterbench.contracts now; import it from there", DeprecationWarning, stacklevel=2
        )
        return getattr(import_module("llmrouterbench.contracts"), name)
