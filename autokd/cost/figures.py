"""Parameters, bytes and multiply-accumulate operations of a network, without running it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autokd.budget import Cost
from autokd.task import Task

aten = torch.ops.aten


class Observer(Protocol):
    """Is told of every operator while a network is costed; must not keep tensors alive."""

    def __call__(self, operator: Any, arguments: Sequence[Any], result: Any, macs: int) -> None:
        """Called when an operator of `aten` has run, with its MACs."""
        ...


def measure_cost(network: nn.Module, task: Task, observe: Observer | None = None) -> Cost:
    """The cost of one inference with batch size 1, from shapes alone.

    The network runs once on the `meta` device, in evaluation mode and without gradients, and is
    left as it was; it may live on any device. Counted are:

    - parameters: every scalar of every `nn.Parameter`, a shared one once;
    - MACs: of convolutions and matrix products (attention included), as is customary;
    - peak bytes: of all tensors alive at once as PyTorch keeps them, in float32. The input counts
      for the whole inference, since the caller holds it; views and in-place results cost nothing;
      scratch memory inside a kernel is not a tensor and is not counted. `meta` has no fused
      attention, so the peak of an attention layer is that of the plain matrix products.

    Args:
        network: takes images (n, channels, height, width).
        task: gives the shape of the image.
        observe: is told of every operator, in the order in which they run.
    """
    weights: list[Tensor] = [*network.parameters(), *network.buffers()]
    meta = {id(tensor): tensor.detach().to("meta") for tensor in weights}
    named = chain(
        network.named_parameters(remove_duplicate=False),
        network.named_buffers(remove_duplicate=False),
    )
    substitutes = {name: meta[id(tensor)] for name, tensor in named}
    image = torch.empty(1, *task.input_shape, device="meta")
    meter = _Meter(meta.values(), image, observe)
    with _evaluating(network), torch.no_grad(), meter:
        torch.func.functional_call(network, substitutes, (image,), tie_weights=False)
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        weight_bytes=sum(tensor.nbytes for tensor in weights),
        peak_activation_bytes=meter.peak,
        macs=meter.macs,
    )


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = [module for module in network.modules() if module.training]
    try:
        network.eval()
        yield
    finally:
        for module in training:
            module.training = True


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts MACs and the bytes of live storages while operators run on the `meta` device.

    Attributes:
        macs: multiply-accumulate operations so far.
        live: bytes of the storages that are alive, weights not among them.
        peak: largest value of `live` so far.
    """

    def __init__(
        self, weights: Iterable[Tensor], image: Tensor, observe: Observer | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self._observe = observe
        self.macs = self.live = self.peak = 0
        self._known = {weight.untyped_storage()._cdata: weight for weight in weights}
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._track(image)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        shortcut = _SHORTCUTS.get(func)
        result = None if shortcut is None else shortcut(*args)
        if result is None:
            result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._track(tensor)
        macs = _MACS[func](result, *args) if func in _MACS else 0
        self.macs += macs
        if self._observe is not None:
            self._observe(func, args, result, macs)
        return result

    def _track(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known or key in self._alive:
            return
        size = storage.nbytes()
        # PyTorch keeps one Python object per storage for as long as the storage lives, so this
        # fires at the moment the memory is freed.
        self._alive[key] = weakref.ref(storage, partial(self._free, key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def _free(self, key: int, size: int, _: object) -> None:
        del self._alive[key]
        self.live -= size


def _convolution_macs(
    result: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *rest: Any,
) -> int:
    """Every element of the result (of the input, if transposed) meets one whole filter.

    The weight is (out, in / groups, *kernel), or (in, out / groups, *kernel) if transposed.
    """
    return (x if transposed else result).numel() * weight[0].numel()


def _product_macs(result: Tensor, left: Tensor, right: Tensor, *rest: Any) -> int:
    return left.numel() * right.shape[-1]


def _added_product_macs(
    result: Tensor, addend: Tensor, left: Tensor, right: Tensor, *rest: Any
) -> int:
    return left.numel() * right.shape[-1]


_MACS: dict[Any, Callable[..., int]] = {
    aten.convolution.default: _convolution_macs,
    aten.mm.default: _product_macs,
    aten.bmm.default: _product_macs,
    aten.addmm.default: _added_product_macs,
    aten.baddbmm.default: _added_product_macs,
}


# Shortcuts: results as `meta` would give them but for the time, of which it takes up to a
# millisecond per operator; None leaves the operator to `meta`.


def _batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *rest: Any
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Outside of training kernels return no batch statistics, whereas `meta` does."""
    return None if training else (torch.empty_like(x), x.new_empty(0), x.new_empty(0))


def _unary(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x)


def _binary(x: Tensor, y: Any, *rest: Any) -> Tensor | None:
    same = isinstance(y, Tensor) and y.dtype == x.dtype and y.shape in (x.shape, ())
    return torch.empty_like(x) if same else None


def _in_place(x: Tensor, *rest: Any) -> Tensor:
    return x


_SHORTCUTS: dict[Any, Callable[..., Any]] = {
    aten.native_batch_norm.default: _batch_norm,
    aten.relu.default: _unary,
    aten.sigmoid.default: _unary,
    aten.silu.default: _unary,
    aten.gelu.default: _unary,
    aten.hardswish.default: _unary,
    aten.hardsigmoid.default: _unary,
    aten.add.Tensor: _binary,
    aten.mul.Tensor: _binary,
    aten.add_.Tensor: _in_place,
    aten.mul_.Tensor: _in_place,
    aten.div_.Tensor: _in_place,
    aten.addcmul_.default: _in_place,
    aten.silu_.default: _in_place,
    aten.hardswish_.default: _in_place,
    aten.hardsigmoid_.default: _in_place,
}
