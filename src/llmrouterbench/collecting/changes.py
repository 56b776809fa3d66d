"""What a folder of replies holds otherwise than its config asks: what collecting again changes, before it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from llmrouterbench.collecting._work import Questions, load_questions
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.replies_store import (
    Edits,
    Prompted,
    edits,
    pool_of,
    read_replies_manifest,
    stored_datasets,
)


def changes(config: CollectConfig, questions: Questions) -> list[str]:
    """A sentence for everything that changed since the folder was collected; [] for a folder that is new."""
    folder = Path(config.out)
    if not (folder / "manifest.json").is_file():
        return []
    manifest = read_replies_manifest(folder)
    names = dict.fromkeys((*questions, *stored_datasets(folder)))
    of_datasets = (_of_dataset(folder, name, questions.get(name, ())) for name in names)
    return [*_of_models(config, manifest), *chain.from_iterable(of_datasets)]


def changed_files(config: CollectConfig) -> list[str]:
    """A sentence for every own dataset whose file differs from the items that were collected."""
    own = dict(load_questions(one) for one in config.datasets if one.name.endswith((".yaml", ".yml")))
    folder = Path(config.out)
    stored = [name for name in stored_datasets(folder) if name in own]
    return [sentence for name in stored for sentence in _of_dataset(folder, name, own[name])]


def asked_otherwise(folder: Path, questions: Questions) -> dict[str, frozenset[str]]:
    """Dataset -> ids of the items whose stored replies answer another question than the one that is asked now."""
    return {name: edits(folder, name, asked).otherwise for name, asked in questions.items()}


def _of_models(config: CollectConfig, manifest: Mapping[str, Any]) -> Iterator[str]:
    pool, now = pool_of(manifest), [model.name for model in config.models]
    for name in sorted(set(pool) - set(now)):
        yield f"model {name} is not in the config any more: its replies stay on the disk and leave the outcomes"
    for name in sorted(set(now) - set(pool)):
        yield f"model {name} is new in the config"
    before = {model["name"]: model.get("price") for model in manifest["config"].get("models", [])}
    for model in config.models:
        price = model.price.model_dump() if model.price else None
        if model.name in pool and before.get(model.name) != price:
            yield f"model {model.name} has another price now: replies that are there keep what they cost when they came"


def _of_dataset(folder: Path, name: str, asked: Sequence[Prompted]) -> Iterator[str]:
    found = edits(folder, name, asked)
    if found:
        yield f"dataset {name}: {_words(found)}"


def _words(found: Edits) -> str:
    counted = {
        "changed and asked again, but for what the cache has": found.otherwise,
        "with another answer, label or detail": found.relabelled,
        "new": found.joined,
        "not asked any more": found.left,
    }
    said = [f"{len(items)} questions {what}" for what, items in counted.items() if items]
    return "; ".join([*said, *(["another order"] if found.moved else [])])
