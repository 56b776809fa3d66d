"""The web application: paths, their documentation as OpenAPI, and errors in OpenAI's form."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from fastapi import FastAPI, Request, Security
from fastapi.responses import Response
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from llmrouterbench.decision_log import DecisionLog
from llmrouterbench.naming import did_you_mean
from llmrouterbench.serve import live_page
from llmrouterbench.serve.asgi import Receive, Scope, Send, client_key, is_local, read_body
from llmrouterbench.serve.config import AUTO, LimitsConfig, ServeConfig
from llmrouterbench.serve.dialects import DIALECTS, chat, completions, messages, responses
from llmrouterbench.serve.gateway import EMBEDDINGS_PATH, Gateway
from llmrouterbench.serve.keys import Account
from llmrouterbench.serve.live_page.summary import Summary
from llmrouterbench.serve.openapi import (
    CHAT_BODY,
    COMPLETIONS_BODY,
    COUNT_BODY,
    EMBEDDINGS_BODY,
    MESSAGES_BODY,
    MESSAGES_ERROR,
    RESPONSES_BODY,
    errors,
)
from llmrouterbench.serve.refusals import RefusedError
from llmrouterbench.version import __version__

_bearer = Security(HTTPBearer(auto_error=False, description="A client key, where the server's config has any."))
_x_api_key = Security(
    APIKeyHeader(name="x-api-key", auto_error=False, description="The same, as Anthropic's clients say it.")
)
_AGAIN = re.compile(r"(?:/v1)+(?=/v1/)")
_BARE = re.compile("/(?:chat|completions|responses|messages|embeddings|models|feedback)(?:/|$)")
"""How paths go on behind /v1."""
_SMALL = LimitsConfig(body_bytes=10_000)
_Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Feedback(BaseModel):
    """How good a reply was."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Annotated[str, Field(min_length=1, max_length=100, description="From the header x-router-decision.")]
    score: Annotated[float, Field(ge=0, le=1, description="Quality, 0 to 1.")]
    kind: Annotated[
        Literal["score", "thumb", "retry", "judge"],
        Field(
            description="A measured score; a thumb, 1 or 0; whether the user went on (1), or asked again or had the"
            " reply made again (0); what a judge gave."
        ),
    ] = "score"
    cost: Annotated[float | None, Field(ge=0, description="USD that a judge cost.")] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind in ("thumb", "retry") and self.score not in (0.0, 1.0):
            raise ValueError(f"the score of a {self.kind} must be 0 or 1, got {self.score:g}")
        return self


class _Handed(Response):
    """Hands the connection to a handler that sends by itself."""

    def __init__(self, handler: _Handler) -> None:
        super().__init__()
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope, receive, send)


