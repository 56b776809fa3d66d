"""A router that reads replies, fitted and served: what it promises, and the same choices and bill live as offline."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from gateways import Running, running
from llmrouterbench.importers import import_outcomes
from llmrouterbench.production.fitted import FittedRouter
from llmrouterbench.production.fitting import FitSettings, fit
from llmrouterbench.production.policy_export import export_policy
from llmrouterbench.production.promises import promises
from llmrouterbench.production.reading import at
from llmrouterbench.production.refitting import refit
from llmrouterbench.production.table_study import decided
from llmrouterbench.routers.agreement import Agreement
from llmrouterbench.serve.chat_body import parse_chat
from llmrouterbench.serve.reading import can_compare
from llmrouterbench.table import Outcomes, Replies
from test_routers_agreement import ASKED, MODELS, voters
from upstream import Upstream

PRICES = {name: {"input": 0.5, "output": 5.0} for name in MODELS} | {"elk": {"input": 50.0, "output": 500.0}}
"""USD per million tokens: what the outcomes say a call costs, 0.001 and 0.1 USD, for 1,000 tokens in and 100 out."""
CHEAP, DEAR = 0.001, 0.1


def worded(n: int, seed: int) -> tuple[Outcomes, dict[tuple[int, int], str]]:
    """SIMULATED: the questions of `voters`, each in words of its own."""
    made, said = voters(n, seed)
    rng = np.random.default_rng(seed)
    words = np.array([f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("ra", "lo", "nik", "", "mu")])
    prompts = [f"{' '.join(rng.choice(words, 12))}. {ASKED}" for _ in range(n)]
    ids = np.array([str(i) for i in range(n)])
    queries = replace(made.queries, id=ids, text=type(made.queries.text).of(prompts),
                      prompt=type(made.queries.text).of(prompts), embedding=None)  # fmt: skip
    return replace(made, queries=queries), said


def stored(folder: Path, table: Outcomes, said: Replies) -> Path:
    """The table with its replies, as `import` stores them."""
    lines = [
        orjson.dumps(
            {
                "query": table.queries.prompt[row],
                "dataset": table.dataset[row].item(),
                "model": MODELS[model],
                "score": float(table.score[row, model]),
                "cost": float(table.cost[row, model]),
                "reply": text,
            }
        )
        for (row, model), text in said.items()
    ]
    (folder / "log.jsonl").write_bytes(b"\n".join(lines))
    import_outcomes(folder / "log.jsonl", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> FittedRouter:
    folder = tmp_path_factory.mktemp("reading")
    data = stored(folder, *worded(400, 0))
    made = fit(Outcomes.load(data), FitSettings(router="agreement:most=2,pool=2", policy="best"), replies=data)
    made.save(folder / "router")
    return FittedRouter.load(folder / "router")


def policy_at(router: FittedRouter, weight: float) -> str:
    """The policy of the setting nearest to a weight."""
    settings = router.learned.settings
    return f"weight {settings[np.abs(settings - weight).argmin()]:g}"


def offline(
    router: FittedRouter, policy: str, table: Outcomes, said: Replies
) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Who serves, and the bill (n,), replayed with the stored replies; far from train the fallback does, unread."""
    reader = router.router
    assert isinstance(reader, Agreement)
    one = at(reader, float(policy.split()[1]))
    queries = router.embedded(list(table.queries.prompt))
    far = router.learned.novelty.far(queries.embedded("test"))
    asked = one.asks(queries) & ~far[:, None]
    choice = np.where(far, MODELS.index(router.learned.fallback), one.chosen(queries, said))
    called = asked.copy()
    called[np.arange(len(choice)), choice] = True
    return [MODELS[model] for model in choice], (table.cost * called).sum(axis=1)


def recorded(table: Outcomes, said: Replies, **more: Any) -> Upstream:
    """An upstream that answers every question of a table with the recorded reply of the model that is asked."""
    row = {prompt: i for i, prompt in enumerate(table.queries.prompt)}

    def says(body: dict[str, Any]) -> dict[str, Any]:
        asked = row.get(body["messages"][-1]["content"], 0)
        return {"role": "assistant", "content": said[asked, MODELS.index(body["model"])]}

    return Upstream(says=says, **more)


def config(url: str, **more: Any) -> dict[str, Any]:
    models = [{"name": name, "provider": "one", "price": PRICES[name]} for name in MODELS]
    return {"providers": {"one": {"url": url}}, "models": models, "port": 0, **more}


# fitted


