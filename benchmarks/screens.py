"""`make screens`: what a reader first sees of a report, as the picture at the top of the README. SIMULATED data."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.results import ROOT
from llmrouterbench import bench, report, simulate

PICTURE = ROOT / "docs" / "figures" / "page.png"
ROUTERS = ("best_single", "knn", "task_soft", "avengers_pro")
WIDE, HIGH, COLOURS = 1280, 900, 256


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench(simulate("performance-cost", scale=0.3), folder / "runs", routers=ROUTERS, seeds=[42, 999, 2024])
        report(folder / "runs", figures=False)
        shot = first_screen(folder / "runs" / "report" / "index.html")
    PICTURE.write_bytes(shot)


def first_screen(page: Path) -> bytes:
    """The upper part of a page as PNG with few colours."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        seen = browser.new_page(viewport={"width": WIDE, "height": HIGH})
        seen.goto(page.as_uri())
        seen.wait_for_selector("#plot svg")
        taken = seen.screenshot()
        browser.close()
    out = io.BytesIO()
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS).save(out, format="png", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
