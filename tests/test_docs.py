"""The README and the pages of docs/ do what they say: every Python block and every llmrouterbench line is run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import llmrouterbench

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    env = {**os.environ, "LLMROUTERBENCH_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env, timeout=300)


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("llmrouterbench ")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    """On stand-ins with the names that the page uses: a small simulated release, a small table, traffic, a card."""
    from llmrouterbench.simulation.release import release_files, write_release

    small = [file for file in release_files() if file.dataset in ("aime", "gpqa")]
    write_release(tmp_path / "bench-release.tar.gz", reply_bytes=50, files=small)
    rows = [f"what is {i} plus {i * i},{model},{(i + at) % 2}" for i in range(30) for at, model in enumerate("mn")]
    (tmp_path / "log.csv").write_text("\n".join(["query,model,score", *rows]) + "\n")
    served = [f"sort {i} words of list {i * i},{'mn'[i % 2]},{i // 3 % 2},0.001,0.5" for i in range(200)]
    (tmp_path / "traffic.csv").write_text("\n".join(["query,model,score,cost,propensity", *served]) + "\n")
    for block in blocks(ROOT / "docs" / "boards.md", "json"):
        (tmp_path / "card.json").write_text(block)
    env = {**os.environ, "LLMROUTERBENCH_CACHE": str(tmp_path / "cache")}
    for words in commands(page):
        command = [sys.executable, "-m", "llmrouterbench.cli", *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"


@pytest.mark.prove
def test_the_site_is_built_and_its_notebooks_run(tmp_path: Path) -> None:
    """Without a warning: no link leads nowhere, no page is forgotten; every public name is in the reference."""
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*build, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference" / "functions.html").read_text()
    assert [name for name in llmrouterbench.__all__ if f'id="llmrouterbench.{name}"' not in reference] == [
        "__version__"
    ]
    assert "tutorials/own_log" in (tmp_path / "llms.txt").read_text()
    for setting in ("performance-cost", "performance"):
        assert "SIMULATED" in (tmp_path / "reports" / setting / "index.html").read_text()


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            known_later = {"docs/results.md", "docs/benchmarks.md"}
            assert (page.parent / target).exists() or target in known_later, f"{page.name} links to {target}"
