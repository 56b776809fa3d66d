"""EmbedLLM, RouteLLM and GraphRouter as plain re-implementations of the official training loops.

They follow the published equations and hyper-parameters (arXiv 2601.07206, section B.3) step by step, with none of our
shortcuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmrouterbench.benching.policies import decide_sweep
from llmrouterbench.metrics import avg_acc, dataset_means
from llmrouterbench.routers import make_router
from llmrouterbench.table import BoolArray, FloatArray, IntArray, Outcomes

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="needs torch; pip install 'llmrouterbench[torch]'")
functional = torch.nn.functional


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
