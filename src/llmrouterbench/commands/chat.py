"""`llmrouterbench chat ROUTER_DIR --config FILE`: try a router in the terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import say, show_lines, show_rows
from llmrouterbench.commands.app import app
from llmrouterbench.numerals import number, percent, usd

if TYPE_CHECKING:
    from llmrouterbench.serve.trying import Conversation, Turn


@app.command()
def chat(
    router: Annotated[Path, typer.Argument(help="A folder that `llmrouterbench fit` wrote.")],
    config: Annotated[Path, typer.Option("--config", help="The YAML file of a server: providers, models, prices.")],
    model: Annotated[
        str, typer.Option("--model", help="What requests name: auto, auto:POLICY in words, or a model.")
    ] = "auto",
) -> None:
    """Type queries: see what is expected of every model, who is chosen and why, the reply, and what it cost."""
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.serve.config import read_serve_config
    from llmrouterbench.serve.trying import Conversation, open_gateway

    gateway = open_gateway(FittedRouter.load(router), read_serve_config(config))
    with asyncio.Runner() as runner:
        conversation = Conversation(gateway, model)
        say("Type a query; Ctrl-C stops a reply, Ctrl-D ends. Every reply is paid for.")
        try:
            _talk(conversation, runner)
        finally:
            runner.run(gateway.close())


def _talk(conversation: Conversation, runner: asyncio.Runner) -> None:
    """Answer line by line until there is no more."""
    while True:
        try:
            query = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not query:
            continue
        try:
            _show(runner.run(conversation.ask(query)))
        except KeyboardInterrupt:
            say("stopped; the turn is forgotten, what was called is paid for")


def _show(turn: Turn) -> None:
    rows = [
        {
            "model": model,
            "expected score": number(one["score"], 3),
            "expected USD": usd(one["cost"]),
            "chance": percent(one["chance"], unit=" %"),
            "": "served" if model == turn.served else "",
        }
        for model, one in turn.estimates.items()
    ]
    if turn.policy:
        show_rows(f"Policy {turn.policy}", rows, json=False)
    if turn.text is None:
        say(f"nobody served: {turn.refusal}")
        return
    show_lines([_printable(turn.text)])
    instead = f", as another one did not: {turn.because}" if turn.because else ""
    say(f"{turn.served} served for {usd(turn.cost, ' USD')}, because of: {turn.reason}{instead}")


def _printable(text: str) -> str:
    """A reply without what would steer the terminal."""
    return "".join(one for one in text if one in "\n\t" or one.isprintable())
