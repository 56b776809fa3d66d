"""EmbedLLM, RouteLLM and GraphRouter against plain re-implementations of the official training loops.

The loops below follow the published equations and hyper-parameters (arXiv 2601.07206, section B.3) step by step, with
none of our shortcuts. `python tests/test_parity_neural.py` prints the comparison of docs/parity.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmrouterbench.checks import planted_table
from llmrouterbench.embed import embed_queries, make_embedder
from llmrouterbench.importers import import_outcomes
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.policies import decide_sweep
from llmrouterbench.routers import make_router
from llmrouterbench.routers._graph_network import Message, received
from llmrouterbench.routers._pairs import choose_pair
from llmrouterbench.routers._torch import one_thread
from llmrouterbench.simulator import simulate
from llmrouterbench.splits import make_split
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="needs torch; pip install 'llmrouterbench[torch]'")
functional = torch.nn.functional


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def single(values: FloatArray | BoolArray) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def vectors(outcomes: Outcomes) -> torch.Tensor:
    return single(outcomes.queries.embedded("the test"))


def batches(rows: torch.Tensor, size: int) -> list[torch.Tensor]:
    order = rows[torch.randperm(len(rows))]
    return [order[start : start + size] for start in range(0, len(order), size)]


def official_embedllm(train: Outcomes, test: Outcomes, epochs: int, seed: int, truncate: bool = True) -> IntArray:
    """One row per (query, model), two classes, noise per row, Adam; the final weights, without noise at test time.

    The official code truncates fractional scores to 0.
    """
    torch.manual_seed(seed)
    query, models = vectors(train), len(train.models)
    row, model = (torch.tensor(part) for part in np.nonzero(np.isfinite(train.score)))
    solved = single(train.score)[row, model]
    solved = solved.trunc() if truncate else solved
    label = torch.stack([1.0 - solved, solved], dim=1)
    vector = torch.nn.Embedding(models, 1024)
    inner, outer = torch.nn.Linear(query.shape[1], 1024), torch.nn.Linear(1024, 2)
    adam = torch.optim.Adam(
        [*vector.parameters(), *inner.parameters(), *outer.parameters()], lr=1e-4, weight_decay=1e-5
    )
    for _ in range(epochs):
        for batch in batches(torch.arange(len(row)), 2048):
            q = query[row[batch]]
            logit = outer(vector(model[batch]) * inner(q + 0.05 * torch.randn_like(q)))
            loss = functional.cross_entropy(logit, label[batch])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    with torch.no_grad():
        logits = [outer(vector.weight[m] * inner(vectors(test))) for m in range(models)]
    return np.asarray(torch.stack([logit[:, 1] - logit[:, 0] for logit in logits]).argmax(dim=0).numpy())


def official_routellm(train: Outcomes, test: Outcomes, pair: tuple[int, int], epochs: int, seed: int) -> IntArray:
    """Decisive pairs and unit model vectors; the epoch with the best accuracy on 5 % of the pairs; 0.5 decides."""
    torch.manual_seed(seed)
    strong, weak = pair
    lead = train.score[:, strong] - train.score[:, weak]
    rows = np.flatnonzero(np.isfinite(lead) & (lead != 0))
    query, wins = vectors(train)[rows], torch.tensor(lead[rows] > 0)
    order = torch.randperm(len(rows))
    development, fit = order[: len(rows) // 20], order[len(rows) // 20 :]
    vector = torch.nn.Embedding(2, 128)
    project, readout = torch.nn.Linear(query.shape[1], 128, bias=False), torch.nn.Linear(128, 1, bias=False)
    adam = torch.optim.Adam(
        [*vector.parameters(), *project.parameters(), *readout.parameters()], lr=3e-4, weight_decay=1e-5
    )

    def strong_leads(q: torch.Tensor) -> torch.Tensor:
        unit = vector.weight / vector.weight.norm(dim=1, keepdim=True)
        lead: torch.Tensor = readout((unit[0] - unit[1]) * project(q))
        return lead[:, 0]

    best, choice = -1.0, torch.zeros(len(test), dtype=torch.bool)
    for _ in range(epochs):
        for batch in batches(fit, 64):
            delta = torch.where(wins[batch], 1.0, -1.0) * strong_leads(query[batch])
            loss = functional.binary_cross_entropy_with_logits(delta, torch.ones_like(delta))
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        with torch.no_grad():
            accuracy = float(((strong_leads(query[development]) > 0) == wins[development]).float().mean())
            if accuracy > best:
                best, choice = accuracy, torch.sigmoid(strong_leads(vectors(test))) >= 0.5
    return np.where(choice.numpy(), strong, weak)


class OfficialGraph(torch.nn.Module):
    """torch-geometric convolutions that add messages, 16-wide nodes, a rectified linear map of edge features."""

    def __init__(self, query: int, task: int, llm: int) -> None:
        super().__init__()
        convolution = pytest.importorskip("torch_geometric.nn", reason="needs torch-geometric").GeneralConv
        self.query, self.task = torch.nn.Linear(query, 8), torch.nn.Linear(task, 8)
        self.llm, self.edge = torch.nn.Linear(llm, 16), torch.nn.Linear(3, 3)
        self.conv1, self.conv2 = (convolution(16, 16, in_edge_channels=3) for _ in range(2))
        self.norm1, self.norm2 = torch.nn.BatchNorm1d(16), torch.nn.BatchNorm1d(16)

    def forward(
        self, nodes: tuple[torch.Tensor, ...], edges: torch.Tensor, features: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        task, query, llm = nodes
        start = torch.cat([torch.cat([self.task(task), self.query(query)], dim=1), self.llm(llm)])
        features = self.edge(features).relu()
        x = self.norm1(self.conv1(start, edges, edge_attr=features)).relu()
        x = self.norm2(self.conv2(x, edges, edge_attr=features))
        chance: torch.Tensor = (start[asked[0]] * x[asked[1]]).mean(dim=1).sigmoid()
        return chance


def official_graphrouter(train: Outcomes, test: Outcomes, epochs: int, passes: int, seed: int) -> IntArray:
    """Performance first. Test queries are nodes of known task without edges; where all models fail, all are best.

    What was not measured counts as score 0 and cost 0, as in the official adaptor.
    """
    torch.manual_seed(seed)
    n, m = train.score.shape
    names = train.datasets
    centre = single(dataset_means(train.queries.embedded("the test"), train.dataset, names))
    task = np.concatenate([np.searchsorted(names, part.dataset) for part in (train, test)])
    nodes = (centre[task], torch.cat([vectors(train), vectors(test)]), torch.eye(m))
    score, cost = np.nan_to_num(train.score), np.nan_to_num(train.cost)
    for name in names:
        rows = train.dataset == name
        cost[rows] = (cost[rows] - cost[rows].min()) / max(float(np.ptp(cost[rows])), 1e-12)
    features = single(np.stack([score, cost, score], axis=2).reshape(n * m, 3))
    label = single(score >= score.max(axis=1, keepdims=True) - 1e-8).ravel()
    first_llm = n + len(test)
    edges = torch.stack([torch.arange(n).repeat_interleave(m), first_llm + torch.arange(m).repeat(n)])
    graph = OfficialGraph(nodes[1].shape[1], nodes[0].shape[1], m)
    adam = torch.optim.AdamW(graph.parameters(), lr=3e-4, weight_decay=1e-4)
    for _ in range(epochs):
        losses = []
        for _ in range(passes):
            hidden = torch.rand(n * m) < 0.5
            chance = graph(nodes, edges[:, ~hidden], features[~hidden], edges[:, hidden])
            losses.append(functional.binary_cross_entropy(chance, label[hidden]))
        adam.zero_grad()
        torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
        adam.step()
    graph.eval()
    with torch.no_grad():
        asked = torch.stack([n + torch.arange(len(test)).repeat_interleave(m), edges[1][:m].repeat(len(test))])
        chance = graph(nodes, edges, features, asked)
    return np.asarray(chance.reshape(len(test), m).argmax(dim=1).numpy())


def points(test: Outcomes, choice: IntArray) -> float:
    """AvgAcc in percent."""
    score = test.score[np.arange(len(test)), choice]
    return 100.0 * float(avg_acc(dataset_means(score, test.dataset, test.datasets)))


def standard_error(test: Outcomes, choice: IntArray) -> float:
    """Of AvgAcc in percent, from the spread of scores within each dataset."""
    score = test.score[np.arange(len(test)), choice]
    parts = [score[test.dataset == name] for name in test.datasets]
    return 100.0 * float(np.sqrt(sum(float(part.var()) / len(part) for part in parts)) / len(parts))


def ours(name: str, train: Outcomes, test: Outcomes, **settings: object) -> IntArray:
    router = make_router(name, **settings).fit(train)
    weight = 0.5 if name == "routellm" else 0.0
    return np.asarray(decide_sweep(router, test.queries, np.array([weight]))[0])


@pytest.mark.slow
def test_embedllm_scores_what_the_official_loop_scores() -> None:
    train, test = planted_table(400, 0), planted_table(800, 1)
    theirs = official_embedllm(train, test, epochs=150, seed=42)
    mine = ours("embedllm", train, test)
    assert points(test, theirs) > 80.0
    assert abs(points(test, mine) - points(test, theirs)) < standard_error(test, theirs)


@pytest.mark.slow
def test_routellm_scores_what_the_official_loop_scores() -> None:
    train, test = planted_table(900, 0), planted_table(800, 1)
    theirs = official_routellm(train, test, (1, 0), epochs=100, seed=42)
    mine = ours("routellm", train, test, strong="alpha", weak="delta")
    assert points(test, theirs) > points(test, np.full(800, 1)) + 8.0
    assert abs(points(test, mine) - points(test, theirs)) < standard_error(test, theirs)


@pytest.mark.slow
def test_graphrouter_is_no_worse_than_the_official_loop() -> None:
    pytest.importorskip("torch_geometric", reason="needs torch-geometric")
    train, test = planted_table(300, 0), planted_table(800, 1)
    theirs = official_graphrouter(train, test, epochs=500, passes=1, seed=42)
    assert points(test, theirs) > 65.0
    assert points(test, ours("graphrouter", train, test)) > points(test, theirs) - standard_error(test, theirs)


@pytest.mark.slow
def test_graphrouter_messages_are_those_of_torch_geometric() -> None:
    nn = pytest.importorskip("torch_geometric.nn", reason="needs torch-geometric")
    draw = torch.Generator().manual_seed(0)
    n, m = 40, 3
    source, target = torch.randn(n, 16, generator=draw), torch.randn(m, 16, generator=draw)
    edge, visible = torch.rand(n, m, 3, generator=draw), (torch.rand(n, m, generator=draw) < 0.6).float()
    row, column = torch.nonzero(visible, as_tuple=True)
    for aggregation in ("add", "mean"):
        conv = nn.GeneralConv(16, 16, in_edge_channels=3, aggr=aggregation)
        edges = torch.stack([row, n + column])
        theirs = conv(torch.cat([source, target]), edges, edge_attr=edge[row, column])
        mine = received(source, edge, visible, Message(conv.lin_msg, conv.lin_edge), aggregation == "mean")
        assert torch.allclose(theirs[:n], source)
        assert torch.allclose(theirs[n:], target + mine, atol=1e-4)


def tables() -> Iterator[tuple[str, Outcomes, tuple[int, ...]]]:
    """Real LLMRouter outcomes where they are, and simulated ones of both settings, with the seeds to split them by."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "llmrouter"
    if folder.is_dir():
        with TemporaryDirectory() as stored:
            import_outcomes(folder, stored, overwrite=True)
            yield "LLMRouter (real)", Outcomes.load(stored), (42, 999, 2024)
    yield "performance-cost (simulated)", simulate("performance-cost"), (42, 999)
    yield "performance (simulated)", simulate("performance"), (42, 999)


