"""Hostile pickles, under their own name and in others' clothes: nothing happens outside, and one sentence is said.

Those of benchmarks are opened in the sandbox, and what comes out is read as any file.
"""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench import Outcomes
from llmrouterbench.importers import FORMATS, _pickles, import_outcomes
from llmrouterbench.sandbox.run import open_sandbox

Made = Callable[[Path], bytes]


class _Calls:
    """Is pickled as a call of a function."""

    def __init__(self, function: Any, *given: Any, state: Any = None) -> None:
        self.function, self.given, self.state = function, given, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.given, self.state


def _named(module: str, name: str, *words: str) -> bytes:
    """A call of module.name with texts, in the oldest protocol."""
    return f"c{module}\n{name}\n(".encode() + b"".join(f"V{word}\n".encode() for word in words) + b"tR."


def _line(file: Path) -> str:
    return f"open({str(file)!r}, 'w').close()"


PROGRAMS: dict[str, Made] = {
    "os.system": lambda file: _named("os", "system", f"touch '{file}'"),
    "posix.system": lambda file: _named("posix", "system", f"touch '{file}'"),
    "os.popen": lambda file: b"cos\npopen\n(V" + f"touch '{file}'".encode() + b"\ntR0cos\nwait\n(tR.",
    "a shell": lambda file: _named("subprocess", "getoutput", f"touch '{file}'"),
    "a process": lambda file: pickle.dumps(_Calls(subprocess.call, ["touch", str(file)]), 4),
    "eval": lambda file: _named("builtins", "eval", _line(file)),
    "eval of Python 2": lambda file: _named("__builtin__", "eval", _line(file)),
    "exec": lambda file: _named("builtins", "exec", _line(file)),
    "open": lambda file: _named("builtins", "open", str(file), "w"),
    "io.open": lambda file: _named("io", "open", str(file), "w"),
    "mkdir": lambda file: _named("os", "mkdir", str(file)),
    "a link": lambda file: _named("os", "symlink", "/etc/passwd", str(file)),
    "a method": lambda file: pickle.dumps(_Calls(file.touch), 5),
    "an instance": lambda file: b"(V" + _line(file).encode() + b"\nibuiltins\neval\n.",
    "an object": lambda file: b"(cbuiltins\neval\nV" + _line(file).encode() + b"\no.",
    "a name on the stack": lambda file: b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93(V" + _line(file).encode() + b"\ntR.",
    "a new object": lambda file: pickle.dumps(_Calls(eval, _line(file), state={"x": 1}), 2),
    "a program before nonsense": lambda file: _named("builtins", "eval", _line(file))[:-1] + b"\xff\xff",
    "a program of a library": lambda file: _named("timeit", "timeit", "pass", _line(file)),
    "a value of a list": lambda file: pickle.dumps([{"sample_id": "a", "score": _Calls(eval, _line(file))}], 1),
    "an array of objects": lambda file: pickle.dumps(np.array([_Calls(eval, _line(file))], dtype=object)),
    "a dictionary of RouterEval": lambda file: pickle.dumps({"easy": {3: {"all_strong": _Calls(eval, _line(file))}}}),
}
"""Name -> a pickle that makes the given file when it is opened."""


def _packed(name: str) -> Callable[[bytes], bytes]:
    def zipped(data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, data)
        return file.getvalue()

    return zipped


def _in_tar(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("routerbench_0shot.pkl")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _in_npy(data: bytes) -> bytes:
    """The pickle behind the header of an array of objects, as `numpy.load` reads it with `allow_pickle`."""
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def _as_is(data: bytes) -> bytes:
    return data


CLOTHES: dict[str, Callable[[bytes], bytes]] = {
    **dict.fromkeys(
        (
            "x.pkl", "x.PKL", "x.pickle", "x.p", "x.joblib", "x.pt", "x", "x.csv", "x.tsv", "x.json", "x.jsonl",
            "x.parquet", "x.arrow", "x.xlsx", "x.sqlite", "x.eval", "x.zip", "x.gz", "x.tar.gz",
        ),
        _as_is,
    ),
    "x.npy": _in_npy,
    "x.npz": lambda data: _packed("train_score.npy")(_in_npy(data)),
    "y.pkl.gz": gzip.compress,
    "y.csv.gz": gzip.compress,
    "y.zip": _packed("routerbench_0shot.pkl"),
    "y.pth": _packed("archive/data.pkl"),
    "y.eval": _packed("samples/1.pkl"),
    "y.xlsx": _packed("xl/workbook.pkl"),
    "y.tgz": _in_tar,
}  # fmt: skip
"""Name of a file -> how a pickle gets into it."""


def _line_of(code: str) -> Made:
    """A pickle that runs a program; FILE in it is the file that it would make."""
    return lambda file: _named("builtins", "exec", code.replace("FILE", repr(str(file))).replace("\n", "\\u000a"))


SANDBOXED: dict[str, Made] = {
    "its own source, written through its descriptors": _line_of(
        "import os\nfor fd in os.listdir('/proc/self/fd'):\n try: open(f'/proc/self/fd/{fd}', 'r+b').write(b'gone')\n"
        " except OSError: pass"
    ),
    "every folder": _line_of(
        "import os\nfor at in ('/', '/tmp', '/box', '/dev', '/dev/shm', '/proc', '/usr', '/var', '/modules', '.'):\n"
        " try: open(os.path.join(at, 'opened'), 'w')\n except OSError: pass\nopen(FILE, 'w')"
    ),
    "a secret of the environment": _line_of("import os\nraise ValueError(os.environ['SECRET_OF_THE_TEST'])"),
    "a secret of the parent": _line_of(
        "import os\nraise ValueError(open(f'/proc/{os.getppid()}/environ').read() + open('/proc/1/environ').read())"
    ),
    "a file of the user": _line_of("raise ValueError(open(FILE + '.secret').read())"),
    "a network": _line_of("import socket\nsocket.create_connection(('127.0.0.1', PORT), 5).send(b'found')"),
    "a name server": _line_of("import socket\nsocket.getaddrinfo('example.org', 443)"),
    "signals to everybody": _line_of("import os, signal\nos.kill(-1, signal.SIGKILL)"),
    "its parent's end": _line_of("import os, signal\nos.kill(os.getppid(), signal.SIGTERM)"),
    "children that stay": _line_of(
        "import os, time\nfor _ in range(200):\n try:\n  if not os.fork(): time.sleep(60)\n except OSError: pass"
    ),
    "a session of its own": _line_of(
        "import os, time\nif not os.fork():\n os.setsid()\n time.sleep(2)\n open(FILE, 'w')\n os._exit(0)"
    ),
    "no end": _line_of("while True: pass"),
    "sleep": _line_of("import time\ntime.sleep(1e6)"),
    "all memory": _line_of("x = bytearray(1 << 62)"),
    "a message without end": _line_of(
        "import os\nfor fd in range(20):\n try: os.write(fd, b'\\x7f' * 8)\n except OSError: pass"
    ),
    "no words": _line_of("import os\nos._exit(0)"),
    "a crash": _line_of("import ctypes\nctypes.string_at(0)"),
    "a terminal": _line_of("raise ValueError(chr(27) + ']0;owned' + chr(7) + chr(10) + 'second line' + chr(8238))"),
    "a table that is cut": _line_of(
        "import os, sys\nf = sys._getframe()\nwhile 'wire' not in f.f_locals: f = f.f_back\nwire = f.f_locals['wire']\n"
        "wire.say('.csv')\nwire.say('=query,model,sco')\nos._exit(0)"
    ),
    "an ending of its own": _line_of(
        "import os, sys\nf = sys._getframe()\nwhile 'wire' not in f.f_locals: f = f.f_back\nwire = f.f_locals['wire']\n"
        "wire.say('/../../opened')\nos._exit(0)"
    ),
}  # fmt: skip
"""Name -> a pickle that tries what a program in the sandbox might."""


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as error:
        import_outcomes(source, tmp_path / "o", **options)
    assert str(error.value).isprintable()
    assert str(source) in str(error.value)
    assert not (tmp_path / "o").exists()
    return str(error.value)


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> None:
        raise OSError("no sandbox works on this machine")

    monkeypatch.setattr("llmrouterbench.sandbox.run.open_sandbox", none)


def _needs_a_sandbox() -> str:
    try:
        open_sandbox()
    except OSError as error:
        return str(error)
    return ""


sandboxed = pytest.mark.skipif(bool(_needs_a_sandbox()), reason="needs a sandbox")


@pytest.mark.slow
@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize("program", PROGRAMS)
def test_where_there_is_no_sandbox_a_pickle_is_refused_by_its_name_or_its_first_bytes(
    program: str, tmp_path: Path
) -> None:
    source, file = tmp_path / "routerbench_0shot.pkl", tmp_path / "opened"
    source.write_bytes(PROGRAMS[program](file))
    assert "must not be a pickle file where no sandbox works" in refused(source, tmp_path)
    assert not file.exists()
    with source.open("rb") as opened:  # what it would have done
        code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
        subprocess.run([sys.executable, "-c", code], stdin=opened, stderr=subprocess.DEVNULL, check=False)
    assert file.exists() or file.is_symlink()


@pytest.mark.prove
@sandboxed
@pytest.mark.parametrize("program", [*PROGRAMS, *SANDBOXED])
def test_in_the_sandbox_a_hostile_pickle_does_nothing_outside(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, file = tmp_path / "routerbench_0shot.pkl", tmp_path / "opened"
    monkeypatch.setattr(_pickles, "_SECONDS", 2.0)
    monkeypatch.setenv("SECRET_OF_THE_TEST", "hush")
    file.with_name("opened.secret").write_text("hush")
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = (PROGRAMS.get(program) or SANDBOXED[program])(file).replace(
            b"PORT", str(server.getsockname()[1]).encode()
        )
        source.write_bytes(made)
        before = set(os.listdir(tmp_path))
        said = refused(source, tmp_path)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "must be a pickle of a table, got: " in said
    assert "hush" not in said
    assert set(os.listdir(tmp_path)) == before
    assert source.read_bytes() == made
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize("name", CLOTHES)
def test_a_pickle_in_other_clothes_does_nothing(name: str, tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        source, file = tmp_path / name, tmp_path / "opened"
        source.write_bytes(CLOTHES[name](pickle.dumps(_Calls(eval, _line(file)), protocol)))
        said = refused(source, tmp_path)
        if name.startswith("x") and CLOTHES[name] is _as_is and protocol >= 2:
            assert "must not be a pickle file" in said
        assert not file.exists()


@pytest.mark.slow
@sandboxed
@pytest.mark.parametrize("name", ["x.csv", "y.pkl.gz", "y.zip"])
def test_a_packed_pickle_is_opened_in_the_sandbox_too(name: str, tmp_path: Path) -> None:
    source, file = tmp_path / name, tmp_path / "opened"
    source.write_bytes(CLOTHES[name](pickle.dumps(_Calls(eval, _line(file)), 4)))
    assert "must be a pickle of a table" in refused(source, tmp_path)
    assert not file.exists()


@pytest.mark.usefixtures("no_sandbox")
def test_a_pickle_is_refused_under_the_name_of_every_format(tmp_path: Path) -> None:
    source, file = tmp_path / "x.pkl", tmp_path / "opened"
    source.write_bytes(PROGRAMS["eval"](file))
    for format in FORMATS:
        assert "must not be a pickle file" in refused(source, tmp_path, format=format)
    assert not file.exists()


@pytest.mark.usefixtures("no_sandbox")
def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    folder, file = tmp_path / "leaderboard_score", tmp_path / "opened"
    folder.mkdir()
    (folder / "leaderboard_old.pickle").write_bytes(PROGRAMS["eval"](file))
    assert "must not be a pickle file" in refused(folder, tmp_path)
    (folder / "log.csv").write_bytes(PROGRAMS["a method"](file))
    refused(folder, tmp_path, format="long_table")
    assert not file.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"x.",
        b"(" * 1_000_000 + b".",
        b"\x80\x02]" + b"q\x00h\x00h\x00\x86" * 100 + b".",
        b"\x80\x05\x96" + b"\xff" * 8 + b".",
        b"\x80",
        b"\x80\x04.",
        b"",
    ],
    ids=["a text of 4 EB", "a million marks", "of itself", "bytes without end", "cut", "nothing in it", "empty"],
)
@pytest.mark.slow
@sandboxed
def test_a_damaged_or_swollen_pickle_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(data)
    assert "must be a pickle of a table" in refused(tmp_path / "x.pkl", tmp_path)


# --- what is no attack -----------------------------------------------------------------------------------------------

MODELS = ["open-llm-leaderboard/ant", "open-llm-leaderboard/bee", "open-llm-leaderboard/cat"]
"""RouterEval's names."""


def routereval() -> dict[str, Any]:
    """The layout of `router_dataset/<task>_router_dataset.pkl`: of two pools that share a model."""
    score = {"train": [[1.0, 0.0, 0.25], [0.0, 0.0, 1.0]], "val": [[1.0, 1.0, 1.0]], "test": [[0.0, 1.0, 0.0]]}
    pools = {
        name: {
            "data": {f"{part}_score": np.array(rows)[:, chosen] for part, rows in score.items()},
            "model": np.array(MODELS)[chosen],
        }
        for name, chosen in (("all_strong", [0, 1]), ("all_weak", [1, 2]))
    }
    texts = {"train_prompt": np.array(["a?", "b?"]), "val_prompt": np.array(["c?"]), "test_prompt": np.array(["d?"])}
    rows = {"train_indices": np.array([3, 0]), "val_indices": np.array([2]), "test_indices": np.array([1])}
    return {"easy": {3: pools}, "hard": {}, "split_index": rows, "prompt": texts, "embedding": {}}


@pytest.mark.prove
@sandboxed
def test_routereval_is_read_from_its_pickles(tmp_path: Path) -> None:
    folder = tmp_path / "router_dataset"
    folder.mkdir()
    for task in ("gsm8k", "mmlu"):
        (folder / f"{task}_router_dataset.pkl").write_bytes(pickle.dumps(routereval(), 4))
    report = import_outcomes(folder, tmp_path / "o")
    assert report.source["format"] == "routereval"
    assert not report.findings
    outcomes = Outcomes.load(tmp_path / "o")
    assert outcomes.models == tuple(MODELS)
    assert outcomes.datasets == ["gsm8k", "mmlu"]
    assert outcomes.queries.id[:4].tolist() == ["gsm8k/3", "gsm8k/0", "gsm8k/2", "gsm8k/1"]
    assert list(outcomes.queries.text[:4]) == ["a?", "b?", "c?", "d?"]
    expected = [[1, 0, 0.25], [0, 0, 1], [1, 1, 1], [0, 1, 0]]
    assert outcomes.score[:4].tolist() == outcomes.score[4:].tolist() == expected


@pytest.mark.prove
@sandboxed
def test_routerbench_is_read_from_its_pickles(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    wide = pandas.DataFrame(
        {
            "sample_id": ["mbpp.1", "mbpp.2"],
            "prompt": ["['Sort, please.']", "['A line\\nand \"another\"']"],
            "eval_name": ["mbpp", "mbpp"],
            "ant": [1.0, np.nan],
            "ant|model_response": ["['yes']", None],
            "ant|total_cost": [0.01, np.nan],
        }
    ).astype({"sample_id": object, "prompt": object, "eval_name": object, "ant|model_response": object})
    raw = pandas.DataFrame(
        {
            "sample_id": wide["sample_id"],
            "prompt": wide["prompt"],
            "eval_name": wide["eval_name"],
            "performance": wide["ant"],
            "model_response": wide["ant|model_response"],
            "cost": wide["ant|total_cost"],
            "model_name": np.array(["ant", "ant"], dtype=object),
        }
    ).astype({"model_name": object})
    for name, frame in (("routerbench_0shot", wide), ("routerbench_raw", raw)):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(frame, 4))
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        import_outcomes(tmp_path / f"{name}.pkl", tmp_path / name)
        import_outcomes(tmp_path / f"{name}.csv", tmp_path / f"{name}_csv")
        of_pickle, of_table = Outcomes.load(tmp_path / name), Outcomes.load(tmp_path / f"{name}_csv")
        assert of_pickle.content_hash == of_table.content_hash
        assert of_pickle.score.tolist()[0] == [1.0]
        assert list(of_pickle.queries.text) == ["Sort, please.", 'A line\nand "another"']


@pytest.mark.slow
@sandboxed
def test_scores_of_routereval_without_texts_say_where_the_texts_are(tmp_path: Path) -> None:
    value = {"model": MODELS, "data": {"gsm8k": {"correctness": np.eye(3)}}}
    (tmp_path / "leaderboard_old.pkl").write_bytes(pickle.dumps(value))
    assert "import router_dataset/*.pkl" in refused(tmp_path / "leaderboard_old.pkl", tmp_path)


def test_arrays_say_what_they_lack(tmp_path: Path) -> None:
    np.savez(tmp_path / "tmp_perf.npz", train_score=np.eye(2))
    assert "is arrays of numpy, which have no names of models" in refused(tmp_path / "tmp_perf.npz", tmp_path)
