"""The YAML file of a collection: endpoints, models, datasets, limits, and what `run` does with the replies.

Strict: a mistyped key fails with a suggestion.

No secret belongs into the file: an endpoint names the environment variable of its key (`key_env`), and what looks like
a key is refused. The config is stored with the replies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmrouterbench.naming import did_you_mean

_SECRET_KEYS = re.compile(r"^(x[-_])?(api[-_]?)?(key|token|secret|password|authorization|bearer)$", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"^Bearer \S|\b(sk|rk|pk|gsk|hf|nvapi|xai|pplx|r8|key)[-_](?=\S*\d)[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}"
)
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EndpointConfig(_Strict):
    """Where requests go, how many at once and a minute, and the seconds after which a call is given up.

    key_env is the environment variable with the key, "" for a server without one. url may be left out for litellm.
    """

    url: str = ""
    key_env: str = ""
    concurrency: Count = 32
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    timeout: Positive = 600.0
    transport: Literal["http", "litellm"] = "http"

    @model_validator(mode="after")
    def _check(self) -> Self:
        parts = urlsplit(self.url)
        if self.transport == "litellm" and not self.url:
            return self
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"url must start with http:// or https://, got {self.url!r}")
        if "@" in parts.netloc:
            raise ValueError("url must not hold a user name or password; name the variable of the key in key_env")
        return self


class PriceConfig(_Strict):
    """USD per million tokens, for models that no price table knows."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cached_input: Annotated[float, Field(ge=0)] | None = None


class PoolModel(_Strict):
    """One model of the pool: its name in all results, where it runs, and every parameter of its requests.

    temperature 0.2 and top_p 1.0 are the paper's preset (arXiv 2601.07206, section 4); null leaves a parameter out of
    the request, for models that refuse it. provider is OpenRouter's routing object or one provider's name to pin.
    """

    name: Name
    endpoint: Name
    api_model: str = ""
    temperature: Annotated[float, Field(ge=0)] | None = 0.2
    top_p: Annotated[float, Field(gt=0, le=1)] | None = 1.0
    max_tokens: Count | None = None
    reasoning_effort: Name | None = None
    provider: Name | dict[str, Any] | None = None
    extra_body: dict[str, Any] = Field(default_factory=dict)
    system: str = ""
    stream: bool = False
    price: PriceConfig | None = None

    @property
    def sent_name(self) -> str:
        """The model's name at the endpoint."""
        return self.api_model or self.name

    def fingerprint(self, url: str) -> str:
        """Hash of all that can change its replies; prices and limits cannot."""
        return _hash({**self.model_dump(exclude={"price", "stream", "endpoint"}), "url": url})


class DatasetConfig(_Strict):
    """One dataset: a name that `llmrouterbench datasets` lists, or the YAML file of an own one.

    folder  where its files lie; downloaded once where not given
    limit   the first so many items
    """

    name: Name
    folder: str = ""
    subset: str = ""
    limit: Count | None = None


class BenchConfig(_Strict):
    """The bench of a chain; the keys mean what they mean to `evaluate.bench`, null is its default.

    out  folder for the runs and the report
    """

    out: Name
    routers: Annotated[list[Name], Field(min_length=1)] | None = None
    setting: Name | None = None
    seeds: Annotated[list[int], Field(min_length=1)] | None = None
    protocol: Name = "safe"
    split: Name | None = None
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.7
    held_out: list[Name] = Field(default_factory=list)
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    embedder: Name = "tfidf"
    text: Literal["prompt", "query"] = "prompt"
    strip_shared: bool = False
    tune: bool = False


class ReportConfig(_Strict):
    """The report of a chain; figures: every table and figure beside the leaderboard, as `report` writes them."""

    figures: bool = True
    samples: Count = 1000
    baseline: Name | None = None


