"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, Proceedings of the IEEE 86(11), 2278-2324).

Convolutions with shared weights, alternating with subsampling, learn from pixels what had been
designed by hand. ``lenet5`` is the network of 1998, to its output of Euclidean radial basis
functions on fixed bitmaps, with the loss that goes with them (``LeNet5.criterion``).
``lenet5_modern`` is what text books call LeNet-5 today: every map of C3 sees every map of S2,
pooling has no parameters, and the output is linear. ``lenet5_caffe`` is the wider one of Caffe's
examples, which papers on compression call LeNet-5. ``lenet_wide`` is a reconstruction from a
lecture's "2 conv + 2 fc, 4.5 M parameters" with 10 classes, whose layers are not on record:
4,498,730 parameters here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Family, Published, Stem, Variant
from convnets.errors import UsageError
from convnets.layers.network import ConvNet, stack

# Table I: the maps of S2 that each of the 16 maps of C3 sees.
# fmt: off
C3_TABLE: tuple[tuple[int, ...], ...] = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)
# fmt: on

# The ten digits in the manner of Fig. 3, 7 pixels wide and 12 high, drawn anew: the paper's
# bitmaps are in print alone. The last two rows are those that letters with a tail use.
DIGITS = """
..###.. ...##.. .#####. ####### ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..###.. ##...## .....## ...###. ##..... .##.... #.....# ##...## ##..###
##...## .####.. #.....# ....##. ..####. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## ...##.. .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ..####. ##..##. ######. ##.###. ....##. .#####. ##..###
##...## ...##.. ...##.. .....## ##..##. .....## ###..## ...##.. ##...## .###.##
##...## ...##.. ..##... ......# ####### ......# ##...## ...##.. ##...## .....##
##...## ...##.. .##.... #.....# ....##. #.....# ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ....##. ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""

# j of Eq. 9. The paper calls it positive and prints no value. The penalty of a wrong class far
# above it is not pushed up any further; two bitmaps are 52 or more apart.
RUBBISH_PENALTY = 10.0


@dataclass(frozen=True)
class Spec:
    """What varies: the network of 1998, or for today's forms their widths and activation.

    ``modern`` has tanh and average pooling, ``rectified`` ReLU and max pooling; ``caffe`` is the
    latter without an activation between convolutions. ``side`` is that of the map before the first
    linear layer.
    """

    form: Literal["1998", "modern", "rectified", "caffe"]
    maps: tuple[int, int] = (6, 16)
    hidden: tuple[int, ...] = (120, 84)
    side: int = 5
    stem: Stem = "paper"


class Squash(nn.Module):
    """f(a) = 1.7159 tanh(2a/3), so that f(1) = 1 and f(-1) = -1 (Appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of 2x2 neighbours, times a trainable coefficient of its map, plus a bias (S2, S4)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, F.avg_pool2d(x, 2, divisor_override=1), self.weight)


