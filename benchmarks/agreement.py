"""`make agreement`: our scorers on real replies whose labels others recorded; writes its part of docs/scoring.md.

The replies lie in ../shared/data and are never copied: the page holds counts, and the file of verdicts beside this
script holds ids. Every disagreement was read by a person, who says in that file which side is right.
"""

from __future__ import annotations

import ast
import csv
import gzip
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.pages import put
from llmrouterbench.datasets import Dataset, Instruments, dataset
from llmrouterbench.datasets._choice import lettered
from llmrouterbench.datasets._code import find_code
from llmrouterbench.datasets._own_scorers import close_number, exact
from llmrouterbench.replies import Item, Score
from llmrouterbench.sandbox.code_runs import scored
from llmrouterbench.scoring.scores import Bench, score_replies

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "scoring.md"
VERDICTS = Path(__file__).with_name("agreement_verdicts.csv")
MARKS = "<!-- written by `make agreement` -->", "<!-- end of what `make agreement` writes -->"


@dataclass(frozen=True)
class Cell:
    """One recorded reply: its item with the right answer, and whether its label calls it right."""

    item: Item
    model: str
    reply: str
    label: bool


@dataclass(frozen=True)
class Disagreement:
    """A reply on which the label and our scorer differ, and who is right ("" where nobody has read it)."""

    study: str
    cell: Cell
    score: Score
    right: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Study:
    """The replies of one source, the scorer they are given to, and how many items have no known answer."""

    name: str
    scorer: Dataset
    cells: list[Cell]
    unknown: int = 0


def gsm8k() -> Study:
    """RouteLLM's replies of two models; the right numbers stand in its copies of GSM8K."""
    gold = {}
    for part in ("train", "test"):
        for line in (DATA / f"routellm/gsm8k/{part}.jsonl").read_bytes().splitlines():
            row = orjson.loads(line)
            gold[row["question"].strip()] = row["answer"].rpartition("####")[2].strip().replace(",", "")
    cells = []
    for number, row in enumerate(_csv(DATA / "routellm/gsm8k/gsm8k_responses.csv")):
        item = Item(str(number), row["prompt"], gold[row["prompt"].strip()])
        models = [name.removesuffix("_response") for name in row if name.endswith("_response")]
        cells += [Cell(item, model, row[f"{model}_response"], row[model] == "True") for model in models]
    return Study("GSM8K (RouteLLM)", _scorer("text", close_number), cells)


def natural_questions() -> Study:
    """LLMRouter's replies of six models; its label is a word-wise F1, of which only 1 is called right here."""
    rows = orjson.loads((DATA / "llmrouter/history/router_train_data_nq.json").read_bytes())
    cells = [
        Cell(Item(str(row["q_id"]), row["query"], row["gt"]), model, reply, graded == 1)
        for row in rows
        for model, reply, graded in zip(row["llm_name_list"], row["response_list"], row["perf_list"], strict=True)
    ]
    return Study("Natural Questions (LLMRouter)", _scorer("text", exact), cells)


def choices(name: str, title: str) -> Study:
    """RouterBench's replies of eleven models; the right letter is the one that bare replies labelled right hold."""
    cells, unknown = [], 0
    for row in _routerbench(name):
        question = re.split(r"Answer:\s*\n?[A-E]\s*\n\n", _first(row["prompt"]))[-1]
        options = dict(re.findall(r"^([A-E])\) (.*)$", question, re.MULTILINE))
        mine = list(_labelled(row))
        bare = [re.fullmatch(r"\W*([A-E])\W*", reply) for _, reply, label in mine if label]
        letters = Counter(found[1] for found in bare if found)
        if not letters:
            unknown += 1
            continue
        item = Item(row["sample_id"], question, letters.most_common(1)[0][0], details={"options": options})
        cells += [Cell(item, model, reply, label) for model, reply, label in mine]
    return Study(title, dataset("medqa"), cells, unknown)


