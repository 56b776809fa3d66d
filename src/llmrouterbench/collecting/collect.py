"""Collecting replies: a pool of models over the datasets, asynchronously, every query paid once, nothing lost.

Each endpoint has as many workers as it takes calls at once; a worker takes the next query of the model with the fewest
calls under way, so that a slow model, dataset or endpoint holds nobody up. A reply goes to the cache and then to the
folder the moment it comes. A query another collector is asking is left until its reply is in the cache.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from llmrouterbench.calling.cache import open_cache
from llmrouterbench.collecting._run import Run, Summary, Tell
from llmrouterbench.collecting._work import Entrant, Progress, Questions, load_all_questions, load_pool, load_work
from llmrouterbench.collecting.budget import Budget
from llmrouterbench.collecting.changes import asked_otherwise, changes
from llmrouterbench.collecting.config import CollectConfig
from llmrouterbench.collecting.replies_store import paid_in, read_replies_manifest
from llmrouterbench.collecting.replies_writer import RepliesWriter

__all__ = ["Progress", "Summary", "Tell", "cache_address", "changes", "collect", "load_all_questions", "up_to_date"]


def collect(
    config: CollectConfig,
    questions: Questions | None = None,
    *,
    budget: float | None = None,
    retry_failed: bool = True,
    tell: Tell | None = None,
) -> Summary:
    """Collect what is missing into the config's folder; `tell` hears of progress four times a second.

    The folder's models and items become those of the config (see `changes`); nothing that was paid for is removed.

    questions  items to ask, in place of the config's datasets
    budget     USD for all runs into that folder together; the config's own where None

    Ctrl-C or SIGTERM lets calls under way finish for half a minute, a second one cuts them. Raises ValueError for a key
    that is not set or a budget without prices, BlockingIOError where another process writes the folder.
    """
    questions = questions or load_all_questions(config)
    limit = config.budget if budget is None else budget
    folder = Path(config.out)
    pool = load_pool(config, key_needed=not _answered(config, questions, retry_failed))
    _check_prices(pool, limit)
    with RepliesWriter(folder) as writer, open_cache(cache_address(config)) as cache:
        fingerprints = {one.config.name: one.config.fingerprint(one.endpoint.url) for one in pool}
        writer.write_manifest(config.model_dump(), config.config_hash(), fingerprints)
        writer.write_questions(questions)
        models = [load_work(one, questions, folder, retry_failed=retry_failed) for one in pool]
        money = Budget(limit, 0.0 if limit is None else paid_in(folder) + writer.orphaned)
        run = Run(config, models, writer, cache, money, tell=tell)
        asyncio.run(run.go())
    return run.summary()


def up_to_date(config: CollectConfig, questions: Questions, *, retry_failed: bool = True) -> bool:
    """Whether the folder is what the config asks, a reply for every query included; needs no key and writes nothing."""
    folder = Path(config.out)
    if not (folder / "manifest.json").is_file() or changes(config, questions):
        return False
    known = read_replies_manifest(folder)["models"]
    pool = load_pool(config, key_needed=False)
    same = all(known.get(one.config.name) == one.config.fingerprint(one.endpoint.url) for one in pool)
    return same and _answered(config, questions, retry_failed)


def _answered(config: CollectConfig, questions: Questions, retry_failed: bool) -> bool:
    """Whether every model has a reply to every query, as it is asked now."""
    folder, pool = Path(config.out), load_pool(config, key_needed=False)
    changed = asked_otherwise(folder, questions)
    works = (load_work(one, questions, folder, retry_failed=retry_failed, changed=changed) for one in pool)
    return all(work.finished for work in works)


def cache_address(config: CollectConfig) -> str:
    """Where the cache is. Raises ValueError where its variable is not set."""
    if config.cache_env:
        address = os.environ.get(config.cache_env, "")
        if not address:
            raise ValueError(f"the environment variable {config.cache_env} must hold the cache's address, got nothing")
        return address
    return config.cache or str(Path(config.out) / "cache.sqlite")


def _check_prices(pool: Sequence[Entrant], limit: float | None) -> None:
    unknown = [model.config.name for model in pool if model.price is None]
    if limit is not None and unknown:
        raise ValueError(
            f"a budget needs the price of every model, got none for {', '.join(unknown)}; add price: to it"
        )
