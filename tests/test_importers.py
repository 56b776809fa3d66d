"""The one way in: format detection, the report, strictness, and what happens when an import is cut."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrouterbench import importers
from llmrouterbench.files import read_json
from llmrouterbench.findings import Options
from llmrouterbench.importers import (
    FORMATS,
    Finding,
    Findings,
    ImportFindingsError,
    ImportReport,
    detect_format,
    import_outcomes,
    read_source,
    report_lines,
)
from llmrouterbench.store import read_manifest
from llmrouterbench.table import Outcomes

LOG = "query,model,score,cost\n1 + 1?,small,1,0.5\n1 + 1?,large,1,4\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path / "log.csv"


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("s/r.tar.gz", b"\x1f\x8b123", "official"),
        ("s/anything", b"\x1f\x8b123", "official"),
        ("s/r.tar", b"", "official"),
        ("s/a/b/x.json", b"{}", "official"),
        ("s/log.csv", b"query,model,score\n", "long_table"),
        ("s/log.jsonl", b"", "long_table"),
        ("s/log.NDJSON", b"", "long_table"),
        ("s/log.parquet", b"", "long_table"),
        ("s/log.tsv", b"", "long_table"),
        ("s/log.json", b"[]", "long_table"),
        ("s/a/log.jsonl", b"", "long_table"),
        ("s/rb.csv", b"sample_id,m,m|total_cost\n", "routerbench"),
        ("s/zs/rb.csv", b"sample_id,m,m|total_cost\n", "routerbench"),
        ("s/mmlu/responses/mmlu_x.csv", b"prompt,a,b\n", "routellm"),
        ("s/gsm8k/gsm8k_responses.csv", b"prompt,a,b\n", "routellm"),
        ("s/scores_train.json", b"[]", "llmrouter"),
    ],
)
def test_the_format_is_recognised(tmp_path: Path, name: str, data: bytes, format: str) -> None:
    path = touch(tmp_path / name, data)
    folder = format in ("routellm", "llmrouter") or name.count("/") > 1
    assert detect_format(tmp_path / "s" if folder else path) == format


@pytest.mark.parametrize("name", ["s/notes.txt", "s/empty/.keep"])
def test_an_unknown_format_is_a_sentence_that_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    path = touch(tmp_path / name)
    source = path if path.suffix == ".txt" else path.parent
    with pytest.raises(ValueError, match=r"official release, a long table .* that docs/importing.md lists"):
        detect_format(source)


def test_a_mistyped_format_gets_a_suggestion(log: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no import format named 'longtable'; did you mean 'long_table'\?"):
        import_outcomes(log, tmp_path / "out", format="longtable")
    with pytest.raises(ValueError, match=r"zero_cost must be unknown or free, got 'fre'; did you mean 'free'\?"):
        import_outcomes(log, tmp_path / "out", zero_cost="fre")  # type: ignore[arg-type]


def test_nothing_at_the_path_is_said(tmp_path: Path) -> None:
    for format in ("auto", "official"):
        with pytest.raises(FileNotFoundError, match=r"must be a file or folder to import, got nothing there"):
            import_outcomes(tmp_path / "nowhere", tmp_path / "out", format=format)


def test_every_registered_format_has_a_reader() -> None:
    from importlib import import_module

    for name, target in FORMATS.items():
        module, function = target.split(":")
        assert module == name
        assert callable(getattr(import_module(f"llmrouterbench.importers.{module}"), function))


def test_listing_formats_loads_no_reader() -> None:
    code = (
        "import sys, llmrouterbench.importers as i; print(sorted(m for m in sys.modules if m.startswith(i.__name__)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in FORMATS if f"importers.{name}'" in out]


def test_the_report_is_stored_and_can_be_read_back(log: Path, tmp_path: Path) -> None:
    log.write_text(LOG + "2 + 2?,small,,0\n")
    report = import_outcomes(log, tmp_path / "out")
    stored = ImportReport.from_dict(read_json(tmp_path / "out" / "import_report.json"))
    assert stored == report
    assert report_lines(stored) == [
        "log.csv (long_table): 1 files, 3 records, 2 queries, 2 models, 1 datasets, 2 cells measured, 2 cells missing",
        "null score: 1 masked, first record 3 of small",
        "missing record: 1 masked, first data x large: 1 of 2 queries (data x large: 1 of 2 queries)",
        "zero cost of a called model: 1 masked, first data/2 x small (small: 1)",
    ]
    manifest = read_manifest(tmp_path / "out", verify=True)
    assert manifest["source"]["sha256"] == report.source["sha256"]
    assert manifest["settings"] == {"zero_cost": "unknown", "replies": True}
    assert Outcomes.load(tmp_path / "out").source["name"] == "log.csv"


def test_a_clean_report_says_so_and_long_lists_are_cut() -> None:
    source = {"name": "x", "format": "official"}
    assert report_lines(ImportReport(source, {"files": 1}, ()))[-1] == "nothing was masked, dropped or merged"
    finding = Finding("unpriced model", 3, "masked", "a", ("a", "b", "c"))
    assert report_lines(ImportReport(source, {}, (finding,)), names=2)[-1].endswith("(a, b and 1 more)")


def test_findings_add_up_and_nothing_is_no_finding() -> None:
    findings, part = Findings(), Findings()
    findings.add("demo file", "dropped", "a.json", 0)
    part.add("demo file", "dropped", "b.json", 2, ["b"])
    findings.merge(part)
    findings.add("demo file", "dropped", "c.json", 1, ["b", "c"])
    assert findings.all() == (Finding("demo file", 3, "dropped", "b.json", ("b", "c")),)


def test_a_strict_import_with_findings_writes_nothing(log: Path, tmp_path: Path) -> None:
    import_outcomes(log, tmp_path / "clean", strict=True)
    log.write_text(LOG + "2 + 2?,small,,1\n")
    with pytest.raises(
        ImportFindingsError,
        match=r"got 2 in log.csv: null score \(1, first record 3 of small\); missing record \(1, first",
    ) as caught:
        import_outcomes(log, tmp_path / "out", strict=True)
    assert isinstance(caught.value, ValueError)
    assert caught.value.report.counts["records"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "log.csv"]


def test_progress_is_told(log: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    import_outcomes(log, tmp_path / "out", progress=lambda *told: seen.append(told))
    assert seen == [("reading", 0, len(LOG)), ("reading", len(LOG), len(LOG))]


def test_an_existing_folder_is_replaced_only_when_told_and_only_if_it_is_a_store(log: Path, tmp_path: Path) -> None:
    import_outcomes(log, tmp_path / "out")
    with pytest.raises(FileExistsError, match="must not exist yet"):
        import_outcomes(log, tmp_path / "out")
    log.write_text(LOG.replace("small", "tiny"))
    import_outcomes(log, tmp_path / "out", overwrite=True)
    assert Outcomes.load(tmp_path / "out").models == ("large", "tiny")
    mine = touch(tmp_path / "home" / "thesis.tex")
    with pytest.raises(FileExistsError, match="must be a folder of outcomes to be overwritten"):
        import_outcomes(log, tmp_path / "home", overwrite=True)
    assert mine.exists()


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "release"
    touch(source / "x.json", b"{}")
    for to in (source, source / "out", tmp_path):
        with pytest.raises(ValueError, match="must lie apart from the source"):
            import_outcomes(source, to, overwrite=True)


def test_a_folder_of_outcomes_is_no_source(log: Path, tmp_path: Path) -> None:
    import_outcomes(log, tmp_path / "out")
    with pytest.raises(ValueError, match="got a folder of outcomes; use it as it is"):
        import_outcomes(tmp_path / "out", tmp_path / "again")


def test_the_same_source_gives_the_same_store_twice(log: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        import_outcomes(log, tmp_path / name)
    one, two = (read_manifest(tmp_path / name) for name in ("a", "b"))
    assert one == two


def write_release(folder: Path, files: int, records: int) -> Path:
    for number in range(files):
        document = {
            "model_name": f"m{number}",
            "dataset_name": "d",
            "split": "test",
            "records": [
                {"index": i, "origin_query": f"q{i}", "prompt": f"q{i}", "score": 1.0, "cost": 0.1, "prompt_tokens": 1,
                 "completion_tokens": 1, "raw_output": "reply " * 50}
                for i in range(records)
            ],
        }  # fmt: skip
        touch(folder / f"m{number}.json", json.dumps(document).encode())
    return folder


KILLED_AT = ("tell", "fill_folder", "write_json", "_swap")
CHILD = """
import os, signal, sys
from llmrouterbench import files, importers, store
from llmrouterbench import findings as report
at, source, to = sys.argv[1:]
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
if at == "tell": report.Options.tell = die
if at == "fill_folder": importers.fill_folder = die
if at == "write_json": store.write_json = die
if at == "_swap": files._swap = die
importers.import_outcomes(source, to, overwrite=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
@pytest.mark.parametrize("at", KILLED_AT)
def test_kill_9_at_any_stage_loses_nothing_and_leaves_no_half_store(tmp_path: Path, at: str) -> None:
    source, to = write_release(tmp_path / "release", 3, 20), tmp_path / "out"
    import_outcomes(source, to)
    before = read_manifest(to, verify=True)
    for target, old in ((to, True), (tmp_path / "new", False)):
        run = subprocess.run([sys.executable, "-c", CHILD, at, source, target], check=False)
        assert run.returncode == -signal.SIGKILL
        assert target.exists() == old, "a store that was never finished has no name"
        if old:
            assert read_manifest(to, verify=True) == before
        with pytest.raises(FileExistsError) if old else pytest.raises(FileNotFoundError):
            import_outcomes(source, to) if old else Outcomes.load(target)
        import_outcomes(source, target, overwrite=True)
        assert read_manifest(target, verify=True)["content_hash"] == before["content_hash"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out", "release"], "nothing is left behind"


@pytest.mark.slow
def test_kill_9_at_a_random_moment_loses_nothing(tmp_path: Path) -> None:
    source, to = write_release(tmp_path / "release", 40, 500), tmp_path / "out"
    import_outcomes(source, to, replies=False)
    before = read_manifest(to, verify=True)
    code = (
        "import sys; from llmrouterbench.importers import import_outcomes; print(flush=True);"
        "import_outcomes(*sys.argv[1:], overwrite=True)"
    )
    for wait in (0.0, 0.02, 0.05, 0.1, 0.2):
        child = subprocess.Popen([sys.executable, "-c", code, source, to], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(wait)
        child.kill()
        child.wait()
        child.stdout.close()
        assert read_manifest(to, verify=True)["content_hash"] == before["content_hash"]
    import_outcomes(source, to, overwrite=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 300 kB; only root may mount one."""
    folder = Path(tempfile.mkdtemp())
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("a small file system cannot be mounted here: root on Linux is needed")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_full_disk_is_one_sentence_and_the_old_store_stays(small_disk: Path, log: Path, tmp_path: Path) -> None:
    import_outcomes(log, small_disk / "out")
    before = read_manifest(small_disk / "out", verify=True)
    lines = [f"{os.urandom(200).hex()},m,1,0.5" for _ in range(4000)]
    big = tmp_path / "big.csv"
    big.write_text("\n".join(["query,model,score,cost", *lines]))
    for target, overwrite in ((small_disk / "out", True), (small_disk / "new", False)):
        with pytest.raises(OSError, match="the disk is full; nothing was changed") as caught:
            import_outcomes(big, target, overwrite=overwrite)
        assert caught.value.errno == errno.ENOSPC
    assert sorted(path.name for path in small_disk.iterdir()) == ["out"]
    assert read_manifest(small_disk / "out", verify=True) == before


def test_an_unfinished_folder_is_refused(log: Path, tmp_path: Path) -> None:
    import_outcomes(log, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="never finished"):
        Outcomes.load(tmp_path / "out")


def test_reading_without_storing_gives_the_same_outcomes(log: Path, tmp_path: Path) -> None:
    import_outcomes(log, tmp_path / "out")
    read: Any = read_source(log, "long_table", Options()).outcomes
    assert read.content_hash == Outcomes.load(tmp_path / "out").content_hash
    assert importers.detect_format(str(log)) == "long_table"
