"""A network as the maps of its stages, for detection, segmentation and other heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.errors import InputTooSmall, UsageError
from convnets.layers.meta import on_meta
from convnets.layers.network import ConvNet, smallest_input
from convnets.layers.shapes import QuickShapes

USUAL_SIZE = 224
# A multiple of every stride of the zoo: so much more image is so much more map, without rounding.
MORE = 2**10


@dataclass(frozen=True)
class FeatureInfo:
    """One map: the module that makes it, its channels, and the pixels between two places."""

    name: str
    channels: int
    stride: int


def feature_info(network: ConvNet) -> tuple[FeatureInfo, ...]:
    """What each child of ``features`` gives, found on the meta device."""
    twin = on_meta(network, hooks=False)
    size = USUAL_SIZE
    try:
        maps = _stage_maps(twin, size)
    except (InputTooSmall, UsageError):
        size = smallest_input(network)
        maps = _stage_maps(twin, size)
    try:
        larger = _stage_maps(twin, size + MORE)
    except (InputTooSmall, UsageError):
        larger = {}  # it takes one size of image alone
    found = []
    for name, each in maps.items():
        more = _side(larger[name]) - _side(each) if name in larger else 0
        stride = MORE / more if more else size / _side(each)
        found.append(FeatureInfo(name, _channels(each), round(stride)))
    return tuple(found)


def _stage_maps(twin: ConvNet, size: int) -> dict[str, Tensor]:
    images = torch.empty(1, twin.in_chans, size, size, device="meta")
    names = [f"features.{name}" for name, _ in twin.features.named_children()]
    with torch.no_grad(), QuickShapes():
        return twin.forward_intermediates(images, names)


def _side(maps: Tensor) -> float:
    return maps.shape[-1] if maps.ndim == 4 else maps.shape[1] ** 0.5


def _channels(maps: Tensor) -> int:
    return maps.shape[1] if maps.ndim == 4 else maps.shape[-1]


class FeatureMaps(nn.Module):
    """Images (batch, in_chans, height, width) in, a list of maps out, from fine to coarse.

    ``stages`` names children of ``network.features``; without it there is one map for each stride,
    the last of that stride, as detectors want them. ``feature_info`` says what each is.
    """

    def __init__(self, network: ConvNet, stages: Sequence[str] | None = None) -> None:
        super().__init__()
        every = feature_info(network)
        if stages is None:
            chosen = tuple({info.stride: info for info in every}.values())
        else:
            known = {info.name.partition(".")[2]: info for info in every}
            if unknown := [stage for stage in stages if stage not in known]:
                raise UsageError(f"no stage {unknown[0]!r}; there are {', '.join(known)}")
            chosen = tuple(known[stage] for stage in stages)
        self.network = network
        network.head = nn.Identity()
        self.feature_info = chosen

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps in the order of ``feature_info``."""
        maps = self.network.forward_intermediates(images, [info.name for info in self.feature_info])
        return [maps[info.name] for info in self.feature_info]
