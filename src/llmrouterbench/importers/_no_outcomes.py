"""Files that hold no outcomes, known by what they hold, and what to do with them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from llmrouterbench.exporters import FORMAT, METHODS
from llmrouterbench.files import read_json
from llmrouterbench.importers._samples import Glimpse

_WHO_WON = "says which of two replies won, which is no score of either; see `llmrouterbench preferences`"
_KNOWN: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("*.csv", ("generation_id", "model_permaslug"), "OpenRouter's activity", "has neither texts nor scores"),
    ("*.csv", ("model_a", "model_b", "winner_model_a"), "a file of battles", _WHO_WON),
    ("*.jsonl", ("model_a", "model_b", "winner"), "a file of battles", _WHO_WON),
    ("*.parquet", ("model_a", "model_b", "winner"), "a file of battles", _WHO_WON),
    ("*.json*", ("chosen", "chosen_model", "rejected"), "RewardBench's pairs", _WHO_WON),
    ("*.json*", ("text_chosen", "scores_chosen"), "a file of RewardBench",
     "has scores of reward models, which answer nothing"),
    ("*.json", ("columns", "data"), "MLflow's table of an evaluation",
     "does not say which model answered; make a long table of it with a column model"),
    ("*.json*", ("question_id", "judge", "judgment"), "MT-bench's judgments",
     "has scores of 1 to 10 and no texts of the questions; make a long table of it"),
)  # fmt: skip


def refuse_without_outcomes(source: Glimpse) -> None:
    """Raise the ValueError that a file without outcomes deserves; nothing where it may hold some."""
    for pattern, keys, what, why in _KNOWN:
        if source.has(pattern, *keys):
            raise ValueError(f"{source.path} is {what}, which {why}")
    if any(name.startswith("[") and "] " in name for file in source.named("*.csv") for name in source.keys(file)):
        raise ValueError(f"{source.path} is promptfoo's table for people; write the results with -o results.json")


def refuse_export(path: Path) -> None:
    """Raise the ValueError that files of `export` deserve where they hold less than the outcomes they came from."""
    facts: object = None
    with suppress(ValueError, OSError):
        facts = read_json((path if path.is_dir() else path.parent) / "export.json")
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return
    if path.is_file() and path.name not in map(str, facts.get("files", ())):
        return
    method = METHODS.get(str(facts.get("method")))
    if method is None or not method.reads:
        why = "which holds no more than that method reads"
    elif cells := facts.get("stand_ins", {}).get("score", {}).get("cells"):
        why = f"in which 0 stands for {cells} scores that were not measured"
    else:
        return
    raise ValueError(f"{path} is an export for {facts.get('method')}, {why}; import what it was made from")
