"""The datasets: one file each, listed here by name; listing them imports none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from llmrouterbench.naming import did_you_mean
from llmrouterbench.plugins import PlugIns
from llmrouterbench.replies import Item, Reply, Score
from llmrouterbench.sandbox.run import RunProgram

Kind = Literal["text", "math", "code", "judge", "harness"]


@dataclass(frozen=True)
class Instruments:
    """What a scorer may use besides the reply; `score.py` supplies them, tests supply real ones too.

    equal   whether two mathematical answers are equal, under a time limit of its own (kind "math"); raises TimeoutError
    run     run a Python program in the sandbox, with its standard input, or with what speaks to it, and a limit in
            seconds (kind "code")
    ask     one reply of the judge model to a prompt, cached, retried and priced apart from the pool (kind "judge")
    again   as `ask`, past the cache, for a reply that cannot be read; None where there is no other
    """

    equal: Callable[[str, str], bool]
    run: RunProgram
    ask: Callable[[str], Reply]
    again: Callable[[str], Reply] | None = None


@dataclass(frozen=True)
class Source:
    """Where a dataset's files lie: a Hugging Face dataset ("hub"), a GitHub repository, or a Python package.

    files   path in the repository -> sha256; "" where nobody has published it, then the first load records it
    """

    place: Literal["hub", "github", "package", "own"]
    repository: str
    revision: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """One dataset: what it is, how to read it, how to ask it, how to score a reply.

    size      items as in the paper's Table 9; shots: worked examples in the prompt
    shown     whether items may be shown in reports
    read      local files (path in the repository -> where it lies) -> items of every subset
    prompt    the text sent to a model for one item
    score     (item, reply text, instruments) -> Score; pure but for the instruments
    official  the official code's reading of the same reply, for comparison with published tables; None: the same
    version   raised when the scorer changes its mind about any reply
    judge     the judge model's id, "" where there is none
    """

    name: str
    title: str
    domain: str
    source: Source
    licence: str
    citation: str
    size: int
    shots: int
    kind: Kind
    version: int
    read: Callable[[Mapping[str, Path]], list[Item]]
    prompt: Callable[[Item], str]
    score: Callable[[Item, str, Instruments], Score]
    official: Callable[[Item, str, Instruments], Score] | None = None
    subsets: tuple[str, ...] = ()
    shown: bool = True
    judge: str = ""
    judge_template: str = field(default="", repr=False)


DATASETS: dict[str, str] = {
    "aime": "aime:DATASET",
    "math500": "math500:DATASET",
    "mathbench": "mathbench:DATASET",
    "livemathbench": "livemathbench:DATASET",
    "mbpp": "mbpp:DATASET",
    "humaneval": "humaneval:DATASET",
    "livecodebench": "livecodebench:DATASET",
    "swe-bench": "swebench:DATASET",
    "korbench": "korbench:DATASET",
    "kandk": "kandk:DATASET",
    "bbh": "bbh:DATASET",
    "mmlupro": "mmlupro:DATASET",
    "gpqa": "gpqa:DATASET",
    "finqa": "finqa:DATASET",
    "medqa": "medqa:DATASET",
    "hle": "hle:DATASET",
    "simpleqa": "simpleqa:DATASET",
    "emorynlp": "emorynlp:DATASET",
    "meld": "meld:DATASET",
    "arenahard": "arenahard:DATASET",
    "tau2": "tau2:DATASET",
}
"""Dataset name -> "module:attribute" in this package; the names are those of the official release."""


def _needs(name: str, found: Any) -> str:
    """A dataset of another name would have its replies taken for those of that other one."""
    return "" if isinstance(found, Dataset) and found.name == name else f"a Dataset of the name {name!r}"


PLUG_INS = PlugIns("dataset", DATASETS, _needs)


def dataset_names() -> list[str]:
    """Names that `dataset` knows: ours, then those of installed plug-ins. A plug-in cannot take one of our names."""
    return [*DATASETS, *PLUG_INS.installed()]


def dataset(name: str) -> Dataset:
    """A dataset by name; nothing is read yet.

    Raises ValueError for an unknown name, ImportError where a plug-in is broken or gives no `Dataset` of its name.

    >>> dataset("gpqua")
    Traceback (most recent call last):
        ...
    ValueError: no dataset named 'gpqua'; did you mean 'gpqa'?
    """
    if name in DATASETS:
        module, _, attribute = DATASETS[name].partition(":")
        ours: Dataset = getattr(import_module(f"{__name__}.{module}"), attribute)
        return ours
    others = PLUG_INS.installed()
    if name not in others:
        raise ValueError(f"no dataset named {name!r}{did_you_mean(name, [*DATASETS, *others])}")
    theirs: Dataset = PLUG_INS.load(name)
    return theirs


def load(dataset: str | Dataset, folder: str | Path | None = None, subset: str = "") -> list[Item]:
    """Read the items of a dataset, all of them or one subset, after checking that its files are the pinned ones.

    folder  where the files lie under the names of `Source.files`; None downloads them once into the user's cache

    A file whose sha256 nobody has published is recorded in `sha256.json` beside it at the first load, then checked.
    Raises FileNotFoundError for a missing file, ValueError for a changed one or an unknown subset, ImportError without
    the package that the download needs, ConnectionError where the source cannot be reached.
    """
    from llmrouterbench.datasets._files import local_files

    chosen = _by_name(dataset) if isinstance(dataset, str) else dataset
    if subset and subset not in chosen.subsets:
        raise ValueError(f"dataset {chosen.name!r} has no subset {subset!r}{did_you_mean(subset, chosen.subsets)}")
    items = chosen.read(local_files(chosen, None if folder is None else Path(folder)))
    return [item for item in items if not subset or item.subset == subset]


_by_name = dataset


def identity(dataset: Dataset) -> str:
    """What a score of this dataset depends on: name and version, and for a judge its model and its template's sha256.

    >>> from llmrouterbench.datasets import dataset
    >>> identity(dataset("kandk"))
    'kandk@2'
    >>> identity(dataset("simpleqa")).rpartition(":")[0]
    'simpleqa@3+o3-mini'
    """
    own = f"{dataset.name}@{dataset.version}"
    if not dataset.judge:
        return own
    return f"{own}+{dataset.judge}:{hashlib.sha256(dataset.judge_template.encode()).hexdigest()}"
