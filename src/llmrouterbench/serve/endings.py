"""How an exchange ends that no provider served: refused, broken off in its midst, or given up."""

from __future__ import annotations

from collections.abc import Mapping

from llmrouterbench.calling.calls import CallError, Kind
from llmrouterbench.serve.asgi import Send, send_whole
from llmrouterbench.serve.exchange import Exchange
from llmrouterbench.serve.refusals import RefusedError, error_body
from llmrouterbench.serve.upstream import tells

_STATUSES: dict[Kind, int] = {"timeout": 504, "busy": 503}
"""What a client is told where no provider served; 502 for the rest."""


async def refuse(exchange: Exchange, refusal: RefusedError, send: Send) -> None:
    """Tell the client that its request is refused."""
    exchange.status, exchange.http_status = "refused", refusal.status
    await _send_error(exchange, refusal, send, {"x-router-decision": exchange.id})


async def _send_error(exchange: Exchange, refusal: RefusedError, send: Send, headers: Mapping[str, str]) -> None:
    """Send an error of the server itself."""
    body = exchange.dialect.error(refusal.status, refusal.body)
    await send_whole(send, refusal.status, body, {**headers, **refusal.headers}.items(), "application/json")


async def break_off(exchange: Exchange, error: CallError, send: Send) -> None:
    """End a stream that its provider cut by an error event: the provider's own, if it sent one."""
    exchange.status = "broken"
    said = error.body or error_body(error.fact, "upstream_error", error.kind)
    await send({"type": "http.response.body", "body": exchange.reply.broken(said)})


async def give_up(exchange: Exchange, failed: list[CallError], send: Send) -> None:
    """Tell the client why nobody served: the provider's own words about its request, else one sentence."""
    said = next((one for one in failed if not one.elsewhere), failed[0])
    exchange.status = "failed" if said.elsewhere else "refused"
    exchange.told = said.told
    headers = {**exchange.headers(), "x-should-retry": "false"}  # we have tried; a client that does so too triples it
    if said.body is not None and tells(said):
        exchange.http_status = said.status
        if said.retry_after is not None:
            headers["retry-after"] = f"{max(1, round(said.retry_after))}"
        body = exchange.dialect.error(said.status, said.body)
        await send_whole(send, said.status, body, headers.items(), said.content_type)
        return
    kind = failed[0].kind
    status = exchange.http_status = _STATUSES.get(kind, 502)
    tried = "; ".join(dict.fromkeys(one.fact for one in failed))
    wait = 1.0 if status == 503 else None
    refusal = RefusedError(status, f"no provider could serve the request: {tried}", kind, wait)
    await _send_error(exchange, refusal, send, headers)
