"""The public functions: what users do by command they can do by import, with folders or values, and it prints well."""

from __future__ import annotations

import inspect
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

import llmrouterbench as lrb
import llmrouterbench.cli  # its commands join the app
from gateways import config_of
from llmrouterbench import api
from llmrouterbench.benching.rules import Rules
from llmrouterbench.collecting.config import read_config
from llmrouterbench.commands.app import app
from llmrouterbench.settings import PAPER_SEEDS
from llmrouterbench.shown import Facts, Shown, shown
from llmrouterbench.studies.stress import Stress
from provider import Provider

ROOT = Path(__file__).resolve().parents[1]

DOORS = {
    "add-model": "add_model",
    "advise": "advise",
    "bench": "bench",
    "collect run": "collect",
    "collect resume": "collect",
    "compare-live": "compare_live",
    "curate": "curate",
    "drift": "drift",
    "drop-model": "drop_model",
    "evaluate-logs": "evaluate_logs",
    "export": "export",
    "export-policy": "export_policy",
    "export-table": "export_table",
    "fetch": "fetch",
    "fit": "fit",
    "import": "import_outcomes",
    "info": "info",
    "judge-choices": "judge_choices",
    "policies": "policies",
    "refit": "refit",
    "report": "report",
    "robustness": "robustness",
    "route": "FittedRouter",
    "routers": "router_names",
    "run": "run",
    "score": "score",
    "serve": "make_app",
    "settings": "load_setting",
    "simulate": "simulate",
    "split": "make_split",
}
"""Command -> the public name that does it."""

REASONS = {
    "chat": "a talk with a person at a terminal; `make_app` answers programs",
    "board check": "tends a folder of submissions; boards.submission.check",
    "board init": "makes a folder for others to submit to; boards.folder.init",
    "board submit": "writes a folder for a pull request; boards.submission.submit",
    "board update": "computes a folder of submissions again; boards.update.update",
    "cache export": "tends a store of paid replies; calling.cache.open_cache opens it",
    "cache import": "tends a store of paid replies; calling.cache.open_cache opens it",
    "cache prune": "tends a store of paid replies; calling.cache.open_cache opens it",
    "cache stats": "tends a store of paid replies; calling.cache.open_cache opens it",
    "collect release": "writes files for others; collecting.replies_release.write_replies_release",
    "collect reprice": "mends stored replies; collecting.pricing.reprice does it",
    "collect status": "watches a collection of another process; `collect` says the same of its own",
    "datasets": "datasets.dataset_names and datasets.dataset, where the datasets are",
    "demo": "is `simulate`, `bench` and `report` in a row",
    "keys change": "tends what lies in the state of servers; serve.managed_keys.read_managed reads it",
    "keys list": "tends what lies in the state of servers; serve.managed_keys.read_managed reads it",
    "keys make": "tends what lies in the state of servers; serve.managed_keys.read_managed reads it",
    "keys revoke": "tends what lies in the state of servers; serve.managed_keys.read_managed reads it",
    "keys team": "tends what lies in the state of servers; serve.managed_keys.read_managed reads it",
    "new-key": "is for the operator of a server; serve.keys.new_key",
    "preferences": "battles are no outcomes; studies.preferences.preferences of importers.battles.read_battles",
    "plugins": "says what is installed; nothing can be made of it",
    "schema": "is for editors; strict.json_schema of the class that reads a config",
}
"""Command -> why it has no public name of its own."""

NO_EXAMPLE = {
    "collect": "needs a provider; tested here",
    "compare_live": "needs the log of a server; tested in test_split_traffic.py",
    "drift": "needs the log of a server; tested here",
    "evaluate_logs": "needs the log of a server; tested here",
    "fetch": "downloads 1.3 GB; tested in test_fetch.py with a small bundle",
    "make_app": "needs a provider; tested here",
    "refit": "needs the log of a server; tested in test_refitting.py",
    "run": "needs a provider; tested here",
}
"""Public function -> why there is no example of it that runs."""

