"""What the eye would forget: the rules of the house, held by counting.

Docstrings of public functions, methods and classes are held by ruff (rule D), annotations by mypy.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import house, quick
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure

import llmrouterbench
from conftest import loop_of
from llmrouterbench.table import PLANES

ROOT = Path(__file__).resolve().parents[1]
TESTS = sorted(path for path in (ROOT / "tests").glob("*.py") if path.name != "test_house.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

THROUGH = {
    "test_chain": "commands/import_",
    "test_client": "calling/litellm_transport",
    "test_live_page": "serve/live_page/now",
    "test_collect": "collecting/_run collecting/_calls collecting/changes commands/_terminal",
    "test_connections": "calling/_network",
    "test_native_apis": "calling/apis calling/apis/_chunks",
    "test_replies_store": "collecting/_folder_lock",
    "test_bench": "benching/tuning",
    "test_outside": "benching/_choices_file",
    "test_answers": "datasets/_characters datasets/_languages datasets/_letters datasets/_marks datasets/_thoughts",
    "test_math": "datasets/_rational datasets/_units",
    "test_datasets_cases": "datasets/_choice datasets/_emotion datasets/_rows datasets/_solving",
    "test_harness_datasets": "datasets/_harness",
    "test_own_datasets": "datasets/_own_scorers",
    "test_exporters": "exporters/_by_dataset",
    "test_importers": "importers/_detect importers/_cells",
    "test_importers_long_table": "importers/_long_rows importers/_bad_rows",
    "test_importers_tools": "importers/_messages importers/_samples",
    "test_hard_tables": "importers/_table_files importers/_scale",
    "test_importers_official": "importers/_release_files importers/_release_records importers/_release_table",
    "test_cli": "naming",
    "test_fitting": "production/learned production/serving_dial",
    "test_exhibits": "reporting/describe reporting/exhibits/_measured reporting/exhibits/collapse reporting/frames "
    "reporting/exhibits/recall_failures",
    "test_paper_figures": "reporting/figures/bars",
    "test_figures": "reporting/figures/labels",
    "test_page": "reporting/page/layout reporting/page/plot",
    "test_routers": "routers/_settings",
    "test_routers_tasks": "routers/_clusters",
    "test_routers_strong": "routers/_neighbours routers/_replies",
    "test_routers_finetuned": "routers/_descriptions routers/_heads",
    "test_pickles": "importers/_pickles sandbox/_inside_pickle",
    "test_sandbox": "sandbox/_bubblewrap sandbox/_landlock sandbox/_seccomp",
    "test_code_datasets": "sandbox/_inside_cases",
    "test_code_values": "sandbox/_inside_judge sandbox/_inside_peer sandbox/_inside_solution sandbox/_inside_values "
    "sandbox/_inside_wire",
    "test_scoring_folder": "scoring/_outcomes scoring/_unread",
    "test_serve_faults": "serve/attempt serve/breaker serve/endings serve/events serve/exchange",
    "test_serve_decisions": "serve/choosing",
    "test_serve_dialects": "serve/dialects/_fields serve/dialects/_pieces serve/dialects/_turns serve/dialects/chat "
    "serve/dialects/dialect serve/dialects/_response",
    "test_serve_process": "serve/asgi serve/half_open serve/meters",
    "test_serve_fuzz": "serve/openapi",
    "test_split_traffic": "production/live",
}
"""Test file -> modules that it tests through the module in front of them, without naming them."""


def test_imports_point_down(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    kept = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None, is_debug_mode=False)
    assert kept, capsys.readouterr().out


def test_the_drawing_is_the_contract() -> None:
    """So is every top file and every folder named in docs/architecture.md: the contract is exhaustive."""
    drawing = ARCHITECTURE.partition("## The house")[2].partition("```text\n")[2].partition("```")[0]
    drawn = [re.split(r"\s{2,}", line)[0].replace("/", "").split(", ") for line in drawing.splitlines()]
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    assert drawn == [layer.split(" : ") for layer in contract["layers"]]


def test_the_contract_sees_an_arrow_up() -> None:
    """The front is the one module that a floor below may ask, and nobody but the table does."""
    askers = {name for name in house.modules() for to, _, _ in house.imports(name) if to == house.PACKAGE}
    assert askers == {"llmrouterbench.table"}


def test_nothing_goes_in_a_circle() -> None:
    arrows = house.arrows()
    assert house.circles(arrows) == []
    assert house.circles(house.rooms_arrows(arrows)) == []


def test_a_circle_would_be_seen() -> None:
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_room_reaches_into_another() -> None:
    assert house.private_names_across_rooms() == []


def strings(node: ast.AST) -> set[str]:
    """Words that a list, tuple, set, Literal or tuple of attributes spells out."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
    words = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return words | {part.attr for part in parts if isinstance(part, ast.Attribute)}


def test_the_planes_of_outcomes_are_listed_once() -> None:
    """Four of the five make a list; two or three are a choice."""
    listed = {
        module
        for module, tree in house.modules().items()
        for node in ast.walk(tree)
        if len(strings(node) & set(PLANES)) >= 4
    }
    assert listed == {"llmrouterbench.table"}


