"""The routers that train an encoder, at the paper's scale: preset quick, five seeds, both settings, on a CPU.

Outcomes are SIMULATED. The runs lie in the ignored folder runs/fine-tuned: a run that was stopped goes on after the
last router and seed that are done, and its seconds add up; remove the folder to time anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Measured, Row
from benchmarks.whole_table import seconds_table, timed_bench
from llmrouterbench import simulate
from llmrouterbench.embedders.sentence_transformer import minilm_folder
from llmrouterbench.routers import REGISTRY
from llmrouterbench.routers._torch import one_thread
from llmrouterbench.settings import PAPER_SEEDS, apply_setting, load_setting
from llmrouterbench.splits import make_split

RUNS = Path(__file__).resolve().parents[1] / "runs" / "fine-tuned"
ROUTERS = [f"{name}:preset=quick" for name, entry in REGISTRY.items() if "finetune" in entry.needs]
TIMED = 200


def rows(setting: str) -> list[Row]:
    """One row: all of them in one setting, and as many times the embedding of the test part by the whole encoder."""
    outcomes = apply_setting(simulate(setting), load_setting(setting))
    ours = timed_bench(setting, outcomes, ROUTERS, RUNS)
    test = make_split(outcomes, PAPER_SEEDS[0], kind="paper").test
    fits = len(PAPER_SEEDS) * len(ROUTERS)
    theirs = Measured(_embedding_seconds(outcomes.pool.take(test).queries.prompt) * fits, 0)
    return [
        Row(
            f"fine-tuned, {setting}: {len(ROUTERS)} routers x {len(PAPER_SEEDS)} seeds, preset quick on"
            " all-MiniLM-L6-v2, decisions on validation and test stored",
            ours,
            f"sentence-transformers: all-MiniLM-L6-v2 embeds the test part, one thread ({TIMED} texts timed, scaled to"
            f" {fits} times all)",
            theirs,
            "both settings under an hour on 2 cores",
        )
    ]


def table() -> str:
    """Markdown: seconds to fit and to decide, of every router in both settings; medians over seeds."""
    return seconds_table(RUNS, ROUTERS)


def _embedding_seconds(texts: Sequence[str]) -> float:
    """Seconds to embed all texts, from a part of them."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(minilm_folder()), device="cpu")
    some = list(texts[:: max(1, len(texts) // TIMED)])[:TIMED]
    with one_thread():
        started = time.perf_counter()
        encoder.encode(some, show_progress_bar=False)
        return (time.perf_counter() - started) * len(texts) / len(some)
