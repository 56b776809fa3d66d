"""What scoring takes from the config of a collection: own datasets and judges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llmrouterbench.calling.asking import Asker
from llmrouterbench.collecting.config import CollectConfig, PoolModel, parse_config, read_config
from llmrouterbench.collecting.replies_store import read_replies_manifest
from llmrouterbench.datasets import Dataset, dataset

if TYPE_CHECKING:
    from llmrouterbench.calling.cache import Cache


def stored_config(replies: Path, config: Path | None) -> CollectConfig:
    """The config at a path, or the one that a folder of replies was collected with, wherever the folder lies now."""
    if config is not None:
        return read_config(config)
    stored = parse_config(read_replies_manifest(replies)["config"], f"{replies}/manifest.json")
    return stored.model_copy(update={"out": str(replies)})


def resolver(config: CollectConfig) -> Callable[[str], Dataset]:
    """Dataset name -> Dataset, the config's own ones included. The function raises ValueError for an unknown name."""
    from llmrouterbench.datasets.own import own_dataset

    own = [own_dataset(one.name) for one in config.datasets if one.name.endswith((".yaml", ".yml"))]
    by_name = {one.name: one for one in own}
    return lambda name: by_name[name] if name in by_name else dataset(name)


def judge_settings(config: CollectConfig) -> dict[str, str]:
    """Judge name -> a hash of all that can change its judgements but the template."""
    return {judge.name: judge.fingerprint(config.endpoints[judge.endpoint].url) for judge in config.judges}


@contextmanager
def open_judges(config: CollectConfig, needed: Collection[str] | None = None) -> Iterator[dict[str, Asker]]:
    """Judge name -> what asks it, through the config's cache; nothing is sent before somebody asks.

    needed  names of the judges to open; None for all

    Raises ValueError for a judge whose key is not set.
    """
    from llmrouterbench.calling.cache import open_cache
    from llmrouterbench.collecting.collect import cache_address

    wanted = [judge for judge in config.judges if needed is None or judge.name in needed]
    with ExitStack() as stack:
        cache = stack.enter_context(open_cache(cache_address(config))) if wanted else None
        yield {judge.name: stack.enter_context(_asker(config, judge, cache)) for judge in wanted}


def _asker(config: CollectConfig, judge: PoolModel, cache: Cache | None) -> Asker:
    from llmrouterbench.calling.asking import asker
    from llmrouterbench.calling.prices import price

    endpoint = config.endpoints[judge.endpoint].endpoint(judge.endpoint)
    known = price(judge.sent_name, endpoint, judge.price)
    return asker(endpoint, judge.request(), cache, name=judge.name, price=known)
