"""Runs a server until it is told to stop; streams under way are finished first."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrouterbench.serve.asgi import is_loopback
from llmrouterbench.serve.config import ServeConfig

if TYPE_CHECKING:
    import uvicorn

    from llmrouterbench.decision_log import DecisionLog
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.app import Front
    from llmrouterbench.serve.gateway import Gateway
    from llmrouterbench.serve.log_lines import LogLines
    from llmrouterbench.serve.split import Candidate

Load = Callable[[], "tuple[FittedRouter, ServeConfig]"]
"""Reads the router and the config from their files."""
BACKLOG, ACCEPTED = 2048, 32
"""Connections that may wait to be accepted, and those that are accepted before anything else is done."""


@dataclass(frozen=True)
class Serving:
    """How to serve, beyond the config.

    log            folder of the decision log, None for none; log_text: with the texts of queries
    shadow         a model that serves everything, "" for none
    explore        share of queries that a random model serves
    candidate      folder of a router that serves `share` of the conversations, None for none
    finish_seconds how long requests under way may take when the server is stopped
    state          where the state lies that it shares with others, "": where the config says, else in memory
    alone          whether no other process accepts connections of the same socket
    router         folder of the router, where the live page may read it
    """

    log: Path | None = None
    log_text: bool = False
    shadow: str = ""
    explore: float = 0.0
    candidate: Path | None = None
    share: float = 0.1
    finish_seconds: int = 600
    state: str = ""
    alone: bool = True
    router: Path | None = None

    def load_candidate(self) -> Candidate | None:
        """The candidate as its folder has it now. Raises as `FittedRouter.load`; ValueError for a share of 0 or 1."""
        from llmrouterbench.production.fitted import FittedRouter
        from llmrouterbench.serve.split import Candidate

        return None if self.candidate is None else Candidate(FittedRouter.load(self.candidate), self.share)


def bind(config: ServeConfig) -> socket.socket:
    """The listening socket. Raises ValueError for an address that others reach without client keys, OSError."""
    if not is_loopback(config.host) and not (config.keys or config.managed_keys):
        raise ValueError(
            f"host must be a loopback address such as 127.0.0.1 while the config has no keys, got {config.host!r};"
            " add keys, see `llmrouterbench new-key`"
        )
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno, f"{config.host}:{config.port} must be free to listen on, got {error.strerror}"
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def make_app(router: FittedRouter, config: ServeConfig, serving: Serving, lines: LogLines) -> Front:
    """The server as an ASGI application; its decision log is open from the start of its lifespan to the end."""
    from llmrouterbench.serve.app import Front

    log, gateway = _gateway(router, config, serving, lines)
    return Front(gateway, log, serving.router)


def _gateway(
    router: FittedRouter, config: ServeConfig, serving: Serving, lines: LogLines
) -> tuple[DecisionLog | None, Gateway]:
    """The decision log, which is not yet open, and the gateway."""
    from llmrouterbench.calling.databases import shown
    from llmrouterbench.decision_log import DecisionLog
    from llmrouterbench.serve.gateway import Gateway
    from llmrouterbench.serve.state import State, open_store

    def lost(rows: int, sentence: str) -> None:
        gateway.meters.lost_rows.inc(rows)
        lines.say("error", sentence)

    address = serving.state or config.state_address()
    store = open_store(address) if address else None
    state = State(store, config.conversation.remembered, tell=lines.say)
    log = None if serving.log is None else DecisionLog(serving.log, lost, state=shown(address))
    telemetry = None
    if config.telemetry is not None:
        try:
            from llmrouterbench.serve.telemetry import telemetry_to
        except ImportError as error:
            raise ImportError("telemetry needs OpenTelemetry; pip install 'llmrouterbench[otel]'") from error
        urls = {name: provider.url for name, provider in config.providers.items()}
        telemetry = telemetry_to(config.telemetry.endpoint, urls)
    gateway = Gateway(
        router, config, log=log, log_text=serving.log_text, shadow=serving.shadow, explore=serving.explore,
        candidate=serving.load_candidate(), lines=lines, state=state, telemetry=telemetry,
    )  # fmt: skip
    return log, gateway


def serve(
    router: FittedRouter,
    config: ServeConfig,
    serving: Serving,
    lines: LogLines,
    listening: socket.socket,
    started: Callable[[str], None] = lambda address: None,
    load: Load | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the address. A second signal ends at once.

    On SIGHUP router and config are those that `load` gives then; what is under way goes on with those before.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError("serve needs uvicorn; pip install 'llmrouterbench[serve]'") from error
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from llmrouterbench.serve.app import Front
    from llmrouterbench.serve.half_open import guarded_protocol
    from llmrouterbench.serve.log_lines import LinesHandler

    log, gateway = _gateway(router, config, serving, lines)
    with log or nullcontext():
        for name in ("uvicorn", "opentelemetry"):
            logging.getLogger(name).handlers = [LinesHandler(lines)]
            logging.getLogger(name).setLevel(logging.WARNING)
        front = Front(gateway, router=serving.router)
        settings = uvicorn.Config(
            front, log_config=None, access_log=False, server_header=False, ws="none",
            backlog=ACCEPTED if serving.alone else 1,  # one takes no more at a time than the others
            timeout_graceful_shutdown=serving.finish_seconds, http=guarded_protocol(config.limits),
        )  # fmt: skip
        started(address_of(listening))
        # One query is too little work for more than one thread of a matrix library.
        with _signals_ignored_at_the_end(), threadpool_limits(limits=1):
            _server(settings, None if load is None else partial(_renew, front, load, serving, lines)).run(
                sockets=[listening]
            )


async def _renew(front: Front, load: Load, serving: Serving, lines: LogLines) -> None:
    """Answer by the files as they are now; nothing changes where these are wrong."""
    try:
        router, config = await asyncio.to_thread(load)
        gateway = front.gateway.renewed(router, config, await asyncio.to_thread(serving.load_candidate))
        await gateway.know()
    except (OSError, ValueError, ImportError) as error:
        lines.say("error", f"nothing is changed: {error}")
        return
    lines.say("info", "router and config are those of the files")
    await front.renew(gateway)
    gc.unfreeze()  # the router before is to go
    _tidy()


def _tidy() -> None:
    """What is here now stays: not to be looked through again while requests wait."""
    gc.collect()
    gc.freeze()


def _server(settings: uvicorn.Config, renew: Callable[[], Coroutine[Any, Any, None]] | None) -> uvicorn.Server:
    """A server that lets many connections wait and accepts few at a time; uvicorn has one number for both.

    renew  what SIGHUP does; one after the other
    """
    import uvicorn

    renewing: set[asyncio.Task[None]] = set()
    turn = asyncio.Lock()

    async def in_turn() -> None:
        assert renew is not None
        async with turn:
            await renew()

    def hear() -> None:
        task = asyncio.get_running_loop().create_task(in_turn())
        renewing.add(task)
        task.add_done_callback(renewing.discard)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for one in sockets or ():
                one.listen(BACKLOG)
            if (
                renew is not None
                and threading.current_thread() is threading.main_thread()
                and hasattr(signal, "SIGHUP")
            ):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)
            _tidy()

    return Server(settings)


@contextmanager
def _signals_ignored_at_the_end() -> Iterator[None]:
    """Uvicorn raises the signals that stopped it again when it is done; by then the log must still be closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
