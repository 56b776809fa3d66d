"""Strict files: YAML and TOML whose mistyped keys fail with a suggestion, in one sentence that names file and key.

A kind of file is a `Strict` class or a plain dataclass of strings, numbers, tuples and other dataclasses. No secret
belongs into a config: it names the environment variable of a key (`key_env`), and what looks like a key is refused
without repeating it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from llmrouterbench.naming import did_you_mean

LARGEST, DEEPEST, MOST = 4_000_000, 100, 200_000
"""Bytes of a file; levels and values in it, those that a YAML alias repeats counted each time."""
_SECRET_KEYS = re.compile(r"^(x[-_])?(api[-_]?)?(key|token|secret|password|authorization|bearer)$", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"^Bearer \S|\b(sk|rk|pk|gsk|hf|nvapi|xai|pplx|r8|key)[-_](?=\S*\d)[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}"
)
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Kind = TypeVar("Kind")


class _Outspoken(type(BaseModel)):  # type: ignore[misc]
    """A constructor that says in one sentence what is wrong."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise ValueError(_sentence(error, cls, values)) from None


_OUTSPOKEN: Any = _Outspoken


class Strict(BaseModel, metaclass=_OUTSPOKEN):  # type: ignore[metaclass]
    """A group of keys: no other key, no value of another type, nothing that changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_yaml(path: Path, what: str) -> Any:
    """The plain values of a YAML file. Raises FileNotFoundError and ValueError that name the file."""
    return parse_yaml(read_text(path, what), str(path))


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The plain values of a TOML file. Raises FileNotFoundError and ValueError that name the file."""
    return parse_toml(read_text(path, what), str(path))


def parse_yaml(text: str, where: str) -> Any:
    r"""The plain values of YAML text, in which no key stands twice.

    >>> parse_yaml("a: 1\na: 2", "own.yaml")
    Traceback (most recent call last):
        ...
    ValueError: own.yaml must be YAML, got an error: found key 'a' twice in "<unicode string>", line 2, column 1: a: 2 ^
    """
    return _parsed(lambda: yaml.load(text, _NoKeyTwice), "YAML", where)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The plain values of TOML text."""
    found: dict[str, Any] = _parsed(lambda: tomllib.loads(text), "TOML", where)
    return found


def read_text(path: Path, what: str) -> str:
    """The text of a file of UTF-8. Raises FileNotFoundError, and ValueError for another or too large a file."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no file there"
        raise FileNotFoundError(f"{path} must be {what}, got {got}")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path} must be {what}, got a file of more than {LARGEST // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")  # editors on Windows begin a file with a mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be {what} in UTF-8, got an error: {error}") from error


def _parsed(parse: Callable[[], Any], form: str, where: str) -> Any:
    try:
        found = parse()
        size = _size(found, {}, DEEPEST)
    except RecursionError:
        raise ValueError(f"{where} must have at most {DEEPEST} levels, got more; make it flatter") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a date or a number that there is none of: ValueError
        raise ValueError(f"{where} must be {form}, got an error: {' '.join(str(error).split())}") from error
    if size > MOST:
        raise ValueError(f"{where} must hold at most {MOST:,} values, got {size:,}; its aliases repeat too much")
    return found


def _size(value: Any, known: dict[int, int], levels: int) -> int:
    """How many values there are with each alias written out. Raises RecursionError where there are too many levels."""
    if not isinstance(value, dict | list):
        return 1
    if levels == 0:
        raise RecursionError
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(one, known, levels - 1) for one in inner)
    return known[id(value)]


class _NoKeyTwice(yaml.SafeLoader):
    """Loads plain values only, and no mapping that says one key twice; the last would win in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set[tuple[str, str]]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(problem=f"found key {key.value!r} twice", problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node


def parse_strict(kind: type[Kind], raw: Any, where: str) -> Kind:
    """Plain values as a config of a kind; every error is one sentence that starts with `where` and the key.

    >>> class Colours(Strict):
    ...     first: str = "red"
    >>> parse_strict(Colours, {"frist": "blue"}, "colours.yaml")
    Traceback (most recent call last):
        ...
    ValueError: colours.yaml: unknown key 'frist'; did you mean 'first'?
    """
    if isinstance(raw, Mapping):
        _refuse_secrets(raw, where)
    return parse_plain(kind, raw, where)


def parse_plain(kind: type[Kind], raw: Any, where: str) -> Kind:
    """`parse_strict` for a file in which texts may look like secrets, such as names of models or prompts."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} must hold keys and values, got {type(raw).__name__}")
    adapter = _adapter(kind)
    try:
        if is_dataclass(kind):  # as JSON, whose objects and lists pydantic takes for dataclasses and tuples, if strict
            raw = from_json(to_json(raw, inf_nan_mode="constants"))
            return adapter.validate_json(to_json([raw], inf_nan_mode="constants"))[0]
        return adapter.validate_python((raw,))[0]
    except ValidationError as error:
        raise ValueError(f"{where}: {_sentence(error, kind, raw, 1)}") from None


