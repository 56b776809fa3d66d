"""Embedders by name, one file each, and what an embedder must do. One is imported when it is made, not when listed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, Self

from llmrouterbench.naming import did_you_mean
from llmrouterbench.plugins import PlugIns
from llmrouterbench.table import BoolArray, FloatArray


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def fitted_on_train(self) -> bool:
        """Whether the vectors depend on the training texts; a pretrained embedder ignores them."""
        ...

    @property
    def key(self) -> str:
        """Everything that can change the vectors: class, settings, weights, and training texts where they matter."""
        ...

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn from the training texts only; returns itself."""
        ...

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors (n, d) of n texts, the empty one included; row i depends on text i alone."""
        ...

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        """Which texts (n,) are too long for the embedder, so that it reads only their beginning."""
        ...


EMBEDDERS = {
    "tfidf": "tfidf:TfidfSvd",
    "minilm": "sentence_transformer:SentenceTransformerEmbedder",
    "st": "sentence_transformer:SentenceTransformerEmbedder",
    "endpoint": "endpoint:EndpointEmbedder",
    "file": "file:PrecomputedVectors",
}
"""Kind -> "module:class" in this package."""
SPECS = ("tfidf", "minilm", "st:MODEL", "endpoint:URL#MODEL", "file:PATH")
"""How each kind is written."""


def _needs(name: str, found: Any) -> str:
    return "" if callable(found) else "a class or function that makes an embedder"


PLUG_INS = PlugIns("embedder", EMBEDDERS, _needs)


def embedder_names() -> list[str]:
    """How every embedder is written: ours, then those of installed plug-ins. A plug-in cannot take one of our names."""
    return [*SPECS, *PLUG_INS.installed()]


def make_embedder(spec: str) -> Embedder:
    """The embedder that a spec names, unfitted.

    tfidf               TF-IDF and SVD, fitted on the training texts
    minilm              all-MiniLM-L6-v2
    st:MODEL            any sentence-transformers model, by hub name or folder
    endpoint:URL#MODEL  a model behind an OpenAI-compatible server, URL ending before /embeddings
    file:PATH           precomputed vectors
    NAME, NAME:REST     of an installed plug-in, which is called with REST where there is any

    Raises ValueError for a spec that names none or lacks a part, ImportError where a plug-in is broken.

    >>> make_embedder("tfidf").fitted_on_train
    True
    """
    kind, colon, rest = spec.partition(":")
    if kind not in EMBEDDERS:
        others = PLUG_INS.installed()
        if kind in others:
            return _of_plug_in(kind, spec, (rest,) if colon else ())
        raise ValueError(f"no embedder named {kind!r}{did_you_mean(kind, [*EMBEDDERS, *others])}")
    url, _, model = rest.rpartition("#")
    arguments = {"endpoint": (url, model), "minilm": (), "tfidf": ()}.get(kind, (rest,))
    if not all(arguments) or (not arguments and colon):
        form = next(form for form in SPECS if form.partition(":")[0] == kind)
        raise ValueError(f"an embedder of kind {kind!r} must be written {form}, got {spec!r}")
    module, _, name = EMBEDDERS[kind].partition(":")
    make: Callable[..., Embedder] = getattr(import_module(f"{__name__}.{module}"), name)
    return make(*arguments)


def _of_plug_in(name: str, spec: str, arguments: tuple[str, ...]) -> Embedder:
    found, make = PLUG_INS.installed()[name], PLUG_INS.load(name)
    try:
        inspect.signature(make).bind(*arguments)
    except TypeError as error:
        raise ValueError(
            f"{found} must be written {name}{'' if arguments else ':...'}, got {spec!r} ({error})"
        ) from None
    made: Embedder = found.call(make, *arguments)
    parts = ("fitted_on_train", "key", "fit", "embed", "truncated")
    if lacking := [part for part in parts if inspect.getattr_static(made, part, None) is None]:
        raise found.wrong(f"an embedder, which has {', '.join(lacking)}", made)
    return made