class TableConvolution(nn.Module):
    """A 5x5 convolution between the pairs of maps of Table I alone (C3).

    ``weight`` holds a kernel for each of the 60 pairs, in the table's order. They are laid out
    among zeros as one dense convolution, which is faster than 16 small ones.
    """

    kernel = 5
    pairs: Tensor

    def __init__(self, table: tuple[tuple[int, ...], ...], in_maps: int) -> None:
        super().__init__()
        self.in_maps = in_maps
        self.maps_seen = [len(maps) for maps in table]
        pairs = [out * in_maps + seen for out, maps in enumerate(table) for seen in maps]
        self.register_buffer("pairs", torch.tensor(pairs))
        self.weight = nn.Parameter(torch.empty(len(pairs), self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.empty(len(table)))

    def forward(self, x: Tensor) -> Tensor:
        shape = (len(self.bias), self.in_maps, self.kernel, self.kernel)
        dense = self.weight.new_zeros(shape).flatten(0, 1).index_copy(0, self.pairs, self.weight)
        return F.conv2d(x, dense.view(shape), self.bias)

    def macs(self, output_height: int, output_width: int) -> int:
        """Multiply-adds of the pairs that the table connects, for a map of this size."""
        return self.weight.numel() * output_height * output_width


class WholeMapConvolution(nn.Conv2d):
    """A convolution whose kernel is as large as its input map, as one matrix product (C5)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height > self.kernel_size[0] or width > self.kernel_size[1]:
            raise UsageError(
                f"C5 takes maps of 5x5, which an image of 32x32 gives, and got {height}x{width}; "
                "resize the images to 32x32"
            )
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]


class RadialBasis(nn.Module):
    """Minus the squared Euclidean distance of each class's fixed code to the input (Eq. 7).

    ``codes`` (num_classes, 84) are the digits' bitmaps where there are ten classes. For any other
    number they are drawn at random with equal probability of -1 and +1 (Section II.B), the same
    ones at each construction.
    """

    codes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        codes = digit_codes() if num_classes == 10 else random_codes(num_classes)
        self.register_buffer("codes", torch.tensor(codes))

    def forward(self, x: Tensor) -> Tensor:
        return -(x.unsqueeze(1) - self.codes).square().sum(-1)


def digit_codes() -> list[list[float]]:
    """The 7x12 bitmaps of 0 to 9 as ten rows of 84 values: +1 is ink, -1 is background."""
    glyphs = zip(*(line.split() for line in DIGITS.split("\n") if line), strict=True)
    return [[1.0 if pixel == "#" else -1.0 for pixel in "".join(rows)] for rows in glyphs]


def random_codes(num_classes: int) -> list[list[float]]:
    """A row of 84 values of -1 or +1 for each class, from a generator and seed of its own."""
    draw = random.Random(1998)
    return [draw.choices((-1.0, 1.0), k=84) for _ in range(num_classes)]


class LeNet5(ConvNet):
    """The network of Fig. 2; logits are minus the penalties y of Eq. 7."""

    def __init__(self, spec: Spec, *, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(
            ("stem", stack(("c1", nn.Conv2d(in_chans, 6, 5)), ("act", Squash()))),
            ("stage1", stack(("s2", Subsampling(6)), ("act", Squash()))),
            ("stage2", stack(("c3", TableConvolution(C3_TABLE, 6)), ("act", Squash()))),
            ("stage3", stack(("s4", Subsampling(16)), ("act", Squash()))),
            ("stage4", stack(("c5", WholeMapConvolution(16, 120, 5)), ("act", Squash()))),
        )
        self.head = stack(
            ("flatten", nn.Flatten(1)),
            ("f6", nn.Linear(120, 84)),
            ("act", Squash()),
            ("output", RadialBasis(num_classes)),
        )
        initialise_lecun1998(self)

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of Eq. 9, the mean over the batch of y_target + log(e^-j + sum_i e^-y_i).

        ``targets`` are class indices (batch,) or probabilities (batch, num_classes).
        """
        if targets.ndim == 1:
            right = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        else:
            right = (logits * targets).sum(1)
        rubbish = logits.new_full((len(logits), 1), -RUBBISH_PENALTY)
        return (torch.cat((logits, rubbish), 1).logsumexp(1) - right).mean()


@torch.no_grad()
def initialise_lecun1998(network: nn.Module) -> None:
    """Uniform within 2.4/F of zero, F being a unit's inputs (Appendix A); biases as weights."""

    def draw(weight: Tensor, bias: Tensor, inputs: int) -> None:
        for values in (weight, bias):
            values.uniform_(-2.4 / inputs, 2.4 / inputs)

    for module in network.modules():
        if isinstance(module, TableConvolution):
            kernels = torch.split(module.weight, module.maps_seen)
            for weight, bias in zip(kernels, module.bias.unbind(), strict=True):
                draw(weight, bias, weight.numel())
        elif isinstance(module, Subsampling):
            draw(module.weight, module.bias, 4)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            assert module.bias is not None
            draw(module.weight, module.bias, module.weight[0].numel())


class LeNet(ConvNet):
    """Two dense 5x5 convolutions with pooling and two or three linear layers, as built today.

    Larger images than 32x32, or Caffe's 28x28, are pooled to what the first linear layer takes.
    The weights are those that torch draws by default, like any text book's.
    """

    def __init__(self, spec: Spec, *, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        modern = spec.form == "modern"
        act = nn.Tanh if modern else nn.ReLU
        pool = nn.AvgPool2d if modern else nn.MaxPool2d
        between = nn.Identity if spec.form == "caffe" else act
        self.features = nn.Sequential()
        channels = in_chans
        for name, maps in zip(("stem", "stage1"), spec.maps, strict=True):
            conv = nn.Conv2d(channels, maps, 5)
            self.features.add_module(
                name, stack(("conv", conv), ("act", between()), ("pool", pool(2)))
            )
            channels = maps
        self.head = stack(("pool", nn.AdaptiveAvgPool2d(spec.side)), ("flatten", nn.Flatten(1)))
        width = channels * spec.side**2
        for index, hidden in enumerate(spec.hidden, start=1):
            self.head.add_module(f"fc{index}", nn.Linear(width, hidden))
            self.head.add_module(f"act{index}", act())
            width = hidden
        self.head.add_module("output", nn.Linear(width, num_classes))


def build(spec: Spec, *, in_chans: int = 1, num_classes: int = 10) -> ConvNet:
    """The network of a spec: ``LeNet5`` for the form of 1998, ``LeNet`` for the others."""
    network = LeNet5 if spec.form == "1998" else LeNet
    return network(spec, in_chans=in_chans, num_classes=num_classes)


# fmt: off
FAMILY = Family(
    name="lenet", title="LeNet", year=1998,
    paper="Gradient-Based Learning Applied to Document Recognition", url="https://doi.org/10.1109/5.726791",
    network=build, pocket=Spec("1998"),
    small_stem="as published: made for 32x32",
    variants={
        "lenet5": Variant(Spec("1998"), params=60_000, params_10=60_000, macs=325_680,
            counted_in="the paper's Section II.B", input_size=32, in_chans=1, num_classes=10,
            published=Published(source="Section II.B; error on MNIST", params="60,000",
                top1_error="0.95"),
            note="connection table, trainable subsampling and RBF output of 1998"),
        "lenet5_modern": Variant(Spec("modern"), params=61_706, params_10=61_706, macs=416_520,
            counted_in="hand count, test_lenet.py", input_size=32, in_chans=1, num_classes=10,
            note="dense C3, pooling without parameters, linear output"),
        "lenet5_caffe": Variant(Spec("caffe", maps=(20, 50), hidden=(500,), side=4), params=431_080,
            params_10=431_080, macs=2_293_000, counted_in="hand count, test_lenet.py",
            input_size=28, in_chans=1, num_classes=10,
            note="Caffe's example; the LeNet-5 of 431 K parameters in Deep Compression"),
        "lenet_wide": Variant(Spec("rectified", maps=(96, 160), hidden=(1024,)), params=4_498_730,
            params_10=4_498_730, macs=48_151_040, counted_in="hand count, test_lenet.py",
            input_size=32, num_classes=10,
            note="our reconstruction of 2 conv + 2 fc with 4.5 M parameters"),
    },
)
# fmt: on