FUNCTIONS = [name for name in lrb.__all__ if inspect.isfunction(getattr(lrb, name))]


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of the command line by its words."""
    top: Any = group or get_command(app)
    for name, command in top.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_has_its_door_or_a_reason() -> None:
    assert sorted([*DOORS, *REASONS]) == sorted(name for name, _ in commands())
    assert set(DOORS.values()) <= set(lrb.__all__)
    for why in REASONS.values():
        for place in re.findall(r"\b([a-z_]+(?:\.[a-z_]+)+)\b", why):
            module, _, name = place.rpartition(".")
            assert callable(getattr(import_module(f"llmrouterbench.{module}"), name))


def test_a_door_and_its_command_agree_on_defaults() -> None:
    found = dict(commands())
    compared = 0
    for words, door in DOORS.items():
        parameters = inspect.signature(getattr(lrb, door)).parameters
        defaults = {name: one.default for name, one in parameters.items()}
        if "rules" in parameters:
            defaults |= {name: field.default for name, field in Rules.model_fields.items()}
        for option in found[words].params:
            name = option.name
            if defaults.get(name, inspect.Parameter.empty) is inspect.Parameter.empty or option.required:
                continue
            assert plain(defaults[name]) == plain(option.default), (words, name)
            compared += 1
    assert compared > 60


def plain(default: Any) -> str:
    """A default as the command line would spell it; nothing is None, "", no and an empty list."""
    if default == PAPER_SEEDS:
        return "paper"
    return ",".join(map(str, default)) if isinstance(default, tuple | list) else str(default or "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_door_is_typed_and_documented(name: str) -> None:
    function = getattr(lrb, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())
    text = inspect.getdoc(function) or ""
    assert len(text.splitlines()[0]) > 20
    assert "Raises" in text or name in ("router_names", "drop_model"), "what goes wrong, and how it is called"
    shown_there = any(re.search(rf"(?<![\w.]){name}\(|lrb\.{name}\(", block) for block in blocks())
    assert (">>>" in text or shown_there) == (name not in NO_EXAMPLE)


def blocks() -> list[str]:
    """The Python of the pages, which test_docs.py runs."""
    texts = [page.read_text("utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    return [block for text in texts for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def test_the_front_loads_nothing() -> None:
    code = (
        "before = set(sys.modules); import llmrouterbench; dir(llmrouterbench); llmrouterbench.__version__\n"
        "print(sorted(set(sys.modules) - before - set(sys.stdlib_module_names)))"
    )
    said = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    loaded = [name for name in eval(said) if name.partition(".")[0] not in sys.stdlib_module_names]
    assert loaded == ["llmrouterbench", "llmrouterbench.moved", "llmrouterbench.version"]


def test_neither_the_commands_nor_the_server_load_what_they_may_never_need() -> None:
    heavy = {"polars", "pandas", "scipy", "sklearn", "matplotlib", "torch", "jinja2"}
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import llmrouterbench.cli, llmrouterbench.serve.running, llmrouterbench.production.fitted_store\n"
        f"print(sorted({heavy!r} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_star_takes_every_public_name() -> None:
    names: dict[str, Any] = {}
    exec("from llmrouterbench import *", names)
    assert set(lrb.__all__) <= set(names)


def test_what_nobody_makes_or_takes_is_found_with_a_warning() -> None:
    assert "Run" not in dir(lrb)
    with pytest.warns(DeprecationWarning, match="llmrouterbench.Run is no public name any more"):
        assert inspect.isclass(lrb.Run)


def test_pages_teach_no_private_name() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").iterdir()]
    taught = [
        f"{page.name}: {found[0]}"
        for page in pages
        if page.is_file()
        for found in re.finditer(
            r"(?:from|import) llmrouterbench[\w.]*\._\w+|import _\w+|`[\w.]*\w\._[a-z]\w*", page.read_text("utf-8")
        )
    ]
    assert taught == []


# What the doors do


@pytest.fixture(scope="module")
def outcomes() -> lrb.Outcomes:
    return lrb.simulate("performance-cost", scale=0.01)


@pytest.fixture(scope="module")
def folder(outcomes: lrb.Outcomes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doors") / "outcomes"
    lrb.save_outcomes(outcomes, path)
    return path


@pytest.fixture(scope="module")
def runs(folder: Path) -> Path:
    lrb.bench(folder, folder.parent / "runs", routers=["best_single", "knn"], seeds=[1], jobs=1)
    return folder.parent / "runs"


@pytest.fixture(scope="module")
def fitted(outcomes: lrb.Outcomes) -> lrb.FittedRouter:
    return lrb.fit(outcomes, router="knn")


def check_text(value: object) -> None:
    """A value prints short and says what it knows."""
    text = repr(value)
    assert len(text) < 10_000
    assert len(text.splitlines()) < 150
    assert not re.search(r"\bnan\b|\binf\b|-0\.0+\b|array\(|dtype=| object at 0x", text), text


def test_folders_and_values_give_the_same(outcomes: lrb.Outcomes, folder: Path, runs: Path) -> None:
    for make in (lrb.info, lambda given: lrb.curate(given, samples=10), lambda given: lrb.advise(given, quick=True)):
        one, other, third = make(outcomes), make(folder), make(str(folder))
        assert repr(one) == repr(other) == repr(third)
    loaded = lrb.bench(folder, runs, routers=["best_single", "knn"], seeds=[1], jobs=1)
    assert repr(lrb.compare(loaded, runs, samples=10)) == repr(lrb.compare(runs, loaded, samples=10))
    assert repr(lrb.robustness(loaded, samples=10)) == repr(lrb.robustness(str(runs), samples=10))


def test_a_setting_is_a_name_or_a_value(outcomes: lrb.Outcomes, folder: Path) -> None:
    by_name, by_value = (
        lrb.info(folder, setting=one) for one in ("performance-cost", lrb.load_setting("performance-cost"))
    )
    assert repr(by_name) == repr(by_value)
    assert by_name["setting"] == "performance-cost"


def test_robustness_is_that_of_the_command(folder: Path) -> None:
    found = lrb.robustness(folder, router="knn:k=5", seeds=[1], jobs=1, samples=10)
    assert isinstance(found, Stress)
    with pytest.raises(ValueError, match="domains need a setting"):
        lrb.robustness(folder, domains=True)


def test_a_split_goes_through_a_file(outcomes: lrb.Outcomes, tmp_path: Path) -> None:
    split = lrb.make_split(outcomes, 42)
    lrb.save_split(split, outcomes, str(tmp_path / "split.json"))
    assert lrb.load_split(str(tmp_path / "split.json"), outcomes).hash == split.hash
    assert repr(split).startswith("Split(")
    ways: dict[str, Any] = {"a": split, "b": tmp_path / "split.json", "c": str(tmp_path / "split.json")}
    files = [lrb.export(outcomes, "avengers", tmp_path / name, split=way)["files"] for name, way in ways.items()]
    assert files[0] == files[1] == files[2]


def test_a_fitted_router_is_a_value_or_its_folder(
    fitted: lrb.FittedRouter, outcomes: lrb.Outcomes, folder: Path, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "router")
    promised = [lrb.policies(given, ["best"]) for given in (fitted, tmp_path / "router", str(tmp_path / "router"))]
    assert repr(promised[0]) == repr(promised[1]) == repr(promised[2])
    smaller = lrb.drop_model(tmp_path / "router", fitted.models[:1])
    assert smaller.models == fitted.models[1:]
    made = lrb.export_policy(fitted, folder)
    assert made.held_out > 0
    for value in (fitted, promised[0], lrb.policies(fitted), made, smaller):
        check_text(value)


def test_a_new_model_joins(outcomes: lrb.Outcomes) -> None:
    names = outcomes.models
    grown, joined = lrb.add_model(lrb.fit(outcomes.select(names[1:]), router="knn"), outcomes)
    assert grown.models == (*names[1:], names[0])
    assert joined[0].model == names[0]


def test_what_doors_give_prints_well(outcomes: lrb.Outcomes, folder: Path, runs: Path, tmp_path: Path) -> None:
    loaded = lrb.bench(folder, runs, routers=["best_single", "knn"], seeds=[1], jobs=1)
    router = lrb.make_router("best_single").fit(outcomes)
    values = [
        outcomes, outcomes.queries, router.predict(outcomes.queries), lrb.make_split(outcomes, 1), loaded,
        lrb.report(runs, samples=20), lrb.compare(runs, runs, samples=20), lrb.info(outcomes),
        lrb.curate(outcomes, samples=20), lrb.advise(outcomes, quick=True), lrb.robustness(runs, samples=20),
        lrb.robustness(outcomes, router="knn:k=5", seeds=[1], jobs=1, samples=20),
        lrb.export(outcomes, "avengers", tmp_path / "files"), lrb.load_setting("performance"),
    ]  # fmt: skip
    for value in values:
        check_text(value)


def right(prompt: str) -> str:
    first, second = prompt.removeprefix("What is ").partition("?")[0].split(" + ")
    return f"Answer: {int(first) + int(second)}"


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Path]:
    """A config of two models on a provider here, and its own dataset."""
    rows = "".join(f"What is {i} + {i % 7}?,{i + i % 7}\n" for i in range(30))
    (tmp_path / "sums.csv").write_text("question,answer\n" + rows)
    described = {
        "name": "sums", "file": "sums.csv", "columns": {"query": "question", "target": "answer"},
        "prompt": "{query}", "scorer": "number",
    }  # fmt: skip
    (tmp_path / "sums.yaml").write_text(yaml.safe_dump(described))
    with Provider(reply=right) as good, Provider(reply=lambda prompt: "Answer: 7") as poor:
        raw = {
            "out": "replies",
            "outcomes": "outcomes",
            "endpoints": {"good": {"url": good.url}, "poor": {"url": poor.url}},
            "models": [
                {"name": name, "endpoint": name, "price": {"input": 1, "output": 2}} for name in ("good", "poor")
            ],
            "datasets": [{"name": "sums.yaml"}],
            "bench": {"out": "runs", "routers": ["best_single", "knn"], "seeds": [1]},
            "report": {"samples": 20, "figures": False},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(raw))
        yield tmp_path


def test_from_questions_to_a_leaderboard(chain: Path) -> None:
    config = read_config(chain / "run.yaml")
    first = lrb.collect(config)
    assert first.complete
    for again in (lrb.collect(str(chain / "run.yaml")), lrb.collect(chain / "replies")):  # nothing is left to ask
        assert [model.calls for model in again.models] == [0, 0]
    report = lrb.score(chain / "replies", chain / "scored")
    outcomes = lrb.load_outcomes(chain / "scored")
    assert outcomes.score.mean(axis=0).tolist() == [1.0, pytest.approx(1 / 30, abs=0.04)]
    paper = lrb.score(chain / "replies", chain / "paper", config=config, protocol="paper", compat="official")
    for value in (first, report, paper):
        check_text(value)


def test_the_whole_chain(chain: Path) -> None:
    done = lrb.run(chain / "run.yaml", jobs=1)
    assert [stage.skipped for stage in done.stages] == [False] * 4
    assert done.board is not None
    assert done.board["knn"].avg_acc.value > 0.5
    again = lrb.run(read_config(chain / "run.yaml"), jobs=1)
    assert [stage.skipped for stage in again.stages] == [True] * 4
    assert (again.board, again.collected) == (None, None)
    for value in (done, again):
        check_text(value)


def test_the_server_is_an_application_and_its_log_a_source(fitted: lrb.FittedRouter, tmp_path: Path) -> None:
    """Served by uvicorn as any application is; the log is whole when it has ended."""
    with Provider() as one:
        config = config_of({"here": one.url})
        config["models"] = [
            {"name": name, "provider": "here", "price": {"input": 1.0, "output": 2.0}} for name in fitted.models
        ]
        served = lrb.make_app(
            fitted, config, policy="best --explore 0.5", log=tmp_path / "log", log_text=True, request_lines=False
        )
        server = uvicorn.Server(uvicorn.Config(served, log_config=None, ws="none", lifespan="on"))
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.01)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
            for i in range(40):
                body = {"model": "auto", "messages": [{"role": "user", "content": f"What is {i} times 7?"}]}
                answer = httpx2.post(f"{url}/chat/completions", json=body, timeout=60)
                assert answer.status_code == 200
                fed = {"decision": answer.headers["x-router-decision"], "score": i % 2}
                assert httpx2.post(f"{url}/feedback", json=fed, timeout=60).status_code == 200
            server.should_exit = True
            thread.join()
    fitted.save(tmp_path / "router")
    values = [
        lrb.evaluate_logs(tmp_path / "log", router=given, policy=["best"]) for given in (fitted, tmp_path / "router")
    ]
    assert isinstance(values[0], api.LogValues)
    assert values[0].requests + sum(values[0].left_out.values()) == 40
    assert repr(values[0]) == repr(values[1])
    moved = [lrb.drift(str(tmp_path / "log"), given) for given in (fitted, tmp_path / "router")]
    assert repr(moved[0]) == repr(moved[1])
    assert moved[0].requests == values[0].requests
    for value in (values[0], lrb.evaluate_logs(tmp_path / "log"), moved[0]):
        check_text(value)


# How values print


def test_any_value_is_short_text() -> None:
    rows = {f"model {i}": {"score": np.nan if i else -0.0, "who": "x" * 300} for i in range(50)}
    facts = Facts(rows=rows, nothing=[], none=None, yes=True, many=list(range(100)), plane=np.zeros((3, 2)), tiny=-1e-9)
    check_text(facts)
    lines = repr(facts).splitlines()
    assert lines[0] == "rows"
    assert lines[2].split()[:3] == ["model", "0", "0.00"]
    assert "and 30 more" in repr(facts)
    assert lines[-6:] == [
        "nothing  none", "none     none", "yes      yes", "many     0, 1, 2, 3, 4, 5, 6, 7 and 92 more",
        "plane    float64 (3, 2)", "tiny     -0.00000000100",
    ]  # fmt: skip
    assert issubclass(api.Chain, Shown)
    assert shown(Facts()) == ""


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="xyz \n\x1b")


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abcdef"), inner)))
def test_what_is_not_known_is_said_so_and_no_text_breaks_a_line(value: Any) -> None:
    text = shown({"value": value})
    assert not re.search(r"nan|inf\b|-0$|\x1b", text)
    assert shown({"value": [{"name": value, "other": 1}]}).count("\n") == 2