class Front:
    """The whole server: the busy paths go straight to the gateway, the others through FastAPI.

    FastAPI knows all of them, and documents them; its own way to a handler takes longer than routing a query. `log` is
    a decision log that lives as long as the application; `router` is the folder of the router, for the live page.
    """

    def __init__(self, gateway: Gateway, log: DecisionLog | None = None, router: Path | None = None) -> None:
        self._log = log
        self.summary = Summary(None if gateway.log is None else gateway.log.path.parent, router)
        self._use(gateway)

    def _use(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.app = _application(self)
        self._busy: dict[str, _Handler] = {
            path: partial(gateway.chat, dialect=dialect) for path, dialect in DIALECTS.items()
        } | {EMBEDDINGS_PATH: gateway.embeddings}
        self._answer: _Handler = _with_cors(self._plain, gateway.config.cors)

    async def renew(self, gateway: Gateway) -> None:
        """Answer with another gateway from now on; the one before is closed when it has finished what it began."""
        before = self.gateway
        self._use(gateway)
        await before.finish()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """The log is open, and the gateway knows what was spent, from the start to the end."""
        with self._log or nullcontext():
            await self.gateway.begin()
            yield
            await self.summary.close()
            await self.gateway.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http" and (path := whole_path(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._answer(scope, receive, send)

    async def _plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = self._busy.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (busy or self.app)(scope, receive, send)


def whole_path(path: str) -> str:
    """A path with one /v1, however many the client's base address gave it.

    >>> whole_path("/models"), whole_path("/v1/v1/messages"), whole_path("/healthz")
    ('/v1/models', '/v1/messages', '/healthz')
    """
    path = path[again.end() :] if (again := _AGAIN.match(path)) else path
    return f"/v1{path}" if _BARE.match(path) else path


def _with_cors(answer: _Handler, origins: Sequence[str]) -> _Handler:
    """Answers that pages of these origins may read; as it is where there are none."""
    if not origins:
        return answer
    return CORSMiddleware(
        answer, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"], expose_headers=["*"]
    )  # fmt: skip


def _application(front: Front) -> FastAPI:
    """The paths of a gateway, documented."""
    gateway = front.gateway
    app = FastAPI(
        title="LLMRouterBench", version=__version__, lifespan=front.lifespan, docs_url=None, redoc_url=None,
        description="An OpenAI-compatible endpoint that routes.",
    )  # fmt: skip
    _add_errors(app)
    _add_serving(app, gateway)
    _add_watching(app, gateway)
    _add_feedback(app, gateway)
    _add_live_page(app, front)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every error of the application in OpenAI's form, or in that of the path's dialect."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return Response(error.body, error.status, dict(error.headers), "application/json")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        said = f"{request.method} {request.url.path[:100]} is not served here: {error.detail}"
        dialect = messages if request.url.path.startswith(messages.PATH) else chat
        body = dialect.error(error.status_code, RefusedError(error.status_code, said).body)
        return Response(body, error.status_code, dict(error.headers or {}), "application/json")


def _add_serving(app: FastAPI, gateway: Gateway) -> None:
    """The paths that lead to providers."""
    refusals = errors(400, 401, 404, 408, 413, 429, 502, 503, 504)

    @app.post(chat.PATH, openapi_extra={"requestBody": CHAT_BODY}, responses=refusals, dependencies=[_bearer])
    async def chat_completions() -> Response:
        """A chat completion, streamed or not; `model: auto` routes it, `auto:POLICY` with a policy of its own."""
        return _Handed(gateway.chat)

    @app.post(responses.PATH, openapi_extra={"requestBody": RESPONSES_BODY}, responses=refusals, dependencies=[_bearer])
    async def create_response() -> Response:
        """A response of OpenAI's Responses API, streamed or not; nothing is kept, so the input must be whole."""
        return _Handed(partial(gateway.chat, dialect=responses))

    @app.post(
        completions.PATH, openapi_extra={"requestBody": COMPLETIONS_BODY}, responses=refusals, dependencies=[_bearer]
    )
    async def legacy_completions() -> Response:
        """A legacy completion of one prompt, streamed or not."""
        return _Handed(partial(gateway.chat, dialect=completions))

    told = errors(400, 401, 404, 408, 413, 429, 502, 503, 504, of=MESSAGES_ERROR)
    uncounted = errors(400, 401, 408, 413, 429, 503, of=MESSAGES_ERROR)
    keyed = [_bearer, _x_api_key]

    @app.post(messages.PATH, openapi_extra={"requestBody": MESSAGES_BODY}, responses=told, dependencies=keyed)
    async def create_message() -> Response:
        """A message of Anthropic's Messages API, streamed or not."""
        return _Handed(partial(gateway.chat, dialect=messages))

    @app.post(messages.COUNT_PATH, openapi_extra={"requestBody": COUNT_BODY}, responses=uncounted, dependencies=keyed)
    async def count_tokens() -> Response:
        """Tokens of a message, as counted from its text; nobody is asked."""
        return _Handed(gateway.count_tokens)

    @app.post(
        EMBEDDINGS_PATH, openapi_extra={"requestBody": EMBEDDINGS_BODY}, responses=refusals, dependencies=[_bearer]
    )
    async def embeddings() -> Response:
        """Embeddings of a named model, passed through."""
        return _Handed(gateway.embeddings)


def _add_watching(app: FastAPI, gateway: Gateway) -> None:
    """What can be looked at: models, health, metrics."""

    @app.get("/v1/models", responses=errors(401, 429))
    async def models(request: Request, _: HTTPAuthorizationCredentials | None = _bearer) -> dict[str, Any]:
        """The models that a request may name."""
        account = await _admit(gateway, request)
        return {"object": "list", "data": list(_models(gateway.config, account).values())}

    @app.get("/v1/models/{name:path}", responses=errors(401, 404, 429))
    async def model(request: Request, name: str, _: HTTPAuthorizationCredentials | None = _bearer) -> dict[str, Any]:
        """One of them."""
        known = _models(gateway.config, await _admit(gateway, request))
        if name not in known:
            said = f"no model named {name[:100]!r}{did_you_mean(name[:100], known)}"
            raise RefusedError(404, said, "model_not_found")
        return known[name]

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the server runs."""
        return {"status": "ok"}

    @app.get("/readyz", responses=errors(503))
    async def readyz() -> dict[str, str]:
        """Whether the server can take requests now."""
        if not gateway.ready:
            raise RefusedError(503, "this server takes no requests just now", "not_ready", 1.0)
        return {"status": "ready"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **errors(401, 429)},
        openapi_extra={"security": [{}]},  # no key is needed on the server's own machine
    )
    async def metrics(request: Request, _: HTTPAuthorizationCredentials | None = _bearer) -> Response:
        """Counters for Prometheus: all on the server's own machine and with an admin's key, else those of the key."""
        whole = is_local(request.scope) and not client_key(request.scope)
        account = None if whole else await _admit(gateway, request)
        one = None if account is None or gateway.keyring.open or account.config.admin else account.name
        return Response(gateway.meters.page(one), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_live_page(app: FastAPI, front: Front) -> None:
    gateway = front.gateway

    @app.get(live_page.PATH, response_class=Response, responses={200: {"content": {"text/html": {}}}})
    async def dashboard() -> Response:
        """The live page, which asks for its numbers itself."""
        made = live_page.shell()
        return Response(made.body, headers=made.headers, media_type="text/html; charset=utf-8")

    @app.get(live_page.DATA, responses=errors(401, 403, 429), openapi_extra={"security": [{}]})
    async def dashboard_data(request: Request, _: HTTPAuthorizationCredentials | None = _bearer) -> Response:
        """What the live page shows: on the server's own machine, and with an admin's key."""
        live_page.check_reader(gateway, request.scope)
        body = await live_page.data_of(gateway, front.summary)
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")


def _models(config: ServeConfig, account: Account) -> dict[str, dict[str, Any]]:
    """What a request of a key may name, as OpenAI lists it."""
    ours = account.config.models
    named = [
        (AUTO, "llmrouterbench"),
        *((model.name, model.provider) for model in (*config.models, *config.embeddings)),
    ]
    return {
        name: {"id": name, "object": "model", "created": 0, "owned_by": owner}
        for name, owner in named
        if name == AUTO or not ours or name in ours
    }


def _add_feedback(app: FastAPI, gateway: Gateway) -> None:
    schema = {"required": True, "content": {"application/json": {"schema": Feedback.model_json_schema()}}}

    @app.post(
        "/v1/feedback",
        openapi_extra={"requestBody": schema},
        responses=errors(400, 401, 404, 408, 413, 429, 503),
        dependencies=[_bearer],
    )
    async def feedback(request: Request) -> dict[str, str]:
        """Store how good the reply to a decision was; the last score of a kind counts."""
        account = await _admit(gateway, request)
        sent = _parse_feedback(await read_body(request.scope, request.receive, _SMALL))
        if gateway.log is None:
            raise RefusedError(404, "this server keeps no decision log; start it with --log DIR")
        try:
            await gateway.log.add_feedback(sent.decision, time.time(), account.name, sent.score, sent.kind, sent.cost)
        except LookupError as error:
            raise RefusedError(404, f"{error}, got {sent.decision!r}", "decision_not_found") from None
        except OSError as error:
            raise RefusedError(503, str(error), "log_not_writable", 5.0) from None
        gateway.meters.feedback.inc()
        return {"status": "stored"}


def _parse_feedback(raw: bytes) -> Feedback:
    try:
        return Feedback.model_validate_json(raw)
    except ValidationError as error:
        one = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in one["loc"]) or "the body"
        raise RefusedError(400, f"{place} must be right: {one['msg']}") from None


async def _admit(gateway: Gateway, request: Request) -> Account:
    account = gateway.account(request.scope)
    await account.admit()
    return account
