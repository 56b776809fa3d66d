"""`llmrouterbench split` and `bench`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import (
    print_json,
    progress_bar,
    say,
)
from llmrouterbench.commands.app import (
    Json,
    PageText,
    SettingName,
    app,
    known,
    load,
    router_specs,
    seeds_of,
    usage,
    words,
)
from llmrouterbench.commands.report import show_report
from llmrouterbench.settings import DEFAULT_ROUTERS


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    to: Annotated[Path, typer.Option("--to", help="JSON file to write.")],
    seed: Annotated[int, typer.Option("--seed")] = 42,
    kind: Annotated[str, typer.Option("--kind", help="safe (near-copies stay together) or paper.")] = "safe",
    ratio: Annotated[float, typer.Option("--ratio", help="Share of queries for training.")] = 0.7,
    hold_out: Annotated[
        str, typer.Option("--hold-out", help="Datasets to keep for the test part, comma-separated.")
    ] = "",
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Write one train/test split as a file that others can reuse."""
    from llmrouterbench.splits import make_split, save_split

    outcomes, _ = load(folder, setting)
    made = usage(lambda: make_split(outcomes, seed, kind=kind, ratio=ratio, held_out=words(hold_out)))
    save_split(made, outcomes, to)
    if json:
        print_json({"file": str(to), "hash": made.hash, "train": len(made.train), "test": len(made.test)})
    else:
        say(f"{len(made.train)} train and {len(made.test)} test queries in {to}")


@app.command()
def bench(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of runs to make or to go on with.")],
    routers: Annotated[
        str, typer.Option("--routers", help="Comma-separated, with settings as name:key=value.")
    ] = ",".join(DEFAULT_ROUTERS),
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policies", help='Each router under a policy too, "best --budget 0.002/query"; may be repeated.'
        ),
    ] = None,
    setting: SettingName = None,
    seeds: Annotated[str, typer.Option("--seeds", help="'paper' (five seeds) or numbers.")] = "paper",
    protocol: Annotated[
        str, typer.Option("--protocol", help="safe; or paper: its split, and its peak on test in a column of its own.")
    ] = "safe",
    split: Annotated[
        str | None,
        typer.Option("--split", help="safe, paper, or a file of a split; the protocol's when not given."),
    ] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="Share of queries for training.")] = 0.7,
    hold_out: Annotated[str, typer.Option("--hold-out", help="Datasets to keep for the test part.")] = "",
    validation: Annotated[float, typer.Option("--validation", help="Share of train to choose trade-offs on.")] = 0.2,
    embedder: Annotated[
        str, typer.Option("--embedder", help="tfidf, minilm, st:NAME, endpoint:URL#MODEL, file:PATH.")
    ] = "tfidf",
    text: Annotated[
        str, typer.Option("--text", help="Embed the 'prompt' (with template) or the bare 'query'.")
    ] = "prompt",
    strip_shared: Annotated[bool, typer.Option("--strip-shared", help="Drop lines that many queries share.")] = False,
    tune: Annotated[bool, typer.Option("--tune", help="Search each router's small grid on validation.")] = False,
    router_seed: Annotated[
        str | None,
        typer.Option("--router-seed", help="Random start of routers: that of the split, or fixed; the folder's."),
    ] = None,
    near_copies: Annotated[
        str | None,
        typer.Option("--near-copies", help="one-word, or long-texts as up to version 0.1; the folder's."),
    ] = None,
    points: Annotated[
        str | None,
        typer.Option(
            "--points", help="Where points are chosen: out-of-fold, or validation as up to 0.1; the folder's."
        ),
    ] = None,
    intervals: Annotated[
        str | None, typer.Option("--intervals", help="t, or percentile as up to version 0.1; the folder's.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Parallel processes; -1 for all cores.")] = -1,
    backend: Annotated[str, typer.Option("--backend", help="loky (this machine), ray or dask.")] = "loky",
    cluster: Annotated[str | None, typer.Option("--cluster", help="Address of a running Ray or Dask cluster.")] = None,
    page_text: PageText = True,
    json: Json = False,
) -> None:
    """Fit routers on train, choose trade-offs on unseen training queries, measure on test; then write the report."""
    from llmrouterbench.benching.bench import bench as run_bench
    from llmrouterbench.benching.bench import router_entries
    from llmrouterbench.benching.executors import Workers
    from llmrouterbench.benching.rules import Rules
    from llmrouterbench.embedders import make_embedder

    specs, held_out = router_specs(routers), words(hold_out)
    usage(lambda: router_entries(specs, policies or ()))
    usage(lambda: make_embedder(embedder))
    rules = usage(
        lambda: Rules(
            protocol=protocol,  # type: ignore[arg-type]
            setting=setting,
            split=split,
            ratio=ratio,
            held_out=held_out,
            validation=validation,
            embedder=embedder,
            text=text,  # type: ignore[arg-type]
            strip_shared=strip_shared,
            tune=tune,
            router_seed=router_seed,  # type: ignore[arg-type]
            near_copies=near_copies,  # type: ignore[arg-type]
            points=points,  # type: ignore[arg-type]
            intervals=intervals,  # type: ignore[arg-type]
        )
    )
    usage(lambda: Workers(jobs, backend, cluster))
    outcomes, chosen = load(folder, setting)
    for name in held_out:
        usage(lambda name=name: known("dataset", name, outcomes.datasets))  # type: ignore[misc]
    with progress_bar() as tell:
        run_bench(
            outcomes,
            out,
            rules,
            routers=specs,
            policies=policies or (),
            seeds=seeds_of(seeds),
            setting=chosen,
            jobs=jobs,
            backend=backend,
            cluster=cluster,
            replies=folder,
            progress=tell,
        )
    show_report(out, text=page_text, json=json)
