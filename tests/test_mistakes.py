"""Mistakes that everybody makes once: each is one sentence with a remedy, and costs nothing that was stored."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrouterbench import Outcomes, bench, fit, simulate
from llmrouterbench.store import write_outcomes

COMMAND = [sys.executable, "-m", "llmrouterbench"]
KINDS = {
    "outcomes": "a folder of outcomes, for bench, advise or fit",
    "replies": "a folder of replies, for score",
    "runs": "a folder of runs, for report",
    "fitted": "a fitted router, for route, policies or serve",
}
TAKES = {
    "outcomes": [
        "bench {} --out new", "info {}", "advise {} --quick", "curate {}", "fit {} --to new", "split {} --to s.json"
    ],
    "replies": ["score {} --to new"],
    "runs": ["report {}"],
    "fitted": ["route {} hi", "policies {}", "drop-model {} x", "export-policy {} --outcomes outcomes --to new.yaml"],
}  # fmt: skip
WRONG = [
    (words, kind, other) for kind, lines in TAKES.items() for words in lines for other in KINDS
    if other != kind and kind != "runs"
]  # fmt: skip
"""`report` takes outcomes too, for what needs no router."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each kind, a file, an empty folder, and a link to nothing."""
    root = tmp_path_factory.mktemp("place")
    table = simulate("performance-cost", scale=0.01)
    write_outcomes(table, root / "outcomes")
    bench(table, root / "runs", routers=["knn"], seeds=[1])
    fit(table, router="knn").save(root / "fitted")
    (root / "replies").mkdir()
    (root / "replies" / "manifest.json").write_text('{"format": "llmrouterbench/replies", "schema": 1}')
    (root / "file").write_text("x")
    (root / "empty").mkdir()
    (root / "nowhere").symlink_to(root / "later")
    return root


def said(words: list[str], cwd: Path, **env: str) -> str:
    """What a command says that fails as it should: with 1 or 2, in words, and without a traceback."""
    done = subprocess.run(
        [*COMMAND, *words], cwd=cwd, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **env},
    )  # fmt: skip
    assert done.returncode in (1, 2), (words, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return " ".join(done.stderr.replace("│", " ").split())


def left(root: Path) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("words", "kind", "other"), WRONG)
def test_a_folder_of_another_kind_says_what_it_is_and_who_takes_it(
    words: str, kind: str, other: str, place: Path
) -> None:
    before = left(place)
    sentence = said(words.format(*[other] * words.count("{}")).split(), place)
    assert f"{other} must be {KINDS[kind].partition(',')[0]}, got {KINDS[other]}; make one with" in sentence
    assert left(place) == before


@pytest.mark.parametrize("given", ["file", "empty", "nowhere", "typo"])
@pytest.mark.parametrize(("words", "kind"), [(lines[0], kind) for kind, lines in TAKES.items()])
def test_what_is_no_folder_of_ours_is_said(words: str, kind: str, given: str, place: Path) -> None:
    got = {"file": "a file", "empty": "a folder without", "nowhere": "a link to nothing", "typo": "nothing there"}
    sentence = said(words.format(given).split(), place)
    assert f"{given} must be {KINDS[kind].partition(',')[0]}, got {got[given]}" in sentence


@pytest.mark.parametrize(
    "words", ["bench outcomes --out {}", "fit outcomes --to {} --router knn", "simulate --to {} --scale 0.01"]
)
@pytest.mark.parametrize("where", ["file", "file/new"])
def test_a_file_in_the_way_is_said_before_any_work(words: str, where: str, place: Path) -> None:
    before = left(place)
    sentence = said(words.format(where).split(), place)
    assert "must be a folder" in sentence or "must lie in a folder" in sentence
    assert "fitting" not in sentence
    assert left(place) == before


