"""What a deployment rests on: manifests that a cluster takes, stores as compose starts them, restarts under load."""

from __future__ import annotations

import signal
import subprocess
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from gateways import config_of, fitted, running, wait_for
from llmrouterbench.serve.config import parse_serve_config
from llmrouterbench.serve.state import open_store
from servers import free_port
from test_serve_process import serving, wait_until_there
from upstream import Upstream

ROOT = Path(__file__).resolve().parents[1]
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "examples/kubernetes.yaml").read_text("utf-8")))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
KUBERNETES = "1.34"


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [one for one in OBJECTS if one["kind"] == kind]
    return found


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("router") / "r"
    fitted().save(folder)
    return folder


def test_a_cluster_takes_the_manifests() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for one in OBJECTS:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    misspelt = {**of_kind("PodDisruptionBudget"), "spec": {"minAvailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, KUBERNETES, strict=True)


def test_what_the_manifests_name_is_there() -> None:
    """Labels, ports, volumes and the config's own rules; probes ask what a server answers without a key."""
    pods = of_kind("StatefulSet")["spec"]
    labels, pod = pods["template"]["metadata"]["labels"], pods["template"]["spec"]
    (container,) = pod["containers"]
    for chosen in (
        pods["selector"]["matchLabels"], of_kind("Service")["spec"]["selector"],
        of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):  # fmt: skip
        assert chosen.items() <= labels.items()
    assert of_kind("PodDisruptionBudget")["spec"]["minAvailable"] < pods["replicas"]
    config = parse_serve_config(yaml.safe_load(of_kind("ConfigMap")["data"]["serve.yaml"]))
    assert [port["containerPort"] for port in container["ports"]] == [config.port]
    volumes = {one["name"] for one in pod["volumes"]} | {
        one["metadata"]["name"] for one in pods["volumeClaimTemplates"]
    }
    assert {one["name"] for one in container["volumeMounts"]} == volumes
    longest = max(provider.timeout for provider in config.providers.values())
    assert pod["terminationGracePeriodSeconds"] > longest + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert config.managed_keys
    keys = [{"name": "k", "sha256": "0" * 64}]
    with Upstream() as upstream, running(config_of({"one": upstream.url}, keys=keys)) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert server.http.get(server.root + container[probe]["httpGet"]["path"]).status_code == 200


@pytest.mark.slow
def test_the_redis_of_compose_keeps_what_it_is_told(tmp_path: Path) -> None:
    redis = pytest.importorskip("redis")
    program, *options = COMPOSE["services"]["redis"]["command"]
    port = free_port()
    command = [program, *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("redis-server is not installed")
    address = f"redis://127.0.0.1:{port}/0"
    with process, closing(redis.Redis.from_url(address)) as server:
        try:
            wait_for(partial(_answers, server))
            assert server.config_get("appendonly") == {"appendonly": "yes"}
            assert server.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            with closing(open_store(address)) as store:
                assert store is not None
        finally:
            process.terminate()


def _answers(server: Any) -> bool:
    import redis

    try:
        return bool(server.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.prove
def test_a_rolling_restart_under_load_drops_no_request_and_no_stream(router: Path, tmp_path: Path) -> None:
    """Clients that keep their connections while both workers are replaced.

    A kept connection may be closed as its next request leaves; clients ask that again. Nobody has been asked by then.
    """
    done, wrong = {"whole": 0, "stream": 0}, []
    over = threading.Event()

    def ask(url: str, stream: bool) -> None:
        body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        with httpx2.Client(timeout=60) as client:
            while not over.is_set():
                begun = False
                try:
                    with client.stream("POST", f"{url}/chat/completions", json=body) as reply:
                        begun = True
                        reply.read()
                    whole = reply.content.endswith(b"data: [DONE]\n\n") if stream else b'"usage"' in reply.content
                except httpx2.HTTPError as error:
                    if begun:
                        wrong.append(repr(error))
                else:
                    if reply.status_code != 200 or not whole:
                        wrong.append(f"{reply.status_code} {reply.text[-200:]}")
                    done["stream" if stream else "whole"] += 1

    with Upstream(pause=0.05) as upstream:
        config = config_of({"one": upstream.url}, limits={"requests": 100})
        with serving(router, config, tmp_path, "--workers", "2", "--no-request-lines") as (process, url):
            wait_until_there(url)
            clients = [threading.Thread(target=ask, args=(url, number % 2 == 1)) for number in range(4)]
            for one in clients:
                one.start()
            assert process.stderr is not None
            wait_for(lambda: all(count > 3 for count in done.values()), 300)
            process.send_signal(signal.SIGHUP)
            assert b"router and config are those of the files" in process.stderr.readline()
            before = dict(done)
            wait_for(lambda: all(done[kind] > before[kind] + 3 for kind in done), 300)
            over.set()
            for one in clients:
                one.join()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        assert len(upstream.bodies) == sum(done.values())
    assert wrong == []
