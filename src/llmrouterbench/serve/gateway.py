"""The gateway: takes a request, asks providers in turn until one answers, and accounts for all of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from llmrouterbench.calling.calls import CallError, Usage
from llmrouterbench.calling.client import CHAT, EMBEDDINGS
from llmrouterbench.calling.counting import tokens_of_request
from llmrouterbench.calling.prices import cost
from llmrouterbench.decision_log import DecisionLog
from llmrouterbench.naming import did_you_mean
from llmrouterbench.serve.asgi import (
    ClientLeftError,
    Receive,
    Scope,
    Send,
    client_key,
    header,
    is_own_page,
    read_body,
    send_head,
    send_whole,
    while_connected,
)
from llmrouterbench.serve.attempt import Attempt, Call, Place
from llmrouterbench.serve.bounds import Bound, bound_of
from llmrouterbench.serve.breaker import Breaker
from llmrouterbench.serve.chat_body import LIMITS, moving, named_model, parse_object, with_model
from llmrouterbench.serve.choosing import Choice, Chooser
from llmrouterbench.serve.config import ModelConfig, ParametersConfig, ServeConfig
from llmrouterbench.serve.dialects import chat, messages
from llmrouterbench.serve.dialects.dialect import Asked, Dialect, Reply
from llmrouterbench.serve.endings import break_off, give_up, refuse
from llmrouterbench.serve.exchange import CONVERSATION, EXPLAIN, Exchange
from llmrouterbench.serve.keys import Account, Keyring
from llmrouterbench.serve.ledger import Grant
from llmrouterbench.serve.log_lines import LogLines
from llmrouterbench.serve.managed_keys import MANAGED
from llmrouterbench.serve.meters import Meters
from llmrouterbench.serve.reading import in_time
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.serve.split import Candidate, Split
from llmrouterbench.serve.state import State
from llmrouterbench.serve.upstream import Streamed, Upstream, Whole, blames, is_told, to_its_end

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.telemetry import Telemetry

EMBEDDINGS_PATH = f"/v1/{EMBEDDINGS}"
LARGE = 100_000
"""Bytes of a body from which on it is read, decided and written in a thread; below, a change of threads costs more."""
_LOOK_SECONDS = 0.1
_TRACE = ("traceparent", "tracestate")
T = TypeVar("T")


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
        candidate: Candidate | None = None,
        lines: LogLines | None = None,
        state: State | None = None,
        meters: Meters | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.config = config
        self.telemetry = telemetry
        self.log = log
        self.lines = lines or LogLines()
        self.meters = meters or Meters()
        self.state = state or State(remembered=config.conversation.remembered)
        managed = self.state.mirror(MANAGED) if config.managed_keys else None
        self.keyring = Keyring(config.keys, self.state, config.teams, managed)
        self.upstreams = {
            name: Upstream(name, provider, provider.endpoint(name), config.fallback, self.state)
            for name, provider in config.providers.items()
        }
        self._log_text, self._shadow, self._explore = log_text, shadow, explore
        config.prices()
        named = {model.name: model for model in (*config.models, *config.embeddings)}
        self._models = named
        self._prices = {
            (name, place.provider): config.price_at(model, place)
            for name, model in named.items()
            for place in model.places
        }
        self._parameters = {name: _with_longest(model) for name, model in named.items()}
        self._windows = {name: config.window_of(model) for name, model in named.items()}
        self._embedders = [model.name for model in config.embeddings]
        self._places = {
            model.name: [
                Place(model.name, self.upstreams[place.provider], place.api_model or model.name)
                for place in model.places
            ]
            for model in (*config.models, *config.embeddings)
        }
        made = Chooser if candidate is None else partial(Split, candidate=candidate)
        self.chooser = made(router, config, shadow=shadow, explore=explore, windows=self._windows, state=self.state)
        self.meters.watch(
            {one: [name for name, places in self._places.items() if any(place.upstream is one for place in places)]
             for one in self.upstreams.values()}
        )  # fmt: skip
        self._under_way = 0
        self._thread = ThreadPoolExecutor(1, "large bodies")

    async def begin(self) -> None:
        """Look up what keys have spent in the running period, as far as the log knows. Raises OSError."""
        self.state.begin(self.meters.look)
        await self.know()

    async def know(self) -> None:
        """Look up what keys have spent, alone. Raises OSError."""
        if self.log is not None:
            self.log.keep_days = self.config.log.keep_days
        await self.keyring.begin(None if self.log is None else self.log.spent)

    @property
    def ready(self) -> bool:
        """Whether it can take requests: few enough are under way, and what keys have used can be looked up."""
        return self._under_way <= self.config.limits.requests and not self.state.away

    def renewed(self, router: FittedRouter, config: ServeConfig, candidate: Candidate | None = None) -> Gateway:
        """One with other routers and config, and the same log, books and meters. Raises ValueError."""
        return Gateway(
            router, config, log=self.log, log_text=self._log_text, shadow=self._shadow, explore=self._explore,
            candidate=candidate, lines=self.lines, state=self.state, meters=self.meters, telemetry=self.telemetry,
        )  # fmt: skip

    async def finish(self) -> None:
        """Wait for what is under way, then close the connections to providers; another gateway goes on."""
        while self._under_way:
            await asyncio.sleep(_LOOK_SECONDS)
        await self._close()

    async def close(self) -> None:
        """Close the connections to providers, and the state."""
        await self._close()
        await self.state.close()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)

    async def _close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        for upstream in self.upstreams.values():
            await upstream.close()

    async def chat(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect = chat) -> None:
        """Answer a chat request in a dialect: POST /v1/chat/completions, /v1/messages, /v1/responses."""
        exchange = Exchange(dialect.PATH, dialect)
        with self._accounted(exchange):
            try:
                account = await self.admit(exchange, scope)
                raw = await read_body(scope, receive, self.config.limits)
                asked = await self._aside(raw, dialect.read, raw)
                if (native := asked.native) is not None:
                    passed = {name: said for name in native.passes if (said := header(scope, name.encode()))}
                    asked = replace(asked, native=replace(native, headers=passed))
                body, exchange.left_out = asked.body, asked.left_out
                exchange.asked, exchange.stream = body.model, body.stream
                account.permit(body.model, body.moving)
                conversation, exchange.explain = header(scope, CONVERSATION), bool(header(scope, EXPLAIN))
                choice = await self._aside(
                    raw, self.chooser.choose, body, account.name, conversation, account.config.models
                )
                choice = exchange.choice = await self.chooser.stick(choice, body)
                exchange.new_reply = partial(asked.reply, exchange.id)
                places = [place for name in choice.chain for place in self._places[name]]
                make = partial(self._chat_attempt, asked)
                async with while_connected(receive):
                    read: dict[str, Call] = {}
                    if choice.asks:
                        read = await self._read(exchange, account, choice, make)
                        texts = {name: _text(call) for name, call in read.items()}
                        longest = max(texts.values(), key=len, default="")
                        choice = exchange.choice = await self._aside(longest, choice.after, texts)
                        places = [place for name in choice.chain for place in self._places[name]]
                    await self._answer(exchange, account, places, make, CHAT, send, read)
            except RefusedError as refusal:
                await refuse(exchange, refusal, send)

    async def embeddings(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /v1/embeddings: nothing is routed, the named model's providers are tried in turn."""
        exchange = Exchange(EMBEDDINGS_PATH)
        with self._accounted(exchange):
            try:
                account = await self.admit(exchange, scope)
                raw = await read_body(scope, receive, self.config.limits)
                data = await self._aside(raw, parse_object, raw)
                exchange.asked = named_model(data)
                account.permit(exchange.asked, moving(data))
                places = self._places[self._embedder(exchange.asked)]
                make = partial(self._embedding_attempt, raw)
                async with while_connected(receive):
                    await self._answer(exchange, account, places, make, EMBEDDINGS, send)
            except RefusedError as refusal:
                await refuse(exchange, refusal, send)

    async def count_tokens(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer POST /v1/messages/count_tokens: nobody is asked."""
        exchange = Exchange(messages.COUNT_PATH, messages)
        with self._accounted(exchange):
            try:
                await self.admit(exchange, scope)
                raw = await read_body(scope, receive, self.config.limits)
                counted = await self._aside(raw, messages.count, raw)
                exchange.status, exchange.http_status = "ok", 200
                await send_whole(send, 200, b'{"input_tokens":%d}' % counted, (), "application/json")
            except RefusedError as refusal:
                await refuse(exchange, refusal, send)

    async def admit(self, exchange: Exchange, scope: Scope) -> Account:
        """The account of a request. Raises RefusedError: unknown key, too many requests, too many under way."""
        account = self.account(scope)
        exchange.key = account.name
        if self.telemetry is not None:
            exchange.trace = {name: said for name in _TRACE if (said := header(scope, name.encode()))}
        await account.admit()
        if self._under_way > self.config.limits.requests:
            raise RefusedError(503, "too many requests are under way here; try again", "overloaded", 1.0)
        return account

    def account(self, scope: Scope) -> Account:
        """Whose request it is. Raises RefusedError: unknown key (401), a page that nobody let in (403).

        A server without keys is there for this machine's programs, and not for every page that its browsers open.
        """
        allowed, origin = self.config.cors, header(scope, b"origin")
        if self.keyring.open and origin and "*" not in allowed and origin not in allowed and not is_own_page(scope):
            said = (
                f"a page of {origin[:100]!r} must be let in by `cors` in the config, as this server has no client keys"
            )
            raise RefusedError(403, said, "origin_not_allowed")
        return self.keyring.account(client_key(scope))

    def _embedder(self, name: str) -> str:
        if name not in self._embedders:
            known = did_you_mean(name[:100], self._embedders)
            raise RefusedError(404, f"no embedding model named {name[:100]!r}{known}", "model_not_found")
        return name

    def _chat_attempt(self, asked: Asked, place: Place) -> Attempt:
        body, (name, upstream, sent_name) = asked.body, place
        native = asked.native if asked.native is not None and asked.native.api == upstream.config.api else None
        make_body = partial(body.sent, sent_name, upstream.config, self._parameters[name])
        if native is not None:
            make_body = partial(native.sent, sent_name, self._parameters[name])
        bound = partial(
            self._bound, name, upstream, lambda: body.sizes, most_tokens=body.most_tokens, choices=body.choices
        )
        return Attempt(name, upstream, body.raw, make_body, bound, body.stream, asked.wants_usage, native)

    def _embedding_attempt(self, raw: bytes, place: Place) -> Attempt:
        name, upstream, sent_name = place
        bound = partial(self._bound, name, upstream, lambda: tokens_of_request(raw), most_tokens=0)
        return Attempt(name, upstream, raw, partial(_embeddings_body, raw, sent_name), bound)

    def _bound(
        self,
        name: str,
        upstream: Upstream,
        sizes: Callable[[], tuple[int, int]],
        *,
        most_tokens: int | None,
        choices: int = 1,
    ) -> Bound:
        """What a call to a model at one of its providers can cost."""
        price, longest = self._prices[name, upstream.name], self._models[name].max_output
        return bound_of(price, sizes(), asked=most_tokens, choices=choices, window=self._windows[name], longest=longest)

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
            if exchange.status == "ok" and exchange.model is not None:
                self.chooser.keep(choice, exchange.model)
        vectors = exchange.path == EMBEDDINGS_PATH and exchange.tries
        row = exchange.embeddings_row() if vectors else exchange.row(self._log_text)
        if self.log is not None and row is not None:
            self.log.add(row)
            if (side := exchange.side_row()) is not None:
                self.log.add(side)
        if exchange.model is not None and exchange.first_token_seconds is not None:
            meters.first_token.labels(exchange.model).observe(exchange.first_token_seconds)
        if self.lines.requests:
            self.lines.write(exchange.line())
        if self.telemetry is not None:
            self.telemetry.tell(exchange)

    async def _answer(
        self,
        exchange: Exchange,
        account: Account,
        places: list[Place],
        make: Callable[[Place], Attempt],
        path: str,
        send: Send,
        read: Mapping[str, Call] | None = None,
    ) -> None:
        """Try providers until one answers, within the key's budget; replies that were `read`, by model, are there."""
        there = dict(read or {})
        in_order = sorted(
            places, key=lambda one: one.model not in there and not one.upstream.breaker(one.model).ready()
        )
        failed: list[CallError] = []
        too_dear: RefusedError | None = None
        most = exchange.tries + self.config.fallback.attempts
        while in_order and exchange.tries < most:
            place = in_order.pop(0)
            breaker = place.upstream.breaker(place.model)
            here = there.pop(place.model, None)
            if here is None and not await breaker.begin():
                in_order.append(place)
                continue
            try:
                if here is not None:
                    exchange.usage, exchange.clamp = here.usage, here.clamp
                    await self._pass_on(exchange, here, send)
                    return
                async with self._attempt(exchange, account, make(place), path) as call:
                    await self._pass_on(exchange, call, send)
                return
            except RefusedError as error:  # no room for this one; another may be cheaper
                too_dear = error
                breaker.abandoned()
            except CallError as error:
                failed.append(error)
                if exchange.begun:
                    await break_off(exchange, error, send)
                    return
                if not error.elsewhere:
                    break
                if error.too_long:
                    in_order = self._longer_than(place.model, in_order)
        if not failed and too_dear is not None:
            raise too_dear
        await give_up(exchange, failed, send)

    async def _read(
        self, exchange: Exchange, account: Account, choice: Choice, make: Callable[[Place], Attempt]
    ) -> dict[str, Call]:
        """The whole replies, by model, of those whom the router asks first and who answer in time."""
        asking = {name: self._read_one(exchange, account, name, make) for name in choice.asks}
        return await in_time(asking, self.config.reading.seconds)

    async def _read_one(
        self, exchange: Exchange, account: Account, model: str, make: Callable[[Place], Attempt]
    ) -> Call | None:
        """A model's whole reply from the first of its providers that answers; None where none does."""
        for place in self._places[model]:
            breaker = place.upstream.breaker(model)
            if not await breaker.begin():
                continue
            try:
                attempt = replace(make(place), keep_text=True)
                async with self._attempt(exchange, account, attempt, CHAT) as call:
                    assert call.reply is not None
                    call.reply = await to_its_end(call.reply)
                    return call
            except RefusedError:  # the budget has no room for it
                breaker.abandoned()
            except CallError:
                continue
        return None

    def _longer_than(self, model: str, places: list[Place]) -> list[Place]:
        """Those whose window is longer than that of a model that took too little, or unknown; the longest first."""
        least = self._windows[model] or 0
        windows = {one.model: self._windows[one.model] for one in places}
        left = [one for one in places if (windows[one.model] or math.inf) > least]
        return sorted(left, key=lambda one: -(windows[one.model] or 0))

    @asynccontextmanager
    async def _attempt(self, exchange: Exchange, account: Account, attempt: Attempt, path: str) -> AsyncIterator[Call]:
        """One call: its money in the books, its result told to the breaker, the metrics and the request's facts.

        Raises RefusedError where the key's budget has no room for it.
        """
        upstream, started, error, call = attempt.upstream, time.perf_counter(), "cancelled", Call(attempt)
        failure: CallError | None = None
        told: Mapping[str, str] = {}
        grant, body, call.clamp = await self._with_room(account, attempt)
        exchange.clamp = call.clamp
        exchange.tries += 1
        breaker = upstream.breaker(attempt.model)
        try:
            async with upstream.ask(
                path,
                body,
                stream=attempt.stream,
                wants_usage=attempt.wants_usage,
                native=None if attempt.native is None else attempt.native.headers,
                sent=call.go,
                keep_text=attempt.keep_text,
            ) as call.reply:
                yield call
                breaker.succeeded()  # before the connection is read to its end, which the client need not see
                error = ""
        except CallError as failed:
            error, failure, told = failed.fact, failed, failed.told
            exchange.failures.append(f"{attempt.model}: {failed.kind}")
            _tell(breaker, failed)
            raise
        finally:
            self._bill(exchange, call, failure)
            if error == "cancelled":
                breaker.abandoned()
            self.meters.attempts.labels(upstream.name, attempt.model, "failed" if error else "ok").inc()
            seconds = time.perf_counter() - started
            fact = {"model": attempt.model, "provider": upstream.name, "seconds": seconds, "error": error}
            if call.reply is not None:
                told = call.reply.told
            if call.billed:
                fact["cost"] = call.cost
            if id := told.get("x-request-id") or told.get("request-id"):
                fact["request_id"] = id
            exchange.attempts.append(fact)
            exchange.calls.append((started, error if failure is None else failure.kind))
            account.use_tokens(call.tokens)
            await account.settle(grant, call.cost)  # before the log has it: a restart counts none of it twice

    async def _with_room(self, account: Account, attempt: Attempt) -> tuple[Grant | None, bytes, int | None]:
        """What is set aside for a call, its body, and its most tokens out where the budget pays for no more."""
        if not account.limited:
            return None, await self._aside(attempt.raw, attempt.make_body, None), None
        bound = await self._aside(attempt.raw, attempt.bound)
        grant = await account.reserve(bound.most, bound.least)
        assert grant is not None
        try:
            clamp = bound.clamp(grant.usd)
            return grant, await self._aside(attempt.raw, attempt.make_body, clamp), clamp
        except BaseException:
            await account.settle(grant, 0.0)
            raise

    async def _aside(self, raw: Sized, work: Callable[..., T], *arguments: Any) -> T:
        """Do some work on a body: here, or in the thread for large ones, so that nobody waits for it."""
        if len(raw) < LARGE:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _bill(self, exchange: Exchange, call: Call, failure: CallError | None = None) -> None:
        """Enter in the request's facts what a call cost: by its usage, else by what was seen of it."""
        if call.billed or not call.sent or (failure is not None and not failure.billed and call.reply is None):
            return
        call.billed = True
        attempt, reply = call.attempt, call.reply
        usage = reply.usage if reply is not None else (failure.usage if failure is not None else None) or Usage()
        counted = not is_told(usage)
        if counted:
            usage = attempt.bound().seen(None if reply is None else reply.counted_tokens)
        elif isinstance(reply, Streamed) and reply.usage.tokens_out is not None and not reply.whole:
            usage = replace(usage, tokens_out=max(reply.usage.tokens_out, reply.counted_tokens))  # told in its midst
        dollars = cost(usage, self._prices[attempt.model, attempt.upstream.name])
        call.usage, call.cost, call.tokens = usage, dollars or 0.0, (usage.tokens_in or 0) + (usage.tokens_out or 0)
        told = "usage" if usage.provider_cost is None else "provider"
        exchange.bill(usage, dollars, "counted" if counted else told)
        if dollars is None:
            self.meters.unpriced.labels(attempt.model).inc()
        else:
            self.meters.cost.labels(attempt.model, exchange.key).inc(dollars)
        self.meters.tokens.labels(attempt.model, "in").inc(usage.tokens_in or 0)
        self.meters.tokens.labels(attempt.model, "out").inc(usage.tokens_out or 0)

    async def _pass_on(self, exchange: Exchange, call: Call, send: Send) -> None:
        """Send a reply to the client, in its dialect. Raises CallError for what has no form there."""
        attempt, reply = call.attempt, call.reply
        assert reply is not None
        exchange.told = reply.told
        out = exchange.new_reply()  # nothing of a reply that could not be told is left in it
        if attempt.native is not None and reply.native:
            out, exchange.left_out = attempt.native.reply(exchange.id), attempt.native.left_out
        exchange.reply = out
        if isinstance(reply, Whole):
            self._bill(exchange, call)
            body = _translated(attempt, partial(_whole, out, reply, attempt.stream, exchange.usage))
            exchange.model, exchange.provider, exchange.begun = attempt.model, attempt.upstream.name, True
            exchange.status, exchange.http_status = "ok", 200
            await send_whole(send, 200, body, exchange.headers().items(), reply.content_type)
            exchange.whole = True
            return
        begun = _translated(attempt, partial(out.events, reply.begun))
        exchange.model, exchange.provider, exchange.begun = attempt.model, attempt.upstream.name, True
        exchange.first_token_seconds, exchange.http_status = exchange.seconds, 200
        headers = {**exchange.headers(), "cache-control": "no-cache"}
        if not call.billed:
            headers.pop("x-router-cost", None)  # which is the sum of all calls
        await send_head(send, 200, "text/event-stream; charset=utf-8", headers.items())
        await send({"type": "http.response.body", "body": begun, "more_body": True})
        async for piece in reply.rest():
            made = _translated(attempt, partial(out.events, piece))
            await send({"type": "http.response.body", "body": made, "more_body": True})
        self._bill(exchange, call)
        exchange.status, exchange.whole = "ok", True
        await send({"type": "http.response.body", "body": out.end(exchange.usage)})


def _whole(out: Reply, reply: Whole, stream: bool, usage: Usage) -> bytes:
    """A whole reply in the client's dialect; one that waits for a stream gets all of its events at once."""
    return out.events(reply.body) + out.end(usage) if stream else out.whole(reply.body, usage)


def _text(call: Call) -> str:
    return "" if call.reply is None else call.reply.text


def _translated(attempt: Attempt, translate: Callable[[], bytes]) -> bytes:
    """What is made of a reply. Raises CallError where it says what the client's dialect cannot."""
    try:
        return translate()
    except (ValueError, RefusedError) as error:
        raise attempt.upstream.bad_reply(str(error)) from None


def _with_longest(model: ModelConfig) -> ParametersConfig:
    """What a model takes otherwise: no request for more tokens than it writes."""
    if model.max_output is None:
        return model.parameters
    clamp = {**dict.fromkeys(LIMITS, float(model.max_output)), **model.parameters.clamp}
    return model.parameters.model_copy(update={"clamp": clamp})


def _embeddings_body(raw: bytes, model: str, _: int | None) -> bytes:
    return with_model(raw, model)


def _tell(breaker: Breaker, error: CallError) -> None:
    """Let the breaker of a model at a provider know of a failure."""
    if error.retry_after is not None and error.status in (429, 503):
        breaker.pause(error.retry_after)
    if blames(error):
        breaker.failed()
    elif error.kind == "busy":
        breaker.abandoned()
    else:
        breaker.succeeded()
