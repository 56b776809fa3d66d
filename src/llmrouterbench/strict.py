"""Strict YAML configs: a mistyped key fails with a suggestion, a secret in the file is refused.

No secret belongs into a config: it names the environment variable of a key (`key_env`), and what looks like a key is
refused without repeating it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrouterbench.naming import did_you_mean

_SECRET_KEYS = re.compile(r"^(x[-_])?(api[-_]?)?(key|token|secret|password|authorization|bearer)$", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"^Bearer \S|\b(sk|rk|pk|gsk|hf|nvapi|xai|pplx|r8|key)[-_](?=\S*\d)[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}"
)
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Config = TypeVar("Config", bound="Strict")


class _Outspoken(type(BaseModel)):  # type: ignore[misc]
    """A constructor that says in one sentence what is wrong."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise ValueError(sentence(error, cls)) from None


_OUTSPOKEN: Any = _Outspoken


class Strict(BaseModel, metaclass=_OUTSPOKEN):  # type: ignore[metaclass]
    """A group of keys: no other key, no value of another type, nothing that changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_yaml(path: Path, what: str) -> Any:
    """The plain values of a YAML file. Raises FileNotFoundError and ValueError that name the file."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no file there"
        raise FileNotFoundError(f"{path} must be {what}, got {got}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be YAML, got an error: {' '.join(str(error).split())}") from error


def parse_strict(kind: type[Config], raw: Any, where: str) -> Config:
    """Plain values as settings of a kind; every error is one sentence that starts with `where` and the key.

    >>> class Colours(Strict):
    ...     first: str = "red"
    >>> parse_strict(Colours, {"frist": "blue"}, "colours.yaml")
    Traceback (most recent call last):
        ...
    ValueError: colours.yaml: unknown key 'frist'; did you mean 'first'?
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} must hold keys and values, got {type(raw).__name__}")
    _refuse_secrets(raw, where)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"{where}: {sentence(error, kind)}") from None


def each_once(what: str, names: list[str]) -> None:
    """Raise ValueError where a name stands twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"every {what} must be named once, got {twice[0]!r} twice; give them different names")


def _refuse_secrets(value: Any, where: str) -> None:
    """Raise ValueError, without repeating the secret, where a key's name or a value looks like one."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str) and _SECRET_KEYS.match(str(key)):
                raise ValueError(f"{where}: {key} must not be written in a file; name its variable with key_env: NAME")
            _refuse_secrets(inner, f"{where}: {key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _refuse_secrets(inner, f"{where}[{number}]")
    elif isinstance(value, str) and _SECRET_VALUES.search(value):
        raise ValueError(f"{where} looks like a key, which must not be written in a file; use key_env: NAME")


def sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first thing that is wrong with the values of a kind, unknown keys before the rest."""
    one = sorted(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")[0]
    *before, last = one["loc"] or ("",)
    place = _place(one["loc"])
    if one["type"] == "extra_forbidden":
        prefix = f"{_place(before)}: " if before else ""
        return f"{prefix}unknown key {str(last)!r}{did_you_mean(str(last), _fields_at(kind, before))}"
    if one["type"] == "missing":
        return f"{place} is missing"
    if one["type"] == "value_error":
        return f"{place + ': ' if place else ''}{one['msg'].removeprefix('Value error, ')}"
    return f"{place} must be right: {one['msg']}, got {one['input']!r}"


def _place(loc: Iterable[int | str]) -> str:
    """`models[0].price`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _fields_at(kind: type[BaseModel], loc: Iterable[int | str]) -> list[str]:
    """Names of the keys that belong at a place of the config."""
    for part in loc:
        if isinstance(part, str) and part in kind.model_fields:
            kind = _model_in(kind.model_fields[part].annotation) or kind
    return list(kind.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class that a field's type is or holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
