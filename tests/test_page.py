"""The page in a real headless Chromium: what a colleague sees who opens it from an e-mail."""

import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.folder import Runs, load_runs
from llmrouterbench.benching.replay import replay
from llmrouterbench.naming import isolated
from llmrouterbench.numerals import UNKNOWN, Show, count, number, usd
from llmrouterbench.reporting.board import Leaderboard
from llmrouterbench.reporting.page import write_page
from llmrouterbench.reporting.page.masking import Texts
from llmrouterbench.reporting.report import full_report
from llmrouterbench.routers.knn import KNN
from llmrouterbench.simulation.simulate import simulate
from llmrouterbench.store import write_outcomes
from llmrouterbench.table import Outcomes

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Visit:
    """An open page, with everything that it asked for or complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def column(self, number: int) -> list[str]:
        """The visible cells of a column of the leaderboard, without their intervals."""
        cells = self.page.locator(f"#board tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()
        return [cell.split("\n")[0] for cell in cells]

    def quiet(self) -> bool:
        return not self.complaints and all(url.startswith(("file:", "data:")) for url in self.requests)


Open = Callable[..., Visit]


@pytest.fixture(scope="module")  # while it is open, playwright's event loop runs: no other module's test could run one
def chromium() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="the page is driven with playwright")
    pytest.importorskip("jinja2", reason="the page needs jinja2")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    contexts = []

    def opened(path: Path, *, wait: bool = True, width: int = 1280, part: str = "", **settings: Any) -> Visit:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 850}, **settings))
        seen = Visit(contexts[-1].new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("console", lambda said: seen.complaints.append(said.text))
        seen.page.goto(path.as_uri() + part)
        if wait:
            seen.page.wait_for_selector("#list article")
        return seen

    yield opened
    for context in contexts:
        context.close()


@dataclass(frozen=True)
class Made:
    """A report on disk and what it was made from."""

    path: Path
    board: Leaderboard
    runs: Runs
    texts: list[str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small SIMULATED bench as `bench` and `report` leave it."""
    folder = tmp_path_factory.mktemp("page")
    outcomes = simulate("performance-cost", scale=0.04)
    write_outcomes(outcomes, folder / "data")
    routers = ["best_single", "knn:k=5", "avengers_pro:k=4"]
    bench(folder / "data", folder / "runs", routers=routers, seeds=[1, 2, 3], jobs=1, cache=folder / "cache")
    board, _ = full_report(folder / "runs", samples=60)
    return Made(folder / "runs/report/index.html", board, load_runs(folder / "runs"), list(outcomes.queries.text))


class Counting(http.server.BaseHTTPRequestHandler):
    """Counts what reaches it."""

    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_opens_alone_and_can_reach_no_network(made: Made, visit: Open) -> None:
    one = visit(made.path)
    assert one.quiet(), (one.requests, one.complaints)
    assert [url for url in one.requests if not url.startswith("data:")] == [made.path.as_uri()]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        tries = """async (address) => {
            const refused = [];
            await fetch(address + "fetch").catch(() => refused.push("fetch"));
            for (const [name, key] of [["img", "src"], ["script", "src"], ["iframe", "src"]]) {
                const made = document.createElement(name);
                made[key] = address + name;
                document.body.append(made);
            }
            await new Promise((go) => setTimeout(go, 300));
            return refused;
        }"""
        assert one.page.evaluate(tries, address) == ["fetch"]
        server.shutdown()
    assert Counting.seen == []
    assert any("Content Security Policy" in said for said in one.complaints), "the policy is what stopped them"


def test_says_simulated_and_the_result_in_words(made: Made, visit: Open) -> None:
    one = visit(made.path)
    assert one.text("header .banner").startswith("SIMULATED")
    for section in ("leaderboard", "pareto", "datasets", "pairs", "queries"):
        assert "SIMULATED" in one.text(f"#{section} h2")
    top = made.board.rows[0]
    assert f"{top.name}" in one.text("#short")
    assert f"{100 * top.avg_acc.value:.1f} % [{100 * top.avg_acc.low:.1f}, {100 * top.avg_acc.high:.1f}]" in one.text(
        "#short"
    )
    single = made.board["knn:k=5"]
    assert single.verdict not in one.text("#board"), "the few columns that a reader needs come first"
    one.page.check("input[value=more]")
    assert single.verdict in one.text("#board")
    assert all(note in one.text("#notes") for note in made.board.notes)
    assert one.page.locator("#figures img").count() >= 6
    broken = "() => [...document.images].filter((one) => !one.complete || !one.naturalWidth).length"
    assert one.page.evaluate(broken) == 0


