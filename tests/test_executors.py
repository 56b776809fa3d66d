"""The same bench on a real local Ray and a real local Dask: the same decisions, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from llmrouterbench.benching.bench import bench
from llmrouterbench.benching.executors import executor, known_backend
from llmrouterbench.simulation.simulate import simulate

ROUTERS = ["best_single", "knn:k=9", "avengers_pro:k=6"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["ray", "dask"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_cluster_decides_bit_for_bit_what_this_machine_decides(backend: str, tmp_path: Path) -> None:
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[backend], reason=f"{backend} is not installed")
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


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="no backend named 'dsk'; did you mean 'dask'"):
        known_backend("dsk")
    with (
        pytest.raises(ValueError, match="backend 'loky' runs on this machine and has no cluster"),
        executor("loky", "x", 1),
    ):
        pass


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
