"""`python -m benchmarks.live_page`: how soon the live page is there with a log of a million requests (SIMULATED).

The log is written by the server's own writer; server and summary are the real ones, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.serving import ours, prepare, upstream
from llmrouterbench.decision_log import FILE, DecisionLog, Logged

MODELS = ("gpt-5", "claude-sonnet-4", "gemini-2.5-pro", "qwen3-235b", "glm-4.6", "gemini-2.5-flash")
PRICE = (0.012, 0.009, 0.008, 0.002, 0.0015, 0.0006)
SKILL = (0.82, 0.80, 0.79, 0.74, 0.72, 0.66)
SPAN = 30 * 86_400.0
EXPLORED = 0.05
WITH_FEEDBACK = 0.02


def rows(requests: int, now: float, seed: int = 0) -> Iterator[Logged]:
    """SIMULATED requests of the last 30 days, more by day than by night."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.random(requests)) * SPAN
    at = now - SPAN + day + 0.25 * 86_400 / (2 * np.pi) * np.sin(2 * np.pi * day / 86_400)
    skill = np.clip(np.array(SKILL) + rng.normal(0, 0.12, (requests, len(MODELS))), 0.02, 0.98).round(4)
    price = (np.array(PRICE) * rng.lognormal(0, 0.3, (requests, len(MODELS)))).round(7)
    best = np.argmax(skill - 15.0 * price, axis=1)
    explored, other = rng.random(requests) < EXPLORED, rng.integers(len(MODELS), size=requests)
    chosen = np.where(explored, other, best)
    failed, paid = rng.random(requests) < 0.002, rng.lognormal(0, 0.2, requests)
    for i in range(requests):
        who, own = MODELS[chosen[i]], MODELS[best[i]]
        share = EXPLORED / len(MODELS)
        chances = {one: share + (1 - EXPLORED) * (one == own) for one in MODELS}
        ok = not failed[i]
        yield Logged(
            id=f"d-{i:012x}", time=float(at[i]), key=f"team-{i % 7}", asked="auto", policy="best --explore 0.05",
            query_hash="", query=None, router_model=own, chosen=who, model=who if ok else None,
            provider="p" if ok else None, reason="exploration" if explored[i] else "policy", propensity=chances[who],
            propensities=chances, scores=dict(zip(MODELS, skill[i].tolist(), strict=True)),
            costs=dict(zip(MODELS, price[i].tolist(), strict=True)), estimated_score=float(skill[i, chosen[i]]),
            estimated_cost=float(price[i, chosen[i]]), estimated_seconds=1.0, ood=False, shadow=False,
            conversation=None, stream=False, status="ok" if ok else "failed", http_status=200 if ok else 502,
            cost=float(price[i, chosen[i]] * paid[i]) if ok else None, tokens_in=200, tokens_out=300,
            decision_seconds=0.001, first_token_seconds=None, seconds=float(paid[i]),
            attempts=({"model": who, "provider": "p", "seconds": float(paid[i]), "error": "" if ok else "HTTP 500"},),
            cost_from="usage" if ok else None,
        )  # fmt: skip


def write_log(folder: Path, requests: int, now: float) -> None:
    """Such a log, with feedback on some of its newest requests."""
    rng = np.random.default_rng(1)

    def lost(count: int, said: str) -> None:
        raise OSError(said)

    async def post(log: DecisionLog, scored: list[tuple[str, float, float]]) -> None:
        for id, at, score in scored:
            await log.add_feedback(id, at, f"team-{int(id[2:], 16) % 7}", score, "thumb")

    scored = []
    with DecisionLog(folder, lost) as log:
        for i, row in enumerate(rows(requests, now)):
            log.add(row)
            if row.status == "ok" and i >= requests - 50_000 and rng.random() < WITH_FEEDBACK * 5:
                scored.append((row.id, row.time + 30.0, float(rng.random() < (row.estimated_score or 0.0))))
            if i % 20_000 == 19_999:
                time.sleep(0.0)
        asyncio.run(post(log, scored[-2000:]))


def main(folder: Path, requests: int = 1_000_000) -> None:
    """Say what the summary of such a log costs, and how soon a server answers that has it."""
    if not (folder / FILE).exists():
        write_log(folder, requests, time.time())
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "llmrouterbench.production.log_summary", str(folder)], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
    print(f"SIMULATED log of {requests:,}: summary {spent:.1f} s of processor, {used.ru_maxrss / 1024:.0f} MiB")
    with tempfile.TemporaryDirectory() as made:
        prepare(Path(made))
        with upstream() as port, ours(Path(made) / "router", port, log=folder) as (ours_port, _):
            for path in ("/dashboard", "/dashboard/data"):
                seconds = []
                for _ in range(20):
                    start = time.perf_counter()
                    with urllib.request.urlopen(f"http://127.0.0.1:{ours_port}{path}") as answer:
                        answer.read()
                    seconds.append(time.perf_counter() - start)
                print(f"{path}: first {1000 * seconds[0]:.0f} ms, median {1000 * np.median(seconds):.1f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
