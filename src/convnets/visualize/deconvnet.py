"""The deconvnet (Zeiler and Fergus 2013, arXiv:1311.2901, Section 2.1).

An image runs through the network. One activation of one layer is kept, all others are set to zero,
and what is left is led back to the pixels, layer by layer: max pooling is undone by its switches,
the places that its maxima came from; a ReLU lets pass what is positive of what comes back; a
convolution becomes the convolution with its transposed filters. Biases are not undone.

Each of these is also the backward pass of its layer, but for the ReLU, whose gradient would ask
where its input was positive. So the deconvnet is a backward pass from the kept activation with that
one rule changed. In a sequence of layers the two are the same; where a network branches, backward
adds up what the branches hand back, and that is the deconvnet of such networks here.

What the paper leaves open or says in passing:

- Contrast normalisation is left out on the way back, as in the paper: the gradient passes local
  response normalisation unchanged.
- Pooling windows that overlap may share a maximum. What their switches bring to it is summed.
- Average pooling spreads a value evenly over its window. Batch normalisation, an affine map in eval
  mode, multiplies by its scale. Both are the transposes of linear maps, as for a convolution.
- Activations that are no rectifiers keep their own gradient; see ``convnets.visualize.rectify``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from convnets.errors import UnknownName, UsageError
from convnets.layers.response_norm import ResponseNorm
from convnets.visualize.arrays import Picture, as_array
from convnets.visualize.layers import layer_maps
from convnets.visualize.rectify import changed_gradient, gradient_rule

Keep = Literal["strongest", "all"]


def deconvnet(
    network: nn.Module,
    images: Tensor,
    layer: str,
    unit: int | None = None,
    position: tuple[int, int] | None = None,
    *,
    keep: Keep = "strongest",
) -> Picture:
    """Project an activation of ``layer`` in each image back to the image's pixels.

    ``images`` (batch, channels, height, width) are normalised. ``unit`` is a channel of the layer's
    map and ``position`` a (row, column) in it; a classifier's outputs are units at (0, 0), and a
    transformer's tokens lie on the grid of their patches, without the class token. Where one of the
    two is None, the strongest activation that is left to choose is kept, in each image its own and
    of equal ones the first; with ``keep="all"`` all of them are. What is kept starts with its
    value, as in the paper: a picture is the gradient of a deconvnet times its activation.

    Returns axes image, channel, height, width. Raises ``UnknownName`` for a layer that the network
    lacks and ``UsageError`` for a unit or position outside its map.
    """
    if keep not in ("strongest", "all"):
        raise UnknownName("choice of what to keep", keep, ("strongest", "all"))

    def choose(maps: Tensor) -> Tensor:
        return _chosen(maps, unit, position, keep)

    what = "all units" if unit is None and keep == "all" else "the strongest unit"
    if unit is not None:
        what = f"unit {unit}"
    where = "" if position is None else f" at {position[0]}, {position[1]}"
    values = as_array(project(network, images, layer, choose))
    axes = ("image", "channel", "height", "width")
    return Picture(values, axes, f"deconvnet projection of {what}{where} of {layer}")


def project(
    network: nn.Module, images: Tensor, layer: str, choose: Callable[[Tensor], Tensor]
) -> Tensor:
    """The projection of those activations of a layer for which ``choose`` says True.

    ``choose`` takes the maps as ``layer_maps`` lays them out and returns a mask of their shape; the
    result has the shape of ``images``.
    """
    pixels = images.detach().requires_grad_()
    with torch.enable_grad(), without_normalisation(network), gradient_rule("deconvnet"):
        maps = layer_maps(network, pixels, layer)
    if not maps.requires_grad:
        raise UsageError(f"{layer}: no gradient leads from its output to the image")
    values = maps.detach()
    kept = torch.where(choose(values), values, torch.zeros_like(values))
    (projection,) = torch.autograd.grad(maps, pixels, kept)
    return projection


def _chosen(maps: Tensor, unit: int | None, position: tuple[int, int] | None, keep: Keep) -> Tensor:
    """The mask of the activations to keep in maps (batch, units, rows, columns)."""
    sizes = maps.shape[1:]
    places = (None, None) if position is None else position
    for name, index, size in zip(("unit", "row", "column"), (unit, *places), sizes, strict=True):
        if index is not None and not 0 <= index < size:
            raise UsageError(f"{name} is {index}; the layer has {size}, counted from 0")
    whole = slice(None)
    part = tuple(whole if index is None else index for index in (unit, *places))
    chosen = torch.zeros_like(maps, dtype=torch.bool)
    chosen[(whole, *part)] = True
    if keep == "all":
        return chosen
    strongest = maps.masked_fill(~chosen, -torch.inf).flatten(1).argmax(1, keepdim=True)
    return torch.zeros_like(chosen.flatten(1)).scatter(1, strongest, True).view_as(maps)


@contextmanager
def without_normalisation(network: nn.Module) -> Iterator[None]:
    """Local response normalisation works as ever, but its gradient is what arrives."""

    def straight(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return changed_gradient(inputs[0], output.clone, _unchanged)

    kinds = (ResponseNorm, nn.CrossMapLRN2d)
    hooks = [
        module.register_forward_hook(straight)
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    try:
        with _StraightResponseNorm():
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _StraightResponseNorm(TorchFunctionMode):
    """Meets ``F.local_response_norm``, which ``nn.LocalResponseNorm`` calls too."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        def compute() -> Any:
            return func(*args, **(kwargs or {}))

        if func is not F.local_response_norm:
            return compute()
        x = args[0] if args else kwargs["input"]
        return changed_gradient(x, compute, _unchanged)


