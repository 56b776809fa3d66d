"""The package's front: its public names, its old ones, and `python -m llmrouterbench`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import llmrouterbench
from llmrouterbench.moved import MOVED


def test_dir_shows_what_can_be_imported() -> None:
    assert dir(llmrouterbench) == sorted(llmrouterbench.__all__)
    for name in llmrouterbench.__all__:
        assert getattr(llmrouterbench, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'benhc'"):
        _ = llmrouterbench.benhc


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_todays_module(old: str) -> None:
    sys.modules.pop(f"llmrouterbench.{old}", None)
    name = f"llmrouterbench.{MOVED[old]}"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = import_module(f"llmrouterbench.{old}")
    assert f"llmrouterbench.{old} is {name} now; import it from there" in [str(one.message) for one in said]
    assert found is import_module(name)
    assert found.__spec__ is not None
    assert (found.__name__, found.__spec__.name) == (name, name)


def test_a_public_function_is_not_hidden_by_a_module_of_its_name() -> None:
    for name in set(llmrouterbench.__all__) - {"__version__"}:
        setattr(llmrouterbench, name, sys)
        assert getattr(llmrouterbench, name) is not sys


def test_a_class_of_a_notebook_that_uses_the_package_reaches_workers(tmp_path: Path) -> None:
    """Such a class is pickled by value, with the module that its methods call."""
    code = """
import numpy as np
import llmrouterbench as lrb

class First:
    def fit(self, train):
        self.models_ = train.models
        return self

    def predict(self, queries):
        score = np.eye(1, len(self.models_)).repeat(len(queries), axis=0)
        return lrb.Estimate(self.models_, score, score)

if __name__ == "__main__":
    table = lrb.Outcomes.of([f"query {i}" for i in range(20)], ["m", "n"], np.ones((20, 2)))
    print(lrb.bench(table, "runs", routers={"first": First()}, seeds=[1, 2], jobs=2).routers)
"""
    done = subprocess.run([sys.executable, "-"], input=code, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "['first']"), done.stderr


def test_python_m_is_the_command() -> None:
    said = subprocess.run([sys.executable, "-m", "llmrouterbench", "--version"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, f"llmrouterbench {llmrouterbench.__version__}\n")
