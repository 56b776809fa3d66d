"""Where tasks run: processes of this machine, or a Ray or Dask cluster. joblib is the one way to all three."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from llmrouterbench.naming import did_you_mean

_BATCH = 32
"""Tasks sent to Ray at a time: what is back is written before the next ones leave."""
BACKENDS = ("loky", "ray", "dask")


def known_backend(name: str) -> str:
    """The name, if it is one. Raises ValueError."""
    if name not in BACKENDS:
        raise ValueError(f"no backend named {name!r}{did_you_mean(name, BACKENDS)}")
    return name


def batched(calls: list[Any], size: int) -> Iterator[list[Any]]:
    """Pieces of at most `size`.

    >>> list(batched([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    return (calls[start : start + size] for start in range(0, len(calls), size))


@contextmanager
def executor(backend: str, cluster: str | None, jobs: int) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """Give a function that runs joblib calls and yields results as they come back, in any order.

    `cluster` is the address of a running cluster; None starts a small one on this machine that ends with the block.
    Raises ValueError for an unknown backend, ImportError where its extra is missing.
    """
    from joblib import Parallel, parallel_config

    around = {"loky": _loky, "ray": _ray, "dask": _dask}[known_backend(backend)]
    with around(cluster, jobs), parallel_config(backend=backend, n_jobs=jobs):
        if backend == "ray":  # it gives results back in lists only
            yield lambda calls: chain.from_iterable(map(Parallel(n_jobs=jobs), batched(list(calls), _BATCH)))
        else:
            yield lambda calls: Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


@contextmanager
def _loky(cluster: str | None, jobs: int) -> Iterator[None]:
    if cluster is not None:
        raise ValueError(f"backend 'loky' runs on this machine and has no cluster, got {cluster!r}; use ray or dask")
    with warnings.catch_warnings():
        # loky replaces a process that grew and gives its jobs to the next one: nothing is lost, nobody need worry.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        yield


@contextmanager
def _ray(cluster: str | None, jobs: int) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ImportError("backend 'ray' needs ray; pip install 'llmrouterbench[ray]'") from error
    started = not ray.is_initialized()
    if started:
        cpus = None if cluster or jobs < 1 else jobs
        ray.init(address=cluster, num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    register_ray()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _dask(cluster: str | None, jobs: int) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("backend 'dask' needs dask; pip install 'llmrouterbench[dask]'") from error
    local = {"n_workers": max(1, jobs), "threads_per_worker": 1, "dashboard_address": None}
    with Client(cluster) if cluster else Client(**local):  # type: ignore[no-untyped-call]
        yield
