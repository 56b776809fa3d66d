"""The server under load, against the LiteLLM proxy: a loopback upstream of 20 ms, TF-IDF routing.

LiteLLM holds other majors of our libraries: it is installed into build/litellm, by this file, where that is possible.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import yaml

from benchmarks import collecting
from benchmarks.loading import CONNECTIONS, Load, closed_loop, make_requests, open_loop
from benchmarks.measure import Measured, Row
from benchmarks.measure import table as measure_table
from llmrouterbench import simulate
from llmrouterbench.production.fitting import FitSettings, fit

LATENCY_SECONDS = 0.02
REQUESTS = 6000
REFERENCE_REQUESTS = 1500
RATE = 150.0
RATE_SECONDS = 20.0
REFERENCE_RATE = 30.0
ENDURANCE_REQUESTS = 100_000
ENDURANCE_SECONDS = 420.0
PARTS = 10
WARM = 200
SCALE = 0.3
ROOT = Path(__file__).resolve().parents[1]
LITELLM = ROOT / "build" / "litellm"
KEY = f"sk-{secrets.token_hex(24)}"
"""A key that LiteLLM wants; our server has none in its config and takes any."""
TARGET = "3x; 300 requests a second"
ADDED_TARGET = "added p99 under 25 ms"


# --- the servers -----------------------------------------------------------------------------------------------------


@contextmanager
def upstream() -> Iterator[int]:
    """The port of a loopback upstream of 20 ms in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving", "upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def ours(router: Path, provider_port: int, *, log: Path | None = None, workers: int = 1) -> Iterator[tuple[int, int]]:
    """Port and process id of `llmrouterbench serve` with a fitted router, its log and request lines on."""
    folder = router.parent
    models = orjson.loads((folder / "models.json").read_bytes())
    config = {
        "port": 0,
        "providers": {"loopback": {"url": f"http://127.0.0.1:{provider_port}/v1", "concurrency": 256}},
        "models": [{"name": name, "provider": "loopback", "price": {"input": 1.0, "output": 2.0}} for name in models],
    }
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "llmrouterbench.cli", "serve", str(router), "--config", str(path)]
    command += ["--log", str(log or folder / "log"), "--workers", str(workers)]
    with (folder / "lines").open("wb") as lines, subprocess.Popen(command, stderr=lines, cwd=ROOT) as process:
        try:
            yield _wait_for_address(folder / "lines", process), process.pid
        finally:
            process.terminate()


def _wait_for_address(lines: Path, process: subprocess.Popen[bytes]) -> int:
    for _ in range(1200):
        said = lines.read_text(errors="replace")
        if "serving http://" in said:
            port = int(said.split("serving http://", 1)[1].split("/", 1)[0].rpartition(":")[2])
            _wait_for(f"http://127.0.0.1:{port}/healthz", process)
            return port
        if process.poll() is not None:
            raise RuntimeError(f"the server must start, got exit status {process.returncode}: {said[-500:]}")
        time.sleep(0.05)
    raise RuntimeError("the server must start within a minute")


