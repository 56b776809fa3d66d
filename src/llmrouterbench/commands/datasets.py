"""`llmrouterbench datasets`: what can be scored; with the YAML file of an own dataset, whether it is as it must be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines, show_rows
from llmrouterbench.commands.app import Json, app
from llmrouterbench.naming import did_you_mean

if TYPE_CHECKING:
    from llmrouterbench.datasets import Dataset


@app.command()
def datasets(
    file: Annotated[
        Path | None, typer.Argument(help="The YAML file of a dataset of your own, to be checked.", show_default=False)
    ] = None,
    reply: Annotated[
        str | None, typer.Option("--reply", help="A reply to one item, to be scored.", show_default=False)
    ] = None,
    item: Annotated[str, typer.Option("--item", help="The item's id; the first if not given.")] = "",
    json: Json = False,
) -> None:
    """List the datasets, or check one of your own and score sample replies by hand.

    Without FILE: the size of each, and how it is scored; --json adds source, revision, licence and citation.
    """
    if file is not None:
        _try(file, reply, item, json)
    elif reply is not None or item:
        raise typer.BadParameter("--reply and --item need the YAML file of a dataset of your own")
    else:
        _list(json)


def _try(file: Path, reply: str | None, item: str, json: bool) -> None:
    """The score of a reply; without one the prompt of an item, and without an item the whole contract too."""
    from llmrouterbench.checks.dataset import check_dataset
    from llmrouterbench.datasets import load
    from llmrouterbench.datasets.own import own_dataset
    from llmrouterbench.scoring.scores import Bench, score_replies

    one = own_dataset(file)
    by_id = {each.id: each for each in load(one, file.parent)}
    if item and item not in by_id:
        raise ValueError(f"dataset {one.name!r} has no item {item!r}{did_you_mean(item, list(by_id))}")
    chosen = by_id[item] if item else next(iter(by_id.values()))
    facts: dict[str, Any] = {"dataset": one.name, "items": one.size, "item": chosen.id, "target": chosen.target}
    with Bench() as bench:
        if reply is None and not item:
            try:
                check_dataset(one, list(by_id.values()), instruments=bench.instruments(one))
            except AssertionError as error:
                raise ValueError(f"{file}: {error}") from error
        if reply is not None:
            score = score_replies(one, [(chosen, reply)], bench)[0]
            facts |= {"score": score.value if score.scored else None, "answer": score.answer, "reason": score.reason}
    if json:
        print_json({**facts, "prompt": one.prompt(chosen)})
    elif reply is None:
        show_lines([f"item {chosen.id}, target {chosen.target!r}, prompt:", *one.prompt(chosen).splitlines()])
        kept = "" if item else f"{one.name} keeps the contract of a dataset, items {one.size:,}; "
        say(f"{kept}score a reply: --item ID --reply TEXT")
    else:
        value = "not scored" if facts["score"] is None else f"score {facts['score']:g}"
        why = f": {facts['reason']}" if facts["reason"] else ""
        show_lines([f"{value}{why}", f"read {facts['answer']!r}, target {chosen.target!r}, item {chosen.id}"])


def _list(json: bool) -> None:
    from llmrouterbench.datasets import dataset, dataset_names

    listed = []
    for name in dataset_names():
        try:
            listed.append(dataset(name))
        except ImportError as error:  # a plug-in that is broken
            say(str(error))
    if json:
        print_json({"datasets": [_card(one) for one in listed]})
        return
    rows = [
        {"name": one.name, "title": one.title, "domain": one.domain, "size": f"{one.size:,}", "shots": str(one.shots),
         "scored by": one.judge or one.kind} for one in listed
    ]  # fmt: skip
    show_rows("Datasets", rows, json=False)


def _card(one: Dataset) -> dict[str, Any]:
    """What a dataset says of itself, without its functions."""
    names = ("name", "title", "domain", "licence", "citation", "size", "shots", "kind", "version", "subsets", "judge")
    source = {"place": one.source.place, "repository": one.source.repository, "revision": one.source.revision}
    return {name: getattr(one, name) for name in names} | {
        "source": source, "shown_in_reports": one.shown, "official_reading": one.official is not None,
    }  # fmt: skip
