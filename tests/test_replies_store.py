"""The folder of replies: appended, cut, locked, read back."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.collecting.replies_store import (
    Prompted,
    edits,
    file_stem,
    items_path,
    paid_in,
    pool_of,
    read_items,
    read_replies,
    read_replies_manifest,
    replies_path,
    scan_replies,
    stored_datasets,
    tally,
    whole_lines,
    writer_of,
)
from llmrouterbench.collecting.replies_writer import OPEN_FILES, RepliesWriter
from llmrouterbench.replies import Item, Reply

ITEMS = [
    Prompted(Item(f"q{i}", f"query {i}", target=i, details={"options": ["a", "b"]}), f"Q: query {i}") for i in range(3)
]


def reply(item: str, text: str = "42", model: str = "org/m:free", **more: object) -> Reply:
    return Reply(dataset="d", item=item, model=model, text=text, **more)  # type: ignore[arg-type]


def started(folder: Path) -> RepliesWriter:
    writer = RepliesWriter(folder)
    writer.write_manifest({"out": "x"}, "hash", {"org/m:free": "print"})
    writer.write_questions({"d": ITEMS})
    return writer


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.append(
            reply("q0", 'line\nbreak "quoted" é \u2028', cost=0.5, tokens_in=3, tokens_out=4, key="k", at="now")
        )
        writer.append(reply("q1", "", status="failed", reason="server said 500", cost=None, attempts=10))
    assert read_items(tmp_path, "d") == ITEMS
    replies = read_replies(tmp_path, "d", "org/m:free")
    assert replies["q0"] == reply(
        "q0", 'line\nbreak "quoted" é \u2028', cost=0.5, tokens_in=3, tokens_out=4, key="k", at="now"
    )
    assert replies["q1"].status == "failed"
    frame = scan_replies(tmp_path)
    assert frame["item"].to_list() == ["q0", "q1"]
    assert frame["cost"].to_list() == [0.5, None]
    assert read_replies(tmp_path, "d", "other") == {}


def test_the_last_line_of_an_item_counts_and_the_failed_one_stays_paid(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.append(reply("q0", "", status="failed", reason="cut", cost=0.25, attempts=2))
        writer.append(reply("q0", "done", cost=0.5))
        writer.append(reply("q1", "cached", cost=1.0, attempts=0))
    assert read_replies(tmp_path, "d", "org/m:free")["q0"].text == "done"
    whole = tally(tmp_path)["d", "org/m:free"]
    assert (whole.items, whole.ok, whole.failed, whole.missing) == (3, 2, 0, 1)
    assert whole.cost == 1.5
    assert whole.paid == 0.75


@given(cut=st.integers(1, 200))
def test_a_torn_last_line_is_left_out_cut_off_and_counted(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    with started(folder) as writer:
        writer.append(reply("q0", "first"))
        writer.append(reply("q1", "second"))
    path = replies_path(folder, "d", "org/m:free")
    whole = path.read_bytes()
    last = len(whole) - whole.rfind(b"\n", 0, -1) - 1
    path.write_bytes(whole[: len(whole) - min(cut, last - 1)])
    assert list(read_replies(folder, "d", "org/m:free")) == ["q0"]
    assert scan_replies(folder).height == 1
    with RepliesWriter(folder) as writer:
        assert writer.torn == 1
        writer.append(reply("q1", "again"))
    assert read_replies(folder, "d", "org/m:free")["q1"].text == "again"
    with RepliesWriter(folder) as writer:
        assert writer.torn == 0


def test_a_long_torn_line_without_any_line_end_is_cut(tmp_path: Path) -> None:
    with started(tmp_path):
        pass
    path = replies_path(tmp_path, "d", "org/m:free")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 200_000)
    with RepliesWriter(tmp_path) as writer:
        assert writer.torn == 1
    assert path.read_bytes() == b""


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.append(reply("q0"))
    path = replies_path(tmp_path, "d", "org/m:free")
    path.write_bytes(b'{"dataset": \n' + path.read_bytes())
    with pytest.raises(ValueError, match=r"jsonl:1 must be JSON"):
        read_replies(tmp_path, "d", "org/m:free")
    with pytest.raises(ValueError, match=r"jsonl:1 must be JSON"):
        tally(tmp_path)


def test_one_writer_at_a_time_and_a_killed_one_stops_nobody(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from llmrouterbench.collecting.replies_writer import RepliesWriter\n"
        "w = RepliesWriter(Path(sys.argv[1]))\n"
        "w.call('+', 0.0); w.call('+', 0.0); w.call('-', 0.0); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BlockingIOError, match=f"process {other.pid} on .* is writing"):
            RepliesWriter(tmp_path)
        assert f"process {other.pid}" in writer_of(tmp_path)
        os.kill(other.pid, signal.SIGKILL)
    assert writer_of(tmp_path) == ""
    with RepliesWriter(tmp_path) as writer:
        assert writer.in_flight == 1
    with RepliesWriter(tmp_path) as writer:
        assert writer.in_flight == 0


def test_the_owner_of_leases_stays(tmp_path: Path) -> None:
    with RepliesWriter(tmp_path) as writer:
        first = writer.owner
    with RepliesWriter(tmp_path) as writer:
        assert writer.owner == first


def test_more_files_than_a_writer_keeps_open(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for i in range(3 * OPEN_FILES):
            writer.append(reply("q0", str(i), model=f"m{i % (2 * OPEN_FILES)}"))
    assert scan_replies(tmp_path).height == 2 * OPEN_FILES


def test_other_settings_are_refused(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        with pytest.raises(ValueError, match="model 'org/m:free' that were collected with other settings"):
            writer.write_manifest({}, "other", {"org/m:free": "another"})
        writer.write_manifest({}, "other", {"second": "print"})
        assert set(read_replies_manifest(tmp_path)["models"]) == {"org/m:free", "second"}


def test_the_pool_is_the_config_s_in_the_order_in_which_models_joined(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        writer.write_manifest({"models": [{"name": "b"}, {"name": "a"}]}, "", {"b": "print", "a": "print"})
        assert pool_of(read_replies_manifest(tmp_path)) == ("b", "a")
        writer.write_manifest({"models": [{"name": "a"}, {"name": "b"}]}, "", {"a": "print", "b": "print"})
        assert pool_of(read_replies_manifest(tmp_path)) == ("b", "a")
        writer.write_manifest({"models": [{"name": "a"}]}, "", {"a": "print"})
    assert pool_of(read_replies_manifest(tmp_path)) == ("a",)


def test_a_right_answer_that_was_mended_is_stored(tmp_path: Path) -> None:
    mended = [ITEMS[0], Prompted(replace(ITEMS[1].item, target="mended"), ITEMS[1].prompt), ITEMS[2]]
    with started(tmp_path) as writer:
        writer.append(reply("q1"))
        assert edits(tmp_path, "d", mended).relabelled == {"q1"}
        writer.write_questions({"d": mended})
        path = items_path(tmp_path, "d")
        before = path.stat().st_mtime_ns
        writer.write_questions({"d": mended})
    assert read_items(tmp_path, "d") == mended
    assert path.stat().st_mtime_ns == before
    assert set(read_replies(tmp_path, "d", "org/m:free")) == {"q1"}


def test_only_a_question_that_is_asked_otherwise_loses_its_replies(tmp_path: Path) -> None:
    pictured = Prompted(replace(ITEMS[2].item, details={"images": ["data:,x"]}), ITEMS[2].prompt)
    with started(tmp_path) as writer:
        for item in ("q0", "q1", "q2"):
            writer.append(reply(item, cost=0.5, attempts=1))
        writer.append(reply("q0", model="other"))
        writer.write_questions({"d": [Prompted(ITEMS[0].item, "new"), ITEMS[1], pictured]})
    assert set(read_replies(tmp_path, "d", "org/m:free")) == {"q1"}
    assert read_replies(tmp_path, "d", "other") == {}
    found = tally(tmp_path)["d", "org/m:free"]
    assert (found.ok, found.failed, found.missing, found.cost, found.paid) == (1, 0, 2, 0.5, 1.5)
    assert paid_in(tmp_path) == 1.5
    with RepliesWriter(tmp_path) as writer:
        writer.append(reply("q0", "asked again", attempts=1))
    assert read_replies(tmp_path, "d", "org/m:free")["q0"].text == "asked again"


def test_what_is_not_asked_any_more_leaves_and_comes_back_with_its_replies(tmp_path: Path) -> None:
    with started(tmp_path) as writer:
        for item in ("q0", "q1", "q2"):
            writer.append(reply(item))
        writer.write_questions({"d": ITEMS[:1], "e": ITEMS[2:]})
        assert (read_items(tmp_path, "d"), tally(tmp_path)["d", "org/m:free"].ok) == (ITEMS[:1], 1)
        writer.write_questions({"e": ITEMS[2:]})
        assert (stored_datasets(tmp_path), len(read_replies(tmp_path, "d", "org/m:free"))) == (["e"], 3)
        back = [ITEMS[2], Prompted(ITEMS[1].item, "asked otherwise")]
        assert edits(tmp_path, "d", back).otherwise == {"q1"}
        writer.write_questions({"d": back})
    assert read_items(tmp_path, "d") == back
    assert set(read_replies(tmp_path, "d", "org/m:free")) == {"q0", "q2"}


@given(
    steps=st.lists(
        st.tuples(st.dictionaries(st.integers(0, 3), st.integers(0, 2), max_size=4), st.integers(0, 6)), max_size=8
    )
)
def test_no_reply_ever_answers_another_question(steps: list[tuple[dict[int, int], int]]) -> None:
    """Any questions after any others, the write of which may end at any point; each reply says what it was asked."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        for asked, full_after in steps:
            now = [Prompted(Item(f"q{item}", "query"), f"question {number}") for item, number in asked.items()]
            with FullDisk(folder, full_after) as writer, suppress(OSError):
                writer.write_questions({"d": now})
            with RepliesWriter(folder) as writer:
                writer.write_manifest({}, "", {"m": "print"})
                writer.write_questions({"d": now})
                replies = read_replies(folder, "d", "m")
                for entry in now:
                    if entry.item.id in replies:
                        assert replies[entry.item.id].text == entry.prompt
                    else:
                        writer.append(reply(entry.item.id, entry.prompt, "m"))
            assert (read_items(folder, "d") if now else stored_datasets(folder)) == now


