"""A layer's output as feature maps, whatever network it is in and however it is laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from math import isqrt
from typing import Any

from torch import Tensor, nn

from convnets.data.batches import Batch
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet

SomeImages = Tensor | Batch | Sequence[Any]
"""Images (batch, channels, height, width), or a batch that holds or begins with them."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode, and each module's own mode again afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def layer_maps(network: nn.Module, images: Tensor, layer: str) -> Tensor:
    """A layer's output in eval mode as maps (batch, channels, height, width); see ``as_maps``.

    Raises ``UnknownName`` for a layer that the network lacks and ``UsageError`` for one that gives
    no maps.
    """
    with evaluating(network):
        # A copy, since a network's first layer may work in place.
        output = layer_output(network, images.clone(), layer)
    if len(output) != len(images):
        raise UsageError(f"{layer} splits {len(images)} images into {len(output)} parts")
    return as_maps(output, layer, channels_last(network, layer, output))


def layer_output(network: nn.Module, images: Tensor, layer: str) -> Tensor:
    """The output of the module at path ``layer``: of its last run, and of several the first.

    That is what ``ConvNet.forward_intermediates`` returns, with its gradient and for any module.
    The stages of a ``ConvNet`` that follow the layer's do not run.
    """
    found: list[Tensor] = []

    def keep(maps: Tensor) -> Tensor:
        found[:] = [maps]
        # What follows may write over its input, so it gets a copy.
        return maps.clone()

    with passing(network, {layer: keep}), _up_to(network, layer):
        network(images)
    if not found:
        raise UsageError(f"{layer} does not run in eval mode")
    return found[0]


@contextmanager
def passing(
    network: nn.Module,
    layers: Mapping[str, Callable[[Tensor], Tensor | None]],
    *,
    only_maps: bool = True,
) -> Iterator[None]:
    """Let what layers give pass through functions, which may put something else in its place.

    Of a layer that gives several tensors it is the first. One that gives no tensor is an error, or
    left alone with ``only_maps=False``.
    """
    modules = dict(network.named_modules())
    if unknown := layers.keys() - modules.keys():
        raise UnknownName("layer", min(unknown), filter(None, modules))

    def hook(layer: str, output: Any) -> Any:
        several = isinstance(output, tuple | list) and output
        maps = output[0] if several else output
        if not isinstance(maps, Tensor):
            if not only_maps:
                return None
            raise UsageError(f"{layer} returns a {type(maps).__name__} and no map")
        changed = layers[layer](maps)
        return (changed, *output[1:]) if several and changed is not None else changed

    hooks = [
        modules[layer].register_forward_hook(lambda _m, _i, output, name=layer: hook(name, output))
        for layer in layers
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


class _Reached(Exception):
    """Ends a forward pass after the stage that was wanted."""


@contextmanager
def _up_to(network: nn.Module, layer: str) -> Iterator[None]:
    """End forward passes of our networks after the stage that a layer is in."""
    room, _, inside = layer.partition(".")
    if not isinstance(network, ConvNet) or room != "features" or not inside:
        yield
        return

    def end(*_: Any) -> None:
        raise _Reached

    stage = network.features.get_submodule(inside.partition(".")[0])
    hook = stage.register_forward_hook(end)
    try:
        with suppress(_Reached):
            yield
    finally:
        hook.remove()


def as_maps(output: Tensor, layer: str, channels_last: bool = False) -> Tensor:
    """What a layer takes or gives, as maps (batch, channels, height, width).

    A vector has one row and one column. Tokens (batch, tokens, channels) are laid out as the square
    grid that they come from; a class token before them is left out. Raises ``UsageError`` for what
    is none of these.
    """
    if output.ndim == 2:
        return output[:, :, None, None]
    if output.ndim == 3:
        tokens = output.shape[1]
        side = isqrt(tokens)
        if tokens not in (side**2, side**2 + 1):
            raise UsageError(f"{layer} has {tokens} tokens, which are no square grid")
        grid = output[:, tokens - side**2 :].transpose(1, 2)
        return grid.reshape(*grid.shape[:2], side, side)
    if output.ndim != 4:
        raise UsageError(f"{layer} has shape {tuple(output.shape)}, which are no feature maps")
    return output.movedim(-1, 1) if channels_last else output


def channels_last(network: nn.Module, layer: str, output: Tensor) -> bool:
    """Whether a layer's output of four axes is (batch, height, width, channels).

    A linear layer and layer normalisation give maps so; a convolution, and what has one in it or
    follows one in order of definition, does not. What follows the former two has its channels where
    there are as many: of two axes as long in the last, unless memory says that it was permuted.
    """
    if output.ndim != 4:
        return False
    module = network.get_submodule(layer)
    while isinstance(module, nn.Sequential) and len(module):
        module = module[-1]
    makers = _makers(network, module)
    if not makers or any(isinstance(each, nn.Conv2d) for each in makers):
        return False
    maker = makers[-1]
    assert not isinstance(maker, nn.Conv2d)
    channels = maker.out_features if isinstance(maker, nn.Linear) else maker.normalized_shape[-1]
    first, last = (output.shape[axis] == channels for axis in (1, 3))
    return last and not (first and output.stride(1) < output.stride(3))


_Maker = nn.Conv2d | nn.Linear | nn.LayerNorm


def _makers(network: nn.Module, module: nn.Module) -> list[_Maker]:
    """What says where a module's channels are: what is in it, and unless it is such a layer itself
    the last that is defined before it."""
    inside = [each for each in module.modules() if isinstance(each, _Maker)]
    if inside and inside[0] is module:
        return inside
    earlier = takewhile(lambda each: each is not module, network.modules())
    before = [each for each in earlier if isinstance(each, _Maker)]
    return [*before[-1:], *inside]


def unit_of(maps: Tensor, unit: int, layer: str) -> Tensor:
    """One channel of maps, (batch, height, width); raises ``UsageError`` where there is none."""
    if not 0 <= unit < maps.shape[1]:
        raise UsageError(f"{layer} has units 0 to {maps.shape[1] - 1}; there is no {unit}")
    return maps[:, unit]


def images_of(batch: SomeImages, network: nn.Module) -> Tensor:
    """The images of a batch, on the network's device."""
    images = batch if isinstance(batch, Tensor) else getattr(batch, "images", None)
    if images is None and isinstance(batch, list | tuple) and isinstance(batch[0], Tensor):
        images = batch[0]
    if not isinstance(images, Tensor):
        raise UsageError(f"a batch is images, or begins with them; this is {type(batch).__name__}")
    weight = next(network.parameters(), None)
    return images if weight is None else images.to(weight.device)
