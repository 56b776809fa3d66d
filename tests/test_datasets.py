"""The registry of datasets, the way to their files, and the reading of each layout from files made by hand."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from llmrouterbench.datasets import DATASETS, Dataset, Instruments, Source, dataset, load
from llmrouterbench.datasets._files import RECORD, local_files
from llmrouterbench.replies import Item, Reply
from llmrouterbench.sandbox.run import Execution
from work import deadline

OPTIONS = {"A": "red", "B": "green", "C": "blue", "D": "grey"}
CHOICE = {"question": "Which colour?", "options": list(OPTIONS.values()), "answer": "B"}
EMOTION = {"history": ["Ann: Hi."], "utterance": "Bo: Oh!", "candidate": {"A": "joy", "B": "fear"}, "answer": "B"}
FINQA = {
    "id": "page-1",
    "pre_text": ["Before ."],
    "post_text": ["After ."],
    "table": [["year", "sales"], ["2001", "$ 5"]],
    "qa": {"question": "What were sales?", "answer": "5", "exe_ans": 5.0},
}
TEXTS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "aime": {f"data/AIME/{year}.json": [{"Problem": f"In {year}?", "Answer": 33}] for year in (2024, 2025)},
    "math500": {
        "test.jsonl": [
            {"unique_id": "test/a/1.json", "problem": "1+1?", "answer": "2", "subject": "Algebra", "level": 1}
        ]
    },
    "livemathbench": {"data/livemathbench/en_test.json": [{"question": "1+1?", "answer": "2"}]},
    "mathbench": {"data/Mathbench/college.jsonl": [CHOICE]},
    "medqa": {"phrases_no_exclude_test.jsonl": [{"question": "Why?", "options": OPTIONS, "answer_idx": "D"}]},
    "emorynlp": {"data/EmoryNLP/test.json": [EMOTION]},
    "meld": {"data/MELD/test.json": [EMOTION]},
    "finqa": {"dataset/test.json": [FINQA]},
}
MINE = (*TEXTS, "gpqa", "mmlupro")


def never(*_: object, **more: object) -> Any:
    raise AssertionError("this scorer needs no such instrument")


NOTHING = Instruments(equal=lambda a, b: a == b, run=never, ask=never)


def unpinned(made: Dataset) -> Dataset:
    """The same dataset, but its files may have any content."""
    return replace(made, source=replace(made.source, files=dict.fromkeys(made.source.files, "")))


def written(name: str, folder: Path) -> Path:
    for path, rows in TEXTS.get(name, {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    if name == "gpqa":
        columns = ("Record ID", "Question", "High-level domain", "Correct Answer")
        wrong = {f"Incorrect Answer {n}": [f"wrong {n}\n"] * 40 for n in (1, 2, 3)}
        ids = [f"rec{n}" for n in range(40)]
        values = (ids, ["Which, and\nwhy?"] * 40, ["Physics"] * 40, ["right "] * 40)
        pl.DataFrame({**dict(zip(columns, values, strict=True)), **wrong}).write_csv(folder / "gpqa_diamond.csv")
    if name == "mmlupro":
        (folder / "data").mkdir()
        mmlupro_rows().write_parquet(folder / "data/test-00000-of-00001.parquet")
    return folder


def mmlupro_rows() -> pl.DataFrame:
    size = 6000
    return pl.DataFrame(
        {
            "question_id": range(size),
            "question": [f"Question {n}?" for n in range(size)],
            "options": [["x", "y", "z"]] * size,
            "answer": ["C"] * size,
            "category": ["law" if n % 3 else "math" for n in range(size)],
        }
    )


@pytest.mark.parametrize("name", MINE)
def test_every_layout_is_read(name: str, tmp_path: Path) -> None:
    made = unpinned(dataset(name))
    items = load(made, written(name, tmp_path))
    assert len({item.id for item in items}) == len(items) > 0
    assert [item.id for item in load(made, tmp_path)] == [item.id for item in items]
    for item in items[:50]:
        assert item.query in made.prompt(item)
        answer = item.target if isinstance(item.target, str) else item.target["answer"]
        form = f"Answer: {answer}" if "options" in item.details else f"\\boxed{{{answer}}}"
        assert made.score(item, form, NOTHING).value == 1.0


@pytest.mark.parametrize("name", MINE)
def test_every_prompt_names_the_form_of_the_answer(name: str, tmp_path: Path) -> None:
    made = unpinned(dataset(name))
    prompt = made.prompt(load(made, written(name, tmp_path))[0])
    assert ("'Answer: X'" in prompt) != ("\\boxed{}" in prompt)


def test_gpqa_is_shuffled_by_item_and_never_shown(tmp_path: Path) -> None:
    made = unpinned(dataset("gpqa"))
    items = load(made, written("gpqa", tmp_path))
    assert not made.shown
    assert len(Counter(item.target for item in items)) == 4
    assert all(item.details["options"][item.target] == "right" for item in items)
    assert [item.target for item in items[:8]] == ["B", "C", "B", "A", "A", "C", "B", "D"]


def test_mmlupro_samples_every_category_by_its_share(tmp_path: Path) -> None:
    made = unpinned(dataset("mmlupro"))
    folder = written("mmlupro", tmp_path)
    small, large = load(made, folder, "test_1000"), load(made, folder, "test_3000")
    assert (len(small), len(large)) == (1000, 3000)
    assert Counter(item.details["category"] for item in small) == {"law": 667, "math": 333}
    assert {item.id.split("/")[1] for item in small} <= {item.id.split("/")[1] for item in large}
    assert "about law" in made.prompt(next(item for item in small if item.details["category"] == "law"))


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize(
    "reply",
    ["", " \n", "\ud800\udfff", "<think>" * 1000, "<think>Answer: A \\boxed{1}", "\\boxed{" * 1000, "x" * 10_000_000],
    ids=["empty", "blank", "surrogates", "thoughts", "open thought", "boxes", "10 MB"],
)
def test_hostile_replies_get_a_score_with_a_reason(name: str, reply: str) -> None:
    target: Any = {"answer": "5", "exact": 5.0} if name == "finqa" else "A"
    item, made = Item("1", "?", target, details={"options": OPTIONS}), dataset(name)
    with deadline():
        score = made.score(item, reply, NOTHING)
        assert score.value == 0.0
        assert score.reason
        assert made.official is not None
        assert not math.isnan(made.official(item, reply, NOTHING).value)


def test_a_comparison_that_takes_too_long_is_not_scored() -> None:
    def slow(a: str, b: str) -> bool:
        raise TimeoutError("comparing two answers took more than 5 s")

    score = dataset("math500").score(Item("1", "?", "2"), "\\boxed{9^{9^9}}", replace(NOTHING, equal=slow))
    assert not score.scored
    assert score.reason == "comparing two answers took more than 5 s"


def test_the_registry_names_the_21_datasets_and_imports_none() -> None:
    assert len(DATASETS) == len(set(DATASETS)) == 21
    code = (
        "import sys, llmrouterbench.datasets as d\nd.dataset_names()\n"
        "print([name for name in sys.modules if name.startswith('llmrouterbench.datasets.')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", DATASETS)
def test_every_name_leads_to_its_dataset(name: str) -> None:
    made = dataset(name)
    assert made.name == name
    assert made.title
    assert made.licence
    assert made.citation
    assert len(made.source.revision) == 40 or made.source.place in ("package", "own")


def test_sizes_are_those_of_the_papers_table(request: pytest.FixtureRequest) -> None:
    table = Path(__file__).resolve().parents[2] / "shared/paper/table09_datasets.csv"
    if not table.exists():
        pytest.skip("needs shared/paper beside the checkout")
    sizes = {row["dataset"].lower().replace("-", ""): row["size"] for row in pl.read_csv(table).to_dicts()}
    for name in MINE:
        assert dataset(name).size == (1000 + sizes[name] if name == "mmlupro" else sizes[name])


def test_unknown_names_and_subsets() -> None:
    with pytest.raises(ValueError, match="no dataset named 'gqpa'; did you mean 'gpqa'"):
        dataset("gqpa")
    with pytest.raises(ValueError, match="'mmlupro' has no subset 'test_100'; did you mean 'test_1000'"):
        load("mmlupro", subset="test_100")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = written("livemathbench", tmp_path)
    with pytest.raises(ValueError, match=r"must have sha256 6ed5aa2c.* \(pinned\)"):
        load("livemathbench", folder)
    made = unpinned(dataset("livemathbench"))
    assert len(load(made, folder)) == 1
    assert list(orjson.loads((folder / RECORD).read_bytes())) == ["data/livemathbench/en_test.json"]
    (folder / "data/livemathbench/en_test.json").write_text('{"question": "2+2?", "answer": "4"}')
    with pytest.raises(ValueError, match="recorded in sha256.json"):
        load(made, folder)


def test_missing_files_and_bad_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"must hold test.jsonl .*https://huggingface.co/datasets/HuggingFaceH4"
    ):
        load("math500", tmp_path)
    (tmp_path / "test.jsonl").write_text('{"unique_id": "1", "problem": "?"}\n')
    with pytest.raises(ValueError, match="record 1 must have the key 'answer'"):
        load(unpinned(dataset("math500")), tmp_path)
    (tmp_path / RECORD).unlink()
    (tmp_path / "test.jsonl").write_text("{not json")
    with pytest.raises(ValueError, match="line 1 must be JSON"):
        load(unpinned(dataset("math500")), tmp_path)


def test_own_datasets_need_a_folder() -> None:
    own = replace(dataset("aime"), source=Source("own", "", "", {"a.csv": ""}))
    with pytest.raises(FileNotFoundError, match="must be read from a folder"):
        load(own)


def test_packages_are_found_or_named() -> None:
    source = Source("package", "pytest", "0", {"pytest/__init__.py": ""})
    found = local_files(replace(dataset("aime"), source=source))
    assert found["pytest/__init__.py"].is_file()
    with pytest.raises(ImportError, match="pip install 'no-such-package=="):
        local_files(replace(dataset("aime"), source=replace(source, repository="no-such-package")))


CONTENT = b'{"question": "1+1?", "answer": "2"}\n'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]]
    asked: list[str]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = self.answers.get(self.path, (404, b""))
        self.send_response(status)
        facts = {"Content-Length": str(len(body)), "X-Repo-Commit": "a" * 40, "ETag": '"abc"'}
        for name, value in facts.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"answers": {}, "asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}", handler
    running.shutdown()
    thread.join()
    running.server_close()


def remote(place: Any, sha256: str = hashlib.sha256(CONTENT).hexdigest()) -> Dataset:
    return replace(dataset("aime"), name="toy", source=Source(place, "owner/toy", "a" * 40, {"data/t.jsonl": sha256}))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMROUTERBENCH_CACHE", str(tmp_path / "cache"))


def test_the_hub_is_asked_once(server: tuple[str, type[_Handler]]) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra llmrouterbench[hub]")
    endpoint, handler = server
    handler.answers[f"/datasets/owner/toy/resolve/{'a' * 40}/data/t.jsonl"] = (200, CONTENT)
    for _ in range(2):
        assert local_files(remote("hub"), endpoint=endpoint)["data/t.jsonl"].read_bytes() == CONTENT
    assert len(handler.asked) == 2  # the facts, then the file


@pytest.mark.parametrize(("status", "error"), [(404, FileNotFoundError), (403, PermissionError)])
def test_the_hub_refuses(server: tuple[str, type[_Handler]], status: int, error: type[Exception]) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra llmrouterbench[hub]")
    endpoint, handler = server
    handler.answers[f"/datasets/owner/toy/resolve/{'a' * 40}/data/t.jsonl"] = (status, b"")
    with pytest.raises(error, match="'toy'"):
        local_files(remote("hub"), endpoint=endpoint)


def test_without_the_hub_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"llmrouterbench\[hub\]', or download https://huggingface.co"):
        local_files(remote("hub"))


def test_github_gives_files_and_large_files(server: tuple[str, type[_Handler]]) -> None:
    address, handler = server
    path = f"/owner/toy/{'a' * 40}/data/t.jsonl"
    handler.answers |= {path: (200, POINTER), f"/media{path}": (200, CONTENT)}
    found = local_files(remote("github"), github=address, media=f"{address}/media")
    assert found["data/t.jsonl"].read_bytes() == CONTENT
    assert handler.asked == [path, f"/media{path}"]


def test_a_download_of_other_bytes_is_refused(server: tuple[str, type[_Handler]]) -> None:
    address, handler = server
    handler.answers[f"/owner/toy/{'a' * 40}/data/t.jsonl"] = (200, b"{}")
    with pytest.raises(ValueError, match="must have sha256"):
        local_files(remote("github"), github=address)


def test_github_refuses_or_is_away(server: tuple[str, type[_Handler]]) -> None:
    with pytest.raises(FileNotFoundError, match="must hold data/t.jsonl at aaaaaaaaaaaa, got status 404"):
        local_files(remote("github"), github=server[0])


def test_instruments_are_plain_functions() -> None:
    execution = Execution(0, "out", "", 0.1)
    tools = Instruments(
        lambda a, b: True,
        lambda program, stdin, seconds, modules=True: execution,
        lambda prompt: Reply("d", "i", "m", ""),
    )
    assert tools.run("", "", 1.0).stdout == "out"