def _wait_for(address: str, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    for _ in range(int(seconds / 0.1)):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                raise RuntimeError(f"{address} must answer, got exit status {process.returncode}") from None
            time.sleep(0.1)
    raise RuntimeError(f"{address} must answer within {seconds:g} seconds")


def install_litellm() -> str:
    """Install the proxy into build/litellm; returns why it could not be, "" where it is there."""
    program = LITELLM / "bin" / "litellm"
    if program.is_file():
        return ""
    venv.create(LITELLM, with_pip=True)
    command = [str(LITELLM / "bin" / "python"), "-m", "pip", "install", "--quiet", "litellm[proxy]"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@contextmanager
def litellm(folder: Path, provider_port: int, workers: int = 1) -> Iterator[tuple[int, int]]:
    """Port and process id of the LiteLLM proxy doing a plain pass-through: no database, no logging."""
    with collecting_port() as port:
        pass
    model = {"model": "openai/m", "api_base": f"http://127.0.0.1:{provider_port}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "m", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    path = folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [str(LITELLM / "bin" / "litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", str(workers), "--telemetry", "False"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield port, process.pid
        finally:
            process.terminate()


@contextmanager
def collecting_port() -> Iterator[int]:
    """A free port of loopback."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield int(probe.getsockname()[1])


def memory_of(process: int) -> int:
    """Resident bytes of a process, 0 where the system does not say."""
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        return 0
    return 1024 * int(status.read_text().split("VmRSS:", 1)[1].split()[0])


def prepare(folder: Path) -> tuple[Path, list[str]]:
    """A fitted router in a folder, and queries to send. The data are SIMULATED."""
    outcomes = simulate("performance-cost", scale=SCALE)
    fitted = fit(outcomes, FitSettings(router="task_soft", policy="best"))
    fitted.save(folder / "router")
    (folder / "models.json").write_bytes(orjson.dumps(list(fitted.models)))
    return folder / "router", list(outcomes.queries.prompt)[:1000]


# --- the study -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """What was measured in one run; LiteLLM's part is None where it could not be installed (`why`).

    closed, litellm_closed  as many requests as the server takes from 32 connections
    equal, litellm_equal    both at the same rate; direct_equal: the upstream alone
    half, direct_half       our server and the upstream alone at half of the target rate
    memory                  (k,) resident bytes of our server over the long run, after its first tenth
    """

    closed: Load
    equal: Load
    half: Load
    direct_equal: Load
    direct_half: Load
    long: Load
    memory: tuple[int, ...]
    litellm_closed: Load | None
    litellm_equal: Load | None
    litellm_memory: int
    why: str


@cache
def study() -> Study:
    """Measure everything once; takes some minutes."""
    why = install_litellm()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        router, queries = prepare(folder)
        provider = stack.enter_context(upstream())
        direct = make_requests(provider, "m", queries, KEY)
        direct_equal = asyncio.run(open_loop(provider, direct, REFERENCE_RATE, RATE_SECONDS))
        direct_half = asyncio.run(open_loop(provider, direct, RATE, RATE_SECONDS))
        with ours(router, provider) as (port, process):
            requests = make_requests(port, "auto", queries, KEY)
            asyncio.run(closed_loop(port, requests, WARM))
            closed = asyncio.run(closed_loop(port, requests, REQUESTS))
            equal = asyncio.run(open_loop(port, requests, REFERENCE_RATE, RATE_SECONDS))
            half = asyncio.run(open_loop(port, requests, RATE, RATE_SECONDS))
            long, memory = _endure(port, requests, process)
        theirs = None if why else _study_litellm(folder, provider, queries)
    closed_theirs, equal_theirs, peak = theirs or (None, None, 0)
    return Study(
        closed, equal, half, direct_equal, direct_half, long, memory, closed_theirs, equal_theirs, peak, why
    )  # fmt: skip


def _study_litellm(folder: Path, provider: int, queries: list[str]) -> tuple[Load, Load, int]:
    with litellm(folder, provider) as (port, process):
        requests = make_requests(port, "m", queries, KEY)
        asyncio.run(closed_loop(port, requests, WARM))
        closed = asyncio.run(closed_loop(port, requests, REFERENCE_REQUESTS))
        equal = asyncio.run(open_loop(port, requests, REFERENCE_RATE, RATE_SECONDS))
        return closed, equal, memory_of(process)


def _endure(port: int, requests: list[bytes], process: int) -> tuple[Load, tuple[int, ...]]:
    """Up to `ENDURANCE_REQUESTS` in parts, no new part after `ENDURANCE_SECONDS`; the memory after each."""
    loads: list[Load] = []
    memory: list[int] = []
    while len(loads) < PARTS and sum(load.span for load in loads) < ENDURANCE_SECONDS:
        loads.append(asyncio.run(closed_loop(port, requests, ENDURANCE_REQUESTS // PARTS)))
        memory.append(memory_of(process))
    seconds = np.concatenate([load.seconds for load in loads])
    whole = Load(seconds, sum(load.span for load in loads), sum(load.failed for load in loads))
    return whole, tuple(memory)


def rows() -> list[Row]:
    """Throughput and p99 at equal load against LiteLLM; none where it could not be installed."""
    found = study()
    if found.litellm_closed is None or found.litellm_equal is None:
        return []
    mine, theirs = found.closed, found.litellm_closed
    scaled = theirs.span * REQUESTS / REFERENCE_REQUESTS
    what = (
        f"serve {REQUESTS:,} requests with routing, {CONNECTIONS} connections, 20 ms upstream"
        f" ({mine.rate:,.0f} a second)"
    )
    proxy = f"LiteLLM proxy, plain pass-through ({theirs.rate:,.0f} a second)"
    peak = max(found.memory)
    equal = f"p99 at {REFERENCE_RATE:g} requests a second ({found.equal.percentile(99):.0f} ms)"
    return [
        Row(what, Measured(mine.span, peak), proxy, Measured(scaled, found.litellm_memory), TARGET),
        Row(
            equal,
            Measured(found.equal.percentile(99) / 1000, peak),
            f"LiteLLM proxy ({found.litellm_equal.percentile(99):.0f} ms)",
            Measured(found.litellm_equal.percentile(99) / 1000, found.litellm_memory),
            "lower",
        ),
    ]


def table() -> str:
    """Markdown: what the server adds to the upstream, the long run, and LiteLLM beside them where it is there."""
    found = study()
    lines = [
        "Routing by TF-IDF on SIMULATED queries; the decision log and a log line a request are on. The load generator,"
        " the server and the upstream share the machine.",
        "",
        "| what | requests a second | added p50 | added p99 | failed |",
        "|---|---:|---:|---:|---:|",
        _line(f"{RATE:g} requests a second ({ADDED_TARGET})", found.half, found.direct_half),
        _line(f"{REFERENCE_RATE:g} requests a second", found.equal, found.direct_equal),
    ]
    if found.litellm_equal is not None:
        lines.append(
            _line(f"LiteLLM proxy, {REFERENCE_RATE:g} requests a second", found.litellm_equal, found.direct_equal)
        )
    lines += ["", _long_run(found)]
    if found.why:
        lines += ["", f"LiteLLM could not be installed, so that nothing is compared with it: {found.why}"]
    return "\n".join(lines)


def _line(what: str, load: Load, direct: Load) -> str:
    added = [load.percentile(share) - direct.percentile(share) for share in (50, 99)]
    return f"| {what} | {load.rate:,.0f} | {added[0]:.1f} ms | {added[1]:.1f} ms | {load.failed} |"


def _long_run(found: Study) -> str:
    first, last = found.memory[0] / 2**20, found.memory[-1] / 2**20
    cut = (
        ""
        if len(found.memory) == PARTS
        else f" ({ENDURANCE_REQUESTS:,} did not fit into {ENDURANCE_SECONDS:g} seconds)"
    )
    return (
        f"{len(found.long.seconds):,} requests from {CONNECTIONS} connections{cut}: {found.long.rate:,.0f} a second,"
        f" {found.long.failed} failed; memory {first:,.0f} MiB after the first tenth of {ENDURANCE_REQUESTS:,},"
        f" {last:,.0f} MiB at the end."
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["upstream"]:
        collecting.LATENCY_SECONDS = LATENCY_SECONDS
        asyncio.run(collecting._serve())
    else:
        print(measure_table(rows()))
        print(table())
