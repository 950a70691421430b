"""The architecture of a candidate as JSON data: layers, what each costs, and who reads whom."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from autokd.budget import Cost
from autokd.drawing.tracing import Operation, trace
from autokd.layers import GraphNetwork
from autokd.space import Architecture, SearchSpace
from autokd.task import Task


def candidate_graph(
    space: SearchSpace, architecture: Architecture, task: Task, teacher: Cost | None = None
) -> dict[str, Any]:
    """The graph of a student, from its choices alone: it has no values and needs no training.

    Args:
        space: builds it.
        architecture: the student.
        task: what it is for.
        teacher: the teacher's figures, if they are known.

    Returns:
        What `network_graph` gives, and `teacher`: the same totals, or nothing.
    """
    with torch.device("meta"):
        network = space.build(architecture, task)
    return {**network_graph(network, task), "teacher": _totals(teacher) if teacher else {}}


def network_graph(network: nn.Module, task: Task) -> dict[str, Any]:
    """The graph of a network on the `meta` device.

    A node is a layer as people count them: a convolution with the normalisation and activation
    around it is one. The first node is the image.

    Returns:
        `nodes`: `id` (where its main operation is in the network), `operation` (what it mainly
        does), `label` (all that it does, in order), `stage` (0, 1, …: by the size of the images it
        works on), `channels` and `shape` of its result for one image, `parameters`, `macs`, and
        `bytes` of its result.
        `edges`: `source` and `target`, ids, in the order in which a node reads its inputs.
        `totals`: `parameters`, `weight_bytes`, `peak_activation_bytes` and `macs` of the network.
    """
    operations, cost = trace(network, task)
    layers = _layers(operations)
    home = {number: layer for layer, members in enumerate(layers) for number in members}
    inputs = [
        list(dict.fromkeys(home[source] for source in operations[members[0]].inputs))
        for members in layers
    ]
    read = {source for sources in inputs for source in sources}
    stages = _stages([operations[members[-1]].shape for members in layers], inputs)
    nodes = [
        _node([operations[number] for number in members], stage, is_last=layer not in read)
        for layer, (members, stage) in enumerate(zip(layers, stages, strict=True))
    ]
    if isinstance(network, GraphNetwork):
        for node in nodes:
            node["id"] = node["id"].removeprefix("operations.")
    edges = [
        {"source": nodes[source]["id"], "target": node["id"]}
        for node, sources in zip(nodes, inputs, strict=True)
        for source in sources
    ]
    return {"nodes": nodes, "edges": edges, "totals": _totals(cost)}


def _totals(cost: Cost) -> dict[str, int]:
    return {
        "parameters": cost.parameters,
        "weight_bytes": cost.weight_bytes,
        "peak_activation_bytes": cost.peak_activation_bytes,
        "macs": cost.macs,
    }


def _node(operations: Sequence[Operation], stage: int, *, is_last: bool) -> dict[str, Any]:
    main = max(operations, key=lambda operation: operation.macs)  # of equal ones the first
    result = operations[-1]
    shape = result.shape
    # Images are (channels, height, width); tokens and vectors have their channels last.
    channels = shape[0 if len(shape) == 3 else -1] if shape else 1
    return {
        "id": main.name,
        "label": ", ".join(operation.words for operation in operations),
        "operation": "head" if is_last and main.words == "linear" else main.words,
        "stage": stage,
        "channels": channels,
        "shape": list(shape),
        "parameters": sum(operation.parameters for operation in operations),
        "macs": sum(operation.macs for operation in operations),
        "bytes": result.bytes,
    }


def _layers(operations: Sequence[Operation]) -> list[list[int]]:
    """Positions of the operations that are one layer, in the order of running.

    What changes numbers one by one, or only their arrangement, belongs to the operation before it
    if nobody else reads that one's result; else to the one after it if nobody else reads its own.
    """
    readers = Counter(source for operation in operations for source in operation.inputs)

    def alone(number: int) -> bool:
        """Whether the operation has one input, which nobody else reads, and it is no image."""
        inputs = operations[number].inputs
        return len(inputs) == 1 and inputs[0] != 0 and readers[inputs[0]] == 1

    layers: list[list[int]] = []
    home: dict[int, list[int]] = {}
    for number, operation in enumerate(operations):
        if alone(number) and _is_light(operations, number):
            layer = home[operation.inputs[0]]
        else:
            layer = []
            layers.append(layer)
        layer.append(number)
        home[number] = layer
    for layer in layers:
        first = layer[0]
        if not alone(first):
            continue
        before = home[operations[first].inputs[0]]
        if all(_is_light(operations, number) for number in before):
            layer[:0] = before
            home.update(dict.fromkeys(before, layer))
            before.clear()
    return [layer for layer in layers if layer]


def _is_light(operations: Sequence[Operation], number: int) -> bool:
    operation = operations[number]
    if len(operation.inputs) != 1 or operation.macs:
        return False
    return math.prod(operation.shape) == math.prod(operations[operation.inputs[0]].shape)


def _stages(shapes: Sequence[Sequence[int]], inputs: Sequence[Sequence[int]]) -> list[int]:
    """Stage of each node, never smaller than that of a node it reads.

    A node's size is that of the largest image that is made of its result: a squeeze of an image to
    numbers that scale the same image is within the image's stage. Halves of the size tell stages.

    Args:
        shapes: of the results: (channels, height, width), or another.
        inputs: positions of the nodes that each node reads, all before its own.
    """
    sizes: list[float] = []
    for shape, sources in zip(shapes, inputs, strict=True):
        if len(shape) == 3:
            sizes.append(math.sqrt(shape[1] * shape[2]))
        elif len(shape) == 1:
            sizes.append(1.0)
        else:
            # Tokens are of the images that they were made of; a parameter's readers will tell.
            sizes.append(min((sizes[s] for s in sources if sizes[s]), default=0.0))
    for node in reversed(range(len(sizes))):
        for source in inputs[node]:
            sizes[source] = max(sizes[source], sizes[node])
    halvings = [max(0, round(math.log2(sizes[0] / size))) if size else 0 for size in sizes]
    found = sorted(set(halvings))
    return [found.index(each) for each in halvings]
