"""The whole report of both settings at paper scale, against the plain leaderboard; and how soon its page is open."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import Row, measure
from llmrouterbench import bench, simulate
from llmrouterbench.routers import REGISTRY
from llmrouterbench.settings import BUILT_IN
from llmrouterbench.store import write_outcomes

RUNS = Path(__file__).resolve().parents[1] / "runs" / "reporting"
"""Kept, so that a bench that was stopped goes on; git ignores it."""
ROUTERS = [name for name, entry in REGISTRY.items() if not entry.needs and name not in ("cascade_routing", "agreement")]
"""The quick ones; without replies these two are another router."""

_WRITE = """
for setting in {settings!r}:
    folder = Path({runs!r}) / setting
    full_report(folder / "runs", Path({out!r}) / setting, data=folder / "outcomes")
"""
_PLAIN = """
for setting in {settings!r}:
    report(Path({runs!r}) / setting / "runs", Path({out!r}) / setting, figures=False)
"""
_SETUP = """
from pathlib import Path
from llmrouterbench.reporting import page
from llmrouterbench.reporting.report import full_report, report
"""
_WITHOUT_PAGE = "page.lacks_jinja2 = lambda: True\n"
_OPEN = """
view.goto({url!r})
view.wait_for_selector({until!r})
"""
_BROWSER = """
from playwright.sync_api import sync_playwright
driver = sync_playwright().start()
view = driver.chromium.launch(executable_path={chromium!r}, args=["--no-sandbox", "--disable-gpu"]).new_page()
view.goto("about:blank")
"""


def rows() -> list[Row]:
    """One row for the report, and one for its page where Chromium is installed."""
    for setting in BUILT_IN:
        _prepared(setting)
    with tempfile.TemporaryDirectory() as name:
        ours, plain = Path(name) / "ours", Path(name) / "plain"
        places = {"settings": BUILT_IN, "runs": str(RUNS)}
        made = measure(_WRITE.format(**places, out=str(ours)), _SETUP)
        leaderboards = measure(_PLAIN.format(**places, out=str(plain)), _SETUP + _WITHOUT_PAGE)
        pages = [ours / setting / "index.html" for setting in BUILT_IN]
        sizes = " and ".join(f"{page.stat().st_size / 1e6:.1f} MB" for page in pages)
        what = f"report of both settings ({len(ROUTERS)} routers, 5 seeds): every table, figure and page ({sizes})"
        found = [Row(what, made, "the leaderboards without figures and page", leaderboards, "under 60 s on 2 cores")]
        return found + _opened(pages)


def _prepared(setting: str) -> None:
    """Outcomes and runs of one setting, unless they are there already."""
    folder = RUNS / setting
    if not (folder / "outcomes").exists():
        write_outcomes(simulate(setting), folder / "outcomes")
    bench(folder / "outcomes", folder / "runs", setting=setting, routers=ROUTERS)


def _opened(pages: list[Path]) -> list[Row]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return []
    setup = _BROWSER.format(chromium=chromium)
    largest = max(pages, key=lambda page: page.stat().st_size)
    numbers = largest.with_name("report.json")
    ours = measure(_OPEN.format(url=largest.as_uri(), until="#list article"), setup, repeat=3)
    theirs = measure(_OPEN.format(url=numbers.as_uri(), until="pre"), setup, repeat=3)
    what = "open the larger page in Chromium, until its queries can be read"
    return [Row(what, ours, "Chromium shows report.json as text", theirs, "under 2 s, under 5 MB")]


if __name__ == "__main__":
    from benchmarks.measure import table

    print(table(rows()))
