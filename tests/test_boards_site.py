"""The site of a board in a real headless Chromium: quiet, filtered, compared, in light and dark and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from board_worlds import oracle, put, world
from llmrouterbench.boards.folder import init
from llmrouterbench.boards.site import SCRIPTS
from llmrouterbench.boards.standing import Standing
from llmrouterbench.boards.update import update
from llmrouterbench.numerals import accuracy
from test_page import Open, chromium, visit

__all__ = ["chromium", "visit"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Standing, Path]:
    """A board with an open and a closed entry, one that leaks and one that was replaced."""
    table = world(600)
    board = init(tmp_path_factory.mktemp("site") / "board", table, seeds=(1, 2), title="A small board")
    rng = np.random.default_rng(1)
    fixed = rng.integers(0, 4, len(table))
    put(board, "open", {seed: fixed[one.test] for seed, one in board.splits.items()})
    dear = {seed: np.full(len(one.test), 3) for seed, one in board.splits.items()}
    put(board, "closed", dear, code=None, trained_on=["private data"])
    put(board, "old", {seed: one.test % 4 for seed, one in board.splits.items()})
    put(board, "new", {seed: one.test % 3 for seed, one in board.splits.items()}, replaces="old")
    put(board, "leak", {seed: oracle(table, one.test) for seed, one in board.splits.items()})
    return update(board.folder, samples=60), board.folder / "site"


def shown(page: Any) -> list[str]:
    names = page.locator("#board tbody tr:not([hidden]) th bdi").all_inner_texts()
    return [str(name) for name in names]


def test_the_front_page_is_quiet_and_complete(site: tuple[Standing, Path], visit: Open) -> None:
    standing, folder = site
    one = visit(folder / "index.html", wait=False)
    assert one.quiet(), (one.requests, one.complaints)
    assert shown(one.page) == [row.name for row in standing.numbers.rows]
    assert "flagged: labels" in one.text("#board tbody tr:has-text('leak')")
    assert one.page.locator("#plot > svg").count() == 1
    one.page.click("#board a:has-text('leak')")
    one.page.wait_for_selector("#audit table")
    assert "flagged" in one.text("#audit")
    assert one.quiet()


def test_filters_are_kept_in_the_address(site: tuple[Standing, Path], visit: Open) -> None:
    standing, folder = site
    one = visit(folder / "index.html", wait=False)
    for kind in ("reference", "model"):
        one.page.uncheck(f"input[name=kind][value={kind}]")
    assert set(shown(one.page)) == {"open", "closed", "new", "leak"}
    one.page.select_option("#code", "closed")
    assert shown(one.page) == ["closed"]
    again = visit(folder / "index.html", wait=False, part="#code=closed")
    assert "closed" in shown(again.page)
    assert "open" not in shown(again.page)
    one.page.select_option("#code", "")
    one.page.select_option("#trained", "private data")
    assert shown(one.page) == ["closed"]
    one.page.select_option("#trained", "")
    costs = {row.name: row.cost.value for row in standing.numbers.of_kind("router")}
    asked = np.mean([len(one.test) for one in standing.board.splits.values()])
    one.page.fill("#budget", str(1000 * (costs["open"] * 1.0001) / asked))
    assert set(shown(one.page)) == {name for name, usd in costs.items() if usd <= costs["open"] * 1.0001}


def test_any_two_are_compared(site: tuple[Standing, Path], visit: Open) -> None:
    standing, folder = site
    one = visit(folder / "compare.html", wait=False, part="#one=leak&other=closed")
    assert one.text("#verdict").replace("\u2068", "").replace("\u2069", "").startswith("leak is better than closed: +")
    assert accuracy(standing.numbers["leak"].avg_acc.value) in one.text("#pair")
    forth = one.text("#verdict").split(": +")[1].split(" ")[0]
    one.page.select_option("#one", "closed")
    one.page.select_option("#other", "leak")
    assert f"-{forth}" in one.text("#verdict")
    assert one.quiet()


@pytest.mark.parametrize("page", ["index.html", "compare.html", "entries/leak.html", "entries/old.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(site: tuple[Standing, Path], visit: Open, page: str, scheme: str) -> None:
    one = visit(site[1] / page, wait=False, width=360, color_scheme=scheme)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert one.quiet(), one.complaints
    unnamed = "one => !one.labels?.length && !one.textContent.trim()"
    controls = "[...document.querySelectorAll('input,select,button')]"
    assert one.page.evaluate(f"{controls}.filter({unnamed}).length") == 0, "every control has a name"


def test_every_template_has_its_scripts() -> None:
    assert set(SCRIPTS) == {"board.html.j2", "entry.html.j2", "compare.html.j2"}
