"""Plug-ins: a package that pip installed adds a router, a dataset, an embedder and an importer to every command."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import orjson
import pytest
import yaml

from llmrouterbench import Outcomes
from llmrouterbench.store import write_outcomes as save_outcomes
from provider import Provider

THEIRS = '''
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from llmrouterbench import Estimate, Outcomes
from llmrouterbench.datasets import Dataset, Source
from llmrouterbench.findings import Findings, Imported
from llmrouterbench.importers import Importer
from llmrouterbench.replies import Item, Score


class First:
    """Always the first model."""

    def fit(self, train):
        self.models_ = train.models
        return self

    def predict(self, queries):
        score = np.zeros((len(queries), len(self.models_)))
        score[:, 0] = 1.0
        return Estimate(self.models_, score, np.full(score.shape, np.nan))


class Hashed:
    fitted_on_train = False

    def __init__(self, width: str) -> None:
        self.width = int(width)
        self.key = f"hashed {width}"

    def fit(self, texts):
        return self

    def embed(self, texts):
        digests = [hashlib.sha256(text.encode()).digest()[: self.width] for text in texts]
        return np.array([[byte + 1.0 for byte in digest] for digest in digests])

    def truncated(self, texts):
        return np.zeros(len(texts), dtype=np.bool_)


def read_shouts(files):
    lines = files["shouts.txt"].read_text().splitlines()
    return [Item(str(number), line, line.upper()) for number, line in enumerate(lines)]


class Learned(Hashed):
    fitted_on_train = True

    def __init__(self):
        super().__init__("4")


SHOUTS = Dataset(
    name="shouts", title="Shouts", domain="own", source=Source("own", "theirs", "1", {"shouts.txt": ""}), licence="CC0",
    citation="none", size=4, shots=0, kind="text", version=1, read=read_shouts,
    prompt=lambda item: f"Shout: {item.query}",
    score=lambda item, reply, instruments: Score(float(reply == item.target), reply),
)


def read_pipes(source, options):
    rows = [line.split("|") for line in Path(source).read_text().splitlines()[1:]]
    outcomes = Outcomes.of([row[0] for row in rows], ["a", "b"], [[float(cell) for cell in row[1:]] for row in rows])
    return Imported(outcomes, Findings(), {"records": len(rows)})


PIPES = Importer(read_pipes, lambda path: path.suffix == ".pipes")
SLEEPY = Importer(read_pipes, lambda path: 1 / 0)
WRONG = Importer(lambda source, options: "outcomes")
'''

ENTRY_POINTS = """
[llmrouterbench.routers]
first = theirs:First
knn = theirs:First
oracle = theirs:First
broken = theirs_broken:Router
value = theirs:SHOUTS

[llmrouterbench.datasets]
shouts = theirs:SHOUTS
gpqa = theirs:SHOUTS
whispers = theirs:SHOUTS
ends = theirs_ends:DATASET
missing = theirs:NOTHING

[llmrouterbench.embedders]
hashed = theirs:Hashed
tfidf = theirs:Hashed
none = theirs:First
learned = theirs:Learned
text = theirs:ENTRY

