"""`llmrouterbench import` and `fetch`: outcomes of others into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    progress_bar,
    say,
    show_lines,
)
from llmrouterbench.commands.app import (
    Json,
    app,
    known,
    usage,
)
from llmrouterbench.findings import Key


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A file or folder, packed or not; - (standard input); an http, s3 or hf:// address.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    format: Annotated[str, typer.Option("--format", help="Name of the format; found out when not given.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on any finding of the import report.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    free: Annotated[
        bool, typer.Option("--zero-cost-is-free", help="Take a cost of 0 as free, not as unknown.")
    ] = False,
    replies: Annotated[bool, typer.Option("--replies/--no-replies", help="Keep the models' reply texts.")] = True,
    key: Annotated[
        str, typer.Option("--key", help="What makes records one query: id, text, or auto (id, unless of requests).")
    ] = "auto",
    filter: Annotated[
        str,
        typer.Option(
            "--filter", help="The score that counts, where replies have several; of several tasks with commas."
        ),
    ] = "",
    column: Annotated[
        list[str] | None, typer.Option("--column", help="OURS=THEIRS: a column that is called otherwise in the table.")
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", help="WORST-BEST of the scores of a table, such as 1-5, or words: fail,pass.")
    ] = "",
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            help="Column of a table, such as conversation: its queries are not independent, and stay together.",
        ),
    ] = "",
    feedback: Annotated[
        str, typer.Option("--feedback", help="The kind of feedback that counts, where a server's log has several.")
    ] = "",
    json: Json = False,
) -> None:
    """Read outcomes of any known format into a folder, and say what was masked or dropped."""
    from llmrouterbench.importers import format_names, import_outcomes, report_lines

    usage(lambda: known("key", key, list(get_args(Key))))
    usage(lambda: known("format", format, ["auto", *format_names()]))
    columns = usage(lambda: dict(_pair(one) for one in column or ()))
    columns |= {"cluster": cluster} if cluster else {}
    with progress_bar() as tell:
        report = import_outcomes(
            source,
            to,
            format=format,
            strict=strict,
            overwrite=overwrite,
            zero_cost="free" if free else "unknown",
            replies=replies,
            key=cast(Key, key),
            filter=filter,
            columns=columns,
            scale=scale,
            feedback=feedback,
            progress=tell,
        )
    if json:
        print_json({"folder": str(to), **report.to_dict()})
    else:
        show_lines(report_lines(report))
        say(f"stored in {to}; next: llmrouterbench info {to}")


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (equals and ours.strip() and theirs.strip()):
        raise ValueError(f"--column must be OURS=THEIRS, such as query=ticket, got {text!r}")
    return ours.strip(), theirs.strip()


@app.command()
def fetch(
    to: Annotated[Path, typer.Option("--to", help="Folder for the imported outcomes.")],
    downloads: Annotated[Path, typer.Option("--downloads", help="Folder for the downloaded archive.")] = Path("data"),
    json: Json = False,
) -> None:
    """Download the pinned official release (1.3 GB), verify it and import it."""
    from llmrouterbench.importers import import_outcomes, report_lines
    from llmrouterbench.importers.fetch import fetch as fetch_bundle

    with progress_bar() as tell:
        archive = fetch_bundle(downloads, progress=tell)
        report = import_outcomes(archive, to, progress=tell)
    if json:
        print_json({"archive": str(archive), "folder": str(to), **report.to_dict()})
    else:
        show_lines(report_lines(report))