def _adapter(kind: type[Kind]) -> TypeAdapter[tuple[Kind]]:
    """What checks a kind, in a tuple: a bare dataclass would take no config from outside."""
    return TypeAdapter(tuple[kind], config=ConfigDict(extra="forbid", strict=True))  # type: ignore[valid-type,arg-type]


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a kind of config, made of what checks it: keys, types and limits.

    What one key demands of another is not in it.


    >>> class Colours(Strict):
    ...     first: str = "red"
    >>> json_schema(Colours)["properties"]["first"]["default"]
    'red'
    """
    made = _adapter(kind).json_schema()
    inner = made.pop("$defs")
    found = made["prefixItems"][0]
    top = inner.pop(found["$ref"].rpartition("/")[2]) if "$ref" in found else found
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, **({"$defs": inner} if inner else {})}


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


def _sentence(error: ValidationError, kind: type[Any], raw: Any, above: int = 0) -> str:
    """The first thing that is wrong, unknown keys before the rest; `above` steps of a place lie outside of `raw`."""
    found = [(one, _steps(one, one["loc"][above:], raw)) for one in error.errors(include_url=False)]
    one, steps = min(found, key=lambda each: each[0]["type"] not in _UNKNOWN)
    # Where a value may be of several kinds there is an error of each: the one that got farthest tells most.
    one, steps = max([each for each in found if each[1][: len(steps)] == steps], key=lambda each: len(each[1]))
    *before, last = steps or [""]
    place = _place(steps)
    if one["type"] in _UNKNOWN:
        prefix = f"{_place(before)}: " if before else ""
        return f"{prefix}unknown key {str(last)!r}{did_you_mean(str(last), _fields_at(kind, before))}"
    if one["type"] == "missing":
        return f"{place} is missing"
    if one["type"] == "value_error":
        return f"{place + ': ' if place else ''}{one['msg'].removeprefix('Value error, ')}"
    rules = list(dict.fromkeys(_rule(each) for each, way in found if way == steps))
    if "a number" in rules and "a whole number" in rules:
        rules.remove("a whole number")
    got = repr(one["input"])
    return f"{place} must be {' or '.join(rules)}, got {got if len(got) <= 200 else got[:200] + ' ...'}"


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_RULES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "dataclass_type": "keys and values",
}


def _rule(one: Mapping[str, Any]) -> str:
    """What a value must be."""
    if one["type"] == "string_too_short" and one["ctx"]["min_length"] == 1:
        return "a text that is not empty"
    message = str(one["msg"])
    rule = message.removeprefix("Input should be ")
    return _RULES.get(one["type"], rule if rule != message else f"right: {message}")


def _steps(one: Mapping[str, Any], loc: Sequence[int | str], raw: Any) -> list[int | str]:
    """The way to a place of the file, without the names that pydantic gives to the kinds a value may be of."""
    way: list[int | str] = []
    for step in loc:
        listed = isinstance(raw, list) and isinstance(step, int)
        if listed or (isinstance(raw, Mapping) and step in raw):
            raw = raw[step]
            way.append(step)
    return [*way, loc[-1]] if one["type"] == "missing" else way


def _place(loc: Iterable[int | str]) -> str:
    """`models[0].price`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _fields_at(kind: type[Any], loc: Iterable[int | str]) -> list[str]:
    """Names of the keys that belong at a place of the config."""
    for part in loc:
        if isinstance(part, str):
            kind = _kind_in(_types(kind).get(part)) or kind
    return list(_types(kind))


def _types(kind: type[Any]) -> dict[str, Any]:
    """Key -> type of a kind of config."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _kind_in(annotation: Any) -> type[Any] | None:
    """The kind of config that a field's type is or holds."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _kind_in(inner))), None)
