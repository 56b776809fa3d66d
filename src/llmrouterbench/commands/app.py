"""The one typer application and what its commands share; each file beside this one holds a group of commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from llmrouterbench.commands._terminal import say as say
from llmrouterbench.settings import BUILT_IN, PAPER_SEEDS, Setting, load_setting
from llmrouterbench.version import __version__

if TYPE_CHECKING:
    from llmrouterbench.table import Outcomes

GROUPS: dict[str, tuple[str, ...]] = {
    "Start": ("demo", "advise"),
    "Data": (
        "import", "fetch", "simulate", "info", "curate", "preferences", "split", "export", "export-table", "settings",
    ),
    "Collect and score": ("datasets", "collect", "score", "run", "schema", "cache"),
    "Bench and report": ("routers", "bench", "report", "judge-choices", "robustness", "board"),
    "Production": (
        "fit", "policies", "route", "chat", "serve", "new-key", "keys", "add-model", "drop-model",
        "export-policy", "plugins",
    ),
    "Logs": ("evaluate-logs", "drift", "compare-live", "refit"),
}  # fmt: skip
"""The commands in the order of the work, as `--help` shows them."""
_IN_ORDER = {name: group for group, names in GROUPS.items() for name in names}


class Grouped(TyperGroup):
    """Lists its commands by group, in the order of the work."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands; one that is in no group comes last, with production."""
        order = list(_IN_ORDER)
        names = sorted(super().list_commands(ctx), key=lambda one: order.index(one) if one in order else len(order))
        for name in names:
            self.commands[name].rich_help_panel = _IN_ORDER.get(name, "Production")  # type: ignore[attr-defined]
        return names


app = typer.Typer(
    cls=Grouped,
    help="Benchmark, compare and serve LLM routers. Start with `llmrouterbench demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
SettingName = Annotated[
    str | None, typer.Option("--setting", help=f"{' or '.join(BUILT_IN)}, or a TOML file of your own.")
]
PageText = Annotated[bool, typer.Option("--page-text/--no-text", help="Query texts in index.html, or none of them.")]


def _version(show: bool) -> None:
    if show:
        typer.echo(f"llmrouterbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def usage(check: Callable[[], Any]) -> Any:
    """The result of a check of what the user typed; its ValueError is bad usage (exit 2)."""
    try:
        return check()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def load(folder: Path, setting: str | None) -> tuple[Outcomes, Setting | None]:
    """Stored outcomes, or one setting of them; what a setting names and the data lack is said."""
    from llmrouterbench.table import Outcomes

    chosen = usage(lambda: load_setting(setting)) if setting else None
    outcomes = Outcomes.load(folder, chosen)
    absent = outcomes.source.get("absent") or []
    if absent:
        say(f"setting {chosen.name if chosen else ''}: the data lack {'; '.join(absent)}")
    return outcomes, chosen


def known(what: str, name: str, names: list[str]) -> None:
    """Raise ValueError, with the nearest name, where it is none of these."""
    from llmrouterbench.naming import did_you_mean

    if name not in names:
        raise ValueError(f"no {what} named {name!r}{did_you_mean(name, names)}")


def words(text: str) -> tuple[str, ...]:
    """The words of a comma-separated option."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def router_specs(text: str) -> list[str]:
    """Routers of one option; a comma inside settings belongs to them: "knn,avengers:k=32,top_k=3"."""
    specs: list[str] = []
    for word in words(text):
        if "=" in word and ":" not in word and specs:
            specs[-1] += f",{word}"
        else:
            specs.append(word)
    return specs


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds of an option: the paper's five, or numbers."""
    if text == "paper":
        return PAPER_SEEDS
    try:
        return tuple(int(word) for word in words(text))
    except ValueError:
        raise typer.BadParameter(f"--seeds must be 'paper' or whole numbers, got {text!r}") from None