@pytest.mark.prove
def test_a_policy_promises_what_replies_buy_with_every_call_paid(router: FittedRouter) -> None:
    """Two that agree are right in 0.49 of 0.535, and that is how often the dear model is spared."""
    policy = policy_at(router, 2.0)
    (promise,) = promises(router, [policy])
    assert promise.share["elk"] == pytest.approx(0.465, abs=0.1)
    assert promise.cost.value == pytest.approx(2 * CHEAP + DEAR * promise.share["elk"])
    assert promise.quality.value == pytest.approx(1.0 - 0.535 * (1 - 0.49 / 0.535), abs=0.05)
    assert promise.cost.low < promise.cost.value < promise.cost.high


@pytest.mark.prove
def test_a_budget_is_kept_with_the_calls_that_are_read(router: FittedRouter) -> None:
    budget, (dear,) = promises(router, ["best --budget 0.07/query"])[0], promises(router, ["best"])
    assert budget.cost.value < 0.07
    assert budget.at_worst <= 0.07
    assert dear.share == {"elk": 1.0}
    (strong,) = promises(router, ["strong-share 0.3"])
    assert strong.cost.value == pytest.approx(sum(CHEAP if name != "elk" else DEAR * share
                                                  for name, share in strong.share.items()), abs=0.002)  # fmt: skip


@pytest.mark.prove
def test_a_router_says_whom_it_reads_and_then_decides(router: FittedRouter) -> None:
    question = worded(1, 9)[0].queries.prompt[0]
    decision = router.route(question, policy_at(router, 2.0))
    assert decision.reading is not None
    one, other = decision.reading.models
    alike = decision.reading.decided({one: "The answer is A.", other: "It is A"})
    apart = decision.reading.decided({one: "The answer is A.", other: "It is B"})
    assert alike.model in (one, other)
    assert (apart.model, apart.reading) == ("elk", None)
    assert decision.reading.decided({}).model == "elk", "who gives no reply does not serve"
    only = router.route(question, policy_at(router, 2.0), allowed=["elk", other])
    assert only.reading is not None
    assert only.reading.models == (other,)
    assert router.route("a question", "best").reading is None


@pytest.mark.prove
def test_without_stored_replies_nobody_is_asked_and_it_is_said() -> None:
    table, _ = worded(120, 7)
    made = fit(table, FitSettings(router="agreement", policy="best"))
    assert made.facts["why_router"][-1].startswith("no replies are stored beside the outcomes, so it asks nobody")
    assert not any(decision.reading for decision in made.route_many(list(table.queries.prompt[:20])))


@pytest.mark.prove
def test_a_weight_between_the_settings_is_measured_at_none_and_the_nearest_is_named(router: FittedRouter) -> None:
    policy = policy_at(router, 2.0)
    with pytest.raises(ValueError, match=f"got 2; take {policy.split()[1]}"):
        promises(router, ["weight 2"])


@pytest.mark.prove
def test_seconds_are_refused_where_replies_are_read(router: FittedRouter) -> None:
    with pytest.raises(ValueError, match="must not be about seconds where replies are read first|needs reply times"):
        router.route("a question", "best --max-seconds 5")


@pytest.mark.prove
def test_no_study_takes_the_choice_before_reading_for_the_one_after_it(router: FittedRouter, tmp_path: Path) -> None:
    table, policy = worded(30, 6)[0], policy_at(router, 2.0)
    with pytest.raises(ValueError, match="must decide without reading replies here, where none are stored, got"):
        export_policy(router, table, policy)
    with pytest.raises(ValueError, match="must decide without reading replies here"):
        decided(table, router, policy)
    assert decided(table, router, "best").shape == (30,)
    with pytest.raises(ValueError, match="must be fitted again with `fit`, got 'agreement:most=2,pool=2'"):
        refit(router, tmp_path, table)


# live


@pytest.mark.prove
@pytest.mark.parametrize("stream", [False, True])
def test_live_choices_and_bill_are_those_of_recorded_replies(
    router: FittedRouter, tmp_path: Path, stream: bool
) -> None:
    table, said = worded(60, 1)
    policy = policy_at(router, 2.0)
    serves, bill = offline(router, policy, table, said)
    assert len(set(serves)) > 1

    def ask(server: Running, prompt: str) -> dict[str, Any]:
        reply = server.ask(prompt, model=f"auto:{policy}", stream=stream)
        assert reply.status_code == 200
        heads = reply.headers
        if not stream:
            assert reply.json()["model"] == heads["x-router-model"]
        return {"model": heads["x-router-model"], "text": reply.text, "cost": heads.get("x-router-cost")}

    with recorded(table, said) as up, running(config(up.url), tmp_path, router=router) as server:
        with ThreadPoolExecutor(4) as pool:
            served = list(pool.map(lambda prompt: ask(server, prompt), table.queries.prompt))
        rows = server.frames(len(table)).decisions
        sent = len(up.bodies)
        assert [one["model"] for one in served] == serves
        paid = {row["query_hash"]: row for row in rows.iter_rows(named=True)}
        assert sum(row["cost"] for row in paid.values()) == pytest.approx(bill.sum())
        assert sent == sum(row["attempts"] for row in paid.values())
        for one, model, cost in zip(served, serves, bill, strict=True):
            if one["cost"] is not None:
                assert float(one["cost"]) == pytest.approx(cost)
            assert (one["cost"] is None) == (stream and model == "elk"), "what a running stream will cost is not known"
            assert one["text"].count("data: ") > 2 if stream else True
        assert server.metric("llmrouterbench_cost_usd_total") == pytest.approx(bill.sum())


