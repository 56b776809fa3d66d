"""The network of GraphRouter: two graph convolutions from query nodes to model nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrouterbench.routers._query_graph import QueryGraph
from llmrouterbench.routers._torch import linear_layer, to_tensor

if TYPE_CHECKING:
    import torch

_EDGE = 3


class Nodes(NamedTuple):
    """A graph as tensors; `own_task` (n, f) are the task features of each query, flags are 0 and 1."""

    query: torch.Tensor
    own_task: torch.Tensor
    task: torch.Tensor
    llm: torch.Tensor
    edge: torch.Tensor
    measured: torch.Tensor
    label: torch.Tensor
    signal: torch.Tensor


class Layers(NamedTuple):
    """The layers: into the node space, of the edges, of each convolution's messages, and the two normalisations."""

    task: torch.nn.Linear
    query: torch.nn.Linear
    llm: torch.nn.Linear
    edge: torch.nn.Linear
    messages: tuple[Message, Message]
    norms: tuple[torch.nn.BatchNorm1d, torch.nn.BatchNorm1d]

    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything to train."""
        linear = (self.task, self.query, self.llm, self.edge)
        inner = [layer for message in self.messages for layer in message]
        return [part for layer in (*linear, *inner, *self.norms) for part in layer.parameters()]


class Message(NamedTuple):
    """The linear maps of a message: of the sender's state and of the edge's features."""

    node: torch.nn.Linear
    edge: torch.nn.Linear


def graph_tensors(graph: QueryGraph, draw: torch.Generator) -> Nodes:
    """The graph on the generator's device."""
    parts = (graph.query, graph.task[graph.home()], graph.task, graph.llm, graph.edge)
    flags = (graph.measured, graph.label, graph.signal[:, None])
    return Nodes(*(to_tensor(np.asarray(part, dtype=np.float64), draw) for part in (*parts, *flags)))


def graph_layers(nodes: Nodes, hidden: int, draw: torch.Generator) -> Layers:
    """Layers for such nodes, `2 * hidden` wide, with their random start."""
    import torch

    width = 2 * hidden
    return Layers(
        task=linear_layer(nodes.task.shape[1], hidden, draw),
        query=linear_layer(nodes.query.shape[1], hidden, draw),
        llm=linear_layer(nodes.llm.shape[1], width, draw),
        edge=linear_layer(_EDGE, _EDGE, draw),
        messages=(
            Message(linear_layer(width, width, draw), linear_layer(_EDGE, width, draw)),
            Message(linear_layer(width, width, draw), linear_layer(_EDGE, width, draw)),
        ),
        norms=(torch.nn.BatchNorm1d(width, device=draw.device), torch.nn.BatchNorm1d(width, device=draw.device)),
    )


def query_start(layers: Layers, nodes: Nodes) -> torch.Tensor:
    """Start (n, width) of the query nodes."""
    import torch

    start = (layers.task(nodes.own_task), layers.query(nodes.query))
    return torch.cat(start, dim=1)


def llm_end(layers: Layers, start: torch.Tensor, nodes: Nodes, visible: torch.Tensor, mean: bool) -> torch.Tensor:
    """States (m, width) of the model nodes after two convolutions over the visible edges (n, m).

    Queries receive no messages; they take part in the batch statistics only.
    """
    import torch

    n, edge = len(start), layers.edge(nodes.edge).relu()
    llm = layers.llm(nodes.llm)
    llm = llm + received(start, edge, visible, layers.messages[0], mean)
    both = layers.norms[0](torch.cat([start, llm])).relu()
    llm = both[n:] + received(both[:n], edge, visible, layers.messages[1], mean)
    end: torch.Tensor = layers.norms[1](torch.cat([both[:n], llm]))[n:]
    return end


def received(
    source: torch.Tensor, edge: torch.Tensor, visible: torch.Tensor, message: Message, mean: bool
) -> torch.Tensor:
    """Messages (m, width) that m nodes receive: sum or mean of W source + b + V edge + c over the visible edges.

    source (n, width), edge (n, m, features), visible (n, m) of 0 and 1. Both maps are linear, so that sums can be
    taken first; with the receiver's own state added this is torch_geometric.nn.GeneralConv.
    """
    import torch

    count = visible.sum(dim=0)[:, None]
    total = visible.T @ source @ message.node.weight.T
    total = total + torch.einsum("nm,nmk->mk", visible, edge) @ message.edge.weight.T
    total = total + count * (message.node.bias + message.edge.bias)
    return total / count.clamp(min=1) if mean else total
