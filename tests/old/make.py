"""Made the folder that `0.1.0.tar.xz` holds, with the sources of commit c3fadd2 on the path: SIMULATED data, all of it.

    PYTHONPATH=CHECKOUT/src:CHECKOUT/tests python make.py FOLDER

Kept to say what the archive holds; today's version only reads it (`test_old_folders.py`).
"""

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import orjson

warnings.simplefilter("ignore")
OUT = Path(sys.argv[1])
SETTINGS = {"avengers": {"k": 4}, "avengers_pro": {"k": 4}}


def main() -> None:
    from llmrouterbench.policies import decide_sweep, weights_of

    from llmrouterbench import Outcomes, bench, make_router, report, simulate
    from llmrouterbench.persist import save_router
    from llmrouterbench.production.fitting import FitSettings, fit
    from llmrouterbench.routers import REGISTRY
    from llmrouterbench.store import write_outcomes

    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    whole = simulate("performance-cost", scale=0.02)
    whole = whole.select(list(whole.models[:5])).take(np.arange(0, len(whole), max(1, len(whole) // 60)))
    write_outcomes(whole, OUT / "outcomes")
    names = ["best_single", "knn:k=5", "task_soft", "avengers_pro:k=4"]
    bench(Outcomes.load(OUT / "outcomes"), OUT / "runs", routers=names, seeds=[42, 999], jobs=1)
    board = report(OUT / "runs", samples=100)
    (OUT / "leaderboard.json").write_bytes(orjson.dumps(board.to_dict(), option=orjson.OPT_SERIALIZE_NUMPY))
    shutil.rmtree(OUT / "runs" / "report")
    fitted = fit(whole, FitSettings(router="task_soft", policy="cheapest --min-quality 0.5"))
    fitted.save(OUT / "fitted")
    routes = [fitted.route(text) for text in list(whole.queries.text)[:20]]
    vectors = np.random.default_rng(0).normal(size=(len(whole), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.round(vectors, 6)
    embedded = whole.with_embedding(vectors)
    chosen = {}
    for name, entry in REGISTRY.items():
        if entry.needs or name == "gbm":  # 400 kB of trees
            continue
        router = make_router(name, **SETTINGS.get(name, {})).fit(embedded)
        save_router(router, OUT / "routers" / name)
        chosen[name] = decide_sweep(router, embedded.queries, weights_of(router, embedded))
    np.savez_compressed(OUT / "decisions.npz", vectors=vectors, **chosen)
    routed = [(one.model, one.reason, one.score, one.cost) for one in routes]
    (OUT / "routes.json").write_bytes(orjson.dumps(routed))
    chain()
    log()


def chain() -> None:
    """A finished chain against a scripted provider."""
    from llmrouterbench.chain import collect_missing, run_after_collecting
    from llmrouterbench.collecting.config import read_config
    from provider import Provider
    from test_chain import careful, hasty, write_config

    folder = OUT / "chain"
    folder.mkdir()
    with Provider(reply=careful) as good, Provider(reply=hasty) as cheap:
        config = read_config(write_config(folder, (good, cheap)))
        collect_missing(config)
        run_after_collecting(config, jobs=1)
    shutil.rmtree(folder / "runs" / "report")


def log() -> None:
    """A decision log of a server."""
    from gateways import config_of, running
    from upstream import Upstream

    with Upstream() as upstream, running(config_of({"one": upstream.url}), OUT / "log", explore=0.5) as server:
        for number in range(12):
            reply = server.ask(f"What is {number} times 7?")
            body = {"decision": reply.headers["x-router-decision"], "score": number % 2}
            server.http.post(f"{server.url}/feedback", json=body)
        server.frames(12)


if __name__ == "__main__":
    main()
