"""What is added to the house is one file, or two or three: each kind is added to a copy of the sources, and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import additions

import llmrouterbench

MOST = {"a serving policy": 1, "an exhibit": 1, "a leaderboard column": 2, "a bench option": 3}
PREPARE = """
from pathlib import Path
from llmrouterbench import bench, fit, report, simulate
table = simulate("performance-cost", scale=0.01)
"""
USES = {
    "a serving policy": (
        "router = fit(table, router='knn')\n"
        "one, two = router.route('What is 6 times 7?', 'best'), router.route('What is 6 times 7?', 'second')\n"
        "print(two.model == one.ranking[1])"
    ),
    "an exhibit": (
        "from llmrouterbench.reporting.report import full_report\n"
        "bench(table, 'runs', routers=['knn'], seeds=[1])\n"
        "full_report('runs', 'made', samples=10)\n"
        "print([path.name for path in Path('made').rglob('queries.*')] == ['queries.csv'])"
    ),
    "a leaderboard column": (
        "bench(table, 'runs', routers=['knn'], seeds=[1, 2])\n"
        "report('runs')\n"
        "files = [Path('runs/report', name).read_text() for name in ('leaderboard.csv', 'report.json')]\n"
        "page = Path('runs/report/index.html').read_text()\n"
        "print(all('seeds_measured' in text for text in files) and 'seeds with numbers' in page)"
    ),
    "a bench option": (
        "import subprocess, sys\n"
        "from llmrouterbench import save_outcomes\n"
        "save_outcomes(table, 'outcomes')\n"
        "words = 'bench outcomes --out runs --routers knn --seeds 1 --half'.split()\n"
        "subprocess.run([sys.executable, '-m', 'llmrouterbench', *words], check=True, capture_output=True)\n"
        "from llmrouterbench.benching.folder import load_runs\n"
        "runs = load_runs(Path('runs'))\n"
        "print(runs.rules.half and len(runs.splits[1].train) < 0.4 * len(table))"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", list(additions.ADDITIONS))
def test_an_addition_is_few_files_and_works(what: str, tmp_path: Path) -> None:
    assert len(additions.ADDITIONS[what]) <= MOST[what]
    package = tmp_path / "llmrouterbench"
    shutil.copytree(Path(llmrouterbench.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    used = [sys.executable, "-c", PREPARE + USES[what]]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    without = subprocess.run(used, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert without.stdout.strip() != "True", "it was there before"
    for made in ("runs", "outcomes", "made"):
        shutil.rmtree(tmp_path / made, ignore_errors=True)
    additions.make(what, package)
    done = subprocess.run(used, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
