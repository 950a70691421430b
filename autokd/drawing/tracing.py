"""A network as a list of operations, watched while it runs once on the `meta` device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from autokd.budget import Cost
from autokd.cost import measure_cost
from autokd.drawing import words
from autokd.task import Task

_COPIES = ("_to_copy", "_unsafe_view", "clone")
"""Operators that move numbers and compute none."""


@dataclass
class Operation:
    """One operation of a network: the call of a module that has no parts, or of an operator.

    Attributes:
        name: unique; where its module is in the network, or what it does if it has no module.
        words: what it does.
        inputs: positions of the operations whose results it reads, in the order of reading.
        shape: of its result for one image, without the batch.
        bytes: of its result for one image.
        parameters: scalars of its parameters; those of a shared one belong to its first reader.
        macs: multiply-accumulate operations for one image.
    """

    name: str
    words: str
    inputs: list[int] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    bytes: int = 0
    parameters: int = 0
    macs: int = 0

    def gives(self, result: Tensor) -> None:
        """Notes shape and size of the result."""
        self.shape = tuple(result.shape[1:])
        self.bytes = result.numel() * result.element_size()


def trace(network: nn.Module, task: Task) -> tuple[list[Operation], Cost]:
    """The operations of one inference, in the order of running, and what they cost together.

    The first is the image itself. An edge is a tensor that one operation makes and another reads,
    so any network can be traced whatever its code does: modules count as one operation if they have
    no children or are torch's own (attention, say); what else is computed is named by its operator.
    Views, copies and constants are no operations of their own, unless a module makes them.

    Args:
        network: takes images (n, channels, height, width); lives on the `meta` device.
        task: gives the shape of the image.

    Raises:
        ValueError: the network lives elsewhere, where its parameters could not be told from other
            tensors.
    """
    if not all(parameter.is_meta for parameter in network.parameters()):
        raise ValueError("expected a network on `meta`; build it within torch.device('meta')")
    tracer = _Tracer(network)
    with ExitStack() as hooks:
        hooks.enter_context(network.register_forward_pre_hook(tracer.image_comes))
        for name, module in _leaves(network, ""):
            tracer.names[module] = name
            hooks.enter_context(module.register_forward_pre_hook(tracer.module_begins))
            hooks.enter_context(module.register_forward_hook(tracer.module_ends))
        cost = measure_cost(network, task, tracer.operator_ran)
    return tracer.operations, cost


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Modules that count as one operation, by path; the network itself if it is one of torch."""
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    own = type(module).__module__.startswith("torch.nn.") and not isinstance(module, containers)
    if own or (name and not any(module.children())):
        yield name or type(module).__name__, module
        return
    for part, child in module.named_children():
        yield from _leaves(child, f"{name}.{part}" if name else part)


class _Tracer:
    """Learns from hooks which module runs, and from operators who reads whose tensors."""

    def __init__(self, network: nn.Module) -> None:
        self.operations: list[Operation] = []
        self.names: dict[nn.Module, str] = {}
        self._used: Counter[str] = Counter()
        self._module: nn.Module | None = None
        self._current: int | None = None
        self._parameters = {_storage(each): each.numel() for each in network.parameters()}
        self._unclaimed = dict(self._parameters)
        # By tensor, not by storage: a view may be an operation's result when its base is another's.
        self._makers: MutableMapping[Tensor, int] = WeakTensorKeyDictionary()
        # What was written in place is seen through all views.
        self._writers: dict[int, int] = {}

    def image_comes(self, _network: nn.Module, inputs: tuple[Tensor]) -> None:
        """The network is about to run."""
        (image,) = inputs
        self._makers[image] = self._add("image", "image")
        self.operations[0].gives(image)

    def module_begins(self, module: nn.Module, _inputs: Any) -> None:
        """All that runs until it ends is one operation."""
        if self._module is None:
            self._module, self._current = module, None

    def module_ends(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """What it gives is the operation's result; one that ran nothing is no operation."""
        if self._module is not module:
            return
        results = _tensors(output)
        if self._current is not None and results:
            self.operations[self._current].gives(results[0])
        self._module = self._current = None

    def operator_ran(self, operator: Any, arguments: Sequence[Any], result: Any, macs: int) -> None:
        """An operator of `aten` has run."""
        read, results = _tensors(arguments), _tensors(result)
        sources = [maker for maker in map(self._maker, read) if maker is not None]
        parameters = [key for key in map(_storage, read) if key in self._parameters]
        kind = operator.overloadpacket.__name__
        in_place, is_view = operator._schema.is_mutable, operator.is_view
        if not in_place and not is_view:
            for tensor in results:  # their memory may have been another's
                self._writers.pop(_storage(tensor), None)
        if kind.startswith("new_") or kind.endswith("_like"):
            return  # a constant
        if not sources and (is_view or not parameters):
            return  # likewise, or a parameter whose reader is yet to come
        if sources and self._module is None and (is_view or kind in _COPIES):
            for tensor in results:
                self._makers[tensor] = sources[0]
            return
        number = self._number(operator)
        operation = self.operations[number]
        operation.inputs += dict.fromkeys(
            source for source in sources if source != number and source not in operation.inputs
        )
        operation.parameters += sum(self._unclaimed.pop(key, 0) for key in parameters)
        operation.macs += macs
        for tensor in results:
            self._makers[tensor] = number
            if in_place:
                self._writers[_storage(tensor)] = number
        if self._module is None and results:
            operation.gives(results[0])

    def _maker(self, tensor: Tensor) -> int | None:
        """Who made the tensor what it is."""
        known = (self._makers.get(tensor), self._writers.get(_storage(tensor)))
        return max((number for number in known if number is not None), default=None)

    def _number(self, operator: Any) -> int:
        """Of the operation that runs."""
        if self._module is None:
            named = words.of_operator(operator)
            return self._add(named, named)
        if self._current is None:
            self._current = self._add(self.names[self._module], words.of_module(self._module))
        return self._current

    def _add(self, name: str, named: str) -> int:
        self._used[name] += 1
        again = f"#{self._used[name]}" if self._used[name] > 1 else ""
        self.operations.append(Operation(name + again, named))
        return len(self.operations) - 1


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
