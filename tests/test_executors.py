"""Where a bench works: a real local Ray and Dask decide the same, bit for bit; what is lost or away is said."""

import os
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from failing import Killed
from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.executors import Workers
from llmrouterbench.routers import make_router
from llmrouterbench.simulation.simulate import simulate

ROUTERS = ["best_single", "knn:k=9", "avengers_pro:k=6"]
on_a_cluster = pytest.mark.parametrize("backend", ["ray", "dask"])
noisy = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")


def needs(backend: str) -> None:
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[backend], reason=f"{backend} is not installed")


@pytest.mark.slow
@on_a_cluster
@noisy
def test_a_cluster_decides_bit_for_bit_what_this_machine_decides(backend: str, tmp_path: Path) -> None:
    needs(backend)
    outcomes = simulate("performance-cost", scale=0.03)
    here = bench(outcomes, tmp_path / "here", routers=ROUTERS, seeds=[1, 2], jobs=1, cache=tmp_path / "cache")
    there = bench(
        outcomes, tmp_path / "there", routers=ROUTERS, seeds=[1, 2], jobs=2, backend=backend, cache=tmp_path / "cache"
    )
    assert sorted(here.decisions) == sorted(there.decisions)
    for key, decided in here.decisions.items():
        assert decided.weights.tobytes() == there.decisions[key].weights.tobytes()
        for part in ("validation", "test"):
            one, other = decided.parts[part], there.decisions[key].parts[part]
            for name in ("rows", "point", "query", "model", "served", "called"):
                assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@pytest.mark.slow
@on_a_cluster
@noisy
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_worker_of_a_cluster_that_dies_is_a_sentence(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(backend)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    routers = {"good": make_router("best_single"), "bad": Killed()}
    outcomes = simulate("performance-cost", scale=0.01)
    with pytest.raises(ChildProcessError, match=f"a worker of backend '{backend}' was lost, .*; what was finished is"):
        bench(outcomes, tmp_path / "r", routers=routers, seeds=[1], jobs=2, backend=backend)


@on_a_cluster
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "tcp://127.0.0.1:{}"])
def test_a_cluster_that_is_away_is_a_sentence(backend: str, form: str, tmp_path: Path) -> None:
    needs(backend)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        address = form.format(taken.getsockname()[1])
        outcomes = simulate("performance-cost", scale=0.01)
        with pytest.raises(ConnectionError, match=f"a {backend} cluster must answer at {address}, got: .*; start it"):
            bench(
                outcomes, tmp_path / "r", routers=["best_single"], seeds=[1], jobs=1, backend=backend, cluster=address
            )
    assert not (tmp_path / "r").exists()


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="no backend named 'dsk'; did you mean 'dask'"):
        Workers(backend="dsk")
    with pytest.raises(ValueError, match="backend 'loky' runs on this machine and has no cluster"):
        Workers(cluster="x")
    with pytest.raises(ValueError, match="jobs must be the number of processes, or -1 for all cores, got 0"):
        Workers(0)


def half(value: Any) -> Any:
    return 1 / (value - 2)


def test_results_come_as_they_are_and_so_does_what_a_task_raises() -> None:
    assert list(Workers(1).results(half, [])) == []
    assert sorted(Workers(1).results(half, [(3,), (4,)])) == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        list(Workers(1).results(half, [(3,), (2,)]))


def test_a_task_that_no_worker_can_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a task must be picklable to be sent to a worker, got: .*; define the class"):
        list(Workers(2).results(half, [(threading.Lock(),), (1,)]))


def test_tuning_chooses_on_validation(tmp_path: Path) -> None:
    """One cluster cannot route; a grid that offers more must not keep it."""
    from llmrouterbench.benching.deciding import decide
    from llmrouterbench.checks.router import planted_table
    from llmrouterbench.routers.avengers import Avengers
    from llmrouterbench.splits import make_split

    class Tunable(Avengers):
        grid = {"k": (1, 6, 6)}

    table = planted_table(500)
    split = make_split(table, 1)
    tuned = decide(table, split, Tunable(k=1), 0.2, 1, tune=True)
    plain = decide(table, split, Tunable(k=1), 0.2, 1)
    assert tuned.facts["settings"]["k"] == 6
    test = table.take(split.test)
    served = [test.score[np.arange(len(test)), part.parts["test"].model].mean() for part in (tuned, plain)]
    assert served[0] > served[1] + 0.1
