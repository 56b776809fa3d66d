"""tau2-bench: 278 customer-service tasks (airline 50, retail 114, telecom 114) that an agent solves with tools.

Source: Barres et al. 2025, "tau2-Bench: Evaluating Conversational Agents in a Dual-Control Environment", arXiv
2506.07982. Its harness talks to the model itself, with a second model as the user, so there is no file of predictions
to write; it is a user's own install (the package `tau2` on PyPI is something else):

    pip install git+https://github.com/sierra-research/tau2-bench@17e07b1da2bbc0cadfddeea36412686e0604127b
    tau2 run --domain airline --agent-llm gpt-5 --user-llm gpt-4.1 --num-trials 1 --save-to mine-airline

once for each of the three domains. `read_report` reads the results file it leaves (or its folder), `read_replies` the
agent's cost, tokens and seconds; `read_user_costs` what the simulated user cost, which is no cost of the pool's model.
The pinned revision corrects 53 airline and retail tasks that were in use when the paper was written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmrouterbench.datasets import Dataset, Instruments, Source
from llmrouterbench.datasets._harness import await_harness, read_object
from llmrouterbench.files import read_json
from llmrouterbench.replies import Item, Reply, Score

DOMAINS = ("airline", "retail", "telecom")
_FOLDER = "data/tau2/domains"
_NEVER_RAN = ("infrastructure_error", "context_window_exceeded", "unexpected_error")
"""Ends that say nothing about the agent; tau2-bench leaves the first two out of its own means."""


def read(files: Mapping[str, Path]) -> list[Item]:
    """The tasks of the split "base" of every domain; the query is the user's reason for the call."""
    return [item for domain in DOMAINS for item in _domain(domain, files)]


def _domain(domain: str, files: Mapping[str, Path]) -> list[Item]:
    base = set(read_json(files[f"{_FOLDER}/{domain}/split_tasks.json"])["base"])
    tasks = read_json(files[f"{_FOLDER}/{domain}/tasks.json"])
    return [_item(domain, task) for task in tasks if task["id"] in base]


def _item(domain: str, task: dict[str, Any]) -> Item:
    return Item(f"{domain}/{task['id']}", query_of(task), None, domain, {"task_id": task["id"]})


def query_of(task: Mapping[str, Any]) -> str:
    """The user's reason for the call."""
    instructions = task["user_scenario"]["instructions"]
    return str(instructions if isinstance(instructions, str) else instructions["reason_for_call"])


def prompt(item: Item) -> str:
    """The user's reason for the call, which is what a router sees; the harness holds the conversation."""
    return item.query


def score(item: Item, reply: str, instruments: Instruments) -> Score:
    """Never scored here: only the harness holds the conversation that a score needs."""
    return await_harness("tau2-bench")


def read_report(path: Path) -> dict[str, Score]:
    """Item id -> mean reward over its trials, from a results file or folder of tau2-bench.

    A trial that ended for a reason outside the agent, or has no reward, is left out of the mean; where all are, the
    item is NaN with the reason. Raises ValueError for a file that is no results file or a reward outside [0, 1].
    """
    trials: dict[str, list[dict[str, Any]]] = {}
    for name, simulation in simulations(path):
        trials.setdefault(name, []).append(simulation)
    return {name: _mean(name, runs, path) for name, runs in trials.items()}


def _mean(name: str, runs: list[dict[str, Any]], path: Path) -> Score:
    rewards = [reward for run in runs if (reward := _reward(run)) is not None]
    wrong = [reward for reward in rewards if not 0 <= reward <= 1]
    if wrong:
        raise ValueError(f"{path}: the reward of {name} must be in [0, 1], got {wrong[0]}; run it again")
    if not rewards:
        return Score(math.nan, "", f"the harness failed: {_ends(runs)}")
    left_out = len(runs) - len(rewards)
    return Score(sum(rewards) / len(rewards), "", f"{left_out} of {len(runs)} trials left out" if left_out else "")


def _reward(run: dict[str, Any]) -> float | None:
    if run.get("termination_reason") in _NEVER_RAN:
        return None
    reward = (run.get("reward_info") or {}).get("reward")
    return None if reward is None else float(reward)


