"""Traces and metrics for OpenTelemetry, where `telemetry` in the config says where they go. No text, no key is in them.

Names are those of version 1.37 of the semantic conventions, in which `gen_ai.provider.name` came; those for generative
AI are still in development. Source: opentelemetry.io/docs/specs/semconv/gen-ai.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llmrouterbench.calling.client import EMBEDDINGS
from llmrouterbench.serve.exchange import Exchange
from llmrouterbench.serve.refusals import masked
from llmrouterbench.version import __version__

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
_NAME = "llmrouterbench"
_PROVIDERS = {
    "api.openai.com": "openai", "api.anthropic.com": "anthropic", "api.mistral.ai": "mistral_ai",
    "api.groq.com": "groq", "api.deepseek.com": "deepseek", "api.x.ai": "x_ai", "api.cohere.com": "cohere",
    "api.perplexity.ai": "perplexity", "generativelanguage.googleapis.com": "gcp.gemini",
}  # fmt: skip
"""Hosts whose names are fixed; others are called as the config calls them."""
_PORTS = {"http": 80, "https": 443}
_SECONDS = [0.01 * 2**n for n in range(14)]
_TOKENS = [4**n for n in range(14)]
"""Buckets, as the conventions advise them."""


class Telemetry:
    """What is told of every request: a span of it and one of each call to a provider, times and tokens."""

    def __init__(self, urls: Mapping[str, str], spans: SpanProcessor, metrics: MetricReader) -> None:
        """`urls` are the addresses of providers by name."""
        self._urls = urls
        named = {} if OTEL_SERVICE_NAME in os.environ else {"service.name": _NAME}
        own = {**named, "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
        resource = Resource.create(own, SCHEMA)
        self._spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._spans.add_span_processor(spans)
        self._metrics = MeterProvider([metrics], resource=resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer(_NAME, __version__, schema_url=SCHEMA)
        meter = self._metrics.get_meter(_NAME, __version__, schema_url=SCHEMA)
        self._requests = meter.create_histogram(
            "http.server.request.duration", "s", "Until the last byte.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._calls = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Calls to providers.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens as billed.", explicit_bucket_boundaries_advisory=_TOKENS
        )

    def tell(self, exchange: Exchange) -> None:
        """Tell of a request that has ended."""
        status = exchange.http_status
        facts: dict[str, str | int | float] = {
            "http.request.method": "POST", "http.route": exchange.path, "http.response.status_code": status,
        }  # fmt: skip
        if failed := status >= 500:
            facts["error.type"] = str(status)
        self._requests.record(exchange.seconds, facts)
        context = TraceContextTextMapPropagator().extract(exchange.trace)
        start = _nanoseconds(exchange.at)
        span = self._tracer.start_span(
            f"POST {exchange.path}",
            context,
            SpanKind.SERVER,
            {**facts, **_decided(exchange)},
            start_time=start,
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        for number, ((began, kind), fact) in enumerate(zip(exchange.calls, exchange.attempts, strict=True), 1):
            self._tell_call(exchange, span, began, kind, fact, last=number == len(exchange.calls))
        span.end(start + _nanoseconds(exchange.seconds))

    def close(self) -> None:
        """Send what was not yet sent."""
        self._spans.shutdown()
        self._metrics.shutdown()

    def _tell_call(
        self, exchange: Exchange, span: Span, began: float, kind: str, fact: Mapping[str, Any], *, last: bool
    ) -> None:
        """One call; the usage of a request is that of its last one."""
        operation = "embeddings" if exchange.path.endswith(EMBEDDINGS) else "chat"
        place = urlsplit(self._urls.get(fact["provider"], ""))
        facts = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _PROVIDERS.get(place.hostname or "", fact["provider"]),
            "gen_ai.request.model": fact["model"],
        }
        if place.hostname is not None:  # a provider that a reload brought has no address here
            facts |= {"server.address": place.hostname, "server.port": place.port or _PORTS[place.scheme]}
        if kind:
            facts["error.type"] = kind
        self._calls.record(fact["seconds"], facts)
        used = exchange.usage if last else None
        told = {} if used is None else {"input": used.tokens_in, "output": used.tokens_out}
        tokens = {name: count for name, count in told.items() if count is not None}
        for name, count in tokens.items():
            self._tokens.record(count, {**facts, "gen_ai.token.type": name})
        start = _nanoseconds(exchange.at + began - exchange.started)
        call = self._tracer.start_span(
            f"{operation} {fact['model']}", set_span_in_context(span), SpanKind.CLIENT,
            {**facts, **{f"gen_ai.usage.{name}_tokens": count for name, count in tokens.items()}}, start_time=start,
        )  # fmt: skip
        if kind:
            call.set_status(StatusCode.ERROR)
        call.end(start + _nanoseconds(fact["seconds"]))


def telemetry_to(endpoint: str, urls: Mapping[str, str]) -> Telemetry:
    """One that sends to an OTLP receiver at an address, with the headers of OTEL_EXPORTER_OTLP_HEADERS."""
    spans = BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"))
    metrics = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"))
    return Telemetry(urls, spans, metrics)


def _decided(exchange: Exchange) -> dict[str, str | float]:
    """What was asked and decided, under names of our own."""
    facts: dict[str, str | float | None] = {
        "decision": exchange.id,
        "asked": masked(exchange.asked)[:100],
        "model": exchange.model,
        "reason": None if exchange.choice is None else exchange.choice.reason,
        "cost": exchange.cost,
    }
    return {f"{_NAME}.{name}": value for name, value in facts.items() if value is not None and value != ""}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
