"""The downloader against a server that speaks the hub's resolve endpoint."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from llmrouterbench.importers.fetch import OFFICIAL, Bundle, fetch

pytest.importorskip("huggingface_hub", reason="needs the extra llmrouterbench[hub]")

CONTENT = gzip.compress(np.random.default_rng(0).bytes(3_000_000), compresslevel=0)
BUNDLE = Bundle(
    "NPULH/LLMRouterBench", "a" * 40, "bench-release.tar.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
)


@dataclass
class Hub:
    """What the stand-in serves, how it misbehaves, and what it was asked."""

    content: bytes = CONTENT
    etag: str = BUNDLE.sha256
    cut_after: list[int] = field(default_factory=list)  # bytes sent by the first connections before they break
    statuses: list[int] = field(default_factory=list)  # answered first, one a request
    ignores_range: bool = False
    cdn: str = ""  # where the resolve address redirects to
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    authorization: list[str | None] = field(default_factory=list)
    endpoint: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        hub.authorization.append(self.headers.get("Authorization"))
        known = f"/datasets/{BUNDLE.repo}/resolve/{BUNDLE.revision}/{BUNDLE.file}"
        status = hub.statuses.pop(0) if hub.statuses else 200 if self.path in (known, "/cdn") else 404
        if status != 200:
            self._head(status, {"Content-Length": "0"})
        elif hub.cdn and self.path == known:
            self._head(302, self._facts() | {"Location": hub.cdn, "Content-Length": "0"})
        else:
            self._send(body)

    def _facts(self) -> dict[str, str]:
        hub = self.hub
        return {
            "X-Repo-Commit": BUNDLE.revision,
            "X-Linked-Size": str(len(hub.content)),
            "X-Linked-ETag": f'"{hub.etag}"',
            "ETag": f'"{hub.etag}"',
        }

    def _send(self, body: bool) -> None:
        hub, start, status = self.hub, 0, 200
        wanted = self.headers.get("Range")
        headers = self._facts()
        if wanted and not hub.ignores_range:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}"
        self._head(status, headers | {"Content-Length": str(len(hub.content) - start)})
        if not body:
            return
        if hub.cut_after:
            self.wfile.write(hub.content[start : start + hub.cut_after.pop(0)])
            self.close_connection = True
            return
        with suppress(ConnectionError):  # a client that has enough hangs up
            self.wfile.write(hub.content[start:])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def hub() -> Iterator[Hub]:
    yield from _serve(Hub())


@pytest.fixture
def cdn() -> Iterator[Hub]:
    yield from _serve(Hub())


def _serve(state: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": state}))
    server.daemon_threads = True
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def partial_of(folder: Path) -> Path:
    return folder / f".{BUNDLE.file}.{BUNDLE.sha256[:12]}.partial"


def gets(hub: Hub) -> list[str | None]:
    return [wanted for method, _, wanted in hub.asked if method == "GET"]


def test_the_pinned_file_is_the_official_one() -> None:
    assert OFFICIAL.repo == "NPULH/LLMRouterBench"
    assert (OFFICIAL.bytes, len(OFFICIAL.revision), len(OFFICIAL.sha256)) == (1_283_503_080, 40, 64)


def test_downloads_verifies_and_reports_progress(tmp_path: Path, hub: Hub) -> None:
    seen: list[tuple[str, int, int]] = []
    path = fetch(
        tmp_path / "new" / "folder", bundle=BUNDLE, endpoint=hub.endpoint, progress=lambda *step: seen.append(step)
    )
    assert path == tmp_path / "new" / "folder" / BUNDLE.file
    assert path.read_bytes() == CONTENT
    assert [step for step in seen if step[1] == step[2]] == [
        ("download", len(CONTENT), len(CONTENT)),
        ("verify", len(CONTENT), len(CONTENT)),
    ]
    assert [one.name for one in path.parent.iterdir()] == [BUNDLE.file]
    assert hub.asked[0][0] == "HEAD"


def test_a_file_that_is_there_is_checked_and_not_fetched(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / BUNDLE.file).write_bytes(CONTENT)
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT
    assert hub.asked == []


@pytest.mark.parametrize("content", [b"something else", CONTENT[:-1] + b"?"])
def test_another_file_of_that_name_is_never_touched(tmp_path: Path, hub: Hub, content: bytes) -> None:
    (tmp_path / BUNDLE.file).write_bytes(content)
    with pytest.raises(ValueError, match="must be the pinned file .* got another of"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert (tmp_path / BUNDLE.file).read_bytes() == content


def test_cut_connections_are_continued_within_one_call(tmp_path: Path, hub: Hub) -> None:
    hub.cut_after = [1_000_000, 500_000]
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT
    starts = [int((wanted or "").removeprefix("bytes=").removesuffix("-")) for wanted in gets(hub)]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] <= 1_000_000 < starts[2] <= 1_500_000


def test_many_cuts_are_survived_as_long_as_bytes_come(tmp_path: Path, hub: Hub) -> None:
    hub.cut_after = [200_000] * 10
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint, attempts=1).read_bytes() == CONTENT
    assert len(gets(hub)) == 11


def test_a_later_call_continues_where_a_dead_one_stopped(tmp_path: Path, hub: Hub) -> None:
    partial_of(tmp_path).write_bytes(CONTENT[:1_234_567])
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT
    assert gets(hub) == ["bytes=1234567-"]


def test_ctrl_c_keeps_what_came(tmp_path: Path, hub: Hub) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint, progress=stop)
    kept = partial_of(tmp_path).stat().st_size
    assert 1_000_000 < kept < len(CONTENT)
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT
    assert gets(hub)[-1] == f"bytes={kept}-"


def test_a_complete_partial_file_needs_no_network(tmp_path: Path) -> None:
    partial_of(tmp_path).write_bytes(CONTENT)
    assert fetch(tmp_path, bundle=BUNDLE, endpoint="http://127.0.0.1:9").read_bytes() == CONTENT


def test_a_server_without_ranges_still_ends_well(tmp_path: Path, hub: Hub) -> None:
    hub.ignores_range = True
    hub.cut_after = [1_000_000]
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT


def test_a_redirect_to_another_host_gets_no_token(
    tmp_path: Path, hub: Hub, cdn: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.cdn = f"{cdn.endpoint}/cdn"
    cdn.cut_after = [700_000]
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT
    assert set(hub.authorization) == {"Bearer hf_secret"}
    assert set(cdn.authorization) == {None}
    assert len(cdn.asked) == 2


def test_transient_statuses_are_retried(tmp_path: Path, hub: Hub) -> None:
    hub.statuses = [503, 429]
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT


def test_a_hub_that_stays_down_is_said(tmp_path: Path, hub: Hub) -> None:
    hub.statuses = [503, 503]
    with pytest.raises(ConnectionError, match="answered status 503; try again later"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint, attempts=2)


def test_a_download_that_breaks_off_keeps_its_bytes(tmp_path: Path, hub: Hub) -> None:
    hub.cut_after = [800_000, 0]
    with pytest.raises(ConnectionError, match="continue where it stopped, or download https://huggingface.co"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint, attempts=1)
    assert 0 < partial_of(tmp_path).stat().st_size <= 800_000
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT


def test_wrong_bytes_are_put_aside(tmp_path: Path, hub: Hub) -> None:
    hub.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(ValueError, match=r"must have .* sha256 .*kept as .*\.bad"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert [path.name for path in tmp_path.iterdir()] == [f"{BUNDLE.file}.bad"]
    hub.content = CONTENT
    assert fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint).read_bytes() == CONTENT


def test_a_file_that_the_hub_describes_otherwise_is_not_downloaded(tmp_path: Path, hub: Hub) -> None:
    hub.etag = "0" * 64
    with pytest.raises(ValueError, match="nothing was downloaded"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    hub.etag, hub.content = "git-sha", CONTENT + b"more"
    with pytest.raises(ValueError, match=f"got {len(CONTENT) + 4:,} bytes"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert gets(hub) == []


def test_an_endless_body_is_stopped(tmp_path: Path, hub: Hub, cdn: Hub) -> None:
    hub.cdn, cdn.content = f"{cdn.endpoint}/cdn", CONTENT * 3
    with pytest.raises(ValueError, match="the download must have"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert (tmp_path / f"{BUNDLE.file}.bad").stat().st_size < 2 * len(CONTENT)


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (404, FileNotFoundError, "must hold bench-release.tar.gz"),
        (401, PermissionError, "check .HF_TOKEN, or download"),
    ],
)
def test_refusals(tmp_path: Path, hub: Hub, status: int, error: type[Exception], sentence: str) -> None:
    hub.statuses = [status]
    with pytest.raises(error, match=sentence):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert len(hub.asked) == 1


def test_no_server_gives_the_manual_way(tmp_path: Path, hub: Hub) -> None:
    nobody = replace(BUNDLE, revision="b" * 40)
    with pytest.raises(ConnectionError) as caught:
        fetch(tmp_path, bundle=nobody, endpoint="http://127.0.0.1:9", attempts=1)
    sentence = str(caught.value)
    for part in (nobody.sha256, f"{nobody.bytes:,} bytes", f"/resolve/{nobody.revision}/", "import FILE --to DIR"):
        assert part in sentence


def test_offline_mode_of_the_hub_is_named(tmp_path: Path) -> None:
    code = f"from llmrouterbench.importers.fetch import fetch\nfrom pathlib import Path\nfetch(Path({str(tmp_path)!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ConnectionError: $HF_HUB_OFFLINE forbids the download; unset it, or download https://")


def test_too_small_a_disk_is_said_before_the_first_byte(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 3, 7))
    with pytest.raises(OSError, match=f"must have {len(CONTENT):,} bytes free for the download, got 7"):
        fetch(tmp_path, bundle=BUNDLE, endpoint=hub.endpoint)
    assert hub.asked == []


def test_without_the_hub_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"llmrouterbench\[hub\]', or download https://huggingface.co"):
        fetch(tmp_path, bundle=BUNDLE)
