"""Where tasks run: processes of this machine, or a Ray or Dask cluster; and what is said when one of them is lost."""

from __future__ import annotations

import os
import pickle
import re
import socket
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from llmrouterbench.naming import did_you_mean
from llmrouterbench.table import Outcomes

_BATCH = 32
"""Tasks sent to Ray at a time: what is back is written before the next ones leave."""
_SECONDS = 10.0
"""How long a cluster may take to answer."""
BACKENDS = ("loky", "ray", "dask")
Result = TypeVar("Result")


def batched(calls: list[Any], size: int) -> Iterator[list[Any]]:
    """Pieces of at most `size`.

    >>> list(batched([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    return (calls[start : start + size] for start in range(0, len(calls), size))


@dataclass(frozen=True)
class Workers:
    """Where tasks run and how many at once. Raises ValueError for what cannot be.

    jobs     processes; -1 for all cores
    backend  "loky" (this machine), "ray" or "dask"
    cluster  address of a running Ray or Dask cluster; None starts a small one on this machine, for as long as it works
    """

    jobs: int = -1
    backend: str = "loky"
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"no backend named {self.backend!r}{did_you_mean(self.backend, BACKENDS)}")
        if self.backend == "loky" and self.cluster is not None:
            raise ValueError(
                f"backend 'loky' runs on this machine and has no cluster, got {self.cluster!r}; use ray or dask"
            )
        if self.jobs == 0:
            raise ValueError("jobs must be the number of processes, or -1 for all cores, got 0; give another")

    def results(self, task: Callable[..., Result], calls: Sequence[tuple[Any, ...]]) -> Iterator[Result]:
        """What a function gives for each tuple of arguments, as it comes back, in any order.

        What a task raises is raised here. Raises ConnectionError where the cluster does not answer, ChildProcessError
        where a worker is lost, ImportError where the backend's extra is missing.
        """
        if not calls:
            return
        out, jobs = len(calls), min(self.jobs, len(calls))
        sent: Sent = [(os.getpid(), task, *call) for call in calls]
        with _BACK[self.backend](self.cluster, jobs, sent) as back:
            for result, error in self._survived(back):
                if error is not None:
                    raise error
                out -= 1
                yield result
        if out:
            raise self._lost(f"{out} of {len(calls)} tasks never came back")

    def _survived(self, results: Iterable[Any]) -> Iterator[Any]:
        """The results; what the backend itself raises becomes a sentence."""
        try:
            for result in results:  # noqa: UP028 (they are closed where they were made)
                yield result
        except Exception as error:
            lines = re.sub(r"\x1b\[\d+m", "", str(error)).strip().splitlines() or [""]
            unread = next((line for line in lines if "No module named" in line or "un-serialize" in line), None)
            if unread or isinstance(error, pickle.PicklingError):
                raise ValueError(
                    f"a task must be picklable to be sent to a worker, got: {(unread or lines[0]).rstrip('.')}; define"
                    " the class of a router in a module that workers can import, or use one job on this machine"
                ) from error
            raise self._lost(f"{type(error).__name__}: {lines[0].rstrip('.')}") from error

    def _lost(self, why: str) -> ChildProcessError:
        return ChildProcessError(
            f"a worker of backend {self.backend!r} was lost, killed or out of memory ({why}); what was finished is"
            " kept: run it again, with fewer jobs at once if the memory is short"
        )


def _tried(sender: int, task: Callable[..., Result], *call: Any) -> tuple[Result | None, Exception | None]:
    """The result of a task or what it raised, as something that any process can read."""
    try:
        return task(*call), None
    except Exception as error:
        if os.getpid() == sender:
            return None, error
        try:
            pickle.loads(pickle.dumps(error))
            portable = error
        except Exception:
            portable = RuntimeError(f"{type(error).__name__}: {error}")
        portable.add_note("".join(traceback.format_exception(error)))
        return None, portable


Sent = Sequence[tuple[Any, ...]]
"""Arguments of `_tried`, one tuple a task."""


@contextmanager
def _loky(cluster: str | None, jobs: int, sent: Sent) -> Iterator[Iterable[Any]]:
    from joblib import Parallel, delayed

    with warnings.catch_warnings():
        # loky replaces a process that grew and gives its jobs to the next one: nothing is lost, nobody need worry.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        workers = Parallel(n_jobs=jobs, backend="loky", return_as="generator_unordered")
        back: Any = workers(delayed(_tried)(*one) for one in sent)
        try:
            yield back
        finally:
            warnings.filterwarnings("ignore", message=".*tasks which were still being processed")  # who stops knows
            back.close()


@contextmanager
def _ray(cluster: str | None, jobs: int, sent: Sent) -> Iterator[Iterable[Any]]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ImportError("backend 'ray' needs ray; pip install 'llmrouterbench[ray]'") from error
    from joblib import Parallel, delayed, parallel_config

    started = not ray.is_initialized()
    if started:
        _check_answers("ray", cluster)
        cpus = None if cluster or jobs < 1 else jobs
        try:
            ray.init(address=cluster, num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        except (Exception, SystemExit) as error:  # it ends the process where its own server does not answer
            raise _away("ray", cluster, error) from error
    register_ray()  # type: ignore[no-untyped-call]
    try:
        with parallel_config(backend="ray", n_jobs=jobs):  # it gives results back in lists only
            batches = batched([delayed(_tried)(*one) for one in sent], _BATCH)
            yield chain.from_iterable(map(Parallel(n_jobs=jobs), batches))
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _dask(cluster: str | None, jobs: int, sent: Sent) -> Iterator[Iterable[Any]]:
    """Without joblib, which waits for ever for a task whose workers died."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ImportError("backend 'dask' needs dask; pip install 'llmrouterbench[dask]'") from error
    local = {"n_workers": max(1, jobs), "threads_per_worker": 1, "dashboard_address": None}
    _check_answers("dask", cluster)
    try:
        client: Any = Client(cluster) if cluster else Client(**local)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise _away("dask", cluster, error) from error
    with client:
        big = {id(arg): arg for one in sent for arg in one if isinstance(arg, Outcomes | np.ndarray)}
        there = dict(zip(big, client.scatter(list(big.values()), hash=False, broadcast=True), strict=True))
        futures = [client.submit(_tried, *(there.get(id(arg), arg) for arg in one), pure=False) for one in sent]
        yield (future.result() for future in as_completed(futures))  # type: ignore[no-untyped-call]


_BACK: dict[str, Callable[[str | None, int, Sent], AbstractContextManager[Iterable[Any]]]] = {
    "loky": _loky,
    "ray": _ray,
    "dask": _dask,
}


def _check_answers(backend: str, cluster: str | None) -> None:
    """Raise ConnectionError where nobody listens at an address; the libraries wait for minutes, or end the process."""
    if cluster is None:
        return
    parts = urlsplit(cluster if "://" in cluster else f"//{cluster}")
    try:
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=_SECONDS).close()
    except (OSError, ValueError) as error:
        raise _away(backend, cluster, error) from error


def _away(backend: str, cluster: str | None, error: BaseException) -> ConnectionError:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return ConnectionError(
        f"a {backend} cluster must answer at {cluster or 'this machine'}, got: {said}; start it, or check the address"
    )
