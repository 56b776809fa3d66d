"""The gateway: takes a request, asks providers in turn until one answers, and accounts for all of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from llmrouterbench.calling.calls import CallError, Kind, Usage
from llmrouterbench.calling.client import CHAT, EMBEDDINGS
from llmrouterbench.calling.prices import CHARACTERS_PER_TOKEN, GUESSED_TOKENS_OUT, Price, cost
from llmrouterbench.decision_log import DecisionLog
from llmrouterbench.naming import did_you_mean
from llmrouterbench.serve.asgi import (
    ClientLeftError,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_head,
    send_refusal,
    send_whole,
    while_connected,
)
from llmrouterbench.serve.chat_body import ChatBody, named_model, parse_chat, parse_object, with_model
from llmrouterbench.serve.choosing import Choice, Chooser
from llmrouterbench.serve.config import ServeConfig
from llmrouterbench.serve.exchange import CONVERSATION, Exchange
from llmrouterbench.serve.keys import Account, Keyring, period_start
from llmrouterbench.serve.log_lines import LogLines
from llmrouterbench.serve.meters import Meters
from llmrouterbench.serve.refusals import RefusedError, error_body
from llmrouterbench.serve.upstream import Streamed, Upstream, Whole, blames, tells

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter

CHAT_PATH, EMBEDDINGS_PATH = f"/v1/{CHAT}", f"/v1/{EMBEDDINGS}"
_STATUSES: dict[Kind, int] = {"timeout": 504, "busy": 503}
"""What a client is told where no provider served; 502 for the rest."""


@dataclass(frozen=True)
class Attempt:
    """One call that may be made: which model, where, and what makes the body to send."""

    model: str
    upstream: Upstream
    make_body: Callable[[], bytes]
    stream: bool = False
    wants_usage: bool = False


class Gateway:
    """One server's state, and its two paths that lead to providers."""

    def __init__(
        self,
        router: FittedRouter,
        config: ServeConfig,
        *,
        log: DecisionLog | None = None,
        log_text: bool = False,
        shadow: str = "",
        explore: float = 0.0,
        lines: LogLines | None = None,
    ) -> None:
        self.config = config
        self.log = log
        self.lines = lines or LogLines()
        self.meters = Meters()
        self.chooser = Chooser(router, config, shadow=shadow, explore=explore)
        self.keyring = Keyring(config.keys, _spent(config, log))
        self.upstreams = {
            name: Upstream(name, provider, provider.endpoint(name), config.fallback)
            for name, provider in config.providers.items()
        }
        for upstream in self.upstreams.values():
            self.meters.watch(upstream)
        self._log_text = log_text
        self._prices = config.prices()
        self._embedders = [model.name for model in config.embeddings]
        self._places = {
            model.name: [(self.upstreams[place.provider], place.api_model or model.name) for place in model.places]
            for model in (*config.models, *config.embeddings)
        }
        self._under_way = 0

    async def close(self) -> None:
        """Close the connections to providers."""
        for upstream in self.upstreams.values():
            await upstream.close()

    async def chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /v1/chat/completions."""
        exchange = Exchange(CHAT_PATH)
        with self._accounted(exchange):
            try:
                account = self.admit(exchange, scope)
                body = parse_chat(await read_body(scope, receive, self.config.limits))
                exchange.asked, exchange.stream = body.model, body.stream
                conversation = header(scope, CONVERSATION)
                choice = exchange.choice = self.chooser.choose(body, account.name, conversation)
                attempts = list(self._chat_attempts(choice, body))
                expected = self._expected(choice, body)
                await self._answer(exchange, account, expected, attempts, CHAT, receive, send)
                if exchange.status == "ok" and exchange.model is not None:
                    self.chooser.keep(choice, exchange.model)
            except RefusedError as refusal:
                await _refuse(exchange, refusal, send)

    async def embeddings(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /v1/embeddings: nothing is routed, the named model's providers are tried in turn."""
        exchange = Exchange(EMBEDDINGS_PATH)
        with self._accounted(exchange):
            try:
                account = self.admit(exchange, scope)
                raw = await read_body(scope, receive, self.config.limits)
                exchange.asked = named_model(parse_object(raw))
                name = self._embedder(exchange.asked)
                attempts = [
                    Attempt(name, upstream, partial(with_model, raw, sent_name))
                    for upstream, sent_name in self._places[name]
                ]
                await self._answer(exchange, account, 0.0, attempts, EMBEDDINGS, receive, send)
            except RefusedError as refusal:
                await _refuse(exchange, refusal, send)

    def admit(self, exchange: Exchange, scope: Scope) -> Account:
        """The account of a request. Raises RefusedError: unknown key, too many requests, too many under way."""
        account = self.keyring.account(header(scope, b"authorization"))
        exchange.key = account.name
        account.admit()
        if self._under_way > self.config.limits.requests:
            raise RefusedError(503, "too many requests are under way here; try again", "overloaded", 1.0)
        return account

    def _embedder(self, name: str) -> str:
        if name not in self._embedders:
            known = did_you_mean(name[:100], self._embedders)
            raise RefusedError(404, f"no embedding model named {name[:100]!r}{known}", "model_not_found")
        return name

    def _chat_attempts(self, choice: Choice, body: ChatBody) -> Iterator[Attempt]:
        """Every model of the chain at each of its providers."""
        for name in choice.chain:
            for upstream, sent_name in self._places[name]:
                make_body = partial(body.sent, sent_name, upstream.config.stream_usage)
                yield Attempt(name, upstream, make_body, body.stream, body.usage)

    def _expected(self, choice: Choice, body: ChatBody) -> float:
        """USD to set aside: as estimated, else from the body's length and its price, else 0."""
        if math.isfinite(choice.estimated_cost):
            return choice.estimated_cost
        guess = Usage(tokens_in=len(body.raw) // CHARACTERS_PER_TOKEN, tokens_out=GUESSED_TOKENS_OUT)
        return cost(guess, self._prices[choice.chosen]) or 0.0

    # --- one request -------------------------------------------------------------------------------------------------

    @contextmanager
    def _accounted(self, exchange: Exchange) -> Iterator[None]:
        """However the block ends, the request is in the metrics and, where something was decided, in the log."""
        self._under_way += 1
        self.meters.in_flight.inc()
        try:
            yield
        except ClientLeftError:
            if not exchange.whole:  # many clients leave at [DONE], before the last bytes
                exchange.status, exchange.http_status = "cancelled", 499
        except asyncio.CancelledError:
            exchange.status, exchange.http_status = "cancelled", 503
            raise
        finally:
            self._under_way -= 1
            self.meters.in_flight.dec()
            self._account_for(exchange)

    def _account_for(self, exchange: Exchange) -> None:
        meters, choice = self.meters, exchange.choice
        meters.requests.labels(exchange.path, exchange.key, exchange.status).inc()
        meters.seconds.labels(exchange.path).observe(exchange.seconds)
        if choice is not None:
            meters.decisions.labels(choice.chosen, choice.reason).inc()
            meters.deciding.observe(choice.decision_seconds)
            meters.ood.inc(choice.ood)
            row = exchange.row(self._log_text)
            if self.log is not None and row is not None:
                self.log.add(row)
        if exchange.model is not None:
            self._meter_reply(exchange, exchange.model)
        if self.lines.requests:
            self.lines.write(exchange.line())

    def _meter_reply(self, exchange: Exchange, model: str) -> None:
        if exchange.cost is None:
            self.meters.unpriced.labels(model).inc()
        else:
            self.meters.cost.labels(model, exchange.key).inc(exchange.cost)
        self.meters.tokens.labels(model, "in").inc(exchange.usage.tokens_in or 0)
        self.meters.tokens.labels(model, "out").inc(exchange.usage.tokens_out or 0)
        if exchange.first_token_seconds is not None:
            self.meters.first_token.labels(model).observe(exchange.first_token_seconds)

    async def _answer(
        self,
        exchange: Exchange,
        account: Account,
        expected: float,
        attempts: list[Attempt],
        path: str,
        receive: Receive,
        send: Send,
    ) -> None:
        """Try providers until one answers, within the key's budget."""
        reserved = account.reserve(expected)
        try:
            async with while_connected(receive):
                await self._try_all(exchange, attempts, path, send)
        finally:
            account.settle(reserved, expected if exchange.begun and exchange.cost is None else exchange.cost or 0.0)

    async def _try_all(self, exchange: Exchange, attempts: list[Attempt], path: str, send: Send) -> None:
        in_order = sorted(attempts, key=lambda one: not one.upstream.breaker.ready())
        failed: list[CallError] = []
        for attempt in in_order[: self.config.fallback.attempts]:
            try:
                async with self._attempt(exchange, attempt, path) as reply:
                    await self._pass_on(exchange, attempt, reply, send)
                return
            except CallError as error:
                failed.append(error)
                if exchange.begun:
                    await _break_off(exchange, error, send)
                    return
                if not error.elsewhere:
                    break
        await _give_up(exchange, failed, send)

    @asynccontextmanager
    async def _attempt(self, exchange: Exchange, attempt: Attempt, path: str) -> AsyncIterator[Whole | Streamed]:
        """One call, with its result told to the breaker, the metrics and the request's facts."""
        upstream, started, error = attempt.upstream, time.perf_counter(), "cancelled"
        exchange.tries += 1
        upstream.breaker.begin()
        try:
            async with upstream.ask(
                path, attempt.make_body(), stream=attempt.stream, wants_usage=attempt.wants_usage
            ) as reply:
                yield reply
                upstream.breaker.succeeded()  # before the connection is read to its end, which the client need not see
                error = ""
        except CallError as failed:
            error = failed.fact
            _tell(upstream, failed)
            raise
        finally:
            if error == "cancelled":
                upstream.breaker.abandoned()
            self.meters.attempts.labels(upstream.name, attempt.model, "failed" if error else "ok").inc()
            seconds = time.perf_counter() - started
            exchange.attempts.append(
                {"model": attempt.model, "provider": upstream.name, "seconds": seconds, "error": error}
            )

    async def _pass_on(self, exchange: Exchange, attempt: Attempt, reply: Whole | Streamed, send: Send) -> None:
        """Send a reply to the client, byte for byte."""
        exchange.model, exchange.provider, exchange.begun = attempt.model, attempt.upstream.name, True
        price = self._prices[attempt.model]
        if isinstance(reply, Whole):
            _bill(exchange, reply.usage, price)
            exchange.status, exchange.http_status = "ok", 200
            await send_whole(send, 200, reply.body, exchange.headers().items(), reply.content_type)
            exchange.whole = True
            return
        exchange.first_token_seconds, exchange.http_status = exchange.seconds, 200
        headers = {**exchange.headers(), "cache-control": "no-cache"}
        try:
            await send_head(send, 200, "text/event-stream; charset=utf-8", headers.items())
            await send({"type": "http.response.body", "body": reply.begun, "more_body": True})
            async for piece in reply.rest():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            _bill(exchange, reply.usage, price)
        exchange.status, exchange.whole = "ok", True
        await send({"type": "http.response.body", "body": b""})


def _spent(config: ServeConfig, log: DecisionLog | None) -> dict[str, float]:
    """What keys with a budget have spent in the running period, as far as the log knows."""
    if log is None:
        return {}
    now = time.time()
    limited = [key for key in config.keys if key.budget is not None]
    return {key.name: log.spent(key.name, period_start(key.budget_period, now)) for key in limited}


def _bill(exchange: Exchange, usage: Usage, price: Price | None) -> None:
    exchange.usage, exchange.cost = usage, cost(usage, price)


def _tell(upstream: Upstream, error: CallError) -> None:
    """Let a provider's breaker know of a failure."""
    if error.retry_after is not None and error.status in (429, 503):
        upstream.breaker.pause(error.retry_after)
    if blames(error):
        upstream.breaker.failed()
    elif error.kind == "busy":
        upstream.breaker.abandoned()
    else:
        upstream.breaker.succeeded()


async def _refuse(exchange: Exchange, refusal: RefusedError, send: Send) -> None:
    exchange.status, exchange.http_status = "refused", refusal.status
    await send_refusal(send, refusal, {"x-router-decision": exchange.id})


async def _break_off(exchange: Exchange, error: CallError, send: Send) -> None:
    """End a stream that its provider cut by an error event, which clients of OpenAI read: its own, if it sent one."""
    exchange.status = "broken"
    said = error.body or error_body(error.fact, "upstream_error", error.kind)
    await send({"type": "http.response.body", "body": b"data: " + b" ".join(said.splitlines()) + b"\n\n"})


async def _give_up(exchange: Exchange, failed: list[CallError], send: Send) -> None:
    """Tell the client why nobody served: the provider's own words about its request, else one sentence."""
    said = next((one for one in failed if not one.elsewhere), failed[0])
    exchange.status = "failed" if said.elsewhere else "refused"
    headers = dict(exchange.headers())
    if said.body is not None and tells(said):
        exchange.http_status = said.status
        if said.retry_after is not None:
            headers["retry-after"] = f"{max(1, round(said.retry_after))}"
        await send_whole(send, said.status, said.body, headers.items(), said.content_type)
        return
    kind = failed[0].kind
    status = exchange.http_status = _STATUSES.get(kind, 502)
    tried = "; ".join(dict.fromkeys(one.fact for one in failed))
    wait = 1.0 if status == 503 else None
    await send_refusal(send, RefusedError(status, f"no provider could serve the request: {tried}", kind, wait), headers)
