"""The shape that every network of the zoo has, and what it says of an image that is too small."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from convnets.errors import InputTooSmall, UnknownName, UsageError
from convnets.layers.meta import on_meta
from convnets.layers.shapes import QuickShapes

LARGEST_TRIED = 1024


class ConvNet(nn.Module):
    """A network with the named children ``features`` (stem, stage1, ...) and ``head``.

    ``forward`` takes images (batch, in_chans, height, width) and returns logits
    (batch, num_classes). A subclass takes ``(spec, *, in_chans, num_classes)`` and sets the two
    children; nothing else of a network is relied on by the rest of the package.
    """

    features: nn.Sequential
    head: nn.Module

    def __init__(self, spec: Any, *, in_chans: int, num_classes: int) -> None:
        super().__init__()
        for name, value in (("in_chans", in_chans), ("num_classes", num_classes)):
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is {value!r}; it must be a positive whole number")
        self.spec = spec
        self.in_chans = in_chans
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes)."""
        logits: Tensor = self.head(self.forward_features(images))
        return logits

    def forward_auxiliary(
        self, images: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits, and by name what the auxiliary heads give, which ``forward`` skips.

        A network without a child ``auxiliary`` has none. ``targets`` are the images' classes
        (batch,) where they are known, as in training.
        """
        return self(images), {}

    def auxiliary_loss(
        self,
        images: Tensor,
        outputs: Mapping[str, Tensor],
        targets: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """The sum of the auxiliary heads' losses (0-d); each gives logits unless overridden."""
        losses = [criterion(logits.float(), targets) for logits in outputs.values()]
        return torch.stack(losses).sum()

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last feature map, before pooling and classifier.

        Raises ``UsageError`` for images of another shape than the network takes, and
        ``InputTooSmall`` where a layer would shrink them to nothing.
        """
        if images.ndim != 4 or images.shape[1] != self.in_chans:
            raise UsageError(
                f"images have shape {tuple(images.shape)}; this network takes "
                f"(batch, {self.in_chans}, height, width)"
            )
        try:
            maps: Tensor = self.features(images)
        except RuntimeError as error:
            height, width = images.shape[-2:]
            layer = failing_layer(self, height, width)
            if layer is None:
                raise
            smallest = smallest_input(self)
            raise InputTooSmall(
                f"{layer} would shrink a {height}x{width} image to nothing; "
                f"the smallest input is {smallest}x{smallest}"
            ) from error
        return maps

    def forward_intermediates(self, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the output of each named module (``"features.stage2"``), in order of execution.

        Of a stage that hands on several maps it is the first. Raises ``UnknownName`` for a name
        that ``named_modules`` does not have.
        """
        wanted = set(names)
        modules = dict(self.named_modules())
        if unknown := wanted - modules.keys():
            raise UnknownName("layer", min(unknown), (known for known in modules if known))
        maps: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor | tuple[Tensor, ...]) -> None:
            maps[name] = output if isinstance(output, Tensor) else output[0]

        hooks = [
            modules[name].register_forward_hook(
                lambda _module, _inputs, output, name=name: keep(name, output)
            )
            for name in wanted
        ]
        # An activation that works in place would write over the map of the layer before it.
        in_place = [module for module in modules.values() if getattr(module, "inplace", False)]
        try:
            for module in in_place:
                module.inplace = False
            self(images)
        finally:
            for hook in hooks:
                hook.remove()
            for module in in_place:
                module.inplace = True
        return maps


def stack(*named: tuple[str, nn.Module]) -> nn.Sequential:
    """An ``nn.Sequential`` whose children have names."""
    return nn.Sequential(OrderedDict(named))


def failing_layer(network: ConvNet, height: int, width: int) -> str | None:
    """Name the first layer that cannot take an image of this size, or None if all can."""
    return _first_failure(on_meta(network, hooks=False), height, width)


def smallest_input(network: ConvNet) -> int:
    """Side in pixels of the smallest square image that the network takes."""
    twin = on_meta(network, hooks=False)

    def fits(side: int) -> bool:
        return _first_failure(twin, side, side) is None

    enough = 1
    while not fits(enough):
        enough *= 2
        if enough > LARGEST_TRIED:
            raise UsageError(f"no input up to {LARGEST_TRIED}x{LARGEST_TRIED} fits this network")
    sides = range(enough // 2 + 1, enough + 1)
    return sides[bisect_left(sides, True, key=fits)]


def _first_failure(twin: ConvNet, height: int, width: int) -> str | None:
    entered = "the network"

    def enter(name: str) -> None:
        nonlocal entered
        entered = name

    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: enter(name))
        for name, module in twin.named_modules()
        if name
    ]
    images = torch.empty(1, twin.in_chans, height, width, device="meta")
    try:
        with torch.no_grad(), QuickShapes():
            twin.head(twin.features(images))
    except (RuntimeError, ValueError):
        return entered
    finally:
        for hook in hooks:
            hook.remove()
    return None
