"""The live page: who may see it, that its numbers are those of the commands and of /metrics, and how it looks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from benchmarks.live_page import MODELS, write_log
from typer.testing import CliRunner

from gateways import Running, config_of, running, wait_for
from llmrouterbench.commands import logs  # noqa: F401
from llmrouterbench.commands.app import app
from llmrouterbench.decision_log import read_decisions, read_sides, read_traffic
from llmrouterbench.numerals import interval, number, usd
from llmrouterbench.production import off_policy
from llmrouterbench.production.log_study import saving, study
from llmrouterbench.production.log_summary import LAST, summarize
from llmrouterbench.production.log_words import saving_lines
from llmrouterbench.serve.keys import new_key
from llmrouterbench.serve.live_page.summary import FILE, Summary
from llmrouterbench.stats import Interval
from test_page import CHROMIUM, QUIET, Visit, contrasts
from upstream import Upstream

pytestmark = pytest.mark.slow
NOW = 1.8e9
ADMIN, USER = new_key(), new_key()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SIMULATED log, as the server's own writer leaves it."""
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, 1500, NOW)
    return folder


@pytest.fixture(scope="module")
def summary(log: Path) -> dict[str, Any]:
    return summarize(log, now=NOW)


def section(made: list[dict[str, Any]], title: str) -> dict[str, Any]:
    return next(one for one in made if one["title"] == title)


def test_its_estimates_are_those_of_evaluate_logs(log: Path, summary: dict[str, Any]) -> None:
    command = ["evaluate-logs", str(log), "--last", str(LAST), "--feedback", "thumb", "--json"]
    told = orjson.loads(CliRunner().invoke(app, command).stdout)

    def cell(found: dict[str, float]) -> str:
        return interval(Interval(**found), lambda value: number(value, 3))

    rows = section(summary["sections"], "Against single models")["rows"]
    for row, one in zip(rows, told["policies"], strict=True):
        assert row["policy"] == one["policy"]
        assert row["score, doubly robust"] == cell(one["score"]["doubly_robust"])
        assert row["SNIPS"] == cell(one["score"]["snips"])
    gap = told["saving"]["cost"]
    assert usd(gap["served"], " USD") in summary["headline"][1]
    assert usd(gap["target"], " USD") in summary["headline"][1]
    assert gap["target"] == pytest.approx(
        next(one for one in told["policies"] if one["policy"] == f"always {told['saving']['model']}")["cost"][
            "doubly_robust"
        ]["value"]
    )


