"""Auxiliary classifiers (Szegedy et al. 2014, arXiv:1409.4842, Section 5).

They look at maps inside a network, so that its early layers hear of the loss from close by. They
are for training alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet

WINDOW, STRIDE = 5, 3


class AuxiliaryPool(nn.Module):
    """Average pooling over 5x5 windows, 3 apart, where that gives ``side`` x ``side`` pixels.

    The layers after it take that size alone, so a map of another size than the papers' is pooled
    to it in equal parts.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if all((length - WINDOW) // STRIDE + 1 == self.side for length in x.shape[-2:]):
            return F.avg_pool2d(x, WINDOW, STRIDE)
        return F.adaptive_avg_pool2d(x, self.side)

    def extra_repr(self) -> str:
        return f"side={self.side}"


class AuxiliaryConvNet(ConvNet):
    """A network that may have the child ``auxiliary``: classifiers by name, beside ``head``.

    ``taps`` names, for each of them, the module whose map it takes.
    """

    auxiliary: nn.ModuleDict
    taps: ClassVar[Mapping[str, str]]

    def add_auxiliary(self, heads: Mapping[str, nn.Module]) -> None:
        """Take ``heads``, one for each of ``taps``, and give them their first weights."""
        self.auxiliary = nn.ModuleDict(heads)
        for head in heads.values():
            initialise_he2015(head)

    def forward_auxiliary(
        self, images: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits, and those of each auxiliary classifier by its name."""
        if not hasattr(self, "auxiliary"):
            return super().forward_auxiliary(images, targets)
        maps = self.forward_intermediates(images, ["head", *self.taps.values()])
        auxiliary = {name: head(maps[self.taps[name]]) for name, head in self.auxiliary.items()}
        return maps["head"], auxiliary
