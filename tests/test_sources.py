"""Where a source lies and how it is packed: real servers, real archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import polars as pl
import pytest

from llmrouterbench.importers import detect_format, import_outcomes
from llmrouterbench.importers._sources import opened
from llmrouterbench.table import Outcomes

LOG = "query,model,score\n1 + 1?,small,1\n1 + 1?,large,0\n"
SCORES = [[0.0, 1.0]]


def scores(source: str | Path, tmp_path: Path, **options: Any) -> list[list[float]]:
    import_outcomes(source, tmp_path / "out", overwrite=True, **options)
    found: list[list[float]] = Outcomes.load(tmp_path / "out").score.tolist()
    return found


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    statuses: list[int]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        status = self.statuses.pop(0) if self.statuses else 200 if path in self.files else 404
        body = self.files[path] if status == 200 else b""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": "a" * 40, "ETag": f'"{path}"'}.items():
            self.send_header(name, value)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def web() -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"files": {"/data/log.csv": LOG.encode()}, "statuses": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_source_may_come_by_the_web(web: tuple[str, type[_Handler]], tmp_path: Path) -> None:
    address, handler = web
    line = b'{"query": "1 + 1?", "model": "m", "score": 1}'
    handler.files |= {"/log.jsonl.gz": gzip.compress(line), "/42": LOG.encode()}
    report = import_outcomes(f"{address.replace('//', '//user:secret@')}/data/log.csv?key=secret", tmp_path / "out")
    assert Outcomes.load(tmp_path / "out").score.tolist() == SCORES
    assert (report.source["name"], report.source["sha256"]) == ("log.csv", hashlib.sha256(LOG.encode()).hexdigest())
    assert "secret" not in (tmp_path / "out" / "manifest.json").read_text()
    assert scores(f"{address}/log.jsonl.gz", tmp_path) == [[1.0]]
    assert scores(f"{address}/42", tmp_path) == SCORES
    with pytest.raises(FileNotFoundError, match=rf"{address}/none.csv must be there, got status 404"):
        scores(f"{address}/none.csv", tmp_path)
    handler.files["/bad.csv"] = b"query,model,score\nq,m,7\n"
    with pytest.raises(ValueError, match=rf"got 7 in {address}/bad.csv record 1"):
        scores(f"{address}/bad.csv", tmp_path)


@pytest.mark.slow
def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_not(
    web: tuple[str, type[_Handler]], tmp_path: Path
) -> None:
    address, handler = web
    handler.statuses = [503]
    assert scores(f"{address}/data/log.csv", tmp_path) == SCORES
    handler.statuses = [403, 200]
    with pytest.raises(PermissionError, match="must be open to you, got status 403"):
        scores(f"{address}/data/log.csv?token=secret", tmp_path)
    assert handler.statuses == [200]


@pytest.mark.slow
def test_a_source_may_lie_on_the_hub(
    web: tuple[str, type[_Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra llmrouterbench[hub]")
    address, handler = web
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    handler.files["/datasets/o/n/resolve/main/data/log.csv"] = LOG.encode()
    assert scores("hf://datasets/o/n/data/log.csv", tmp_path) == SCORES
    handler.files["/datasets/o/n/resolve/v1/log.csv"] = LOG.replace("1\n", "0.5\n").encode()
    assert scores("hf://datasets/o/n@v1/log.csv", tmp_path) == [[0.0, 0.5]]
    with pytest.raises(FileNotFoundError, match=r"hf://datasets/o/n/none.csv must be there, got status 404"):
        scores("hf://datasets/o/n/none.csv", tmp_path)
    with pytest.raises(ValueError, match=r"must be hf://datasets/OWNER/NAME/PATH, got hf://o/n"):
        scores("hf://o/n", tmp_path)


@pytest.mark.prove
def test_a_source_may_lie_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3", reason="needs the extra llmrouterbench[s3]")
    moto = pytest.importorskip("moto.server", reason="stands in for S3")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    for name, value in {"ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()), "ACCESS_KEY_ID": "a",
                        "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="logs")
    for key, body in (("one/a.csv", LOG), ("one/b/c.csv", LOG.replace("1 +", "2 +")), ("one.csv", LOG)):
        client.put_object(Bucket="logs", Key=key, Body=body.encode())
    assert scores("s3://logs/one.csv", tmp_path) == SCORES
    for folder in ("s3://logs/one", "s3://logs/one/"):
        assert scores(folder, tmp_path) == SCORES * 2
    with pytest.raises(FileNotFoundError, match=r"s3://logs/none.csv must be there, got nothing"):
        scores("s3://logs/none.csv", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"s3://nobody/x.csv must be there, got status 404"):
        scores("s3://nobody/x.csv", tmp_path)
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet", ".csv.gz", ".sqlite"])
def test_standard_input_is_known_by_its_content(suffix: str, tmp_path: Path) -> None:
    frame = pl.read_csv(io.StringIO(LOG))
    path = tmp_path / f"log{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix == ".sqlite":
        import sqlite3

        base = sqlite3.connect(path)
        base.execute("CREATE TABLE log (query, model, score)")
        base.executemany("INSERT INTO log VALUES (?, ?, ?)", frame.rows())
        base.commit()
        base.close()
    else:
        lines = [orjson.dumps(row) for row in frame.to_dicts()]
        texts = {".csv": LOG.encode(), ".csv.gz": gzip.compress(LOG.encode()), ".jsonl": b"\n".join(lines),
                 ".json": b"[" + b",".join(lines) + b"]"}  # fmt: skip
        path.write_bytes(texts[suffix])
    with path.open("rb") as given:
        command = [sys.executable, "-m", "llmrouterbench", "import", "-", "--to", str(tmp_path / "out")]
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Outcomes.load(tmp_path / "out").score.tolist() == SCORES


def test_packed_files_of_a_folder_are_unpacked_and_the_folder_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    (folder / "more").mkdir(parents=True)
    (folder / "a.csv").write_text(LOG)
    (folder / "more" / "b.csv.gz").write_bytes(gzip.compress(LOG.replace("1 +", "2 +").encode()))
    assert scores(folder, tmp_path) == SCORES * 2
    assert sorted(path.name for path in folder.rglob("*")) == ["a.csv", "b.csv.gz", "more"]
    assert detect_format(folder) == "long_table"
    (folder / "more" / "c.csv.gz").write_bytes(gzip.compress(b"query,model,score\nq,m,7\nq,m,8\n"))
    with pytest.raises(ValueError, match=rf"got 7 in {folder} at more/c.csv record 1"):
        scores(folder, tmp_path)


def test_what_is_unpacked_goes_again(tmp_path: Path) -> None:
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(LOG.encode()))
    with opened(tmp_path / "log.csv.gz") as found:
        copy = found.path
        assert copy.read_text() == LOG
    assert not copy.exists()


def hostile(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, LOG)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("log.csv.gz", gzip.compress(LOG.encode() * 100)[:-20], r"log.csv.gz must be whole \(.gz\), got: "),
        ("log.csv.gz", b"\x1f\x8b123", r"log.csv.gz must be whole \(.gz\), got: "),
        ("log.zip", b"PK\x03\x04123", r"log.zip must be whole \(.zip\), got: "),
        ("log.zip", hostile("../../outside.csv"), r"log.zip must be whole \(.zip\), got: a member outside of it"),
        ("log.zip", hostile("/outside.csv"), r"log.zip must be whole \(.zip\), got: a member outside of it"),
        ("log.zip", hostile(".hidden"), r"log.zip must be whole \(.zip\), got: no file in it"),
        ("log.csv", b"\xff\xfea\x00b", r"log.csv must be whole \(utf-16\), got: "),
        ("log.xlsx", b"PK\x03\x04123", r"log.xlsx (must be a workbook, got|needs fastexcel)"),
        ("log.sqlite", b"SQLite format 3\x00" + b"x" * 200, r"log.sqlite must be a SQLite file, got: "),
        ("log.arrow", b"ARROW1" + b"x" * 50, r"log.arrow must be Arrow, got"),
        ("log.csv.zst", b"\x28\xb5\x2f\xfd123", r"log.csv.zst (must be whole \(.zst\), got|is packed with Zstandard)"),
    ],
)
def test_a_damaged_or_hostile_file_is_one_sentence(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises((ValueError, ImportError), match=why) as caught:
        import_outcomes(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == [name]


@pytest.mark.parametrize("source", ["ftp://x/y.csv", "gs://x/y.csv"])
def test_an_address_of_another_kind_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"must begin with http, https, s3 or hf, got {source}"):
        import_outcomes(source, tmp_path / "out")


def test_a_decimal_comma_that_may_mark_thousands_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("query;model;score;tokens_out\nq;m;1;1,234\n")
    with pytest.raises(ValueError, match=r"cannot tell a decimal comma from .*log.csv has '1,234'; use a point"):
        import_outcomes(path, tmp_path / "out")
    path.write_text("query;model;score;tokens_out\nq;m;0,5;1.234,5\n")
    report = import_outcomes(path, tmp_path / "out")
    assert Outcomes.load(tmp_path / "out").tokens_out.item() == 1234.5
    assert report.source["read_as"] == ["fields parted by ';'", "decimal commas in score, tokens_out"]


@pytest.mark.parametrize("scale", ["1-1", "1", "yes", "a,a", "a,,b"])
def test_what_is_no_scale_is_one_sentence(scale: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    with pytest.raises(ValueError, match=r"a scale must be WORST-BEST, such as 1-5, or words"):
        import_outcomes(tmp_path / "log.csv", tmp_path / "out", scale=scale)
