"""The command line: one function a command. Tables go to standard output, everything else to standard error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands import cache as _cache_commands  # noqa: F401
from llmrouterbench.commands import collect as _collect  # noqa: F401
from llmrouterbench.commands import export_policy as _export_policy  # noqa: F401
from llmrouterbench.commands import fit as _fit_commands  # noqa: F401
from llmrouterbench.commands import logs as _logs_commands  # noqa: F401
from llmrouterbench.commands import run as _run_command  # noqa: F401
from llmrouterbench.commands import score as _score_commands  # noqa: F401
from llmrouterbench.commands import serve as _serve_commands  # noqa: F401
from llmrouterbench.commands._app import Json, PageText, SettingName, app, known, load, usage
from llmrouterbench.commands.advise import advise as advise
from llmrouterbench.commands.curate import curate as curate
from llmrouterbench.commands.report import show_report
from llmrouterbench.commands.robustness import robustness as robustness
from llmrouterbench.settings import BUILT_IN, PAPER_SEEDS, load_setting
from llmrouterbench.terminal import (
    print_json,
    progress_bar,
    say,
    show_lines,
    show_matrix,
    show_pairs,
    show_rows,
    tables,
)

if TYPE_CHECKING:
    pass

CTRL_C = 130
"""Exit code after Ctrl-C, as in a shell."""


def main() -> None:
    """Entry point: exit code 0 when the work is done, 1 when it failed, 2 on bad usage, 130 on Ctrl-C."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == CTRL_C:
            say("stopped; what was finished is kept: run the same command again to go on")
        raise
    except (ValueError, KeyError, OSError, ImportError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        say(f"error: {text}")
        raise SystemExit(1) from None


# --- data in ---------------------------------------------------------------------------------------------------------


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="An archive, a folder or a table of outcomes.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    format: Annotated[str, typer.Option("--format", help="Name of the format; found out when not given.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on any finding of the import report.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    free: Annotated[
        bool, typer.Option("--zero-cost-is-free", help="Take a cost of 0 as free, not as unknown.")
    ] = False,
    replies: Annotated[bool, typer.Option("--replies/--no-replies", help="Keep the models' reply texts.")] = True,
    json: Json = False,
) -> None:
    """Read outcomes of any known format into a folder, and say what was masked or dropped."""
    from llmrouterbench.importers import FORMATS, import_outcomes, report_lines

    usage(lambda: known("format", format, ["auto", *FORMATS]))
    with progress_bar() as tell:
        report = import_outcomes(
            source,
            to,
            format=format,
            strict=strict,
            overwrite=overwrite,
            zero_cost="free" if free else "unknown",
            replies=replies,
            progress=tell,
        )
    if json:
        print_json({"folder": str(to), **report.to_dict()})
    else:
        show_lines(report_lines(report))
        say(f"stored in {to}; next: llmrouterbench info {to}")


@app.command()
def fetch(
    to: Annotated[Path, typer.Option("--to", help="Folder for the imported outcomes.")],
    downloads: Annotated[Path, typer.Option("--downloads", help="Folder for the downloaded archive.")] = Path("data"),
    json: Json = False,
) -> None:
    """Download the pinned official release (1.3 GB), verify it and import it."""
    from llmrouterbench.fetch import fetch as fetch_bundle
    from llmrouterbench.importers import import_outcomes, report_lines

    with progress_bar() as tell:
        archive = fetch_bundle(downloads, progress=tell)
        report = import_outcomes(archive, to, progress=tell)
    if json:
        print_json({"archive": str(archive), "folder": str(to), **report.to_dict()})
    else:
        show_lines(report_lines(report))


@app.command()
def simulate(
    to: Annotated[Path | None, typer.Option("--to", help="Folder for the outcomes of one setting.")] = None,
    setting: Annotated[str, typer.Option("--setting", help=" or ".join(BUILT_IN))] = "performance-cost",
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds give equal data.")] = 0,
    scale: Annotated[float, typer.Option("--scale", help="Share of every dataset that --to gets, up to 1.")] = 1.0,
    release: Annotated[
        Path | None, typer.Option("--write-release", help="Also write the official layout: a folder or a .tar.gz.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder if it exists.")] = False,
    json: Json = False,
) -> None:
    """Make SIMULATED outcomes at the paper's full scale, with the paper's means and costs."""
    from llmrouterbench.simulator import simulate as make
    from llmrouterbench.store import write_outcomes

    usage(lambda: known("setting", setting, list(BUILT_IN)))
    if to is None and release is None:
        raise typer.BadParameter("say where to write: --to DIR, --write-release DIR, or both")
    if to is None and scale != 1.0:
        raise typer.BadParameter("--scale shrinks what --to gets, and --write-release is always whole; say --to DIR")
    said: dict[str, Any] = {"simulated": True, "seed": seed}
    if to is not None:
        outcomes = usage(lambda: make(setting, seed, scale=scale))
        write_outcomes(outcomes, to, overwrite=overwrite)
        said |= {"folder": str(to), "queries": len(outcomes), "models": len(outcomes.models)}
    if release is not None:
        from llmrouterbench.release_writer import write_release

        said["release"] = write_release(release, seed, overwrite=overwrite)
    if json:
        print_json(said)
    else:
        say(f"SIMULATED outcomes written to {' and '.join(str(p) for p in (to, release) if p)}")