def test_what_the_code_checks_is_no_assert_statement() -> None:
    """`python -O` takes them out: an assert in the source tells mypy what is known, and nothing else."""
    checking = [
        f"{module}: {ast.unparse(node)}"
        for module, tree in house.modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and not re.fullmatch(r"[\w.]+ is not None|isinstance\([\w.]+, \w+\)", ast.unparse(node.test))
    ]
    assert checking == []


def test_nobody_parses_without_the_lock() -> None:
    """CPython 3.11 counts the parser's depth for all threads together, and scoring runs in threads."""
    held = re.compile(r"with PARSING(?:, [^\n]*)?:\n(?:.*\n)?.*\bast\.parse\(")
    for room in ("datasets", "sandbox", "scoring"):
        for path in (ROOT / "src" / "llmrouterbench" / room).glob("*.py"):
            text = re.sub(r"(?m)^ *>>>.*$", "", path.read_text(encoding="utf-8"))
            assert len(held.findall(text)) == text.count("ast.parse("), path.name


def test_no_program_is_written_by_unparse() -> None:
    """What `ast.unparse` of CPython 3.12 writes, the 3.11 that runs a program may not read."""
    using = {
        module
        for module, tree in house.modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "unparse"
    }
    assert using == {"llmrouterbench.sandbox.programs"}


def test_every_module_is_named_by_a_test() -> None:
    """By its import, its path, its name in a registry ("knn"), or in `THROUGH`."""
    written = "\n".join(path.read_text(encoding="utf-8") for path in TESTS)
    through = {module for modules in THROUGH.values() for module in modules.split()}
    unnamed = []
    for module in house.modules():
        path = module.partition(".")[2].replace(".", "/")
        package, _, name = module.rpartition(".")
        forms = (
            re.escape(module), rf"{path}\b", rf'"{name}"', rf"\b{name}\.py",
            rf"from {re.escape(package)} import (\(\s*)?([^)\n]*\W)?{name}\b",
        )  # fmt: skip
        if path and path not in through and not any(re.search(form, written) for form in forms):
            unnamed.append(path)
    assert unnamed == [], "write a test for it, or add it to THROUGH"


def test_through_names_what_is_there() -> None:
    known = {module.partition(".")[2].replace(".", "/") for module in house.modules()}
    gone = [module for modules in THROUGH.values() for module in modules.split() if module not in known]
    gone += [name for name in THROUGH if not (ROOT / "tests" / f"{name}.py").is_file()]
    assert gone == [], "take it out of THROUGH, or give its new name"


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_version_and_changelog_agree() -> None:
    """Under "Unreleased" the version is the one that comes next; without it, that of the newest section."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *rest = re.findall(r"^## (.*)$", changelog, flags=re.MULTILINE)
    unreleased = first == "Unreleased"
    released = rest if unreleased else [first, *rest]
    for heading in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", heading), f"{heading!r} must be 'VERSION (DAY)'"
    versions = [version_key(heading.split()[0]) for heading in released]
    assert versions == sorted(versions, reverse=True)
    now = version_key(llmrouterbench.__version__)
    assert (not versions or now > versions[0]) if unreleased else now == versions[0]


def test_the_citation_names_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, flags=re.MULTILINE) in ([], [llmrouterbench.__version__])


def test_every_test_is_in_a_loop() -> None:
    """Whatever marks a test has: `make quick` is a part of `make test`, and what is not in that is in `make prove`."""
    commands = (ROOT / "Makefile").read_text(encoding="utf-8")
    selections = [quick.TESTS[-1], *re.findall(r"pytest .*-m \"?(.*?)\"?$", commands, flags=re.MULTILINE)]
    assert sorted(selections) == ["not prove", "not slow and not prove", "prove"]
    assert [loop_of(seconds) for seconds in (0.0, 1.0, 60.0)] == ["", "slow", "prove"]


CLOCKS = {f"time.{name}" for name in ("monotonic", "perf_counter", "process_time", "thread_time", "time")}


def clock_calls(node: ast.AST) -> Iterator[ast.Call]:
    """Readings of a clock."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call) and ast.unparse(one.func) in CLOCKS:
            yield one


def elapsed(tree: ast.AST) -> list[int]:
    """Lines that subtract readings of a clock or assert on one; `while now() < end`, a deadline, is fine."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and any(clock_calls(node)))
        or (isinstance(node, ast.Assert) and any(clock_calls(node.test)))
    ]


def test_no_test_depends_on_a_clock() -> None:
    """Counts of work instead of seconds, events instead of sleeps: a loaded machine fails no test."""
    timed = {path.name: elapsed(ast.parse(path.read_text(encoding="utf-8"))) for path in TESTS}
    assert {name: lines for name, lines in timed.items() if lines} == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("assert time.monotonic() - start < 5", 2),
        ("took = time.perf_counter() - start", 1),
        ("assert time.monotonic() < end", 1),
        ("while time.monotonic() < end: pass", 0),
        ("end = time.monotonic() + 30.0", 0),
    ],
)
def test_elapsed_time_would_be_seen(code: str, found: int) -> None:
    assert len(elapsed(ast.parse(code))) == found