@pytest.mark.prove
def test_the_reply_that_was_read_is_passed_on_to_the_byte(router: FittedRouter) -> None:
    """As its provider sent it to a client that asked for that model by name."""
    table, said = worded(40, 2)
    policy = policy_at(router, 2.0)
    serves, _ = offline(router, policy, table, said)
    row = next(i for i, model in enumerate(serves) if model != "elk")
    with recorded(table, said) as up, running(config(up.url), router=router) as server:
        for stream in (False, True):
            read = server.ask(table.queries.prompt[row], model=f"auto:{policy}", stream=stream)
            named = server.ask(table.queries.prompt[row], model=serves[row], stream=stream)
            assert read.headers["x-router-model"] == serves[row]
            assert read.content == named.content
            assert read.headers["content-type"] == named.headers["content-type"]


BEYOND: dict[str, dict[str, Any]] = {
    "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    "json": {"response_format": {"type": "json_object"}},
    "choices": {"n": 2},
    "conversation": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                                  {"role": "user", "content": ASKED}]},
    "long": {"messages": [{"role": "user", "content": f"{'long ' * 4000}{ASKED}"}]},
}  # fmt: skip


@pytest.mark.prove
def test_what_cannot_be_compared_goes_past_it(router: FittedRouter) -> None:
    table, said = worded(20, 3)
    with recorded(table, said) as up, running(config(up.url), router=router) as server:
        for what, more in BEYOND.items():
            body = {"messages": [{"role": "user", "content": table.queries.prompt[0]}], **more}
            reply = server.ask(model=f"auto:{policy_at(router, 2.0)}", **body)
            assert reply.status_code == 200, what
            assert "x-router-asked" not in reply.headers, what
            assert reply.headers["x-router-attempts"] == "1", what


@pytest.mark.parametrize("more", BEYOND.values(), ids=BEYOND)
def test_only_one_question_in_plain_text_is_compared(more: dict[str, Any]) -> None:
    plain = {"model": "auto", "messages": [{"role": "user", "content": ASKED}]}
    for said, expected in ((plain, True), ({**plain, **more}, False)):
        body = parse_chat(orjson.dumps(said))
        assert can_compare(body, body.deciding_text(2000)) is expected


@pytest.mark.prove
def test_what_comes_too_late_or_fails_does_not_serve_and_what_was_billed_is_paid(
    router: FittedRouter, tmp_path: Path
) -> None:
    table, said = worded(40, 4)
    policy = policy_at(router, 2.0)
    serves, _ = offline(router, policy, table, said)
    row = next(i for i, model in enumerate(serves) if model != "elk")
    late = serves[row]
    for fault in ("stall", "500"):
        up = recorded(table, said, fault=lambda body: fault if body["model"] == late else "")  # noqa: B023
        folder = tmp_path / fault
        with up, running(config(up.url, reading={"seconds": 0.5}), folder, router=router) as server:
            reply = server.ask(table.queries.prompt[row], model=f"auto:{policy}")
            assert reply.headers["x-router-model"] == "elk"
            logged = server.row()
            assert logged["attempts"] == 3
            assert logged["cost"] >= CHEAP + DEAR - 1e-9


@pytest.mark.prove
def test_where_the_dear_model_fails_a_reply_that_was_read_serves(router: FittedRouter) -> None:
    table, said = worded(40, 5)
    policy = policy_at(router, 2.0)
    serves, _ = offline(router, policy, table, said)
    row = serves.index("elk")
    up = recorded(table, said, fault=lambda body: "500" if body["model"] == "elk" else "")
    with up, running(config(up.url), router=router) as server:
        reply = server.ask(table.queries.prompt[row], model=f"auto:{policy}")
        assert reply.status_code == 200
        assert reply.headers["x-router-model"] in reply.headers["x-router-asked"].split(", ")
        assert reply.headers["x-router-stood-in-for"] == "elk"
        assert reply.headers["x-router-attempts"] == "3", "what was read is not asked for again"