# --- looking ---------------------------------------------------------------------------------------------------------


@app.command()
def info(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    setting: SettingName = None,
    json: Json = False,
) -> None:
    """Describe stored outcomes: counts, accuracy and cost of every model, what is missing, the import report."""
    from llmrouterbench.describe import describe
    from llmrouterbench.files import read_json

    outcomes, chosen = load(folder, setting)
    facts = describe(outcomes, chosen)
    report_file = folder / "import_report.json"
    facts["import_report"] = read_json(report_file) if report_file.is_file() else None
    if json:
        print_json(facts)
        return
    mark = "SIMULATED: " if outcomes.simulated else ""
    show_pairs(f"{mark}Overview ({folder})", facts["overview"])
    show_matrix(f"{mark}Score, mean in %", facts["accuracy"], "{:.2f}")
    if facts["overview"]["cost_usd"] > 0:
        show_matrix(f"{mark}Cost, USD recorded", facts["cost"], "{:.2f}")
    if facts["overview"]["missing_cells"]:
        show_matrix(f"{mark}Cells measured", facts["coverage"], "{:.0f}")
    if facts["overview"]["unknown_costs"]:
        show_matrix(f"{mark}Cells without a known cost", facts["unknown_costs"], "{:.0f}")
    if facts["import_report"]:
        from llmrouterbench.importers import ImportReport, report_lines

        show_lines(report_lines(ImportReport.from_dict(facts["import_report"])))


@app.command("routers")
def routers_(json: Json = False) -> None:
    """List the routers."""
    from llmrouterbench.routers import OUTSIDE, REFERENCES, registry

    rows = [{"name": n, "paper": e.paper, "dial": e.dial, "needs": e.needs} for n, e in registry().items()]
    rows += [{"name": n, "paper": "reference row, always shown", "dial": "none", "needs": ""} for n in REFERENCES]
    rows += [{"name": n, "paper": "replayed from its stored replies", "dial": "none", "needs": ""} for n in OUTSIDE]
    show_rows("Routers", rows, json)


@app.command("settings")
def settings_(json: Json = False) -> None:
    """List the paper's settings."""
    rows = [
        {"name": s.name, "what": s.description, "reference": s.reference, "source": s.source}
        for s in map(load_setting, BUILT_IN)
    ]
    show_rows("Settings", rows, json)


