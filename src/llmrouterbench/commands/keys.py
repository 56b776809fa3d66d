"""`llmrouterbench keys make|list|change|revoke|team`: client keys of servers that go on meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrouterbench.commands._terminal import print_json, say, show_lines, show_rows
from llmrouterbench.commands.app import Json, app, usage
from llmrouterbench.numerals import number, usd

if TYPE_CHECKING:
    from llmrouterbench.serve.config import KeyConfig
    from llmrouterbench.serve.managed_keys import ManagedKeys

keys = typer.Typer(help="Make, change and revoke client keys without a restart.", no_args_is_help=True)
app.add_typer(keys, name="keys")

Config = Annotated[Path, typer.Option("--config", help="The YAML file of the server, with `managed_keys` and a state.")]
KeyName = Annotated[str, typer.Argument(help="Who uses it.")]
Team = Annotated[str | None, typer.Option("--team", help="Whose budget it spends too; '' for none.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="A model that may serve it; may be repeated. '' for all.")
]
Policies = Annotated[
    list[str] | None, typer.Option("--policy", help="A policy that it may name; may be repeated. '' for all.")
]
Requests = Annotated[float | None, typer.Option("--requests-per-minute", min=0.0, help="0: no limit.")]
Tokens = Annotated[float | None, typer.Option("--tokens-per-minute", min=0.0, help="In and out; 0: no limit.")]
Budget = Annotated[float | None, typer.Option("--budget", min=0.0, help="USD a period; 0: no limit.")]
Period = Annotated[str | None, typer.Option("--budget-period", help="day, month or ever, in UTC.")]
Admin = Annotated[bool | None, typer.Option("--admin/--no-admin", help="Whether it sees the numbers of all keys.")]


def _managed(config: Path) -> ManagedKeys:
    from llmrouterbench.serve.config import read_serve_config
    from llmrouterbench.serve.managed_keys import ManagedKeys

    made: ManagedKeys = usage(lambda: ManagedKeys(read_serve_config(config)))
    return made


def _limits(**given: Any) -> dict[str, Any]:
    """What was given, as it stands in a config: no limit is None, '' is nothing."""
    said = {name: value for name, value in given.items() if value is not None and value != []}
    for name in ("requests_per_minute", "tokens_per_minute", "budget"):
        if said.get(name) == 0.0:
            said[name] = None
    return said | {name: [one for one in said[name] if one] for name in ("models", "policies") if name in said}


@keys.command()
def make(
    name: KeyName,
    config: Config,
    team: Team = None,
    model: Models = None,
    policy: Policies = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    budget: Budget = None,
    budget_period: Period = None,
    admin: Admin = None,
    json: Json = False,
) -> None:
    """Make a key, which servers take within a second. It is shown once; the state keeps its hash."""
    from llmrouterbench.serve.keys import new_key

    managed, (key, digest) = _managed(config), new_key()
    limits = _limits(
        team=team, models=model, policies=policy, requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute, budget=budget, budget_period=budget_period, admin=admin,
    )  # fmt: skip
    made = usage(lambda: managed.make({"name": name, "sha256": digest, **limits}))
    if json:
        print_json({"key": key, **made.model_dump()})
        return
    show_lines([key])
    say(f"give it to {name}; it is shown once and stored nowhere")


@keys.command("list")
def list_keys(config: Config, json: Json = False) -> None:
    """Show keys, teams and their limits."""
    found, teams = _managed(config).all()
    if json:
        print_json({"keys": [one.model_dump() for one in found], "teams": [one.model_dump() for one in teams]})
        return
    if found:
        show_rows("Keys", [_row(one) for one in found], json=False)
    else:
        say("the state holds no keys; `llmrouterbench keys make NAME` makes one")
    if teams:
        rows = [{"team": one.name, "USD": usd(one.budget), "a": one.budget_period} for one in teams]
        show_rows("Teams", rows, json=False)


def _row(key: KeyConfig) -> dict[str, Any]:
    rates = (key.requests_per_minute, key.tokens_per_minute)
    requests, tokens = ("any" if rate is None else number(rate, 0) for rate in rates)
    return {
        "key": key.name,
        "team": key.team or "none",
        "models": ", ".join(key.models) or "all",
        "policies": ", ".join(key.policies) or "all",
        "requests/min": requests,
        "tokens/min": tokens,
        "budget": "any" if key.budget is None else f"{usd(key.budget)} a {key.budget_period}",
        "admin": "yes" if key.admin else "no",
    }


@keys.command()
def change(
    name: KeyName,
    config: Config,
    team: Team = None,
    model: Models = None,
    policy: Policies = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    budget: Budget = None,
    budget_period: Period = None,
    admin: Admin = None,
    json: Json = False,
) -> None:
    """Change what a key may do; what is not named stays."""
    limits = _limits(
        team=team, models=model, policies=policy, requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute, budget=budget, budget_period=budget_period, admin=admin,
    )  # fmt: skip
    managed = _managed(config)
    changed = usage(lambda: managed.change(name, **limits))
    if json:
        print_json(changed.model_dump())
    else:
        show_rows("Key", [_row(changed)], json=False)


@keys.command()
def revoke(name: KeyName, config: Config, json: Json = False) -> None:
    """Take a key away; servers refuse it within a second."""
    managed = _managed(config)
    usage(lambda: managed.revoke(name))
    if json:
        print_json({"revoked": name})
    else:
        say(f"servers refuse {name} within a second")


@keys.command()
def team(
    name: Annotated[str, typer.Argument(help="Of the team.")],
    config: Config,
    budget: Annotated[float, typer.Option("--budget", help="USD a period that its keys spend together.")],
    budget_period: Annotated[str, typer.Option("--budget-period", help="day, month or ever, in UTC.")] = "month",
    json: Json = False,
) -> None:
    """Make a team, or change its budget."""
    managed = _managed(config)
    made = usage(lambda: managed.team(name, budget, budget_period))
    if json:
        print_json(made.model_dump())
    else:
        say(f"team {name} may spend {usd(made.budget)} USD a {made.budget_period}")