class FullDisk(RepliesWriter):
    """A writer whose disk is full after some replies or files."""

    def __init__(self, folder: Path, room: int) -> None:
        super().__init__(folder)
        self.room = room

    def append(self, reply: Reply) -> None:
        self._take_room()
        super().append(reply)

    def _write(self, path: Path, items: Iterable[Prompted]) -> None:
        self._take_room()
        super()._write(path, items)

    def _take_room(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, "full")


def test_what_is_no_folder_of_replies_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a folder of replies"):
        read_replies_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "llmrouterbench/outcomes"}')
    with pytest.raises(ValueError, match="got a folder of outcomes, for bench, advise or fit"):
        read_replies_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "llmrouterbench/replies", "schema": 99}')
    with pytest.raises(ValueError, match="must have schema 1, got 99"):
        read_replies_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match="must hold the items of 'nope'"):
        read_items(tmp_path, "nope")


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_names_survive_as_file_names(name: str) -> None:
    from urllib.parse import unquote

    stem = file_stem(name)
    assert unquote(stem) == name
    assert not set(stem) & set('/\\:*?"<>|')
    assert not stem.startswith(".")


@given(st.binary())
def test_whole_lines_end(data: bytes) -> None:
    lines, torn = whole_lines(data)
    assert data.startswith(lines)
    assert not lines or lines.endswith(b"\n")
    assert torn == (len(lines) < len(data))
    assert b"\n" not in data[len(lines) :]


def test_the_lock_is_not_inherited_by_spawned_workers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with RepliesWriter(tmp_path):
        child = context.Process(target=os.getpid)
        child.start()
        child.join()
    with RepliesWriter(tmp_path):
        pass
