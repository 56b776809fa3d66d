"""What a collection would do and cost, before it does anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmrouterbench.calling.cache import Cache, key, open_cache
from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.counting import IMAGE_TOKENS
from llmrouterbench.calling.prices import CHARACTERS_PER_TOKEN, cost
from llmrouterbench.collecting._work import ModelWork, load_all_questions, load_pool, load_work
from llmrouterbench.collecting.changes import asked_otherwise
from llmrouterbench.collecting.collect import cache_address
from llmrouterbench.collecting.config import CollectConfig


@dataclass(frozen=True)
class PlanRow:
    """One model: queries in all, already answered, in the cache (free), to ask; tokens and USD that these will take.

    basis   where the output tokens come from: replies collected so far, max_tokens (the most there can be), or a guess
    cost    None where the price is not known; `price` says whose price it is
    """

    model: str
    endpoint: str
    queries: int
    there: int
    cached: int
    to_ask: int
    tokens_in: int
    tokens_out: int
    basis: Literal["collected", "max_tokens", "guess"]
    cost: float | None
    price: str


def plan(config: CollectConfig, *, retry_failed: bool = True) -> list[PlanRow]:
    """A row for every model; no model is asked and no key is needed.

    Tokens of prompts are characters / 4, of an image 4,000; output tokens the mean of what the model wrote so far.
    """
    questions = load_all_questions(config)
    pool = load_pool(config, key_needed=False)
    folder = Path(config.out)
    changed = asked_otherwise(folder, questions)
    models = [load_work(one, questions, folder, retry_failed=retry_failed, changed=changed) for one in pool]
    address = cache_address(config)
    if "://" not in address and not Path(address).is_file():
        return [_row(model, None) for model in models]
    with open_cache(address) as cache:
        return [_row(model, cache) for model in models]


def _row(model: ModelWork, cache: Cache | None) -> PlanRow:
    sizes = list(_sizes_to_ask(model, cache))
    cached = sizes.count(None)
    to_ask = len(sizes) - cached
    tokens_in = round(sum(size for size in sizes if size is not None))
    tokens_out = round(to_ask * model.expected_tokens_out)
    progress, config = model.progress, model.config
    return PlanRow(
        model=config.name,
        endpoint=config.endpoint,
        queries=progress.queries,
        there=progress.ok + progress.failed,
        cached=cached,
        to_ask=to_ask,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        basis="collected" if progress.ok else "max_tokens" if config.max_tokens else "guess",
        cost=cost(Usage(tokens_in, tokens_out), model.price),
        price=" ".join((model.price.source, model.price.date)).strip() if model.price else "unknown",
    )


def _sizes_to_ask(model: ModelWork, cache: Cache | None) -> Iterator[float | None]:
    """Input tokens of every query to do, None where the cache has the reply or the same request came before."""
    seen: set[str] = set()
    for job in model.jobs():
        name = key(model.request(job.prompted), model.endpoint.url)
        if name in seen or (cache is not None and cache.get(name) is not None):
            yield None
            continue
        seen.add(name)
        images = len(job.prompted.item.details.get("images") or ())
        characters = len(job.prompted.prompt) + len(model.config.system)
        yield characters / CHARACTERS_PER_TOKEN + IMAGE_TOKENS * images