def _unchanged(gradient: Tensor) -> Tensor:
    return gradient


def max_pool_with_switches(
    maps: Tensor, kernel: int, stride: int | None = None
) -> tuple[Tensor, Tensor]:
    """Max pooling in plain steps: the maxima, and the switches that say where they came from.

    ``maps`` (..., height, width) gives two tensors (..., rows, columns). A switch is a place in the
    map, counted row by row; among equals the first is taken. ``stride`` is ``kernel`` by default.
    Raises ``UsageError`` for a window larger than the map.

    >>> max_pool_with_switches(torch.tensor([[1.0, 5, 2, 0], [3, 4, 8, 7]]), 2)
    (tensor([[5., 8.]]), tensor([[1, 6]]))
    """
    step = kernel if stride is None else stride
    height, width = maps.shape[-2:]
    if not 1 <= kernel <= min(height, width) or step < 1:
        raise UsageError(f"no window of {kernel} with stride {step} in a {height}x{width} map")
    windows = maps.unfold(-2, kernel, step).unfold(-2, kernel, step).flatten(-2)
    values, inside = windows.max(-1)
    rows, columns = values.shape[-2:]
    row = torch.arange(rows, device=maps.device)[:, None] * step + inside // kernel
    column = torch.arange(columns, device=maps.device) * step + inside % kernel
    return values, row * width + column


def unpool(values: Tensor, switches: Tensor, shape: tuple[int, int]) -> Tensor:
    """Put each value back to the place its switch names in a map of ``shape``; zero elsewhere.

    ``values`` and ``switches`` are (..., rows, columns), the result (..., height, width). Values
    that windows sharing a maximum bring to the same place are summed.

    >>> unpool(torch.tensor([[5.0, 8.0]]), torch.tensor([[1, 6]]), (2, 4))
    tensor([[0., 5., 0., 0.],
            [0., 0., 8., 0.]])
    """
    if values.shape != switches.shape:
        raise UsageError(
            f"values of shape {tuple(values.shape)} have switches of {tuple(switches.shape)}"
        )
    size = int(np.prod(shape))
    if switches.numel() and not 0 <= int(switches.min()) <= int(switches.max()) < size:
        raise UsageError(f"a switch lies outside a {shape[0]}x{shape[1]} map")
    flat = values.new_zeros((*values.shape[:-2], size))
    flat.scatter_add_(-1, switches.flatten(-2), values.flatten(-2))
    return flat.view(*values.shape[:-2], *shape)
