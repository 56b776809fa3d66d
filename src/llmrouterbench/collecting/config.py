"""The YAML file of a collection: endpoints, models, datasets, limits, and what `run` does with the replies.

Strict: a mistyped key fails with a suggestion.

No secret belongs into the file: an endpoint names the environment variable of its key (`key_env`), and what looks like
a key is refused. The config is stored with the replies.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import orjson
from pydantic import Field, model_validator

from llmrouterbench.benching.rules import Rules
from llmrouterbench.calling.calls import Request
from llmrouterbench.calling.config import ProviderConfig
from llmrouterbench.calling.prices import PriceConfig
from llmrouterbench.naming import did_you_mean
from llmrouterbench.strict import Count, Name, Positive, Strict, each_once, parse_strict, read_yaml


class EndpointConfig(ProviderConfig):
    """A provider of a collection, with the requests and tokens that it takes a minute.

    url may be left out for litellm, which speaks the protocols of other providers.
    """

    url: str = ""
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None


class PoolModel(Strict):
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

    def request(self) -> Request:
        """Its request, without the query's messages."""
        return Request(
            endpoint=self.endpoint,
            model=self.sent_name,
            messages=({"role": "system", "content": self.system},) if self.system else (),
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            reasoning_effort=self.reasoning_effort,
            provider=self.provider,
            extra=self.extra_body,
            stream=self.stream,
        )

    def fingerprint(self, url: str) -> str:
        """Hash of all that can change its replies; prices and limits cannot."""
        return _hash({**self.model_dump(exclude={"price", "stream", "endpoint"}), "url": url})


class DatasetConfig(Strict):
    """One dataset: a name that `llmrouterbench datasets` lists, or the YAML file of an own one.

    folder  where its files lie; downloaded once where not given
    limit   the first so many items
    """

    name: Name
    folder: str = ""
    subset: str = ""
    limit: Count | None = None


class BenchConfig(Rules):
    """The bench of a chain: its rules, routers and seeds (null: those that `benching.bench.bench` has).

    out  folder for the runs and the report
    """

    out: Name
    routers: Annotated[list[Name], Field(min_length=1)] | None = None
    seeds: Annotated[list[int], Field(min_length=1)] | None = None

    @property
    def rules(self) -> Rules:
        """The rules alone."""
        return Rules(**self.model_dump(include=set(Rules.model_fields)))


class ReportConfig(Strict):
    """The report of a chain; figures: every table and figure beside the leaderboard, as `report` writes them."""

    figures: bool = True
    samples: Count = 1000
    baseline: Name | None = None


class CollectConfig(Strict):
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
        each_once("model", [model.name for model in (*self.models, *self.judges)])
        each_once("dataset", [dataset.name for dataset in self.datasets])
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


def _hash(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_config(path: Path) -> CollectConfig:
    """Read a config file; relative paths in it start at its folder.

    Raises FileNotFoundError without the file, ValueError that names the file and the key for anything wrong in it.
    """
    raw = read_yaml(path, "the YAML file of a collection")
    return _from_folder(parse_config(raw, str(path)), path.parent)


def parse_config(raw: Any, where: str = "config") -> CollectConfig:
    """A config from plain values; every error starts with `where` and the key.

    >>> parse_config({"out": "o", "models": [], "endpoint": {}})
    Traceback (most recent call last):
        ...
    ValueError: config: unknown key 'endpoint'; did you mean 'endpoints'?
    """
    return parse_strict(CollectConfig, raw, where)


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
            "bench": config.bench
            and config.bench.from_folder(folder).model_copy(update={"out": absolute(config.bench.out)}),
        }
    )