# --- the main job ----------------------------------------------------------------------------------------------------


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
    made = usage(lambda: make_split(outcomes, seed, kind=kind, ratio=ratio, held_out=_words(hold_out)))
    save_split(made, outcomes, to)
    if json:
        print_json({"file": str(to), "hash": made.hash, "train": len(made.train), "test": len(made.test)})
    else:
        say(f"{len(made.train)} train and {len(made.test)} test queries in {to}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _router_specs(text: str) -> list[str]:
    """Routers of one option; a comma inside settings belongs to them: "knn,avengers:k=32,top_k=3"."""
    specs: list[str] = []
    for word in _words(text):
        if "=" in word and ":" not in word and specs:
            specs[-1] += f",{word}"
        else:
            specs.append(word)
    return specs


def _seeds(text: str) -> tuple[int, ...]:
    if text == "paper":
        return PAPER_SEEDS
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise typer.BadParameter(f"--seeds must be 'paper' or whole numbers, got {text!r}") from None


@app.command()
def bench(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of runs to make or to go on with.")],
    routers: Annotated[
        str, typer.Option("--routers", help="Comma-separated, with settings as name:key=value.")
    ] = "best_single,knn,avengers,avengers_pro",
    setting: SettingName = None,
    seeds: Annotated[str, typer.Option("--seeds", help="'paper' (five seeds) or numbers.")] = "paper",
    protocol: Annotated[
        str, typer.Option("--protocol", help="safe; or paper: its split, and its peak on test in a column of its own.")
    ] = "safe",
    split: Annotated[str | None, typer.Option("--split", help="safe or paper; the protocol's when not given.")] = None,
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
    jobs: Annotated[int, typer.Option("--jobs", help="Parallel processes; -1 for all cores.")] = -1,
    backend: Annotated[str, typer.Option("--backend", help="loky (this machine), ray or dask.")] = "loky",
    cluster: Annotated[str | None, typer.Option("--cluster", help="Address of a running Ray or Dask cluster.")] = None,
    page_text: PageText = True,
    json: Json = False,
) -> None:
    """Fit routers on train, choose trade-offs on validation, measure on test; then write the report."""
    from llmrouterbench.embed import make_embedder
    from llmrouterbench.evaluate import bench as run_bench
    from llmrouterbench.evaluate import router_entries, split_of
    from llmrouterbench.executors import known_backend

    specs = _router_specs(routers)
    usage(lambda: router_entries(specs))
    usage(lambda: make_embedder(embedder))
    usage(lambda: known("split", split or "safe", ["safe", "paper"]))
    usage(lambda: split_of(protocol, split))
    usage(lambda: known("text", text, ["prompt", "query"]))
    usage(lambda: known_backend(backend))
    outcomes, chosen = load(folder, setting)
    held_out = _words(hold_out)
    for name in held_out:
        usage(lambda name=name: known("dataset", name, outcomes.datasets))  # type: ignore[misc]
    with progress_bar() as tell:
        run_bench(
            outcomes,
            out,
            routers=specs,
            setting=chosen,
            seeds=_seeds(seeds),
            protocol=protocol,
            split=split,
            ratio=ratio,
            held_out=held_out,
            validation=validation,
            embedder=embedder,
            text=text,
            strip_shared=strip_shared,
            tune=tune,
            jobs=jobs,
            backend=backend,
            cluster=cluster,
            replies=folder,
            progress=tell,
        )
    show_report(out, text=page_text, json=json)


# --- routers of others -----------------------------------------------------------------------------------------------


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder of outcomes.")],
    method: Annotated[str, typer.Option("--for", help="The method whose official code will read the files.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
    setting: SettingName = None,
    seed: Annotated[int, typer.Option("--seed")] = 42,
    split: Annotated[str, typer.Option("--split", help="paper, safe, or a file of `llmrouterbench split`.")] = "paper",
    embedder: Annotated[str, typer.Option("--embedder", help="For methods that read embeddings.")] = "tfidf",
    pair: Annotated[str, typer.Option("--pair", help="STRONG,WEAK for methods of two models.")] = "",
    models: Annotated[str, typer.Option("--models", help="Some models, comma-separated.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    json: Json = False,
) -> None:
    """Write the input files that a method's official code reads: same data, same split, no glue."""
    from llmrouterbench.embed import cache_folder, embed_queries, make_embedder
    from llmrouterbench.exporters import check_method, export_inputs
    from llmrouterbench.splits import load_split, make_split

    entry = usage(lambda: check_method(method))
    tool = usage(lambda: make_embedder(embedder))
    strong_weak = usage(lambda: _pair(pair))
    outcomes, _ = load(folder, setting)
    from_file = split.endswith(".json")
    made = load_split(Path(split), outcomes) if from_file else usage(lambda: make_split(outcomes, seed, kind=split))
    vectors = embed_queries(outcomes, tool, made.train, cache=cache_folder())[0] if entry.embedding else None
    facts = export_inputs(
        outcomes,
        made,
        method,
        to,
        seed=seed,
        embedding=vectors,
        embed=tool.embed if entry.embedding else None,
        pair=strong_weak,
        models=list(_words(models)) or None,
        overwrite=overwrite,
    )
    if json:
        print_json(facts)
    else:
        for note in facts["notes"]:
            say(note)
        say(f"files for {method} in {to}")


def _pair(text: str) -> tuple[str, str] | None:
    words = _words(text)
    if text and len(words) != 2:
        raise ValueError(f"--pair must be two models, STRONG,WEAK, got {text!r}")
    return (words[0], words[1]) if words else None


@app.command("judge-choices")
def judge_choices_(
    choices: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet: query id and model, or probabilities.")],
    runs: Annotated[Path, typer.Option("--runs", help="Folder of runs to judge them in.")],
    name: Annotated[str, typer.Option("--name", help="Name of the router in the leaderboard.")],
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Accept test queries without a choice.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier choices of that name.")] = False,
    json: Json = False,
) -> None:
    """Score the picks of any outside router in the same harness and leaderboard."""
    from llmrouterbench.outside import judge_choices

    judge_choices(choices, runs, name, allow_missing=allow_missing, overwrite=overwrite)
    show_report(runs, json=json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed")] = 0,
    json: Json = False,
) -> None:
    """Run the main job on SIMULATED data at the paper's full scale: both settings, five seeds, no download."""
    from llmrouterbench.evaluate import bench as run_bench
    from llmrouterbench.reporting.render import render
    from llmrouterbench.reporting.report import report as write_report
    from llmrouterbench.simulator import simulate as make

    said = {}
    for name in BUILT_IN:
        say(f"{name}: simulating outcomes")
        outcomes = make(name, seed)
        with progress_bar() as tell:
            run_bench(outcomes, out / name, setting=name, split="paper", progress=tell)
        board = write_report(out / name)
        said[name] = board.to_dict()
        if not json:
            for table in render(board):
                tables.print(table)
            say(f"report: {out / name / 'report' / 'leaderboard.md'}")
    if json:
        print_json(said)


if __name__ == "__main__":
    main()