[llmrouterbench.importers]
pipes = theirs:PIPES
long_table = theirs:PIPES
sleepy = theirs:SLEEPY
wrong = theirs:WRONG
broken = theirs_broken:IMPORTER
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def wheel(folder: Path, name: str, entry_points: str, modules: dict[str, str]) -> Path:
    """A wheel of a package, as any build tool writes it."""
    info = f"{name}-1.0.dist-info"
    files = {f"{module}.py": text for module, text in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages that pip installed into a folder; the second wants a name of the first."""
    folder = tmp_path_factory.mktemp("plugins")
    broken = {"theirs_broken": "import no_such_library\n", "theirs_ends": "raise SystemExit('goodbye')\n"}
    also = "[llmrouterbench.routers]\nfirst = theirs:Hashed\n"
    wheels = [wheel(folder, "theirs", ENTRY_POINTS, {"theirs": THEIRS, **broken}), wheel(folder, "yours", also, {})]
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", folder / "site", *wheels], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of outcomes."""
    folder = tmp_path_factory.mktemp("outcomes") / "data"
    save_outcomes(Outcomes.of([f"question {i}" for i in range(20)], ["a", "b"], [[1, 0]] * 20), folder)
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """The command line in a process that has the packages, in a folder of its own."""
    paths = [str(installed), os.environ.get("PYTHONPATH", "")]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "LLMROUTERBENCH_CACHE": str(tmp_path / "cache"),
    }

    def call(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llmrouterbench", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        return done

    return call


def test_the_main_job_with_their_importer_router_and_embedder(run: Run, tmp_path: Path) -> None:
    rows = [f"question {i} about {'tin' if i % 2 else 'iron'}|{i % 2}|{(i + 1) % 2}" for i in range(60)]
    (tmp_path / "log.pipes").write_text("\n".join(["query|a|b", *rows]))
    said = run("import", "log.pipes", "--to", "data", "--json")
    assert orjson.loads(said.stdout)["source"]["format"] == "pipes"
    bench = ["bench", "data", "--routers", "first,best_single", "--seeds", "1", "--jobs", "1"]
    run(*bench, "--embedder", "hashed:8", "--out", "runs")
    embedder = orjson.loads((tmp_path / "runs/runs.json").read_bytes())["embedder"]
    assert embedder["name"] == "hashed:8"
    run("fit", "data", "--to", "router", "--router", "knn", "--embedder", "hashed:8")
    decided = orjson.loads(run("route", "router", "question 1 about tin", "--json").stdout)
    assert decided["model"] in ("a", "b")


def test_their_dataset_is_listed_asked_and_scored(run: Run, tmp_path: Path) -> None:
    listed = orjson.loads(run("datasets", "--json").stdout)["datasets"]
    assert [one["name"] for one in listed if one["domain"] == "own"] == ["shouts"]
    (tmp_path / "shouts.txt").write_text("hear me\nhear this\nnow\n")
    with Provider(reply=lambda prompt: prompt.removeprefix("Shout: ").upper() if "hear" in prompt else "no") as one:
        config = {
            "out": "replies",
            "endpoints": {"here": {"url": one.url}},
            "models": [{"name": "loud", "endpoint": "here", "price": {"input": 1.0, "output": 4.0}}],
            "datasets": [{"name": "shouts", "folder": "."}],
        }
        (tmp_path / "collect.yaml").write_text(yaml.safe_dump(config))
        run("collect", "collect.yaml")
    run("score", "replies", "--to", "data")
    outcomes = Outcomes.load(tmp_path / "data")
    assert outcomes.datasets == ["shouts"]
    assert outcomes.score[:, 0].tolist() == [1.0, 1.0, 0.0]


def test_each_plug_in_is_listed_with_what_is_wrong_with_it(run: Run) -> None:
    rows = orjson.loads(run("plugins", "--json").stdout)["plugins"]
    faults = {(row["kind"], row["name"], row["package"]): row["fault"] for row in rows}
    assert [name for (_, name, _), fault in faults.items() if fault == "name is taken"] == [
        "first", "knn", "oracle", "gpqa", "tfidf", "long_table",
    ]  # fmt: skip
    assert faults["router", "first", "yours"] == "name is taken"
    works = {(kind, name) for (kind, name, _), fault in faults.items() if not fault}
    assert works == {
        ("router", "first"), ("dataset", "shouts"), ("embedder", "hashed"), ("embedder", "none"),
        ("embedder", "learned"), ("importer", "pipes"), ("importer", "sleepy"), ("importer", "wrong"),
    }  # fmt: skip
    assert "ModuleNotFoundError: No module named 'no_such_library'" in faults["router", "broken", "theirs"]
    assert "got SystemExit: goodbye" in faults["dataset", "ends", "theirs"]
    assert "AttributeError: " in faults["dataset", "missing", "theirs"]
    assert "must be a Dataset of the name 'whispers', got Dataset" in faults["dataset", "whispers", "theirs"]
    assert "must be a class with `fit`, got Dataset" in faults["router", "value", "theirs"]


def test_a_damaged_list_of_another_package_hides_nothing(run: Run, installed: Path) -> None:
    info = installed / "torn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llmrouterbench.routers]\nno entry point\n")
    try:
        assert "shouts" in run("datasets").stdout
        said = run("plugins", "--json")
        assert "package torn must list its entry points as NAME = MODULE:NAME, got TypeError" in said.stderr
        assert "shouts" in said.stdout
    finally:
        rmtree(info)


def test_lists_go_on_past_what_is_broken(run: Run) -> None:
    names = [row["name"] for row in orjson.loads(run("routers", "--json").stdout)["routers"]]
    assert names.count("knn") == names.count("first") == names.count("broken") == 1
    said = run("datasets")
    assert "gpqa" in said.stdout
    assert "dataset 'ends' of package theirs must be importable, got SystemExit: goodbye" in said.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("--routers broken", 1, "router 'broken' of package theirs must be importable, got ModuleNotFoundError: No"),
        ("--routers value", 1, "router 'value' of package theirs must be a class with `fit`, got Dataset"),
        ("--embedder hashed", 2, "embedder 'hashed' of package theirs must be written hashed:..., got 'hashed'"),
        ("--embedder hashed:wide", 2, "invalid literal for int() with base 10: 'wide'"),
        ("--embedder none", 1, "must be an embedder, which has fitted_on_train, key, embed, truncated, got First"),
        ("--embedder none:x", 2, "must be written none, got 'none:x'"),
        ("--embedder hasht:8", 2, "no embedder named 'hasht'; did you mean 'hashed'?"),
    ],
)
def test_a_broken_plug_in_is_one_sentence(run: Run, data: Path, words: str, code: int, sentence: str) -> None:
    said = run("bench", str(data), "--out", "runs", *words.split(), code=code)
    assert sentence in " ".join(said.stderr.replace("│", " ").split())


def test_a_router_to_serve_takes_no_embedder_that_cannot_be_stored(run: Run, data: Path) -> None:
    said = run("fit", str(data), "--to", "router", "--embedder", "learned", code=2)
    assert "must be tfidf to be stored, got 'learned'" in " ".join(said.stderr.replace("│", " ").split())


def test_a_format_of_theirs_that_fails_names_its_package(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log.pipes").write_text("query|a|b\nq|x|0")
    assert "could not convert string to float: 'x'" in run("import", "log.pipes", "--to", "data", code=1).stderr
    (tmp_path / "log.pipes").write_text("query|a|b\nq")
    said = run("import", "log.pipes", "--to", "data", code=1).stderr
    assert said.startswith("error: ")
    said = run("import", "log.pipes", "--to", "data", "--format", "wrong", code=1).stderr
    assert "importer 'wrong' of package theirs must be an Importer whose `read` gives an Imported, got str" in said
    (tmp_path / "log.odd").write_text("odd")
    said = run("import", "log.odd", "--to", "data", code=1).stderr
    assert "got none of these" in said
    assert "importer 'sleepy' of package theirs must do its work, got ZeroDivisionError" in said
    assert not (tmp_path / "data").exists()