def test_a_link_is_followed_and_never_replaced(place: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "later").symlink_to(tmp_path / "made")
    table = Outcomes.load(place / "outcomes")
    for name, target in (("link", "disk"), ("later", "made")):
        write_outcomes(table, tmp_path / name)
        write_outcomes(table, tmp_path / name, overwrite=True)
        assert (tmp_path / name).is_symlink()
        assert not (tmp_path / target).is_symlink()
        assert Outcomes.load(tmp_path / target).content_hash == table.content_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "later", "link", "made"]


@pytest.fixture
def locked(place: Path) -> list[str]:
    """Words before a command that runs where `place` is read-only, for root as well."""
    mount = f"mount --bind {place} {place} && mount -o remount,ro,bind {place} && cd {place}"
    unshare = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "-"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no folder can be made read-only here")
    return unshare


@pytest.mark.parametrize(
    "words",
    [
        "bench outcomes --out new --routers knn --seeds 1",
        "fit outcomes --to new --router knn",
        "simulate --to new --scale 0.01",
        "report runs --to new",
        "split outcomes --to new.json",
        "drop-model fitted gpt-5",
        "advise outcomes --quick --to new",
    ],
)
def test_a_folder_that_cannot_be_written_is_said(words: str, locked: list[str], place: Path) -> None:
    done = subprocess.run([*locked, *COMMAND, *words.split()], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert "must" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: root on Linux is needed")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    "words",
    [
        "bench {place}/outcomes --out {disk}/new --routers knn,random --seeds 1",
        "fit {place}/outcomes --to {disk}/new --router knn",
        "report {place}/runs --to {disk}/new",
        "simulate --to {disk}/new --scale 0.05",
        "split {place}/outcomes --to {disk}/new.json",
        "advise {place}/outcomes --quick --to {disk}/new",
    ],
)
@pytest.mark.parametrize("room", [0, 20_000, 200_000])
def test_a_full_disk_is_said_and_can_be_gone_on_from(words: str, room: int, place: Path, small_disk: Path) -> None:
    """`room` bytes are left."""
    (small_disk / "ballast").write_bytes(bytes((1 << 20) - room - 4096 * (room > 0) if room else 1 << 20))
    done = subprocess.run(
        [*COMMAND, *words.format(place=place, disk=small_disk).split()],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.returncode == 1
        assert "disk" in done.stderr, done.stderr
        assert "Errno" not in done.stderr
        kept = [path.name for path in small_disk.rglob("*") if "partial" in path.name]
        assert kept == [], "a cut file was left"
    else:
        assert room, "nothing was written"


@pytest.mark.parametrize(
    ("hidden", "words", "remedy"),
    [
        ("fastapi", "serve fitted --config serve.yaml", "llmrouterbench[serve]"),
        ("uvicorn", "serve fitted --config serve.yaml", "llmrouterbench[serve]"),
        ("matplotlib", "report runs --to new", "llmrouterbench[report]"),
        ("sentence_transformers", "bench outcomes --out new --embedder minilm --routers knn", "llmrouterbench[embed]"),
        ("ray", "bench outcomes --out new --backend ray --routers knn --seeds 1", "llmrouterbench[ray]"),
        ("distributed", "bench outcomes --out new --backend dask --routers knn --seeds 1", "llmrouterbench[dask]"),
        ("torch", "bench outcomes --out new --routers embedllm --seeds 1", "llmrouterbench[torch]"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_named(hidden: str, words: str, remedy: str, place: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{hidden!r}] = None\n")
    provider = "providers: {one: {url: 'http://127.0.0.1:9/v1'}}"
    models = ", ".join(f"{{name: {model}, provider: one}}" for model in Outcomes.load(place / "outcomes").models)
    (place / "serve.yaml").write_text(f"{provider}\nmodels: [{models}]\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    shutil.rmtree(place / "new", ignore_errors=True)
    done = subprocess.run(
        [*COMMAND, *words.split()], cwd=place, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert remedy in done.stderr.replace("\n", " "), (done.returncode, done.stdout[-400:], done.stderr)
    shutil.rmtree(place / "new", ignore_errors=True)