class CollectConfig(_Strict):
    """A whole collection, and the chain after it.

    judges        models that score replies; they are not collected from
    out           folder of the replies
    cache         file or address (redis://, postgresql://) of the cache; OUT/cache.sqlite where not given
    cache_env     the environment variable with the address, for one that holds a password
    budget        USD that all runs into the folder may spend together
    outcomes      folder of the scored replies, for `run`
    failed_calls  "masked": not measured; or "zero": score 0, as the paper counts them
    bench         routers, seeds and protocol of `run`
    """

    out: Name
    endpoints: dict[str, EndpointConfig] = Field(min_length=1)
    models: list[PoolModel] = Field(min_length=1)
    datasets: list[DatasetConfig] = Field(default_factory=list)
    judges: list[PoolModel] = Field(default_factory=list)
    cache: str = ""
    cache_env: str = ""
    budget: Positive | None = None
    outcomes: str = ""
    failed_calls: Literal["masked", "zero"] = "masked"
    bench: BenchConfig | None = None
    report: ReportConfig = Field(default_factory=ReportConfig)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _once("model", [model.name for model in (*self.models, *self.judges)])
        _once("dataset", [dataset.name for dataset in self.datasets])
        for model in (*self.models, *self.judges):
            if model.endpoint not in self.endpoints:
                known = did_you_mean(model.endpoint, self.endpoints)
                raise ValueError(f"model {model.name!r}: no endpoint named {model.endpoint!r}{known}")
        if self.cache and self.cache_env:
            raise ValueError("cache and cache_env must not both be given; keep one")
        if "@" in self.cache and urlsplit(self.cache).password:
            raise ValueError("cache must not hold a password; put the address into a variable and name it in cache_env")
        return self

    def config_hash(self) -> str:
        """Hash of the whole config."""
        return _hash(self.model_dump())


def _once(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"every {what} must be named once, got {twice[0]!r} twice; give them different names")


def _hash(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_config(path: Path) -> CollectConfig:
    """Read a config file; relative paths in it start at its folder.

    Raises FileNotFoundError without the file, ValueError that names the file and the key for anything wrong in it.
    """
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no file there"
        raise FileNotFoundError(f"{path} must be the YAML file of a collection, got {got}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be YAML, got an error: {' '.join(str(error).split())}") from error
    return _from_folder(parse_config(raw, str(path)), path.parent)


def parse_config(raw: Any, where: str = "config") -> CollectConfig:
    """A config from plain values; every error starts with `where` and the key.

    >>> parse_config({"out": "o", "models": [], "endpoint": {}})
    Traceback (most recent call last):
        ...
    ValueError: config: unknown key 'endpoint'; did you mean 'endpoints'?
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} must hold keys and values, got {type(raw).__name__}")
    _refuse_secrets(raw, where)
    try:
        return CollectConfig.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"{where}: {_sentence(error)}") from None


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


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, unknown keys before the rest."""
    found = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    one = found[0]
    place = _place(one["loc"])
    if one["type"] == "extra_forbidden":
        known = _fields_at(one["loc"][:-1])
        before = _place(one["loc"][:-1])
        unknown = str(one["loc"][-1])
        return f"{before + ': ' if before else ''}unknown key {unknown!r}{did_you_mean(unknown, known)}"
    if one["type"] == "missing":
        return f"{place} is missing"
    if one["type"] == "value_error":
        return f"{place + ': ' if place else ''}{one['msg'].removeprefix('Value error, ')}"
    return f"{place} must be right: {one['msg']}, got {one['input']!r}"


def _place(loc: Iterable[int | str]) -> str:
    """`models[0].price`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that belong at a place of the config."""
    if not loc:
        return list(CollectConfig.model_fields)
    if loc[-1] == "price":
        return list(PriceConfig.model_fields)
    kinds: dict[int | str, type[BaseModel]] = {
        "endpoints": EndpointConfig,
        "models": PoolModel,
        "judges": PoolModel,
        "datasets": DatasetConfig,
        "bench": BenchConfig,
        "report": ReportConfig,
    }
    return list(kinds[loc[0]].model_fields)


def _from_folder(config: CollectConfig, folder: Path) -> CollectConfig:
    """The same config with absolute paths."""

    def absolute(path: str) -> str:
        return str((folder / path).resolve())

    datasets = [
        one.model_copy(
            update={
                "name": absolute(one.name) if one.name.endswith((".yaml", ".yml")) else one.name,
                "folder": absolute(one.folder) if one.folder else "",
            }
        )
        for one in config.datasets
    ]
    cache = config.cache if not config.cache or "://" in config.cache else absolute(config.cache)
    return config.model_copy(
        update={
            "out": absolute(config.out),
            "datasets": datasets,
            "cache": cache,
            "outcomes": absolute(config.outcomes) if config.outcomes else "",
            "bench": _bench_from(config.bench, absolute) if config.bench else None,
        }
    )


def _bench_from(bench: BenchConfig, absolute: Callable[[str], str]) -> BenchConfig:
    """The same bench with absolute paths."""
    setting, embedder = bench.setting, bench.embedder
    if setting is not None and setting.endswith(".toml"):
        setting = absolute(setting)
    if embedder.startswith("file:"):
        embedder = f"file:{absolute(embedder.removeprefix('file:'))}"
    return bench.model_copy(update={"out": absolute(bench.out), "setting": setting, "embedder": embedder})
