"""`llmrouterbench export-policy`: a fitted policy as the config of another router."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say
from llmrouterbench.commands.app import Json, SettingName, app, known, load, usage
from llmrouterbench.numerals import count, interval, percent

FORMATS = ["vllm-sr"]


@app.command("export-policy")
def export_policy(
    router_dir: Annotated[Path, typer.Argument(help="A folder that `fit` made.")],
    outcomes: Annotated[Path, typer.Option("--outcomes", help="Outcomes whose queries become the examples.")],
    to: Annotated[Path, typer.Option("--to", help="YAML file to write; it will hold query texts.")],
    format: Annotated[str, typer.Option("--for", help="Whose config: vllm-sr (vLLM Semantic Router).")] = "vllm-sr",
    policy: Annotated[str | None, typer.Option("--policy", help="The router's default policy when not given.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=1, help="The most examples a model gets.")] = 40,
    setting: SettingName = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Write a policy as example queries for a router that knows no other; say how near that comes to the policy."""
    import yaml

    from llmrouterbench.api import export_policy as express
    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.files import write_bytes

    usage(lambda: known("format", format, FORMATS))
    chosen = str(usage(lambda: Policy.parse(policy))) if policy else None
    if to.exists() and not overwrite:
        raise FileExistsError(f"{to} must not exist yet, got a file there; choose another or --overwrite")
    table, _ = load(outcomes, setting)
    made = express(router_dir, table, chosen, examples=examples)
    text = yaml.safe_dump(made.config, sort_keys=False, allow_unicode=True, width=1000)
    write_bytes(to, text.encode())
    facts = {name: value for name, value in asdict(made).items() if name != "config"}
    if json:
        print_json({"file": str(to), "simulated": table.simulated, **facts})
        return
    mark = "SIMULATED data: " if table.simulated else ""
    say(
        f"{mark}on {count(made.held_out)} other queries the nearest example agrees with the policy on"
        f" {interval(made.agreement, percent, ' %')} and loses {interval(made.loss, percent, ' points of AvgAcc')}"
    )
    say(f"{to}: {sum(made.examples.values())} examples of {len(made.examples)} models; fill in their addresses")
