"""What scoring takes from the config of a collection: own datasets and judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from llmrouterbench.collecting_config import CollectConfig, parse_config, read_config
from llmrouterbench.datasets import Dataset, dataset
from llmrouterbench.judge import Asker
from llmrouterbench.replies_store import read_replies_manifest


def stored_config(replies: Path, config: Path | None) -> CollectConfig:
    """The config at a path, or the one that a folder of replies was collected with."""
    if config is not None:
        return read_config(config)
    return parse_config(read_replies_manifest(replies)["config"], f"{replies}/manifest.json")


def resolver(config: CollectConfig) -> Callable[[str], Dataset]:
    """Dataset name -> Dataset, the config's own ones included."""
    from llmrouterbench.datasets._own import read_dataset

    own = [read_dataset(Path(one.name)) for one in config.datasets if one.name.endswith((".yaml", ".yml"))]
    by_name = {one.name: one for one in own}
    return lambda name: by_name[name] if name in by_name else dataset(name)


@contextmanager
def open_judges(config: CollectConfig) -> Iterator[dict[str, Asker]]:
    """Judge name -> what asks it, through the config's cache; nothing is sent before somebody asks."""
    from llmrouterbench._collecting_work import make_endpoint, request_template
    from llmrouterbench.cache import open_cache
    from llmrouterbench.collect import cache_address
    from llmrouterbench.judge import asker

    with ExitStack() as stack:
        judges = {}
        cache = stack.enter_context(open_cache(cache_address(config))) if config.judges else None
        for judge in config.judges:
            endpoint = make_endpoint(judge.endpoint, config.endpoints[judge.endpoint])
            judges[judge.name] = stack.enter_context(asker(endpoint, request_template(judge), cache, name=judge.name))
        yield judges
