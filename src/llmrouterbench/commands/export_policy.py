"""`llmrouterbench export-policy`: a fitted policy as the config of another router."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llmrouterbench.commands._terminal import print_json, say
from llmrouterbench.commands.app import Json, SettingName, app, known, load, usage

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

    from llmrouterbench.benching.policies.policy import Policy
    from llmrouterbench.files import write_bytes
    from llmrouterbench.production.fitted import FittedRouter
    from llmrouterbench.production.policy_export import export_policy as export

    usage(lambda: known("format", format, FORMATS))
    chosen = str(usage(lambda: Policy.parse(policy))) if policy else None
    if to.exists() and not overwrite:
        raise FileExistsError(f"{to} must not exist yet, got a file there; choose another or --overwrite")
    router = FittedRouter.load(router_dir)
    table, _ = load(outcomes, setting)
    made = export(router, table.pool, chosen, examples=examples)
    text = yaml.safe_dump(made.config, sort_keys=False, allow_unicode=True, width=1000)
    write_bytes(to, text.encode())
    facts = {name: value for name, value in asdict(made).items() if name != "config"}
    if json:
        print_json({"file": str(to), "simulated": table.simulated, **facts})
        return
    mark = "SIMULATED data: " if table.simulated else ""
    share, loss = made.agreement, made.loss
    say(
        f"{mark}on {made.held_out:,} other queries the nearest example agrees with the policy on"
        f" {100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] and loses"
        f" {100 * loss.value:.1f} points of AvgAcc [{100 * loss.low:.1f}, {100 * loss.high:.1f}]"
    )
    say(f"{to}: {sum(made.examples.values())} examples of {len(made.examples)} models; fill in their addresses")