def test_leaderboard_sorts(made: Made, visit: Open) -> None:
    one = visit(made.path)
    names = [row.name for row in made.board.rows]
    assert one.column(1) == names, "the order of the leaderboard: routers, references, models"
    one.page.click("#board th >> text=AvgAcc, %")
    down = [float(cell) for cell in one.column(3)]
    assert down == sorted(down, reverse=True)
    assert one.page.get_attribute("#board thead tr:last-child th:nth-child(3)", "aria-sort") == "descending"
    best = max(made.board.rows, key=lambda row: row.avg_acc.value)
    assert one.column(1)[0] == best.name
    one.page.click("#board th >> text=AvgAcc, %")
    assert [float(cell) for cell in one.column(3)] == sorted(down)
    one.page.click("#board th >> text=AvgAcc, %")
    assert one.column(1) == names
    one.page.click("#board th >> text=CostSave, %")
    heads = [head.split("\n")[0] for head in one.page.locator("#board thead tr:last-child th").all_inner_texts()]
    saved = one.column(next(at for at, head in enumerate(heads, 1) if head.startswith("CostSave,")))
    known = [cell for cell in saved if cell not in ("none", "–")]
    assert saved[: len(known)] == known, "a cell without a number comes last"
    assert [float(cell) for cell in known] == sorted(map(float, known), reverse=True)
    one.page.click("#board th >> text=Name")
    assert one.column(1) == sorted(names, key=str.casefold)