def mbpp() -> Study:
    """RouterBench's replies of eleven models that are labelled right; the data hold no tests to run them against."""
    cells = [
        Cell(Item(row["sample_id"], ""), model, reply, label)
        for row in _routerbench("mbpp")
        for model, reply, label in _labelled(row)
        if label
    ]
    return Study("MBPP (RouterBench)", _scorer("code", can_be_tested), cells)


def labelled(name: str, title: str) -> Study:
    """Replies that others published with their own labels, of a dataset that we know."""
    folder = DATA / "labelled-replies"
    rows = [row for row in _lines(folder / "items.jsonl.gz") if row["dataset"] == name]
    items = {row["id"]: Item(row["id"], row["question"], row["target"], row["category"], _details(row)) for row in rows}
    cells = [
        Cell(items[row["id"]], row["model"], row["reply"], row["label"] == 1)
        for row in _lines(folder / "replies.jsonl.gz")
        if row["dataset"] == name
    ]
    return Study(title, dataset(name), cells)


def _details(row: dict[str, Any]) -> dict[str, Any]:
    if row["dataset"] == "korbench":
        return {"rule_id": row["rule_id"]}
    if row["dataset"] == "mmlupro":
        return {"options": lettered(row["options"])}
    return {"options": dict(re.findall(r"(?m)^\(([A-Z])\)[ \t]*(.*?)[ \t]*$", row["question"]))}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    yield from map(orjson.loads, gzip.decompress(path.read_bytes()).splitlines())


def can_be_tested(item: Item, reply: str, instruments: Instruments) -> Score:
    """1 where the reply holds Python that defines a function which a test in the sandbox can take hold of."""
    names = re.findall(r"(?m)^\s*def\s+(\w+)", reply)
    found = ((name, find_code(reply, name)) for name in dict.fromkeys(reversed(names)))
    name, code = next(((name, code) for name, code in found if code), ("", ""))
    if not code:
        return Score(0.0, "", "no Python that defines a function")
    why = scored(instruments.run, code, f"assert callable({name})", [name], 10.0).reason
    return Score(float(not why), code, why)


def _scorer(kind: Any, score: Any) -> Dataset:
    return replace(dataset("medqa"), name="agreement", kind=kind, score=score, official=None)


