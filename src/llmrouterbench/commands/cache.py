"""`llmrouterbench cache stats|export|import|prune ADDRESS`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say, show_pairs
from llmrouterbench.commands.app import Json, app, usage

if TYPE_CHECKING:
    from llmrouterbench.calling.cache import Cache

cache = typer.Typer(help="Look into the cache of paid replies.", no_args_is_help=True)
app.add_typer(cache, name="cache")

Address = Annotated[str, typer.Argument(help="Path of a SQLite file, redis://..., or postgresql://...")]


def _open(address: str) -> Cache:
    """A cache that is already there: a mistyped path makes no new file."""
    from llmrouterbench.calling.cache import open_cache

    if "://" not in address and not Path(address).is_file():
        raise FileNotFoundError(f"no cache at {address}; `llmrouterbench collect` makes one")
    opened: Cache = usage(lambda: open_cache(address))
    return opened


@cache.command()
def stats(address: Address, json: Json = False) -> None:
    """Show how many replies a cache holds, by model."""
    with _open(address) as opened:
        found = opened.stats()
    if json:
        print_json(asdict(found))
        return
    show_pairs("Cache", {"records": found.records, "compressed_bytes": found.bytes})
    if found.models:
        show_pairs("Replies by model", dict(found.models))


@cache.command()
def export(
    address: Address,
    to: Annotated[Path, typer.Option("--to", help="JSONL file to write.")],
    json: Json = False,
) -> None:
    """Write every record as a line of JSON."""
    with _open(address) as opened:
        count = opened.export(to)
    if json:
        print_json({"file": str(to), "records": count})
    else:
        say(f"{count} records in {to}")


@cache.command("import")
def import_records(
    address: Address,
    file: Annotated[Path, typer.Option("--from", help="JSONL file that `cache export` wrote.")],
    json: Json = False,
) -> None:
    """Keep the records of an export; what the cache has already stays as it is. A new SQLite file is made."""
    from llmrouterbench.calling.cache import open_cache

    if not file.is_file():
        raise FileNotFoundError(f"--from must name a file that `llmrouterbench cache export` wrote, got {file}")
    with usage(lambda: open_cache(address)) as opened:
        came, stayed = opened.load(file)
    if json:
        print_json({"imported": came, "there_before": stayed})
    else:
        say(f"{came} records imported, {stayed} were there before")


@cache.command()
def prune(
    address: Address,
    older_than: Annotated[float | None, typer.Option("--older-than", help="Days.", min=0.0)] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only this model's replies.")] = None,
    json: Json = False,
) -> None:
    """Remove replies by age, by model, or by both; they would have to be paid for again."""
    if older_than is None and model is None:
        raise typer.BadParameter("say what to remove: --older-than DAYS, --model NAME, or both")
    with _open(address) as opened:
        count = opened.prune(older_than=None if older_than is None else older_than * 86400, model=model)
    if json:
        print_json({"removed": count})
    else:
        say(f"{count} records removed")
