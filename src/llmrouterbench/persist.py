"""Fitted routers as folders, without pickle: small values as JSON, arrays as NPZ, big weights in files of their own.

    router.json   class, constructor settings, the fitted attributes (names that end in "_") with arrays by reference
    arrays.npz    the arrays
    (more files)  what a router writes itself in `save_files`, such as the safetensors of a language model

A fitted attribute may be None, a bool, number or string, an array, a list, tuple or dict of these, a dataclass of the
llmrouterbench package or of a plug-in, or another router. Anything else is refused with its name.
"""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from llmrouterbench.contracts import Router
from llmrouterbench.files import new_folder, read_marked, sha256_of, write_json
from llmrouterbench.moved import todays

FORMAT = "llmrouterbench/router"
SCHEMA = 1
Arrays = dict[str, np.typing.NDArray[Any]]


@runtime_checkable
class SavesFiles(Protocol):
    """A router with weights that belong into files of their own."""

    def save_files(self, folder: Path) -> None:
        """Write them."""
        ...

    def load_files(self, folder: Path) -> None:
        """Read them back into a router whose other attributes are set."""
        ...


def save_router(router: Router, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a fitted router into a folder, as JSON and arrays.

    Raises TypeError for an attribute that has no plain form, FileExistsError where the folder is taken.
    """
    with new_folder(Path(folder), overwrite) as partial:
        arrays: Arrays = {}
        state = _encode(router, "router", arrays)
        np.savez(partial / "arrays.npz", **arrays)  # type: ignore[arg-type]
        if isinstance(router, SavesFiles):
            router.save_files(partial)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        digests = {path.relative_to(partial).as_posix(): sha256_of(path) for path in files}
        write_json(partial / "router.json", {"format": FORMAT, "schema": SCHEMA, "files": digests, "router": state})


def load_router(folder: str | Path) -> Router:
    """Read a router that `save_router` wrote; it decides as the saved one did.

    Raises FileNotFoundError or ValueError where the folder is not one, is damaged, or was written by a newer version.
    """
    folder = Path(folder)
    saved = read_marked(folder, FORMAT, SCHEMA)
    for name, digest in saved["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise ValueError(
                f"{folder / name} must be the file that was saved, got another or none; save the router again"
            )
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        router: Router = _decode(saved["router"], {name: arrays[name] for name in arrays.files})
    if isinstance(router, SavesFiles):
        router.load_files(folder)
    return router


def to_plain(value: Any, name: str) -> tuple[Any, Arrays]:
    """A value as JSON with its arrays beside it; see this module for what it may be. Raises TypeError for the rest.

    >>> to_plain({"a": np.array([1.0])}, "x")
    ({'dict': [['a', {'array': 'x.a'}]]}, {'x.a': array([1.])})
    """
    arrays: Arrays = {}
    return _encode(value, name, arrays), arrays


def from_plain(state: Any, arrays: Arrays) -> Any:
    """The value that `to_plain` took apart."""
    return _decode(state, arrays)


def constructor_settings(router: Any) -> dict[str, Any]:
    """The constructor's arguments as they stand on the object, by name."""
    names = [name for name in inspect.signature(type(router)).parameters if name not in ("args", "kwargs")]
    return {name: getattr(router, name) for name in names}


def _encode(value: Any, where: str, arrays: Arrays) -> Any:
    """The plain form of a value; arrays go to `arrays` and leave their name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError(f"{where} must be an array of numbers or strings, got objects; store plain values")
        arrays[where] = value
        return {"array": where}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, dict):
        pairs = value.items()
        return {"dict": [[_encode(k, f"{where}.key", arrays), _encode(v, f"{where}.{k}", arrays)] for k, v in pairs]}
    if isinstance(value, Router):  # before dataclasses: a router may be one, and has more to save than its fields
        return _encode_router(value, where, arrays)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"dataclass": _name(value), "fields": {k: _encode(v, f"{where}.{k}", arrays) for k, v in parts.items()}}
    raise TypeError(
        f"{where} must be a plain value to be saved, got {type(value).__name__}; see llmrouterbench.persist"
    )


def _encode_router(router: Router, where: str, arrays: Arrays) -> dict[str, Any]:
    own_files = isinstance(router, SavesFiles)
    fitted = {
        name: value
        for name, value in vars(router).items()
        if name.endswith("_") and not (own_files and name in getattr(router, "file_attributes", ()))
    }
    return {
        "router": _name(router),
        "settings": {k: _encode(v, f"{where}.{k}", arrays) for k, v in constructor_settings(router).items()},
        "fitted": {k: _encode(v, f"{where}.{k}", arrays) for k, v in fitted.items()},
    }


def _name(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _decode(value: Any, arrays: Arrays) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "list" in value:
        return [_decode(item, arrays) for item in value["list"]]
    if "tuple" in value:
        return tuple(_decode(item, arrays) for item in value["tuple"])
    if "dict" in value:
        return {_decode(k, arrays): _decode(v, arrays) for k, v in value["dict"]}
    if "dataclass" in value:
        return _class(value["dataclass"], "dataclass")(**{k: _decode(v, arrays) for k, v in value["fields"].items()})
    router = _class(value["router"], "router")(**{k: _decode(v, arrays) for k, v in value["settings"].items()})
    for name, fitted in value["fitted"].items():
        setattr(router, name, _decode(fitted, arrays))
    return router


def _class(name: str, kind: str) -> type[Any]:
    """The class behind "module:Name", if it is a dataclass or a router: a saved folder can name nothing else."""
    module, _, qualname = name.partition(":")
    found = getattr(import_module(todays(module)), qualname, None)
    right = (
        dataclasses.is_dataclass(found) if kind == "dataclass" else hasattr(found, "fit") and hasattr(found, "predict")
    )
    if not isinstance(found, type) or not right:
        raise ValueError(f"a saved router must name a {kind}, got {name!r}; the file was not written by save_router")
    return found