def _csv(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _routerbench(name: str) -> Iterator[dict[str, str]]:
    for part in ("test", "train"):
        yield from _csv(DATA / f"routerbench/routerbench_zs/{name}_{part}.csv")


def _labelled(row: dict[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Model, reply and label of a row; cells without a label are left out."""
    for column in row:
        model, mark, _ = column.partition("|model_response")
        if mark and row[model]:
            yield model, _first(row[column]), float(row[model]) == 1


def _first(cell: str) -> str:
    """The text in a cell that holds a Python list of one text."""
    try:
        listed = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell
    return str(listed[0]) if isinstance(listed, list) and listed else str(listed)


# --- the page --------------------------------------------------------------------------------------------------------


def differences(
    study: Study, scores: list[Score], verdicts: dict[tuple[str, str, str], tuple[str, str]]
) -> list[Disagreement]:
    """Every reply on which label and score differ."""
    found = []
    for cell, score in zip(study.cells, scores, strict=True):
        if (score.value == 1) != cell.label:
            verdict = verdicts.get((study.name, cell.item.id, cell.model), ("", ""))
            found.append(Disagreement(study.name, cell, score, *verdict))
    return found


def read_verdicts() -> dict[tuple[str, str, str], tuple[str, str]]:
    """(study, item, model) -> who is right ("label", "scorer" or "nobody"), and why."""
    return {(row["study"], row["item"], row["model"]): (row["right"], row["reason"]) for row in _csv(VERDICTS)}


def confusion(study: Study, scores: list[Score]) -> list[str]:
    """A line a model: label right or wrong, by our score."""
    counts: Counter[tuple[str, bool, bool]] = Counter(
        (cell.model, cell.label, score.value == 1) for cell, score in zip(study.cells, scores, strict=True)
    )
    models = sorted({cell.model for cell in study.cells})
    cells = [[counts[model, label, ours] for label in (True, False) for ours in (True, False)] for model in models]
    return [
        f"| {study.name} | {model} | {' | '.join(f'{n:,}' for n in row)} |"
        for model, row in zip(models, cells, strict=True)
    ]


def summary(study: Study, found: list[Disagreement]) -> str:
    """Agreement as recorded, and where the label is right."""
    compared = len(study.cells)
    agreed = compared - len(found)
    mistaken, nobody = (sum(one.right == side for one in found) for side in ("scorer", "nobody"))
    return (
        f"| {study.name} | {compared:,} | {len(found)} | {100 * agreed / compared:.2f} % | {mistaken} |"
        f" {len(found) - mistaken - nobody} | {nobody} | {100 * agreed / (compared - mistaken):.2f} % |"
    )


def page(studies: list[Study], scores: list[list[Score]], found: list[list[Disagreement]]) -> str:
    """Markdown of the whole study."""
    every = [one for group in found for one in group]
    reasons = Counter((one.study, one.right, one.reason) for one in every)
    who = {"scorer": "our scorer", "label": "the label", "nobody": "undecidable", "": "not read yet"}
    unknown = ", ".join(f"{study.name} {study.unknown}" for study in studies if study.unknown)
    return "\n".join(
        [
            "| replies of | replies compared | disagreements | agreement | label is wrong | scorer is wrong"
            " | undecidable | agreement where the label is right |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *[summary(study, group) for study, group in zip(studies, found, strict=True)],
            "",
            f"All {len(every)} disagreements were read. Who is right, and why:",
            "",
            "| replies of | right is | why | replies |",
            "|---|---|---|---:|",
            *[f"| {name} | {who[right]} | {why} | {n} |" for (name, right, why), n in sorted(reasons.items())],
            "",
            f"Items without a known answer, left out: {unknown}.",
            "",
            "Confusion, model by model:",
            "",
            "| replies of | model | label right, scored right | label right, scored wrong | label wrong, scored right"
            " | label wrong, scored wrong |",
            "|---|---|---:|---:|---:|---:|",
            *[line for study, each in zip(studies, scores, strict=True) for line in confusion(study, each)],
        ]
    )


def main() -> None:
    """Score everything, say what nobody has read yet, and write the page; `--check` leaves out code and the page."""
    checking = sys.argv[1:] == ["--check"]
    if not DATA.is_dir():
        raise SystemExit("the real data sets must lie in ../shared/data, got nothing there")
    studies = [
        gsm8k(),
        choices("arc_challenge", "ARC-Challenge (RouterBench)"),
        choices("winograde", "Winogrande (RouterBench)"),
        natural_questions(),
        labelled("bbh", "BBH (its authors)"),
        labelled("mmlupro", "MMLU-Pro (its authors)"),
        labelled("korbench", "KORBench (its authors)"),
        *([] if checking else [mbpp()]),
    ]
    verdicts = read_verdicts()
    scores, found = [], []
    with Bench() as bench:
        for study in studies:
            work = [(cell.item, cell.reply) for cell in study.cells]
            scores.append(score_replies(study.scorer, work, bench))
            found.append(differences(study, scores[-1], verdicts))
            print(summary(study, found[-1]), flush=True)
    unread = [one for group in found for one in group if not one.right]
    for one in unread:
        print(f"not read: {one.study},{one.cell.item.id},{one.cell.model} label {one.cell.label} {one.score}"[:300])
    if unread:
        sys.exit(f"{VERDICTS.name} must hold a verdict on every disagreement, got none on {len(unread)}; read them")
    if checking:
        return
    put(PAGE, MARKS, page(studies, scores, found))


if __name__ == "__main__":
    main()
