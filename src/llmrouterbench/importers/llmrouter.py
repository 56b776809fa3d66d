"""LLMRouter's files: scores of every model per question, joined with the task of the question by its text.

Source: LLMRouter (ulab-uiuc/LLMRouter), `scores_*.json`, `query_*.jsonl`, `default_llm.json`. There are no costs per
call; the prices per million tokens are kept as facts of the source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmrouterbench.findings import Findings, Imported, Options
from llmrouterbench.importers._cells import note_missing_cells
from llmrouterbench.records import read_json_file, read_lines
from llmrouterbench.table import Outcomes

_READ = ("scores_train.json", "scores_test.json", "query_train.jsonl", "query_test.jsonl", "default_llm.json")


@dataclass
class _Questions:
    """Questions in the order of their first occurrence, with their scores."""

    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    records: int = 0


def read_llmrouter(path: Path, options: Options) -> Imported:
    """Read the files of a folder. Raises ValueError with the file and record of a value that breaks a rule."""
    present = [name for name in _READ if (path / name).is_file()]
    questions = _Questions()
    for name in present:
        if name.startswith("scores_"):
            _read_scores(path / name, questions)
    if not questions.scores:
        raise ValueError(f"{path} must hold scores_train.json or scores_test.json with questions, got none")
    tasks = _read_tasks([path / name for name in present if name.startswith("query_")], questions.findings)
    outcomes = _outcomes(questions, tasks)
    others = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    facts = {"files": len(present), "files_not_read": [name for name in others if name not in present]}
    if "default_llm.json" in present:
        facts["prices_usd_per_million_tokens"] = _read_prices(path / "default_llm.json")
    options.tell("reading", len(present), len(present))
    return Imported(outcomes, questions.findings, {"files": len(present), "records": questions.records}, facts)


def _read_scores(path: Path, questions: _Questions) -> None:
    """Add the questions of a file; a question that is known already is merged."""
    records = read_json_file(path)
    if not isinstance(records, list):
        raise ValueError(f"{path} must be a list of questions, got {type(records).__name__}; is it LLMRouter's?")
    for number, record in enumerate(records, 1):
        question, scores = _scored_question(record, f"{path} record {number}")
        questions.records += 1
        if (before := questions.scores.get(question)) is None:
            questions.scores[question] = scores
            continue
        clash = any(before.get(model, score) != score for model, score in scores.items())
        kind = "contradictory repeated question, the first scores count" if clash else "repeated question"
        questions.findings.add(kind, "merged", f"{path.name} record {number}")
        questions.scores[question] = {**scores, **before}


def _scored_question(record: Any, where: str) -> tuple[str, dict[str, float]]:
    question = record.get("question") if isinstance(record, dict) else None
    scores = record.get("scores") if isinstance(record, dict) else None
    if not isinstance(question, str) or not isinstance(scores, dict):
        raise ValueError(f"{where} must have a text 'question' and an object 'scores', got another kind of record")
    return question, {model: _score(score, f"{where}, model {model!r}") for model, score in scores.items()}


def _score(value: Any, where: str) -> float:
    if value is None:
        return np.nan
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"score must be between 0 and 1, got {str(value)[:60]} in {where}; correct the file")
    return float(value)


def _read_tasks(paths: list[Path], findings: Findings) -> dict[str, str]:
    """Task of every query text; the first one where a text belongs to several."""
    tasks: dict[str, str] = {}
    for path in paths:
        for line, record in read_lines(path):
            query, task = record.get("query"), record.get("task_name")
            if not isinstance(query, str) or not isinstance(task, str):
                raise ValueError(f"{path} line {line} must have the texts 'query' and 'task_name', got another record")
            if tasks.setdefault(query, task) != task:
                findings.add("query of two tasks, the first one counts", "merged", f"{path.name} line {line}")
    return tasks


def _outcomes(questions: _Questions, tasks: dict[str, str]) -> Outcomes:
    """The table of all questions whose task is known."""
    findings, known = questions.findings, [text for text in questions.scores if text in tasks]
    unknown = len(questions.scores) - len(known)
    if unknown:
        number = next(i for i, text in enumerate(questions.scores, 1) if text not in tasks)
        findings.add("question without a task in the query files", "dropped", f"question {number}", unknown)
    if not known:
        raise ValueError("the query files of LLMRouter must name the task of the scored questions, got none; add them")
    models = sorted({model for scores in questions.scores.values() for model in scores})
    score = np.array([[questions.scores[text].get(model, np.nan) for model in models] for text in known])
    dataset = [tasks[text] for text in known]
    note_missing_cells(np.isfinite(score), np.array(dataset, dtype=np.str_), models, findings)
    return Outcomes.of(known, models, score, dataset=dataset, id=[f"llmrouter/{i}" for i in range(1, len(known) + 1)])


def _read_prices(path: Path) -> dict[str, dict[str, float]]:
    """Price per million input and output tokens of every model."""
    models = read_json_file(path)
    if not isinstance(models, dict) or not all(isinstance(facts, dict) for facts in models.values()):
        raise ValueError(f"{path} must be an object of models, got another kind of file; is it LLMRouter's?")
    return {
        model: {key: facts[key] for key in ("input_price", "output_price") if isinstance(facts.get(key), int | float)}
        for model, facts in models.items()
    }
