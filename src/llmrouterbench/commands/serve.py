"""`llmrouterbench serve ROUTER_DIR --config FILE` and `llmrouterbench new-key NAME`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines
from llmrouterbench.commands.app import Json, app, usage

if TYPE_CHECKING:
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.config import ServeConfig


@app.command()
def serve(
    router: Annotated[Path, typer.Argument(help="A folder that `llmrouterbench fit` wrote.")],
    config: Annotated[Path, typer.Option("--config", help="The YAML file of providers, models, keys and limits.")],
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; replaces the config's.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="What `model: auto` means, in words.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Folder of the decision log.")] = None,
    log_text: Annotated[bool, typer.Option("--log-text", help="Keep the texts of queries in the log.")] = False,
    shadow: Annotated[
        str, typer.Option("--shadow", help="Let this model serve all, and log what the router would have chosen.")
    ] = "",
    explore: Annotated[
        float, typer.Option("--explore", min=0.0, max=1.0, help="Share of queries that a random model serves.")
    ] = 0.0,
    candidate: Annotated[
        Path | None, typer.Option("--candidate", help="A router that serves a share of the conversations, to compare.")
    ] = None,
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="Of the candidate.")] = 0.1,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that serve together.")] = 1,
    request_lines: Annotated[
        bool, typer.Option("--request-lines/--no-request-lines", help="A log line for every request.")
    ] = True,
) -> None:
    """Serve a fitted router as an OpenAI-compatible endpoint."""
    from llmrouterbench.serve.log_lines import LogLines
    from llmrouterbench.serve.running import Serving, bind
    from llmrouterbench.serve.running import serve as run
    from llmrouterbench.serve.workers import serve_with_workers

    given = {"host": host, "port": port, "policy": policy}
    changed = {name: value for name, value in given.items() if value is not None}
    chosen = usage(lambda: _config(config, changed))
    if log_text and log is None:
        raise typer.BadParameter("--log-text needs --log DIR, the log that keeps the texts")
    if candidate is not None and log is None:
        raise typer.BadParameter("--candidate needs --log DIR, which `compare-live` reads")
    serving = Serving(log, log_text, shadow, explore, candidate, share, router=router)
    listening = bind(chosen)
    load = partial(_load, router, config, changed)
    lines = LogLines(requests=request_lines)
    try:
        if workers > 1:
            serve_with_workers(workers, load, chosen, serving, lines, listening, _started(chosen))
        else:
            run(*load(), serving, lines, listening, _started(chosen), load)
    finally:
        listening.close()


def _load(router: Path, config: Path, changed: dict[str, Any]) -> tuple[FittedRouter, ServeConfig]:
    """The router and the config as their files have them now."""
    from llmrouterbench.production.fitted import FittedRouter

    return FittedRouter.load(router), _config(config, changed)


def _config(path: Path, changed: dict[str, Any]) -> ServeConfig:
    """The config of a file, with what the command says in its place."""
    from llmrouterbench.serve.config import parse_serve_config, read_serve_config

    chosen = read_serve_config(path)
    return parse_serve_config({**chosen.model_dump(), **changed}, str(path))


def _started(config: ServeConfig) -> Callable[[str], None]:
    """What to say when the server is there."""

    def tell(address: str) -> None:
        reach = "only from this machine" if is_loopback(config.host) else "FROM OTHER MACHINES, with a key, unencrypted"
        say(f"serving {address}/v1 ({reach}); stop with Ctrl-C, which finishes what is under way")

    from llmrouterbench.serve.asgi import is_loopback

    return tell


@app.command("new-key")
def new_key(name: Annotated[str, typer.Argument(help="Who will use it.")], json: Json = False) -> None:
    """Make a client key: the key for the client, its hash for the config. It is shown once and stored nowhere."""
    from llmrouterbench.serve.keys import new_key as make

    key, digest = make()
    if json:
        print_json({"name": name, "key": key, "sha256": digest})
        return
    show_lines([key])
    say(f"give it to {name}; in the config stands:\nkeys:\n  - {{name: {name}, sha256: {digest}}}")