def _ends(runs: list[dict[str, Any]]) -> str:
    ends = {str(run.get("termination_reason") or "no reward") for run in runs}
    return ", ".join(sorted(end if end in _NEVER_RAN else f"no reward ({end})" for end in ends))


def read_replies(path: Path) -> list[Reply]:
    """One reply a trial with the agent's last words, cost in USD, tokens and seconds; failed where it never ran."""
    model = str(((_metadata(path).get("info") or {}).get("agent_info") or {}).get("llm") or "")
    if not model:
        raise ValueError(f"{path} must name the agent's model in info.agent_info.llm, got none; run it again")
    return [_reply(name, model, run) for name, run in simulations(path)]


def read_trials(path: Path) -> list[tuple[float | None, int]]:
    """Reward and number of every trial, in the order of `read_replies`; None where the agent never ran."""
    return [(_reward(run), int(run.get("trial") or 0)) for _, run in simulations(path)]


def _reply(name: str, model: str, run: dict[str, Any]) -> Reply:
    said = [message for message in run.get("messages") or [] if message.get("role") == "assistant"]
    failed = run.get("termination_reason") in _NEVER_RAN
    return Reply(
        dataset="tau2",
        item=name,
        model=model,
        text=str((said[-1].get("content") if said else "") or ""),
        status="failed" if failed else "ok",
        reason=str(run["termination_reason"]) if failed else "",
        tokens_in=_tokens(said, "prompt_tokens"),
        tokens_out=_tokens(said, "completion_tokens"),
        cost=run.get("agent_cost"),
        seconds=run.get("duration"),
        attempts=max(len(said), 1),
    )


def _tokens(said: list[dict[str, Any]], key: str) -> int | None:
    """The sum over the agent's turns that have a usage (its greeting has none); None where no turn has."""
    known = [usage[key] for message in said if (usage := message.get("usage")) and key in usage]
    return sum(known) if known else None


def read_user_costs(path: Path) -> dict[str, float]:
    """Item id -> USD that the simulated user cost over all trials; items whose cost is unknown are left out."""
    costs: dict[str, list[float | None]] = {}
    for name, run in simulations(path):
        costs.setdefault(name, []).append(run.get("user_cost"))
    known = {name: [cost for cost in trials if cost is not None] for name, trials in costs.items()}
    return {name: sum(trials) for name, trials in known.items() if len(trials) == len(costs[name])}


def _metadata(path: Path) -> dict[str, Any]:
    return read_object(path / "results.json" if path.is_dir() else path, "info", "a results file of tau2-bench")


def simulations(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(item id, simulation) of every trial; newer versions keep the simulations in a folder beside the file."""
    metadata = _metadata(path)
    domain = ((metadata["info"] or {}).get("environment_info") or {}).get("domain_name")
    if domain not in DOMAINS:
        raise ValueError(f"{path} must be of the domain {', '.join(DOMAINS)}, got {domain!r}; only these are in tau2")
    runs = metadata.get("simulations")
    if runs is None:
        folder = (path if path.is_dir() else path.parent) / "simulations"
        runs = [read_json(file) for file in sorted(folder.glob("*.json"))]
    return [(f"{domain}/{run['task_id']}", run) for run in runs]


DATASET = Dataset(
    name="tau2",
    title="tau2-Bench",
    domain="Tool Use",
    # v1.0.0. Which revision the paper used is not known; split_tasks.json names the 278 tasks as "base".
    source=Source(
        "github",
        "sierra-research/tau2-bench",
        "17e07b1da2bbc0cadfddeea36412686e0604127b",
        {f"{_FOLDER}/{domain}/{name}.json": "" for domain in DOMAINS for name in ("tasks", "split_tasks")},
    ),
    licence="MIT",
    citation="Barres et al. 2025, arXiv 2506.07982",
    size=278,
    shots=0,
    kind="harness",
    version=1,
    read=read,
    prompt=prompt,
    score=score,
    subsets=DOMAINS,
)
