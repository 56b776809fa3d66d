"""Queries to unit vectors: which texts are embedded, and the cache of vectors by content.

Vectors are cached per text in a folder named after the embedder's key, in files named after their own sha256. A damaged
file is thrown away and computed again.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrouterbench.embedders import EMBEDDERS as EMBEDDERS  # these three were found here once
from llmrouterbench.embedders import Embedder as Embedder
from llmrouterbench.embedders import make_embedder as make_embedder
from llmrouterbench.files import cache_folder as cache_folder
from llmrouterbench.files import write_bytes
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes

Progress = Callable[[int, int], None]
"""Called with (texts embedded so far, texts to embed)."""

_TEXTS_PER_FILE = 512


def content_of(embedder: str | Embedder) -> str:
    """The key of an embedder whose vectors come from a file or a folder of the user's, by its content; "" of others.

    >>> content_of("tfidf")
    ''
    """
    if isinstance(embedder, str):
        kind, _, place = embedder.partition(":")
        if kind not in ("file", "st") or not Path(place).exists():
            return ""
        embedder = make_embedder(embedder)
    return "" if embedder.fitted_on_train else embedder.key


def unit_rows(vectors: FloatArray, source: str) -> FloatArray:
    """Rows (n, d) scaled to length 1. Raises ValueError where one is not finite or has no length.

    >>> unit_rows(np.array([[3.0, 4.0]]), "the example").tolist()
    [[0.6, 0.8]]
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise ValueError(
            f"vectors of {source} must be finite and longer than 0,"
            f" got {len(bad)} of {len(vectors)} that are not (first: row {bad[0]})"
        )
    scaled: FloatArray = vectors / length
    return scaled


