"""The YAML file of a server: providers, models, client keys, limits. Strict: a mistyped key fails with a suggestion.

No secret belongs into the file: a provider names the environment variable of its key (`key_env`), a client key stands
there as its sha256. Provider addresses come from here and from nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from llmrouterbench.calling.calls import Endpoint
from llmrouterbench.calling.config import ProviderConfig
from llmrouterbench.calling.prices import Price, PriceConfig, context_window, price
from llmrouterbench.naming import did_you_mean
from llmrouterbench.strict import Count, Name, Positive, Strict, each_once, parse_strict, read_yaml

Need = Literal["images", "tools", "json", "logprobs"]
"""What a request can need of a model, beyond text."""
AUTO = "auto"
WORKERS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells prometheus_client where the counters of several processes lie; set before it is imported."""


class ServedProviderConfig(ProviderConfig):
    """A provider of a server.

    queue_timeout         seconds that a request waits for one of the `concurrency` places
    stream_usage          ask a stream for its usage where the client does not; false for servers that refuse that
    """

    url: Name
    concurrency: Count = 64
    transport: Literal["http"] = "http"
    connect_timeout: Positive = 5.0
    first_token_timeout: Positive | None = 120.0
    idle_timeout: Positive | None = 120.0
    queue_timeout: Positive = 10.0
    stream_usage: bool = True


class Place(Strict):
    """A further provider that has a model, tried after the first one."""

    provider: Name
    api_model: str = ""


class ParametersConfig(Strict):
    """Fields of a request that a model takes otherwise: left out, under another name, or only up to a number."""

    drop: list[Name] = Field(default_factory=list)
    rename: dict[str, Name] = Field(default_factory=dict)
    clamp: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in (*self.drop, *self.rename, *self.clamp, *self.rename.values()):
            if name in ("model", "messages", "stream"):
                raise ValueError(f"parameters must leave {name} as it is; without it no request can be answered")
        return self


