"""The site of these pages (`make docs`), and what is made for it: commands from their help, SIMULATED reports."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

from llmrouterbench import bench, simulate
from llmrouterbench.reporting.report import full_report

MADE = Path(__file__).parent / "_made"

project = "LLMRouterBench"
author = copyright = "The LLMRouterBench authors"
version = release = importlib.metadata.version("llmrouterbench")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design", "sphinx_llms_txt"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
autodoc_typehints = "description"
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "LLMRouterBench"
html_extra_path = ["_made/extra"]
html_show_sourcelink = False
html_show_sphinx = False


def make(_: Sphinx) -> None:
    """Every command with its options as a page, and the reports of the gallery."""
    typed = [sys.executable, "-m", "typer", "llmrouterbench.cli", "utils", "docs", "--name", "llmrouterbench"]
    said = subprocess.run(typed, check=True, capture_output=True, text=True).stdout
    (MADE / "commands.md").write_text(said.replace("# `llmrouterbench`\n", "# Commands\n", 1), encoding="utf-8")
    for setting in ("performance-cost", "performance"):
        runs, page = MADE / "runs" / setting, MADE / "extra" / "reports" / setting
        bench(
            simulate(setting, scale=0.3), runs, routers=["best_single", "knn", "task_soft", "avengers"], seeds=[42, 999]
        )
        full_report(runs, page, samples=500)


def setup(app: Sphinx) -> None:
    """Called by Sphinx. Commands in notebooks are those of this environment, and write as into a file."""
    MADE.mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ.update(PATH=path, TTY_COMPATIBLE="0", NO_COLOR="1", COLUMNS="100")
    app.connect("builder-inited", make)