def test_its_sums_are_those_of_the_log(log: Path, summary: dict[str, Any]) -> None:
    decisions = read_decisions(log).decisions
    rows = section(summary["sections"], "Who serves")["rows"]
    for row in rows:
        mine = decisions.filter(model=row["model"])
        assert (row["requests"], row["USD"]) == (f"{mine.height:,}", usd(float(mine["cost"].sum())))
    assert {row["model"] for row in rows} == set(decisions["model"].drop_nulls())
    recent = decisions.filter(decisions["time"] >= (NOW // 3600 - 47) * 3600)
    assert sum(hour["requests"] for hour in summary["hours"]) == recent.height
    assert len(summary["hours"]) == 48
    assert read_traffic(log, NOW)["requests"].sum() == decisions.height


def test_the_last_requests_are_the_newest(log: Path) -> None:
    every, last = read_decisions(log), read_decisions(log, 100)
    assert last.decisions.equals(every.decisions.tail(100))
    ids = set(last.decisions["id"])
    assert set(last.models["id"]) == ids
    assert set(last.feedback["id"]) <= ids
    refused = CliRunner().invoke(app, ["evaluate-logs", str(log), "--last", "0"])
    assert refused.exit_code == 2


def test_what_was_saved_is_near_the_truth(log: Path) -> None:
    """The truth is the mean of the dearest model's lognormal price: its 95 % interval holds it."""
    found = saving(study(read_decisions(log), "thumb"))
    assert found is not None
    assert found.cost is not None
    assert found.model == MODELS[0]
    assert found.cost.ratio.low < found.cost.ratio.value < found.cost.ratio.high < 0.0
    truth = found.cost.served - 0.012 * np.exp((0.3**2 + 0.2**2) / 2)
    assert found.cost.difference.low <= truth <= found.cost.difference.high
    assert saving_lines(found)[0].startswith("saved ")


def test_many_decisions_are_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    n = 3000
    logged = off_policy.Logged(rng.integers(2, size=n), np.full((n, 2), 0.5), rng.random(n))
    target, guess = np.tile([1.0, 0.0], (n, 1)), np.full((n, 2), 0.5)
    each = off_policy.evaluate_policy(logged, target, guess)
    monkeypatch.setattr(off_policy, "_MOST", 700)
    some = off_policy.evaluate_policy(logged, target, guess)
    for one, other in ((each.doubly_robust, some.doubly_robust), (each.snips, some.snips), (each.ips, some.ips)):
        assert one.value == other.value
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.12)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with an admin's key, a user's with a budget, a provider that is down, and some requests behind it."""
    keys = [
        {"name": "boss", "sha256": ADMIN[1], "admin": True},
        {"name": "user", "sha256": USER[1], "budget": 1.0, "models": ["gpt-5"]},
    ]
    with ExitStack() as stack:
        good, bad = stack.enter_context(Upstream()), stack.enter_context(Upstream())
        bad.fault = lambda body: "500"
        config = config_of({"good": good.url, "bad": bad.url}, keys=keys)
        server = stack.enter_context(running(config, log=tmp_path_factory.mktemp("served")))
        for model in ("auto", "gpt-5", "glm-4.6"):
            for _ in range(2):
                server.ask(model=model, headers={"authorization": f"Bearer {ADMIN[0]}"})
        server.ask(model="gpt-5", headers={"authorization": f"Bearer {USER[0]}"})
        server.frames(7)
        yield server


def data(server: Running, status: int = 200, **headers: str) -> dict[str, Any]:
    answer = server.http.get(f"{server.root}/dashboard/data", headers=headers)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_its_counts_are_those_of_the_metrics(served: Running) -> None:
    now = data(served)["now"]
    text = served.http.get(f"{served.root}/metrics").text

    def metric(name: str, *labels: str) -> float:
        lines = re.findall(rf"^llmrouterbench_{name}(?:{{(.*)}})? (.*)$", text, re.MULTILINE)
        return sum(float(value) for told, value in lines if all(label in told for label in labels))

    rows = section(now, "Models since the start")["rows"]
    assert {row["model"] for row in rows} >= {"gpt-5", "glm-4.6"}
    for row in rows:
        model = f'model="{row["model"]}"'
        assert row["chosen"] == f"{metric('decisions_total', model):,.0f}"
        assert row["calls that served"] == f"{metric('attempts_total', model, 'ok'):,.0f}"
        assert row["calls that failed"] == f"{metric('attempts_total', model, 'failed'):,.0f}"
        assert row["USD"] == usd(metric("cost_usd_total", model))
    assert section(now, "Since the server started")["lines"][0].startswith(f"{metric('requests_total'):,.0f} requests")
    (budget,) = section(now, "Budgets")["rows"]
    assert (budget["whose"], budget["USD"], budget["of USD"]) == ("key user", "0.00120", "1.00")
    assert {row["breaker"] for row in section(now, "Breakers")["rows"]} <= {"closed", "open: it rests"}


@pytest.mark.prove
def test_the_log_is_read_by_a_process_and_kept_beside_it(served: Running) -> None:
    wait_for(lambda: bool(data(served)["log"]), seconds=120)
    assert served.folder is not None
    kept = orjson.loads((served.folder / FILE).read_bytes())
    assert section(kept["sections"], "Traffic")["lines"][0].startswith("7 requests in the log")
    assert data(served)["log"] == kept


def test_it_is_for_admins_and_this_machine(served: Running) -> None:
    data(served)
    data(served, authorization=f"Bearer {ADMIN[0]}")
    data(served, 403, authorization=f"Bearer {USER[0]}")
    data(served, 401, authorization="Bearer lrb-wrong")
    data(served, 401, **{"x-forwarded-for": "8.8.8.8"})
    data(served, 401, host="evil.example:80")
    data(served, 401, host="[")
    shell = served.http.get(f"{served.root}/dashboard", headers={"host": "evil.example"})
    assert shell.status_code == 200
    assert "gpt-5" not in shell.text
    policy = shell.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_a_server_without_keys_lets_in_its_own_page_alone() -> None:
    with Upstream() as upstream, running(config_of({"a": upstream.url})) as server:
        said = data(server)
        assert (said["log"], said["log_kept"], said["trouble"]) == (None, False, "")
        data(server, 403, host="evil.example")
        own = server.root
        assert server.ask(headers={"origin": own}).status_code == 200
        assert server.ask(headers={"origin": "http://evil.example"}).status_code == 403
        assert server.ask(headers={"origin": "http://evil.example", "host": "evil.example"}).status_code == 403


def test_estimates_are_told_to_who_asks_and_only_of_what_the_key_may_have(served: Running) -> None:
    admin, user = ({"authorization": f"Bearer {key}", "x-router-explain": "yes"} for key in (ADMIN[0], USER[0]))
    told = orjson.loads(served.ask(headers=admin).headers["x-router-estimates"])
    assert told["policy"] == "cheapest --min-quality 0.5"
    assert set(told["models"]) == {"gpt-5", "glm-4.6", "gemini-2.5-flash"}
    assert sum(one["chance"] for one in told["models"].values()) == pytest.approx(1.0)
    assert all(one["cost"] > 0.0 and 0.0 <= one["score"] <= 1.0 for one in told["models"].values())
    assert set(orjson.loads(served.ask(headers=user).headers["x-router-estimates"])["models"]) == {"gpt-5"}
    plain = served.ask(headers={"authorization": f"Bearer {ADMIN[0]}"})
    assert "x-router-estimates" not in plain.headers


@pytest.mark.prove
def test_a_log_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    made = Summary(tmp_path)

    async def tried() -> None:
        assert await made.latest() is None
        while made.reading:
            await asyncio.sleep(0.05)

    asyncio.run(tried())
    assert "must hold a decisions.sqlite" in made.trouble


def test_a_log_without_sides_has_none(log: Path) -> None:
    rows, feedback = read_sides(log)
    assert (rows.height, feedback.height) == (0, 0)


# --- in Chromium -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(served: Running) -> Iterator[Any]:  # after the tests that run an event loop of their own
    sync = pytest.importorskip("playwright.sync_api", reason="the page is driven with playwright")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    wait_for(lambda: bool(data(served)["log"]), seconds=120)
    with sync.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield made
        made.close()


def opened(browser: Any, url: str, width: int = 1280, **settings: Any) -> Visit:
    seen = Visit(browser.new_context(viewport={"width": width, "height": 850}, **settings).new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("console", lambda said: seen.complaints.append(said.text))
    seen.page.goto(url)
    return seen


@pytest.mark.prove
def test_it_opens_and_asks_nobody_else(served: Running, browser: Any) -> None:
    one = opened(browser, f"{served.root}/dashboard")
    one.page.wait_for_selector("#now table")
    assert one.text("#log h2") == "In short"
    assert "7 requests have ended" in one.text("#now") or "requests have ended" in one.text("#now")
    assert one.complaints == []
    assert all(url.startswith((served.root, "data:")) for url in one.requests)


@pytest.mark.prove
def test_a_query_can_be_tried_by_keyboard(served: Running, browser: Any) -> None:
    one = opened(browser, f"{served.root}/dashboard")
    one.page.wait_for_selector("#now table")
    one.page.focus("#query")
    one.page.keyboard.type("What is <b>6</b> times 7?")
    for key in ("Tab", "Tab", "Enter"):
        one.page.keyboard.press(key)
    one.page.wait_for_selector("#admit:not([hidden])")  # the server has keys: this machine may look, and not spend
    one.page.fill("#key", ADMIN[0])
    one.page.keyboard.press("Enter")
    one.page.click("#send")
    one.page.wait_for_selector("#answer pre")
    assert one.text("#answer pre") == "one two three four"
    assert "served, for 0.00120 USD" in one.text("#said")
    assert len(one.page.locator("#answer tbody tr").all()) == 3
    assert len(one.page.locator("#answer tr.chosen").all()) == 1


@pytest.mark.prove
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_and_in_the_dark(served: Running, browser: Any, scheme: str) -> None:
    one = opened(browser, f"{served.root}/dashboard", width=390, color_scheme=scheme, bypass_csp=True)
    one.page.wait_for_selector("#now table")
    assert one.page.evaluate("document.documentElement.scrollWidth") == 390
    assert min(contrasts(one, "main p, main td, main th, main h3, header p")) >= 4.5
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe looks for what keeps people out")
    assert axe.Axe().run(one.page).response["violations"] == []