class ModelConfig(Strict):
    """One model that clients may name, and that the router may choose where it knows it.

    lacks           what it cannot take; it is never chosen for a request that needs it
    also            further providers of the same model
    context_window  tokens of prompt and reply together, where no list has it
    max_output      tokens that it writes at most; a request for more asks for so many
    parameters      fields of a request that it takes otherwise
    """

    name: Name
    provider: Name
    api_model: str = ""
    price: PriceConfig | None = None
    lacks: list[Need] = Field(default_factory=list)
    also: list[Place] = Field(default_factory=list)
    context_window: Count | None = None
    max_output: Count | None = None
    parameters: ParametersConfig = ParametersConfig()

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it runs, the first choice first."""
        return Place(provider=self.provider, api_model=self.api_model), *self.also


class TeamConfig(Strict):
    """Keys that spend one budget together, USD in each period of UTC."""

    name: Name
    budget: Positive
    budget_period: Literal["day", "month", "ever"] = "month"


class KeyConfig(Strict):
    """A client key, as `llmrouterbench new-key` prints it, with limits of its own.

    budget is USD in each period of UTC; a restart remembers what was spent where there is a decision log. An admin sees
    the numbers of all keys, everybody else those of their own.

    team      whose budget it spends too, "" for none
    models    that may serve it, policies: that it may name after `auto:`; all where there are none
    tokens_per_minute  in and out, of calls that have ended
    """

    name: Name
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    team: str = ""
    models: list[Name] = Field(default_factory=list)
    policies: list[Name] = Field(default_factory=list)
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    budget: Positive | None = None
    budget_period: Literal["day", "month", "ever"] = "month"
    admin: bool = False


class LimitsConfig(Strict):
    """What one request may be, and how many are served at the same time.

    head_seconds  for the line and headers of a request; body_seconds for its body
    connections   open at once; fewer where the process may not open twice as many files
    """

    body_bytes: Count = 8_000_000
    body_seconds: Positive = 30.0
    head_seconds: Positive = 10.0
    requests: Count = 1000
    connections: Count = 4000


class FallbackConfig(Strict):
    """When another provider or model is tried, and when a provider rests.

    attempts      calls for one request at most, the first one included
    failures      so many bad calls among the last twice as many let a provider rest
    rest_seconds  how long it rests before one call tries it again
    """

    attempts: Count = 3
    failures: Count = 5
    rest_seconds: Positive = 30.0


class ConversationConfig(Strict):
    """How a conversation is routed.

    context_characters  earlier user turns that stand before the last one in the text that decides, in characters
    most_characters     of the text that decides: of a longer one the beginning and the end, half of it each
    sticky_seconds      how long a conversation keeps its model, 0: every turn is decided anew
    """

    context_characters: Annotated[int, Field(ge=0)] = 2000
    most_characters: Count = 16_000
    sticky_seconds: Annotated[float, Field(ge=0)] = 0.0
    remembered: Count = 10_000


class ReadingConfig(Strict):
    """How a router that reads replies before it decides is served.

    seconds  how long all replies that it asks for at once may take; what comes later is not waited for
    """

    seconds: Positive = 20.0


class LogConfig(Strict):
    """What becomes of old rows of the decision log.

    keep_days  whole days (UTC) that rows stay, None: for ever; what keys have spent is remembered all the same
    """

    keep_days: Count | None = None


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        raise ValueError(f"must be an address such as http://127.0.0.1:4318, without user and query, got {shown!r}")
    return value.rstrip("/")


class TelemetryConfig(Strict):
    """Traces and metrics for OpenTelemetry (extra otel).

    endpoint  base address of an OTLP receiver that speaks HTTP; its headers stand in OTEL_EXPORTER_OTLP_HEADERS
    """

    endpoint: Annotated[str, AfterValidator(_address)]


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if value != "*" and not (parts.scheme and parts.netloc and value == f"{parts.scheme}://{parts.netloc}"):
        raise ValueError(f"must be an origin such as https://app.example.org, or *, got {value!r}")
    return value


Origin = Annotated[str, AfterValidator(_origin)]


class ServeConfig(Strict):
    """A whole server.

    policy     what `model: auto` means
    state      file or address (redis://, postgresql://) of what several servers know together: what keys have used,
               the models of conversations, and who rests
    state_env  the environment variable with the address, for one that holds a password
    managed_keys  keys and teams that `llmrouterbench keys` keeps in the state count beside those of this file
    cors       origins whose pages may ask and read, such as https://app.example.org; "*": all
    """

    providers: dict[str, ServedProviderConfig] = Field(min_length=1)
    models: list[ModelConfig] = Field(min_length=1)
    embeddings: list[ModelConfig] = Field(default_factory=list)
    keys: list[KeyConfig] = Field(default_factory=list)
    teams: list[TeamConfig] = Field(default_factory=list)
    managed_keys: bool = False
    policy: str = ""
    state: str = ""
    state_env: str = ""
    cors: list[Origin] = Field(default_factory=list)
    log: LogConfig = LogConfig()
    telemetry: TelemetryConfig | None = None
    host: Name = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    limits: LimitsConfig = LimitsConfig()
    fallback: FallbackConfig = FallbackConfig()
    conversation: ConversationConfig = ConversationConfig()
    reading: ReadingConfig = ReadingConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = (*self.models, *self.embeddings)
        each_once("model", [model.name for model in named])
        each_once("key", [key.name for key in self.keys])
        each_once("key's sha256", [key.sha256 for key in self.keys])
        each_once("team", [team.name for team in self.teams])
        for key in self.keys:
            self.check_key(key, [team.name for team in self.teams])
        if self.managed_keys and not (self.state or self.state_env):
            raise ValueError("managed_keys needs a state that keeps them; add state or state_env")
        for model in named:
            if model.name.partition(":")[0] == AUTO:
                raise ValueError(f"model {model.name!r} must not be called auto; that name asks the router")
            for place in model.places:
                if (at := self.providers.get(place.provider)) is not None and at.api != "chat":
                    self._check_api(model, at.api)
                if place.provider not in self.providers:
                    known = did_you_mean(place.provider, self.providers)
                    raise ValueError(f"model {model.name!r}: no provider named {place.provider!r}{known}")
        if self.state and self.state_env:
            raise ValueError("state and state_env must not both be given; keep one")
        if "@" in self.state and urlsplit(self.state).password:
            raise ValueError("state must not hold a password; put the address into a variable and name it in state_env")
        return self

    def check_key(self, key: KeyConfig, teams: Sequence[str]) -> None:
        """Raises ValueError for a key that names a team or a model that is not there."""
        named = [model.name for model in (*self.models, *self.embeddings)]
        for what, names, known in (("team", [key.team] if key.team else [], teams), ("model", key.models, named)):
            for name in names:
                if name not in known:
                    raise ValueError(f"key {key.name!r}: no {what} named {name!r}{did_you_mean(name, known)}")

    def _check_api(self, model: ModelConfig, api: str) -> None:
        if any(model is one for one in self.embeddings):
            raise ValueError(f"embedding model {model.name!r} must be at a provider without `api`, got api {api!r}")
        if api == "messages" and model.max_output is None:
            raise ValueError(f"model {model.name!r} needs max_output, as its provider has api 'messages'")

    def state_address(self) -> str:
        """Where the state lies, "" for nowhere. Raises ValueError where its variable holds nothing."""
        address = os.environ.get(self.state_env, "") if self.state_env else self.state
        if self.state_env and not address:
            raise ValueError(f"the environment variable {self.state_env} must hold the state's address, got nothing")
        return address

    def price_at(self, model: ModelConfig, place: Place) -> Price | None:
        """The price of a model at one of its providers: the config's own, else the listed one, else its first one's."""
        if (own := model.price) is not None:
            return own.price()
        embeds = any(one is model for one in self.embeddings)
        at = (place, *(model.places[:1] if place != model.places[0] else ()))
        found = (price(one.api_model or model.name, self._endpoint(one), only_input=embeds) for one in at)
        return next((one for one in found if one is not None), None)

    def window_of(self, model: ModelConfig) -> int | None:
        """The context window of a model in tokens: the config's own, else the listed one, else None."""
        first = model.places[0]
        return model.context_window or context_window(first.api_model or model.name, self._endpoint(first))

    def _endpoint(self, place: Place) -> Endpoint:
        return self.providers[place.provider].endpoint(place.provider, key_needed=False)

    def prices(self) -> dict[str, Price | None]:
        """Model -> price: the config's own, else the listed one of its first provider, else None.

        Raises ValueError where a key has a budget and a model no price: its spending could not be counted.
        """
        found = {}
        for model in (*self.models, *self.embeddings):
            found[model.name] = self.price_at(model, model.places[0])
        unpriced = [name for name, known in found.items() if known is None]
        limited = next((f"key {key.name!r} has" for key in self.keys if key.budget is not None or key.team), None)
        limited = limited or ("managed keys may have" if self.managed_keys else None)
        if limited is not None and unpriced:
            raise ValueError(
                f"model {unpriced[0]!r} must have a price, as {limited} a budget;"
                " add price: {input: USD, output: USD} per million tokens"
            )
        return found


def read_serve_config(path: Path) -> ServeConfig:
    """Read the file of a server.

    Raises FileNotFoundError without the file, ValueError that names the file and the key for anything wrong in it.
    """
    return parse_serve_config(read_yaml(path, "the YAML file of a server"), str(path))


def parse_serve_config(raw: Any, where: str = "config") -> ServeConfig:
    """A config from plain values; every error starts with `where` and the key.

    >>> parse_serve_config({"providers": {"a": {"url": "http://localhost:1/v1"}}, "model": []})
    Traceback (most recent call last):
        ...
    ValueError: config: unknown key 'model'; did you mean 'models'?
    """
    return parse_strict(ServeConfig, raw, where)
