"""Hostile pickles, under their own name and in others' clothes: nothing happens outside, and one sentence is said."""

from __future__ import annotations

import gzip
import io
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrouterbench.importers import FORMATS, import_outcomes

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


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as error:
        import_outcomes(source, tmp_path / "o", **options)
    assert "\n" not in str(error.value)
    assert str(source) in str(error.value)
    assert not (tmp_path / "o").exists()
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hostile_pickle_is_refused_by_its_name_or_its_first_bytes(program: str, tmp_path: Path) -> None:
    source, file = tmp_path / "routerbench_0shot.pkl", tmp_path / "opened"
    source.write_bytes(PROGRAMS[program](file))
    assert "must not be a pickle file, because opening one can run any program" in refused(source, tmp_path)
    assert not file.exists()
    with source.open("rb") as opened:  # what it would have done
        code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
        subprocess.run([sys.executable, "-c", code], stdin=opened, stderr=subprocess.DEVNULL, check=False)
    assert file.exists() or file.is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOTHES)
def test_a_pickle_in_other_clothes_does_nothing(name: str, tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        source, file = tmp_path / name, tmp_path / "opened"
        source.write_bytes(CLOTHES[name](pickle.dumps(_Calls(eval, _line(file)), protocol)))
        said = refused(source, tmp_path)
        if name.startswith("x") and CLOTHES[name] is _as_is and protocol >= 2:
            assert "must not be a pickle file" in said
        assert not file.exists()


def test_a_pickle_is_refused_under_the_name_of_every_format(tmp_path: Path) -> None:
    source, file = tmp_path / "x.pkl", tmp_path / "opened"
    source.write_bytes(PROGRAMS["eval"](file))
    for format in FORMATS:
        assert "must not be a pickle file" in refused(source, tmp_path, format=format)
    assert not file.exists()


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
def test_a_damaged_or_swollen_pickle_is_refused_unread(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(data)
    assert "must not be a pickle file" in refused(tmp_path / "x.pkl", tmp_path)


def test_arrays_say_what_they_lack(tmp_path: Path) -> None:
    np.savez(tmp_path / "tmp_perf.npz", train_score=np.eye(2))
    assert "is arrays of numpy, which have no names of models" in refused(tmp_path / "tmp_perf.npz", tmp_path)
