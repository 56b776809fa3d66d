"""EmbedLLM, RouteLLM and GraphRouter against plain re-implementations of the official training loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmrouterbench.checks.router import planted_table
from llmrouterbench.routers._graph_network import Message, received
from llmrouterbench.routers._torch import one_thread
from official_neural import official_embedllm, official_graphrouter, official_routellm, ours, points, standard_error

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="needs torch; pip install 'llmrouterbench[torch]'")


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


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
