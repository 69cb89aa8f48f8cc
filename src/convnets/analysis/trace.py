"""Run a network once without memory and write down what each module does."""

from __future__ import annotations

import gc
import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from convnets.analysis.channels import input_channels
from convnets.analysis.cost import LayerCost, Profile
from convnets.analysis.counting import Operation, known, operation_cost
from convnets.analysis.field import FieldTracker, memory, tensors
from convnets.analysis.grid import Field
from convnets.errors import UsageError
from convnets.layers.meta import on_meta
from convnets.layers.shapes import META, QuickShapes, result


def profile(
    module: nn.Module,
    input_size: int | tuple[int, ...],
    *,
    in_chans: int | None = None,
    batch_size: int = 1,
) -> Profile:
    """Count what one forward pass of ``module`` in eval mode costs, layer by layer.

    ``input_size`` is in pixels: one side of a square image, (height, width), or the sizes of any
    other number of axes; () feeds plain vectors. ``in_chans`` defaults to the module's own
    ``in_chans``, else to the channels of its first convolution or linear layer.

    A twin of the module runs on the meta device: no weights are read or copied, an image of any
    size costs no memory, and ``module`` stays as it is. Attention keeps its scores for backward, as
    the plain formula does; a fused kernel keeps less.

    A module with a method ``macs(output_height, output_width) -> int`` states the multiply-adds of
    one image itself, as one does whose dense convolution has zeros by design.

    Raises ``UsageError`` where the sizes do not fit or the forward pass depends on values.

    >>> profile(nn.Conv2d(3, 96, 11, stride=4), 227).params
    34944
    """
    sizes = (input_size,) * 2 if isinstance(input_size, int) else tuple(input_size)
    channels = input_channels(module) if in_chans is None else in_chans
    shape = (batch_size, channels, *sizes)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise UsageError(f"input shape {shape} must be of positive whole numbers")
    with _garbage_kept():
        twin = on_meta(module)
        dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
        trace = _Trace(twin, torch.empty(shape, device=META, dtype=dtype))
        try:
            trace.run()
        except (RuntimeError, TypeError) as error:
            where = trace.running or type(module).__name__
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"{where}: cannot be profiled with an input of {shape}: {reason}"
            ) from error
        return trace.profile()


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """A profile is many small things that all stay: to look for garbage can double its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@dataclass
class _Row:
    """A ``LayerCost`` in the making."""

    name: str
    kind: str
    parent: int | None
    depth: int
    output_shape: tuple[int, ...] = ()
    params: int = 0
    macs: int = 0
    flops: int = 0
    activation_bytes: int = 0
    kept_bytes: int = 0
    moved_bytes: int = 0
    field: Field | None = None


class _Trace(QuickShapes):  # type: ignore[no-untyped-call]
    """Attributes each operation to the innermost module that runs."""

    def __init__(self, twin: nn.Module, images: Tensor) -> None:
        super().__init__()
        self._twin = twin
        self._images = images
        self._names = {module: name for name, module in twin.named_modules()}
        parameters = [p for part in self._names for p in part._parameters.values() if p is not None]
        buffers = [b for part in self._names for b in part._buffers.values() if b is not None]
        self._params = {memory(p): p.numel() for p in parameters}
        self._state = {memory(tensor) for tensor in (*parameters, *buffers)}
        self._unused = dict(self._params)
        self._rows: list[_Row] = []
        self._open: list[int] = []
        self._kept: set[int] = set()
        self._uncounted: Counter[str] = Counter()
        self._fields = FieldTracker(images)
        # Memory is known by its address, so what was seen must outlive the trace.
        self._alive = {memory(images): images.untyped_storage()}

    @property
    def running(self) -> str:
        """Path of the innermost module at work, also after an error ended it."""
        return self._rows[self._open[-1]].name if self._open else ""

    def run(self) -> None:
        for module in self._names:
            module.register_forward_pre_hook(self._enter, prepend=True)
            module.register_forward_hook(self._leave)
        saved = torch.autograd.graph.saved_tensors_hooks(self._keep, _never)
        with torch.enable_grad(), saved, self:
            self._twin(self._images)

    def profile(self) -> Profile:
        layers = tuple(LayerCost(**vars(row)) for row in self._rows)
        return Profile(
            input_shape=tuple(self._images.shape),
            params=sum(self._params.values()),
            unused_params=sum(self._unused.values()),
            macs=sum(layer.macs for layer in layers),
            flops=sum(layer.flops for layer in layers),
            activation_bytes=sum(layer.activation_bytes for layer in layers),
            kept_bytes=sum(layer.kept_bytes for layer in layers),
            layers=layers,
            uncounted=tuple(self._uncounted.most_common()),
        )

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        parent = self._open[-1] if self._open else None
        row = _Row(self._names[module], type(module).__name__, parent, len(self._open))
        self._open.append(len(self._rows))
        self._rows.append(row)

    def _leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        index = self._open.pop()
        row = self._rows[index]
        first = next(iter(tensors(output)), None)
        if first is None:
            return
        row.output_shape = tuple(first.shape)
        row.field = self._fields.field(first)
        if _states_macs(module):
            for inner in self._rows[index:]:
                inner.flops -= 2 * inner.macs
                inner.macs = 0
            row.macs = first.shape[0] * module.macs(*first.shape[-2:])  # type: ignore[operator]
            row.flops += 2 * row.macs

    def _keep(self, tensor: Tensor) -> None:
        """Autograd saves ``tensor`` for backward: charge memory that is no weight, once."""
        key = self._remember(tensor)
        if key not in self._kept and key not in self._state and self._open:
            self._kept.add(key)
            self._rows[self._open[-1]].kept_bytes += self._alive[key].nbytes()

    def _remember(self, tensor: Tensor) -> int:
        key = memory(tensor)
        self._alive.setdefault(key, tensor.untyped_storage())
        return key

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        # What the forward pass makes of numbers would be on the CPU.
        inputs = tensors(args)
        if any(not tensor.is_meta for tensor in inputs):
            args = tree_map_only(Tensor, lambda tensor: tensor.to(META), args)
            inputs = tensors(args)
        if kwargs and "device" in kwargs:
            kwargs = {**kwargs, "device": META}
        output = result(func, args, kwargs)
        if self._open:
            self._charge(self._rows[self._open[-1]], known(func), args, inputs, output)
        return output

    def _charge(
        self,
        row: _Row,
        operation: Operation,
        args: tuple[Any, ...],
        inputs: list[Tensor],
        output: Any,
    ) -> None:
        """Add to a row what an operation cost, and note the memory that it wrote."""
        cost = operation_cost(operation, args, output)
        if cost is None:
            self._uncounted[operation.name] += 1
        else:
            row.macs += cost[0]
            row.flops += cost[1]
        for tensor in inputs:
            row.params += self._unused.pop(memory(tensor), 0)
        if operation.shares_memory:
            return
        outputs = tensors(output)
        for tensor in inputs:
            row.moved_bytes += tensor.nbytes
        for tensor in outputs:
            row.moved_bytes += tensor.nbytes
            if memory(tensor) not in self._alive and tensor.is_floating_point():
                row.activation_bytes += tensor.nbytes
        self._fields.follow(operation, args, inputs, outputs)
        for tensor in outputs:
            self._remember(tensor)


def _never(_: object) -> Tensor:
    raise RuntimeError("the forward pass asks for a gradient")


def _states_macs(module: nn.Module) -> bool:
    method = getattr(type(module), "macs", None)
    if not inspect.isfunction(method):
        return False
    return list(inspect.signature(method).parameters)[1:] == ["output_height", "output_width"]