def test_leaderboard_filters(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.fill("#filter", "KNN")
    assert one.column(1) == ["knn:k=5"]
    assert one.text("#count") == f"1 of {len(made.board.rows)} rows"
    one.page.fill("#filter", "")
    one.page.uncheck("input[value=model]")
    one.page.uncheck("input[value=reference]")
    assert one.column(1) == [row.name for row in made.board.of_kind("router")]
    hindsight = one.page.locator("#board th.hindsight").first
    assert not hindsight.is_visible(), "numbers in hindsight do not come first"
    one.page.check("input[value=hindsight]")
    assert hindsight.inner_text() == "Trade-offs in hindsight, points chosen on test as in the paper"


def place_of(one: Visit, selector: str) -> tuple[float, float]:
    one.page.locator(selector).first.scroll_into_view_if_needed()
    box = one.page.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_plot_is_read_by_pointer_and_by_keys(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.mouse.move(*place_of(one, "#plot circle.model"))
    assert one.page.is_visible("#tip")
    name = one.page.inner_text("#tip strong").strip()
    row = made.board[name]
    assert f"AvgAcc {100 * row.avg_acc.value:.2f} %" in one.text("#tip")
    assert f"[{100 * row.avg_acc.low:.1f}, {100 * row.avg_acc.high:.1f}]" in one.text("#tip")
    assert name in one.text("#plot-said")
    one.page.focus("#plot")
    read = set()
    for _ in range(20):
        one.page.keyboard.press("ArrowRight")
        read.add(one.page.inner_text("#tip strong").strip())
    priced = {point.name for point in made.board.points}
    assert read == priced, "every single model and router is reached"
    before = one.page.locator("#plot .swept").count()
    one.page.uncheck("#legend label:has-text('avengers_pro') input")
    assert one.page.locator("#plot .swept").count() == before - 1
    marks = one.page.locator("#plot circle.model").count()
    one.page.check("#zoom")
    assert one.page.locator("#plot circle.model").count() == marks
    assert one.quiet()


def test_heat_map_and_matrix_are_read_cell_by_cell(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.focus("#heat td[tabindex='0']")
    one.page.keyboard.press("ArrowDown")
    one.page.keyboard.press("ArrowRight")
    row, dataset = made.board.rows[1], made.board.datasets[1]
    assert one.text("#heat-said").startswith(
        f"\u2068{row.name}\u2069 on \u2068{dataset}\u2069: {100 * row.accuracy[1]:.1f} %"
    )
    assert one.page.evaluate("document.activeElement.cellIndex") == 2
    one.page.hover("#differences tbody tr:nth-child(1) td:nth-child(3)")
    assert re.search(
        r"minus .* points .*, corrected p .*: (better|worse|not distinguishable|the same)",
        one.text("#differences-said"),
    )
    one.page.check("input[value=by-difference]")
    assert "by-difference" in one.page.get_attribute("#heat", "class")


def expected_choices(runs: Runs, row: int) -> dict[str, tuple[set[str], float, float]]:
    """Models, mean score and mean cost of every router on a query, straight from the stored decisions."""
    chosen, found = replay(runs, runs.outcomes).chosen, {}
    for router, points in chosen.items():
        served = []
        for seed, point in zip(runs.seeds, points, strict=True):
            part = runs.decisions[router, seed].parts["test"]
            at = np.flatnonzero((part.point == point) & (part.rows[part.query] == row))
            served += part.model[at].tolist()
        score, cost = (np.mean(plane[row, served]) for plane in (runs.outcomes.score, runs.outcomes.cost))
        found[router] = ({runs.outcomes.models[model] for model in served}, float(score), float(cost))
    return found


def test_a_query_opens_and_says_who_was_chosen_at_what_cost(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.select_option("#dataset", label="simpleqa")
    outcomes = made.runs.outcomes
    for place in (0, 3):
        entry = one.page.locator("#list article").nth(place)
        entry.locator("button").click()
        row = outcomes.queries.id.tolist().index(entry.locator(".opened p bdi").inner_text())
        assert entry.locator("pre").inner_text() == made.texts[row]
        models, routers = entry.locator("table").all()
        solved = int((outcomes.score[row] >= 0.5).sum())
        assert f"{solved} of {len(outcomes.models)} models right" in entry.locator("button").inner_text()
        assert models.locator(".yes").count() == solved
        for router, (names, score, cost) in expected_choices(made.runs, row).items():
            cells = routers.locator(f"tr:has(th:has-text('{router}')) td").all_inner_texts()
            assert all(name in cells[0] for name in names)
            assert cells[1].startswith("right" if score >= 0.5 else "wrong")
            assert float(cells[2]) == pytest.approx(cost, rel=0.01)
    entry.locator("button").first.press("Enter")
    assert entry.locator(".opened").count() == 0, "it closes by key"
    assert one.quiet()


def test_queries_are_filtered_and_searched(made: Made, visit: Open) -> None:
    one = visit(made.path)
    outcomes = made.runs.outcomes
    tested = np.unique(np.concatenate([split.test for split in made.runs.splits.values()]))
    nobody = int(((outcomes.score[tested] >= 0.5).sum(axis=1) == 0).sum())
    one.page.select_option("#which", "none")
    assert one.text("#found") == f"{nobody} of {len(tested)} queries"
    one.page.select_option("#which", "lost")
    one.page.select_option("#router", label="best_single")
    assert one.page.locator("#list article .no").count() == one.page.locator("#list article").count() > 0
    one.page.select_option("#which", "all")
    one.page.fill("#search", outcomes.queries.id[tested[0]])
    assert one.page.locator("#list article").count() >= 1
    one.page.fill("#search", "no query says this")
    assert one.text("#found").startswith("0 of")
    one.page.fill("#search", "")
    one.page.click("#next")
    assert one.text("#page-number").startswith("page 2 of")


def test_items_that_may_not_be_shown_are_masked(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.select_option("#dataset", label="gpqa")
    one.page.click("#list article button")
    assert "may not be shown" in one.text("#list article button")
    assert "The text is not in this file" in one.text("#list article .opened")
    assert one.page.locator("#list article pre").count() == 0
    assert "Items of gpqa, hle may not be shown" in one.text("#queries")


def contrasts(one: Visit, selector: str) -> list[float]:
    """Contrast of text on its own background, as WCAG counts it, of every element of a kind."""
    script = """(selector) => {
        const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const light = (colour) => {
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1);
            const part = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
            const [r, g, b] = part.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const page = getComputedStyle(document.body).backgroundColor;
        return [...document.querySelectorAll(selector)].map((element) => {
            const style = getComputedStyle(element);
            const under = /, 0\\)$|transparent/.test(style.backgroundColor) ? page : style.backgroundColor;
            const [a, b] = [light(style.color), light(under)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
    }"""
    found: list[float] = one.page.evaluate(script, selector)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(made: Made, visit: Open, scheme: str) -> None:
    one = visit(made.path, color_scheme=scheme)
    shade = "getComputedStyle(document.body).backgroundColor"
    dark = {"dark": "rgb(20, 23, 28)", "light": "rgb(255, 255, 255)"}
    assert one.page.evaluate(shade) == dark[scheme]
    for shades in ("by-accuracy", "by-difference"):
        one.page.check(f"input[value={shades}]")
        assert min(contrasts(one, "#heat tbody td")) >= 4.5
    assert min(contrasts(one, "p, li, #board td, #differences td:not(.self), .fact, .yes, .no, .mark")) >= 4.5
    one.page.click("#theme")
    other = "light" if scheme == "dark" else "dark"
    assert one.page.evaluate(shade) == dark[other]
    assert one.text("#theme") == scheme.title()


def test_a_phone_shows_it_without_sideways_scrolling(made: Made, visit: Open) -> None:
    one = visit(made.path, width=360, has_touch=True, is_mobile=True)
    one.page.tap("#list article button")
    assert one.page.is_visible("#list article pre")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 360
    clipped = """() => [...document.querySelectorAll("p, h1, h2, li, label, .fact")].filter(
        (one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, nav")).length"""
    assert one.page.evaluate(clipped) == 0
    assert one.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 15
    one.page.locator("#pareto").scroll_into_view_if_needed()
    assert one.page.locator("#plot > svg").bounding_box()["width"] <= 360
    one.page.tap("#heat tbody td")
    assert "95 % interval" in one.text("#heat-said")


def test_print_shows_whole_tables_and_no_controls(made: Made, visit: Open) -> None:
    one = visit(made.path, width=1040, color_scheme="dark")
    one.page.emulate_media(media="print", color_scheme="dark")
    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not one.page.is_visible("nav")
    assert not one.page.is_visible("#filter")
    assert not one.page.is_visible("#lose")
    cut = """() => [...document.querySelectorAll(".scroll")].filter(
        (one) => getComputedStyle(one).overflowY !== "visible" || one.scrollWidth > innerWidth).length"""
    assert one.page.evaluate(cut) == 0
    assert one.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_the_first_key_skips_to_the_result_and_heads_sort_by_key(made: Made, visit: Open) -> None:
    one = visit(made.path)
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.className") == "skip"
    one.page.keyboard.press("Enter")
    one.page.wait_for_url("**#verdict")
    one.page.focus("#board th:nth-child(3) button")
    one.page.keyboard.press("Enter")
    down = [float(cell) for cell in one.column(3)]
    assert down == sorted(down, reverse=True)
    lacking = """() => [...document.querySelectorAll("input, select, button")].filter(
        (one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length"""
    assert one.page.evaluate(lacking) == 0, "every control has a name"


def test_the_slider_moves_the_offer_the_mark_and_the_address(made: Made, visit: Open) -> None:
    one = visit(made.path)
    assert made.board.verdict is not None
    stops = made.board.verdict.offers
    seen = []
    one.page.focus("#lose")
    one.page.keyboard.press("Home")
    for stop in stops:
        seen.append(one.page.get_attribute("#plot .offered", "cx"))
        assert one.text("#offer-run") == isolated(stop.name) + (" alone" if stop.kind == "model" else "")
        assert one.text("#offer-usd").startswith(usd(stop.usd.value))
        one.page.keyboard.press("ArrowRight")
    assert len(set(seen)) == len({(stop.bill.value, stop.avg_acc.value) for stop in stops})
    assert one.page.evaluate("location.hash") == "#lose=10"
    assert visit(made.path, part="#lose=10").text("#lose-said") == "up to 10 points of AvgAcc"


def test_without_javascript_the_tables_are_there(made: Made, visit: Open) -> None:
    one = visit(made.path, wait=False, java_script_enabled=False)
    assert "JavaScript is off" in one.text("noscript")
    assert made.board.rows[0].name in one.text("#board tbody")
    assert not one.page.is_visible("#filter")


HOSTILE = (
    "<script>window.broken=1</script>",
    "</script><img src=x onerror=window.broken=1>",
    "מודל \u202eabc",
    "a\"b'c&amp;",
    "${1}{{2}}",
)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs]:
    """500 models with names that try to break a page, a dataset of one query, scores that are all equal."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    models = [*HOSTILE, *(f"model-{i}" for i in range(495))]
    names = ["<b>plain</b>"] * 30 + ["one\u202e query"] + ["equal"] * 20
    score = np.vstack([rng.integers(0, 2, (31, 500)), np.ones((20, 500))]).astype(float)
    score[3, :7] = np.nan
    text = [f"{HOSTILE[i % 5]} שאלה {i}" for i in range(51)]
    outcomes = Outcomes.of(text, models, score, dataset=names, cost=np.full((51, 500), 0.01))
    routers = {name: KNN(k=3) for name in HOSTILE}
    runs = bench(outcomes, folder / "runs", routers=routers, seeds=[1], split="paper", jobs=1, cache=folder / "cache")
    return folder, runs


def page_of(folder: Path, runs: Runs, texts: Texts) -> Path:
    from llmrouterbench.reporting.leaderboard import leaderboard

    write_page(runs, leaderboard(runs, samples=20), None, folder / "index.html", texts=texts, samples=20)
    return folder / "index.html"


def test_hostile_names_are_shown_as_they_are(hostile: tuple[Path, Runs], visit: Open) -> None:
    folder, runs = hostile
    outcomes = runs.outcomes
    text = [f"{HOSTILE[i % 5]} שאלה {i}" for i in range(51)]
    one = visit(page_of(folder, runs, Texts(text)))
    assert one.page.evaluate("window.broken") is None
    assert one.quiet(), one.complaints
    assert one.page.locator("#board tbody tr[data-kind=model]").count() == 500
    shown = one.page.locator("#board tbody th bdi").all_text_contents()
    assert set(HOSTILE) <= set(shown)
    assert "The 60 most accurate of 500 models" in one.text("#datasets")
    one.page.fill("#filter", "<script>")
    assert set(one.column(1)) == {HOSTILE[0]}
    one.page.mouse.move(*place_of(one, "#plot circle.model"))
    row = int(np.flatnonzero(outcomes.dataset == "one\u202e query")[0])
    option = one.page.locator("#dataset option").all_text_contents()
    if row in runs.splits[1].test:
        assert "one\u202e query" in option
    one.page.click("#list article button")
    assert one.page.locator("#list pre").inner_text() in text
    assert one.page.locator("#list table").first.locator("tbody tr").count() == 500
    assert one.page.evaluate("window.broken") is None
    assert one.quiet(), one.complaints
    phone = visit(folder / "index.html", width=360)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360, "long names are broken, not the page"


def test_equal_scores_no_costs_and_one_router_make_a_whole_page(tmp_path: Path, visit: Open) -> None:
    outcomes = Outcomes.of([f"query {i}" for i in range(12)], ["a", "b"], np.ones((12, 2)))
    runs = bench(outcomes, tmp_path / "runs", routers=["best_single"], seeds=[1], jobs=1, cache=tmp_path / "cache")
    one = visit(page_of(tmp_path, runs, Texts(None, "Query texts were left out on request.")))
    assert one.quiet(), one.complaints
    assert one.page.locator("#pareto, #pairs, #figures").count() == 0
    assert "NaN" not in one.text("body")
    assert "SIMULATED" not in one.text("body")
    assert "It holds no query text. Query texts were left out on request." in one.text("#queries")
    assert "Cost" not in one.text("#board thead")
    one.page.click("#list article button")
    assert "This page holds no query texts" in one.text("#list article .opened")


def test_equal_costs_draw_a_plot(tmp_path: Path, visit: Open) -> None:
    outcomes = Outcomes.of([f"query {i}" for i in range(12)], ["a", "b"], np.ones((12, 2)), cost=np.zeros((12, 2)))
    routers = ["best_single", "knn:k=1"]
    runs = bench(outcomes, tmp_path / "runs", routers=routers, seeds=[1], jobs=1, cache=tmp_path / "cache")
    one = visit(page_of(tmp_path, replace(runs), Texts(None)))
    assert one.quiet(), one.complaints
    assert "NaN" not in one.page.inner_html("#plot")
    assert one.page.locator("#plot circle.model").count() == 2


def test_numbers_that_the_page_works_out_are_written_as_everywhere(visit: Open, made: Made) -> None:
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, 0.9996, 1234.5678, *(rng.random(300) * 10.0 ** rng.integers(-9, 6, 300)).tolist()]
    page = visit(made.path).page
    values += [-value for value in values]
    forms: dict[str, Show] = {"usd(x)": usd, "number(x, 2)": number, "number(x, 0)": count}
    for name, form in forms.items():
        assert page.evaluate(f"(values) => values.map((x) => {name})", values) == [form(value) for value in values]
    assert page.evaluate("[NaN, Infinity, undefined].map((x) => usd(x))") == [UNKNOWN] * 3
