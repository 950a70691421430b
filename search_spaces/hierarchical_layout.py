"""The wiring of `HierarchicalGraph`: from a generator's parameters to a graph of operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx

from autokd.seeding import seed_for
from autokd.space import Architecture
from autokd.task import Task
from search_spaces.random_graphs import Wiring, erdos_renyi, watts_strogatz

_STEM = -1  # the stem, where a cell is meant
_STAGES = 3
_STRIDED_STEM_FROM = 64  # pixels of the shorter side


class Layout:
    """Lays the three levels out as one graph of primitive operations.

    Nodes are added in the order in which they are to run: cell by cell, and a tensor is pooled for
    later stages as soon as its last reader at its own resolution has run.

    Attributes:
        graph: node attributes are `kind`, `stage`, `size`, and `planes`, the name of a number of
            channels that is yet to be set; also `gates` of a merge and `stride` of a convolution.
    """

    def __init__(self, architecture: Architecture, task: Task) -> None:
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self._choices, self._seed = architecture.choices, architecture.seed
        self._top = self._small_world("top", 0)
        self._results: dict[tuple[int, int], str] = {}  # by cell and stage whose resolution it has
        stem = self._stem(task)
        height, width = self.graph.nodes[stem]["size"]
        self._sizes = [(max(1, height >> s), max(1, width >> s)) for s in range(_STAGES)]
        self._keep(_STEM, stem)
        for cell in range(len(self._top)):
            self._keep(cell, self._cell(cell))
        self._head()

    def _add(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; attributes that are not given are those of its first input."""
        for key in ("stage", "size", "planes") if inputs else ():
            attributes.setdefault(key, self.graph.nodes[inputs[0]][key])
        self.graph.add_node(name, kind=kind, **attributes)
        self.graph.add_edges_from((node, name) for node in inputs)
        return name

    def _small_world(self, level: str, index: int) -> Wiring:
        return watts_strogatz(
            int(self._choices[f"{level}_nodes"]),
            int(self._choices.get(f"{level}_neighbours", 2)),
            float(self._choices.get(f"{level}_rewiring", 0)),
            seed_for(self._seed, index, level),
        )

    def _stage(self, cell: int) -> int:
        return 0 if cell == _STEM else _STAGES * cell // len(self._top)

    def _sources(self, cell: int) -> tuple[int, ...]:
        return self._top.sources[cell] or (_STEM,)

    def _stem(self, task: Task) -> str:
        size = task.input_shape[1:]
        strided = min(size) >= _STRIDED_STEM_FROM
        x: tuple[str, ...] = ()
        for index, planes in enumerate(("stem" if strided else "stage0", "stage0")):
            if index:
                x = (self._add("stem_relu", "relu", *x),)
            if strided:
                size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
            details = {"planes": planes, "stage": 0, "size": size, "stride": 2 if strided else 1}
            x = (self._add(f"stem_conv{index}", "conv", *x, **details),)
            x = (self._add(f"stem_norm{index}", "norm", *x),)
        return x[0]

    def _keep(self, cell: int, result: str) -> None:
        """Note the result of `cell`; pool each tensor that it was the last to read unpooled."""
        self._results[cell, self._stage(cell)] = result
        for source in range(_STEM, cell + 1):
            own = self._stage(source)
            readers = [r for r in range(len(self._top)) if source in self._sources(r)]
            stages = {self._stage(reader) for reader in readers}
            if source in self._top.outputs:
                stages.add(self._stage(self._top.outputs[-1]))
            if max([source, *(r for r in readers if self._stage(r) == own)]) == cell:
                for stage in sorted(stages - {own}):
                    self._results[source, stage] = self._pool(source, stage)

    def _pool(self, source: int, stage: int) -> str:
        tensor = self._results[source, self._stage(source)]
        if self.graph.nodes[tensor]["size"] == self._sizes[stage]:
            return tensor
        name = f"{_label(source)}_pool{stage}"
        return self._add(name, "pool", tensor, stage=stage, size=self._sizes[stage])

    def _adapted(self, name: str, sources: Sequence[int], stage: int) -> list[str]:
        """Results of `sources` at the resolution of `stage`, with the planes of the last of them.

        Those that have these planes come first, then those that are projected to them.
        """
        tensors = [self._results[source, stage] for source in sources]
        planes = self.graph.nodes[tensors[-1]]["planes"]
        plain, projected = [], []
        for source, tensor in zip(sources, tensors, strict=True):
            if self.graph.nodes[tensor]["planes"] == planes:
                plain.append(tensor)
            else:
                node = f"{name}_from_{_label(source)}"
                projected.append(self._add(node, "project", tensor, planes=planes))
        return plain + projected

    def _merge(self, name: str, inputs: Sequence[str]) -> str:
        if len(inputs) == 1:
            return inputs[0]
        gates = sum(self.graph.nodes[node]["kind"] != "project" for node in inputs)
        return self._add(f"{name}_merge", "merge", *inputs, gates=gates)

    def _mean(self, name: str, inputs: Sequence[str]) -> str:
        return inputs[0] if len(inputs) == 1 else self._add(f"{name}_mean", "mean", *inputs)

    def _compose(
        self, name: str, part: str, wiring: Wiring, x: str, element: Callable[[int, str, str], str]
    ) -> str:
        """Wire the results of `element(index, name, input)`; input nodes all take `x`."""
        results: list[str] = []
        for index, sources in enumerate(wiring.sources):
            inner = f"{name}_{part}{index}"
            merged = self._merge(inner, [results[source] for source in sources] or [x])
            results.append(element(index, inner, merged))
        return self._mean(name, [results[output] for output in wiring.outputs])

    def _cell(self, cell: int) -> str:
        name, stage = _label(cell), self._stage(cell)
        x = self._merge(name, self._adapted(name, self._sources(cell), stage))
        middle = erdos_renyi(
            int(self._choices["middle_nodes"]),
            float(self._choices.get("middle_probability", 0)),
            seed_for(self._seed, cell, "middle"),
        )

        def block(index: int, name: str, x: str) -> str:
            bottom = self._small_world("bottom", cell * len(middle) + index)
            return self._compose(name, "op", bottom, x, operation)

        def operation(_: int, name: str, x: str) -> str:
            x = self._add(f"{name}_relu", "relu", x)
            x = self._add(f"{name}_conv", "conv", x, planes=f"stage{stage}", stride=1)
            return self._add(f"{name}_norm", "norm", x)

        return self._compose(name, "block", middle, x, block)

    def _head(self) -> None:
        outputs = self._top.outputs
        x = self._mean("head", self._adapted("head", outputs, self._stage(outputs[-1])))
        x = self._add("head_relu", "relu", x)
        x = self._add("head_pool", "pool", x, size=(1, 1))
        x = self._add("head_flatten", "flatten", x)
        self._add("head_linear", "linear", x, planes="classes")


def _label(cell: int) -> str:
    return "stem" if cell == _STEM else f"cell{cell}"
