"""SqueezeNet (Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer 2016, arXiv:1602.07360).

Fire modules look at few maps, squeezed out of many by 1x1 convolutions, and pooling comes late:
AlexNet's accuracy with a fiftieth of its weights. ``squeezenet1_1`` is the authors' later form,
with a smaller first convolution and earlier pooling at 2.4 times less computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_relu, convolutional_head, overlapping_pool
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

Bypass = Literal["none", "simple", "complex"]

# Maps out of each fire module, from fire2 on; a stage begins with pooling.
VERSION_1_0 = ((128, 128, 256), (256, 384, 384, 512), (512,))
VERSION_1_1 = ((128, 128), (256, 256), (384, 384, 512, 512))


@dataclass(frozen=True)
class Spec:
    """What varies: the fire modules of each stage, the first convolution, and the bypasses."""

    stages: tuple[tuple[int, ...], ...]
    first_maps: int
    first_kernel: int
    bypass: Bypass = "none"
    stem: Stem = "paper"


class Fire(nn.Module):
    """1x1 convolutions to an eighth of the maps, then half by 1x1 and half by 3x3 (Fig. 1).

    The shares are the paper's: a squeeze ratio of 0.125, and 3x3 for half of the filters. What
    ``bypass`` makes of the input, if there is one, is added to the output.
    """

    def __init__(self, in_channels: int, maps: int, bypass: nn.Module | None) -> None:
        super().__init__()
        squeezed, half = maps // 8, maps // 2
        self.squeeze = conv_relu(in_channels, squeezed, 1, padding=0)
        self.expand1x1 = conv_relu(squeezed, half, 1, padding=0)
        self.expand3x3 = conv_relu(squeezed, half, 3, padding=1)
        self.bypass = bypass

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        out = torch.cat((self.expand1x1(squeezed), self.expand3x3(squeezed)), 1)
        return out if self.bypass is None else out + self.bypass(x)


def bypass_around(kind: Bypass, in_channels: int, maps: int) -> nn.Module | None:
    """Identity where the shape stays; elsewhere a 1x1 convolution if ``complex`` (Section 6)."""
    if kind == "none":
        return None
    if in_channels == maps:
        return nn.Identity()
    return nn.Conv2d(in_channels, maps, 1) if kind == "complex" else None


class SqueezeNet(ConvNet):
    """The network of Table 1; ``stem`` is conv1, the head has conv10."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        small = spec.stem == "small"
        channels = spec.first_maps
        conv1 = (
            conv_relu(in_chans, channels, 3, padding=1)
            if small
            else conv_relu(in_chans, channels, spec.first_kernel, stride=2, padding=0)
        )
        self.features = stack(("stem", stack(("conv1", conv1))))
        number = 2
        for index, modules in enumerate(spec.stages, start=1):
            stage = stack(("pool", nn.Identity() if small and index == 1 else overlapping_pool()))
            for maps in modules:
                fire = Fire(channels, maps, bypass_around(spec.bypass, channels, maps))
                stage.add_module(f"fire{number}", fire)
                channels = maps
                number += 1
            self.features.add_module(f"stage{index}", stage)
        self.head = convolutional_head(channels, num_classes, dropout=0.5)
        # Differs: the authors' code draws Xavier's, which takes no account of ReLU.
        initialise_he2015(self)
        for module in self.modules():
            if isinstance(module, Fire) and isinstance(module.bypass, nn.Conv2d):
                # No ReLU follows: with He's variance the signal would treble at each.
                nn.init.kaiming_normal_(module.bypass.weight, nonlinearity="linear")
        # As in Network in Network: with biases of zero, classes end up below the last ReLU.
        nn.init.ones_(self.head.get_parameter("conv.bias"))


# fmt: off
def version_1_0(bypass: Bypass) -> Spec:
    """The network of Table 1 with one of the three columns of Fig. 2."""
    return Spec(VERSION_1_0, first_maps=96, first_kernel=7, bypass=bypass)


FAMILY = Family(
    name="squeezenet", title="SqueezeNet", year=2016,
    paper="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    url="https://arxiv.org/abs/1602.07360",
    network=SqueezeNet, pocket=Spec(((16, 16), (32,)), 8, 3, bypass="complex"),
    small_stem="conv1 is 3x3 of stride 1, no pooling before fire2",
    variants={
        "squeezenet1_0": Variant(version_1_0("none"), params=1_248_424, params_10=740_554,
            macs=818_924_576, counted_in="torchvision:squeezenet1_0",
            published=Published(source="Table 3", top1_error="42.5", top5_error="19.7")),
        "squeezenet1_0_simple_bypass": Variant(version_1_0("simple"), params=1_248_424,
            params_10=740_554, macs=818_924_576, counted_in="pytorchcv:squeezeresnet_v1_0",
            published=Published(source="Table 3", top1_error="39.6", top5_error="17.5")),
        "squeezenet1_0_complex_bypass": Variant(version_1_0("complex"), params=1_589_672,
            params_10=1_081_802, macs=1_165_298_720, counted_in="derived: Fig. 2",
            published=Published(source="Table 3", top1_error="41.2", top5_error="18.0"),
            note="6.1 MB of weights, where Table 3 prints 7.7 MB"),
        "squeezenet1_1": Variant(Spec(VERSION_1_1, first_maps=64, first_kernel=3),
            params=1_235_496, params_10=727_626, macs=349_151_936,
            counted_in="torchvision:squeezenet1_1",
            published=Published(source="torchvision, IMAGENET1K_V1", top1_error="41.822",
                top5_error="19.376"),
            note="the authors' later form, which is not in the paper"),
    },
)
# fmt: on
