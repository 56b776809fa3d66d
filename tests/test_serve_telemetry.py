"""Traces and metrics: what the SDK is told in memory, and what a real receiver gets over OTLP from a real server."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import config_of, fitted, running, wait_for
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.keys import new_key
from test_serve_process import serving, wait_until_there
from upstream import Upstream

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llmrouterbench.serve.telemetry import SCHEMA, Telemetry

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def in_memory(urls: dict[str, str]) -> tuple[Telemetry, InMemorySpanExporter, InMemoryMetricReader]:
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    return Telemetry(urls, SimpleSpanProcessor(spans), metrics), spans, metrics


def points(metrics: InMemoryMetricReader) -> dict[str, list[Any]]:
    """The points of each metric."""
    told = metrics.get_metrics_data()
    assert told is not None
    found = [one for resource in told.resource_metrics for scope in resource.scope_metrics for one in scope.metrics]
    return {one.name: list(one.data.data_points) for one in found}


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_a_span_and_each_call_of_it_another(stream: bool) -> None:
    """With a first call that fails, a trace of the client, and neither a text nor a key in it."""
    key, digest = new_key()
    with Upstream(fault=lambda body: "503") as broken, Upstream() as good:
        config = config_of(
            {"one": broken.url, "two": good.url, "three": good.url}, keys=[{"name": "k", "sha256": digest}]
        )
        config["models"] = config["models"][:1]
        config["models"][0]["also"] = [{"provider": "two"}]
        telemetry, spans, metrics = in_memory({"one": broken.url, "two": "https://api.openai.com/v1"})
        with running(config, telemetry=telemetry) as server:
            headers = {"authorization": f"Bearer {key}", "traceparent": PARENT, "baggage": "mine=1"}
            reply = server.ask("A secret question", headers=headers, stream=stream)
            assert reply.status_code == 200
            assert "traceparent" not in good.headers[-1], "nothing of a client's headers reaches a provider"
            wait_for(lambda: len(spans.get_finished_spans()) == 3)
            first, second, whole = spans.get_finished_spans()
            measured = points(metrics)
    assert (whole.kind, whole.name) == (SpanKind.SERVER, "POST /v1/chat/completions")
    assert [f"{one.context.trace_id:032x}" for one in (first, second, whole) if one.context] == [PARENT[3:35]] * 3
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == PARENT[36:52]
    for call, provider, kind in ((first, "one", "server"), (second, "openai", None)):
        said = dict(call.attributes or {})
        assert call.parent == whole.context
        assert (call.kind, call.name) == (SpanKind.CLIENT, "chat gpt-5")
        assert (said["gen_ai.operation.name"], said["gen_ai.request.model"]) == ("chat", "gpt-5")
        assert (said["gen_ai.provider.name"], said.get("error.type")) == (provider, kind)
        assert (call.status.status_code is StatusCode.ERROR) == (kind is not None)
        times = (whole.start_time, call.start_time, call.end_time, (whole.end_time or 0) + 1_000_000)
        assert list(times) == sorted(one for one in times if one is not None)
        assert call.instrumentation_scope is not None
        assert call.instrumentation_scope.schema_url == call.resource.schema_url == SCHEMA
    assert dict(second.attributes or {})["gen_ai.usage.input_tokens"] == 1000
    own = dict(whole.attributes or {})
    assert own["llmrouterbench.decision"] == reply.headers["x-router-decision"]
    assert (own["http.response.status_code"], own["llmrouterbench.model"]) == (200, "gpt-5")
    text = "".join(one.to_json() for one in (first, second, whole)) + str(measured)
    assert "secret" not in text
    assert key not in text
    assert [point.count for point in measured["http.server.request.duration"]] == [1]
    assert sorted(point.attributes.get("error.type", "") for point in measured["gen_ai.client.operation.duration"]) == [
        "", "server",
    ]  # fmt: skip
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in measured["gen_ai.client.token.usage"]}
    assert tokens == {"input": 1000, "output": 100}


def test_a_refusal_and_a_failure_are_told_without_the_key_in_a_wrong_place() -> None:
    key, _ = new_key()
    with Upstream(fault=lambda body: "500") as upstream:
        config = config_of({"one": upstream.url})
        telemetry, spans, _ = in_memory({"one": upstream.url})
        with running(config, telemetry=telemetry) as server:
            assert server.ask(model=key).status_code == 404
            assert server.ask().status_code == 502
            body = {"model": "x", "messages": [{"role": "user", "content": "Hi"}]}
            assert server.http.post(f"{server.url}/messages/count_tokens", json=body).status_code == 200
            wait_for(lambda: len(spans.get_finished_spans()) == 6)
            told = spans.get_finished_spans()
    assert key not in "".join(one.to_json() for one in told)
    requests = [dict(one.attributes or {}) for one in told if one.kind is SpanKind.SERVER]
    assert [one["http.response.status_code"] for one in requests] == [404, 502, 200]
    assert [one.get("error.type") for one in requests] == [None, "502", None]


@pytest.mark.parametrize(
    "address", ["localhost:4318", "http://me:secret@host", "http://host?key=secret", "grpc://host"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    config = config_of({"one": "http://127.0.0.1:9/v1"}, telemetry={"endpoint": address})
    with pytest.raises(ValueError, match="telemetry.endpoint") as refused:
        parse_serve_config(config)
    assert "secret" not in str(refused.value)


def test_it_is_off_where_nobody_asks_for_it() -> None:
    with Upstream() as upstream, running(config_of({"one": upstream.url})) as server:
        assert server.gateway.telemetry is None


@contextmanager
def receiver() -> Iterator[tuple[str, dict[str, list[tuple[str, bytes]]]]]:
    """A real OTLP receiver on loopback: its address, and by path what came, with the header `x-tenant`."""
    came: dict[str, list[tuple[str, bytes]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.setdefault(self.path, []).append((self.headers.get("x-tenant", ""), body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.prove
def test_a_served_request_reaches_a_receiver_before_the_server_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-router")
    fitted().save(tmp_path / "router")
    with receiver() as (address, came), Upstream() as upstream:
        config = config_of({"one": upstream.url}, telemetry={"endpoint": address})
        with serving(tmp_path / "router", config, tmp_path) as (process, url):
            wait_until_there(url)
            body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
            assert httpx2.post(f"{url}/chat/completions", json=body, timeout=60).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    assert {header for all in came.values() for header, _ in all} == {"blue"}
    traces = [ExportTraceServiceRequest.FromString(raw) for _, raw in came["/v1/traces"]]
    resources = [one for request in traces for one in request.resource_spans]
    names = [span.name for one in resources for scope in one.scope_spans for span in scope.spans]
    assert sorted(name.split()[0] for name in names) == ["POST", "chat"]
    service = {one.key: one.value.string_value for one in resources[0].resource.attributes}
    assert (service["service.name"], resources[0].schema_url) == ("our-router", SCHEMA)
    measured = [ExportMetricsServiceRequest.FromString(raw) for _, raw in came["/v1/metrics"]]
    found = {
        metric.name
        for request in measured for one in request.resource_metrics for scope in one.scope_metrics
        for metric in scope.metrics
    }  # fmt: skip
    assert found == {"http.server.request.duration", "gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
