"""The site of these pages (`make docs`), and what is made for it: commands from their help, SIMULATED reports."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

from sphinx.application import Sphinx

from llmrouterbench import bench, report, simulate

MADE = Path(__file__).parent / "_made"

project = "LLMRouterBench"
author = copyright = "The LLMRouterBench authors"
version = release = importlib.metadata.version("llmrouterbench")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design", "sphinx_llms_txt"]
exclude_patterns = ["_made/extra", "_made/runs"]
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
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_extra_path = ["_made/extra"]
html_show_sourcelink = False
html_show_sphinx = False


def make(_: Sphinx) -> None:
    """Every command with its options as a page, and the reports of the gallery."""
    typed = [sys.executable, "-m", "typer", "llmrouterbench.cli", "utils", "docs", "--name", "llmrouterbench"]
    said = subprocess.run(typed, check=True, capture_output=True, text=True).stdout
    (MADE / "commands.md").write_text(said.replace("# `llmrouterbench`\n", "# Commands\n", 1), encoding="utf-8")
    for setting in ("performance-cost", "performance"):
        runs = MADE / "runs" / setting
        bench(simulate(setting, scale=0.2), runs, routers=["best_single", "knn", "task_soft", "avengers"], seeds=[42])
        report(runs, MADE / "extra" / "reports" / setting, samples=500)


def as_it_stands(_app: Sphinx, _what: str, _name: str, _it: object, _options: object, lines: list[str]) -> None:
    """Paragraphs of a docstring that are set in columns stay so; the rest is text."""
    paragraphs = "\n".join(lines).split("\n\n")
    columns = [re.search(r"^(\S+ ?\S*  +\S| )", one, flags=re.M) and ">>>" not in one for one in paragraphs]
    kept = [f"::\n\n{indent(one, '    ')}" if set_so else one for one, set_so in zip(paragraphs, columns, strict=True)]
    lines[:] = "\n\n".join(kept).split("\n")


def setup(app: Sphinx) -> None:
    """Called by Sphinx. Commands in notebooks are those of this environment, and write as into a file."""
    (MADE / "extra").mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ.update(PATH=path, TTY_COMPATIBLE="0", NO_COLOR="1", COLUMNS="100")
    app.connect("builder-inited", make)
    app.connect("autodoc-process-docstring", as_it_stands)
