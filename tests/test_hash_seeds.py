"""What commands print as JSON is the same in every process, byte for byte: no order comes from how text is hashed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

SAID = """
import sys
from typer.testing import CliRunner
import llmrouterbench.cli
from llmrouterbench.commands.app import app

for words in ("info DATA", "advise DATA --quick", "fit DATA --to ROUTER --router task_soft", "policies ROUTER"):
    words = words.replace("DATA", sys.argv[1]).replace("ROUTER", sys.argv[1] + "-router")
    done = CliRunner().invoke(app, [*words.split(), "--json"])
    assert done.exit_code == 0, (words, done.output, done.exception)
    sys.stdout.buffer.write(done.stdout_bytes)
"""


def outcomes(*, logged: bool) -> Outcomes:
    """Three models on queries of three datasets."""
    rng = np.random.default_rng(2)
    n, models = 120, ["anthropic/small", "openai/large", "x/middle"]
    score = (rng.random((n, 3)) < [0.5, 0.8, 0.65]).astype(float)
    if logged:
        score[np.arange(3) != rng.integers(0, 3, n)[:, None]] = np.nan
    cost = np.where(np.isfinite(score), [0.001, 0.01, 0.004], np.nan)
    text = [f"{' '.join(rng.choice(list('abcdefghijklm'), 6))} {i}" for i in range(n)]
    return Outcomes.of(text, models, score, dataset=[f"set{i % 3}" for i in range(n)], cost=cost)


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["matrix", "log"])
def test_json_is_the_same_under_every_hash_seed(kind: str, tmp_path: Path) -> None:
    found = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        write_outcomes(outcomes(logged=kind == "log"), folder / kind)
        env = {**os.environ, "PYTHONHASHSEED": seed, "LLMROUTERBENCH_CACHE": str(tmp_path / "cache")}
        done = subprocess.run([sys.executable, "-c", SAID, kind], cwd=folder, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        found.add(done.stdout)
    assert len(found) == 1
