"""Costs of replies that are there: by which prices they came about, and the same by another price (`reprice`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import unquote

from llmrouterbench.calling.cache import Cache, answer_of, open_cache
from llmrouterbench.calling.calls import Usage
from llmrouterbench.calling.prices import Price, amounts, cost, price_text, read_price
from llmrouterbench.collecting._work import load_pool
from llmrouterbench.collecting.collect import cache_address
from llmrouterbench.collecting.config import CollectConfig, parse_config
from llmrouterbench.collecting.replies_store import (
    pool_of,
    read_replies_manifest,
    read_reply_lines,
    reply_lines,
    stored_datasets,
)
from llmrouterbench.collecting.replies_writer import RepliesWriter
from llmrouterbench.replies import Reply


@dataclass(frozen=True)
class Repriced:
    """What became of one model's replies, and USD before and after of all whose cost is known then.

    changed   cost otherwise now; told: keep what the provider itself said
    unknown   keep their cost because nobody knows how it came about: failed calls, and replies of an older version
              that the cache does not hold
    """

    model: str
    changed: int = 0
    told: int = 0
    unknown: int = 0
    before: float = 0.0
    after: float = 0.0


def prices_of(replies: Iterable[str]) -> dict[Price, int]:
    """Prices (as text) of replies -> how many were made with each, the most frequent first; those without leave out.

    >>> [(price.input, n) for price, n in prices_of(['{"input":1,"output":2}', "", '{"input":1,"output":2.0}']).items()]
    [(1, 2)]
    """
    counted: Counter[Price] = Counter()
    for text, n in Counter(text for text in replies if text).items():
        price = read_price(text)
        assert price is not None
        counted[amounts(price)] += n
    return dict(counted.most_common())


def mixed_prices(folder: Path) -> list[str]:
    """A sentence for every model whose replies cost what several prices asked."""
    said = []
    for model in pool_of(read_replies_manifest(folder)):
        texts = (text for name in stored_datasets(folder) for text in _last_prices(folder, name, model))
        found = prices_of(texts)
        if len(found) > 1:
            counted = ", ".join(f"{n} at {words(price)}" for price, n in found.items())
            said.append(f"model {model} has replies at {len(found)} prices: {counted}; see `collect reprice`")
    return said


def _last_prices(folder: Path, dataset: str, model: str) -> list[str]:
    return reply_lines(folder, dataset, model).unique("item", keep="last")["price"].drop_nulls().to_list()


def words(price: Price) -> str:
    """A price for people.

    >>> words(Price(0.5, 2.0, cached_input=0.1))
    '$0.5 in, $2 out, $0.1 cached_input a million tokens'
    """
    rest = {name: getattr(price, name) for name in ("cached_input", "cache_write", "reasoning")}
    said = {"in": price.input, "out": price.output} | {name: value for name, value in rest.items() if value is not None}
    return ", ".join(f"${value:g} {name}" for name, value in said.items()) + " a million tokens"


def reprice(config: CollectConfig) -> list[Repriced]:
    """Make what the replies of the config's folder cost by the prices of the config, as if these had always been asked.

    What a provider said that a reply cost stays, and so does what nobody can derive. The cache keeps its costs.

    Raises FileNotFoundError or ValueError for a folder that holds no replies, BlockingIOError where another process
    writes it.
    """
    folder = Path(config.out)
    manifest = read_replies_manifest(folder)
    before = parse_config(manifest["config"], f"{folder / 'manifest.json'}: config")
    once = {one.config.name: one.price for one in load_pool(before, key_needed=False)}
    address = cache_address(config)
    with ExitStack() as stack:
        writer = stack.enter_context(RepliesWriter(folder))
        there = "://" in address or Path(address).is_file()
        cache = stack.enter_context(open_cache(address)) if there else None
        pool = load_pool(config, key_needed=False)
        done = [
            _of_model(writer, one.config.name, one.price, once.get(one.config.name), cache)
            for one in pool
            if one.price is not None
        ]
        asked = {one.name: one.price for one in config.models}
        models = [one.model_copy(update={"price": asked.get(one.name, one.price)}) for one in before.models]
        now = before.model_copy(update={"models": models})
        writer.write_manifest(now.model_dump(), now.config_hash(), {})
    return done


def _of_model(writer: RepliesWriter, model: str, price: Price, once: Price | None, cache: Cache | None) -> Repriced:
    """All lines of a model; `once` is the price of those that do not say theirs."""
    counts: Counter[str] = Counter()
    before, after = [], []
    for dataset in (unquote(path.name) for path in sorted(writer.folder.glob("replies/*"))):
        if replies := read_reply_lines(writer.folder, dataset, model):
            found = [_repriced(reply, price, once, cache) for reply in replies]
            counts.update(what for _, what in found)
            before += [reply.cost or 0.0 for reply in replies]
            after += [reply.cost or 0.0 for reply, _ in found]
            writer.rewrite(dataset, model, [reply for reply, _ in found])
    return Repriced(model, counts["changed"], counts["told"], counts["unknown"], math.fsum(before), math.fsum(after))


def _repriced(reply: Reply, price: Price, once: Price | None, cache: Cache | None) -> tuple[Reply, str]:
    """A reply at another price, and what is to be counted of it, "" for nothing."""
    if reply.status == "failed":
        return reply, "unknown" if reply.cost else ""
    usage, asked = usage_in(reply), read_price(reply.price)
    if asked is None and usage.provider_cost is None:  # of an older version, or of a model without a price
        record = None if cache is None else cache.get(reply.key)
        if record is None:
            return reply, "unknown"
        usage, asked = usage_in(answer_of(record)), once
        reply = replace(reply, tokens_cache_write=usage.tokens_cache_write, provider_cost=usage.provider_cost)
    if usage.provider_cost is not None:
        return reply, "told"
    dollars = _at(reply, price=cost(usage, price), once=cost(usage, asked))
    if dollars is None:
        return reply, "unknown"
    same = reply.cost is not None and math.isclose(dollars, reply.cost, rel_tol=1e-9)
    return replace(reply, cost=dollars, price=price_text(price)), "" if same else "changed"


def _at(reply: Reply, *, price: float | None, once: float | None) -> float | None:
    """USD of a reply whose last attempt costs `price` now and cost `once` before; None where nobody knows.

    What attempts before it cost was asked by the same price, and changes by the same factor.
    """
    if reply.cost is None:
        return price if reply.attempts < 2 and not reply.price else None
    if price is None or once is None:
        return None
    if math.isclose(once, reply.cost, rel_tol=1e-9, abs_tol=1e-15):
        return price
    return reply.cost * price / once if reply.price and once > 0.0 else None


def usage_in(billed: Reply | Usage) -> Usage:
    """The usage that a reply, or an answer, says."""
    return Usage(**{field.name: getattr(billed, field.name) for field in fields(Usage)})