def compare(train: Outcomes, test: Outcomes, seed: int) -> Iterator[tuple[str, IntArray]]:
    """Choices of the official loops and of ours. The numbers of steps are fixed: nothing is chosen on test."""
    yield "embedllm official, 60 epochs", official_embedllm(train, test, 60, seed)
    if (np.nan_to_num(train.score) % 1 > 0).any():
        yield "embedllm official, fractions kept", official_embedllm(train, test, 60, seed, truncate=False)
    yield "embedllm", ours("embedllm", train, test)
    pair = choose_pair(train)
    yield "strong alone", np.full(len(test), pair[0])
    yield "routellm official, best of 100 epochs", official_routellm(train, test, pair, 100, seed)
    yield "routellm", ours("routellm", train, test)
    yield "graphrouter official, 2000 steps of one pass", official_graphrouter(train, test, 2000, 1, seed)
    same = {"aggregation": "add", "rate": 3e-4, "epochs": 2000, "patience": 2000}
    yield "graphrouter with the official settings", ours("graphrouter", train, test, **same)
    yield "graphrouter", ours("graphrouter", train, test)


def main() -> None:
    with one_thread():
        print_comparison()


def print_comparison() -> None:
    for table, outcomes, seeds in tables():
        for seed in seeds:
            split = make_split(outcomes, seed, kind="paper")
            embedded = outcomes.with_embedding(embed_queries(outcomes, make_embedder("tfidf"), split.train)[0])
            train, test = embedded.take(split.train), embedded.take(split.test)
            start = time.perf_counter()
            for label, choice in compare(train, test, seed):
                numbers = f"{points(test, choice):6.2f} +- {standard_error(test, choice):.2f}"
                sys.stdout.write(f"{table} | {seed} | {label} | {numbers} | {time.perf_counter() - start:.0f} s\n")
                sys.stdout.flush()
                start = time.perf_counter()


if __name__ == "__main__":
    main()