def text_hash(text: str) -> str:
    """Hex sha256 of a text in UTF-8: its name in caches and in files of precomputed vectors.

    >>> text_hash("2 + 2?")[:12]
    '70b499c547e0'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def strip_shared_text(train_texts: Sequence[str], texts: Sequence[str]) -> list[str]:
    r"""Texts without the lines that many training texts share, such as few-shot examples and templates.

    A line is shared when it stands in at least 10 and at least 1 % of the training texts (spaces around it ignored,
    empty lines never). A text that would become empty stays whole. This pays for embedders that read only the first
    tokens of a text; TF-IDF reads it all and loses a hint at the task.

    >>> train = [f"Answer with one letter.\nQuestion {i}" for i in range(10)]
    >>> strip_shared_text(train, ["Answer with one letter.\nHow far is the moon?", "Answer with one letter."])
    ['How far is the moon?', 'Answer with one letter.']
    """
    count = Counter(line for text in train_texts for line in {line.strip() for line in text.splitlines()})
    shared = {line for line, n in count.items() if line and n >= 10 and n >= 0.01 * len(train_texts)}
    return [_without(text, shared) for text in texts]


def _without(text: str, shared: set[str]) -> str:
    lines = text.splitlines()
    kept = [line for line in lines if line.strip() not in shared]
    stripped = "\n".join(kept).strip()
    return stripped if stripped and len(kept) < len(lines) else text


def embed_queries(
    outcomes: Outcomes,
    embedder: Embedder,
    train_rows: IntArray,
    *,
    text: Literal["query", "prompt"] = "prompt",
    cache: Path | None = None,
    strip_shared: bool = False,
    progress: Progress | None = None,
) -> tuple[FloatArray, dict[str, Any]]:
    """Embed every query; the embedder learns from the texts of the train rows only.

    `cache` is a folder for vectors (`cache_folder()` is the usual one); None computes them all again.
    Returns unit vectors (n, d), rounded to float32 so that cached and fresh ones are equal, and what was done:
    embedder, text, strip_shared, queries, texts (distinct), dimensions, truncated (queries read only in part),
    from_cache (distinct texts), seconds. Raises ValueError on an unknown kind of text or a row outside the table.
    """
    start = time.perf_counter()
    texts, train = _texts_to_embed(outcomes, train_rows, text, strip_shared)
    embedder.fit(train)
    distinct = {one: i for i, one in enumerate(dict.fromkeys(texts))}
    vectors, cut, from_cache = _embed_distinct(embedder, list(distinct), cache, progress)
    place = np.array([distinct[one] for one in texts], dtype=np.int64)
    done = {
        "embedder": embedder.key,
        "text": text,
        "strip_shared": strip_shared,
        "queries": len(texts),
        "texts": len(distinct),
        "dimensions": vectors.shape[1],
        "truncated": int(cut[place].sum()),
        "from_cache": from_cache,
        "seconds": time.perf_counter() - start,
    }
    return vectors[place], done


def _texts_to_embed(
    outcomes: Outcomes, train_rows: IntArray, text: str, strip_shared: bool
) -> tuple[list[str], list[str]]:
    """Texts of all rows and of the train rows."""
    kinds = {"query": outcomes.queries.text, "prompt": outcomes.queries.prompt}
    if text not in kinds:
        raise ValueError(f"the text to embed must be 'query' or 'prompt', got {text!r}")
    outside = train_rows[(train_rows < 0) | (train_rows >= len(outcomes))]
    if len(outside):
        raise ValueError(f"train rows must be between 0 and {len(outcomes) - 1}, got {outside[0]}")
    if not len(outcomes):
        raise ValueError("outcomes must hold queries to embed, got none")
    texts = list(kinds[text])
    if strip_shared:
        texts = strip_shared_text([texts[row] for row in train_rows], texts)
    return texts, [texts[row] for row in train_rows]


class _Stored(NamedTuple):
    """Cached vectors: name (n,) 32 bytes each, vector (n, d), truncated (n,)."""

    name: list[bytes]
    vector: NDArray[np.float32]
    truncated: BoolArray


def _embed_distinct(
    embedder: Embedder, texts: list[str], cache: Path | None, progress: Progress | None
) -> tuple[FloatArray, BoolArray, int]:
    """Vectors (n, d) of distinct texts, which are truncated (n,), and how many came from the cache."""
    names = [bytes.fromhex(text_hash(text)) for text in texts]
    folder = None if cache is None else cache / "embeddings" / text_hash(embedder.key)[:32]
    wanted = set(names)
    parts = [] if folder is None else _read_cache(folder, wanted)
    have = {name for part in parts for name in part.name}
    missing = [(name, text) for name, text in zip(names, texts, strict=True) if name not in have]
    for first in range(0, len(missing), _TEXTS_PER_FILE):
        piece = missing[first : first + _TEXTS_PER_FILE]
        parts.append(_compute(embedder, [name for name, _ in piece], [text for _, text in piece]))
        if folder is not None:
            _write_cache(folder, embedder.key, parts[-1])
        have.update(parts[-1].name)
        if progress is not None:
            progress(len(have) - (len(texts) - len(missing)), len(missing))
    vectors, cut = _in_order(names, parts, embedder.key)
    return vectors, cut, len(texts) - len(missing)


def _compute(embedder: Embedder, names: list[bytes], texts: list[str]) -> _Stored:
    vectors = embedder.embed(texts)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(
            f"embedder {embedder.key!r} must return one vector for each of {len(texts)} texts,"
            f" got shape {vectors.shape}"
        )
    unit = unit_rows(vectors, f"embedder {embedder.key!r}")
    return _Stored(names, unit.astype(np.float32), embedder.truncated(texts))


def _in_order(names: list[bytes], parts: list[_Stored], key: str) -> tuple[FloatArray, BoolArray]:
    widths = sorted({part.vector.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            f"embedder {key!r} must keep its number of dimensions, got {widths} in different calls;"
            " the model behind it changed: empty the cache folder and embed again"
        )
    row = {name: i for i, name in enumerate(name for part in parts for name in part.name)}
    order = np.array([row[name] for name in names], dtype=np.int64)
    vectors = np.concatenate([part.vector for part in parts])[order].astype(np.float64)
    return unit_rows(vectors, f"embedder {key!r}"), np.concatenate([part.truncated for part in parts])[order]


def _write_cache(folder: Path, key: str, part: _Stored) -> None:
    """Add one file, named after its sha256."""
    fields = [("name", "V32"), ("vector", "<f4", (part.vector.shape[1],)), ("truncated", "?")]
    table = np.empty(len(part.name), dtype=np.dtype(fields))
    table["name"] = np.frombuffer(b"".join(part.name), dtype="V32")
    table["vector"], table["truncated"] = part.vector, part.truncated
    buffer = io.BytesIO()
    np.save(buffer, table, allow_pickle=False)
    content = buffer.getvalue()
    if not (folder / "key.txt").exists():
        write_bytes(folder / "key.txt", key.encode() + b"\n")
    write_bytes(folder / f"{hashlib.sha256(content).hexdigest()}.npy", content)


def _read_cache(folder: Path, wanted: set[bytes]) -> list[_Stored]:
    """What is cached of the wanted texts. A file whose sha256 is not its name is removed."""
    parts, seen = [], set[bytes]()
    for path in sorted(folder.glob("*.npy")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem:
            path.unlink(missing_ok=True)
            continue
        table = np.load(io.BytesIO(content), allow_pickle=False)
        blob = np.ascontiguousarray(table["name"]).tobytes()
        names = [blob[i : i + 32] for i in range(0, len(blob), 32)]
        keep = [i for i, name in enumerate(names) if name in wanted and name not in seen]
        seen.update(names[i] for i in keep)
        if keep:
            parts.append(_Stored([names[i] for i in keep], table["vector"][keep], table["truncated"][keep]))
    return parts
