"""Networks of cells counted and computed by hand, from the lists in which their authors publish.

Transcribed from tensorflow/models (``slim/nets/nasnet``) and tensorflow/tpu (``amoeba_net``): for
each cell its ten operations, the map that each is applied to, and whether a map is left out of the
output. The rest follows those programs line by line, in plain arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Shape = tuple[int, int]


@dataclass(frozen=True)
class Published:
    """``operations`` and ``inputs`` in pairs, five of them; ``used`` maps are not in the output."""

    operations: tuple[str, ...]
    inputs: tuple[int, ...]
    used: tuple[int, ...]


def published(operations: str, inputs: str, used: str) -> Published:
    return Published(
        tuple(operations.split()), tuple(map(int, inputs.split())), tuple(map(int, used.split()))
    )


NASNET_A_NORMAL = published(
    "separable_5x5_2 separable_3x3_2 separable_5x5_2 separable_3x3_2 avg_pool_3x3 none"
    " avg_pool_3x3 avg_pool_3x3 separable_3x3_2 none",
    "0 1 1 1 0 1 1 1 0 0",
    "1 0 0 0 0 0 0",
)
NASNET_A_REDUCTION = published(
    "separable_5x5_2 separable_7x7_2 max_pool_3x3 separable_7x7_2 avg_pool_3x3 separable_5x5_2"
    " none avg_pool_3x3 separable_3x3_2 max_pool_3x3",
    "0 1 0 1 0 1 3 2 2 0",
    "1 1 1 0 0 0 0",
)
AMOEBANET_A_NORMAL = published(
    "avg_pool_3x3 max_pool_3x3 separable_3x3_2 none none avg_pool_3x3 separable_3x3_2"
    " separable_5x5_2 avg_pool_3x3 separable_3x3_2",
    "0 0 1 1 0 1 0 2 5 0",
    "1 0 1 0 0 1 0",
)
AMOEBANET_A_REDUCTION = published(
    "separable_3x3_2 avg_pool_3x3 max_pool_3x3 separable_7x7_2 max_pool_3x3 max_pool_3x3"
    " separable_3x3_2 1x7_7x1 avg_pool_3x3 separable_7x7_2",
    "1 0 0 2 1 0 4 0 1 0",
    "1 1 0 0 0 0 0",
)
AMOEBANET_C_NORMAL = published(
    "avg_pool_3x3 separable_3x3_2 none separable_3x3_2 avg_pool_3x3 separable_3x3_2 none"
    " separable_3x3_2 avg_pool_3x3 separable_3x3_2",
    "0 0 0 0 2 1 0 1 3 0",
    "1 0 0 1 0 0 0",
)
AMOEBANET_C_REDUCTION = published(
    "max_pool_3x3 max_pool_3x3 separable_7x7_2 separable_3x3_2 separable_7x7_2 max_pool_3x3"
    " separable_5x5_2 separable_5x5_2 max_pool_3x3 separable_3x3_2",
    "0 0 2 0 0 1 4 4 1 1",
    "0 1 0 0 0 0 0",
)


class Count:
    """Parameters and multiply-adds so far."""

    def __init__(self) -> None:
        self.params = 0
        self.macs = 0

    def weights(self, number: int, pixels: int) -> None:
        self.params += number
        self.macs += number * pixels

    def conv_bn(self, channels: int, filters: int, pixels: int, taps: int = 1) -> None:
        self.weights(channels * filters * taps, pixels)
        self.params += 2 * filters

    def operation(self, name: str, channels: int, width: int, side: int, stride: int) -> None:
        """One operation on a map; its result has ``width`` channels."""
        out = -(-side // stride)
        pixels = out**2
        if name.startswith("separable"):
            taps = int(name[len("separable_")]) ** 2
            for entering in (channels, width):
                self.weights(entering * taps, pixels)
                self.conv_bn(entering, width, pixels)
        elif name == "1x7_7x1":
            quarter = width // 4
            self.conv_bn(channels, quarter, side**2)
            self.conv_bn(quarter, quarter, side * out, taps=7)
            self.conv_bn(quarter, quarter, pixels, taps=7)
            self.conv_bn(quarter, width, pixels)
        elif channels != width or (name == "none" and stride > 1):
            self.conv_bn(channels, width, pixels)

    def cell(
        self, cell: Published, width: int, stride: int, older: Shape | None, newer: Shape
    ) -> Shape:
        """One cell; shapes are (channels, side)."""
        channels, side = newer
        self.conv_bn(channels, width, side**2)
        maps = [width, channels if older is None else width]
        # A factorized reduction's two halves are together one 1x1 convolution of the smaller map.
        if older is not None and older != (width, side):
            self.conv_bn(older[0], width, side**2)
        for name, source in zip(cell.operations, cell.inputs, strict=True):
            entering = maps[source] if source < 2 else width
            outer = source < 2
            at = side if outer else -(-side // stride)
            self.operation(name, entering, width, at, stride if outer else 1)
        out = -(-side // stride)
        for source, used in enumerate(cell.used):
            entering = maps[source] if source < 2 else width
            if not used and (entering != width or (source < 2 and stride > 1)):
                self.conv_bn(entering, width, out**2)
        return width * cell.used.count(0), out


def count(
    normal: Published,
    reduction: Published,
    *,
    depth: int,
    width: int,
    size: int,
    classes: int,
    stem_width: int | None,
    skip: bool = False,
) -> tuple[int, int]:
    """Parameters and multiply-adds of a network; ``stem_width`` None has the CIFAR stem."""
    total = Count()
    side = size if stem_width is None else (size - 3) // 2 + 1
    first = (3 * width if stem_width is None else stem_width, side)
    total.conv_bn(3, first[0], side**2, taps=9)
    outputs: list[Shape | None] = [None, first]
    newest = first
    for share in () if stem_width is None else (4, 2):
        newest = total.cell(reduction, width // share, 2, outputs[-2], newest)
        outputs.append(newest)
    for number in range(3 * depth):
        before = outputs[-2]
        if number in (depth, 2 * depth):
            width *= 2
            newest = total.cell(reduction, width, 2, outputs[-2], newest)
            outputs.append(newest)
        older = before if skip else outputs[-2]
        newest = total.cell(normal, width, 1, older, newest)
        outputs.append(newest)
    total.weights(newest[0] * classes, 1)
    total.params += classes
    return total.params, total.macs


def padded(x: Tensor, kernel: Shape, stride: Shape, value: float = 0.0) -> Tensor:
    """TensorFlow's SAME: the output is the input over the stride, the odd pixel is at the end."""
    ends: list[int] = []
    for taps, step, side in zip(kernel[::-1], stride[::-1], x.shape[:1:-1], strict=True):
        missing = max((-(-side // step) - 1) * step + taps - side, 0)
        ends += [missing // 2, missing - missing // 2]
    return F.pad(x, ends, value=value)


class Computed:
    """A cell's output computed from the tensors of its state dict."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"].view(1, -1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * weight + bias

    def conv(self, name: str, x: Tensor, stride: Shape = (1, 1), groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        kernel = (weight.shape[2], weight.shape[3])
        return F.conv2d(padded(x, kernel, stride), weight, stride=stride, groups=groups)

    def relu_conv(self, name: str, x: Tensor, stride: Shape = (1, 1)) -> Tensor:
        return self.norm(f"{name}.norm", self.conv(f"{name}.conv", x.relu(), stride))

    def reduced(self, name: str, x: Tensor) -> Tensor:
        further = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [
            self.conv(f"{name}.path{path}", each[:, :, ::2, ::2])
            for path, each in ((1, x), (2, further))
        ]
        return self.norm(f"{name}.norm", torch.cat(halves, 1))

    def operation(self, kind: str, name: str, x: Tensor, stride: int) -> Tensor:
        if kind.startswith("separable"):
            for layer, step in ((f"{name}.conv1", stride), (f"{name}.conv2", 1)):
                x = self.conv(f"{layer}.depthwise", x.relu(), (step, step), groups=x.shape[1])
                x = self.norm(f"{layer}.norm", self.conv(f"{layer}.pointwise", x))
            return x
        if kind == "1x7_7x1":
            x = self.relu_conv(f"{name}.reduce", x)
            x = self.relu_conv(f"{name}.row", x, (1, stride))
            x = self.relu_conv(f"{name}.column", x, (stride, 1))
            return self.relu_conv(f"{name}.expand", x)
        if kind == "none":
            changed = f"{name}.conv.weight" in self.state
            return self.relu_conv(name, x, (stride, stride)) if changed else x
        if kind == "max_pool_3x3":
            return F.max_pool2d(padded(x, (3, 3), (stride, stride), -torch.inf), 3, stride)
        inside = padded(torch.ones_like(x), (3, 3), (stride, stride))
        total = F.avg_pool2d(padded(x, (3, 3), (stride, stride)), 3, stride)
        return total / F.avg_pool2d(inside, 3, stride)

    def cell(self, cell: Published, stride: int, older: Tensor, newer: Tensor) -> Tensor:
        maps = [self.relu_conv("current", newer)]
        if older.shape[-1] != newer.shape[-1]:
            maps.append(self.reduced("previous.reduce", older.relu()))
        else:
            maps.append(self.relu_conv("previous", older))
        for pair in range(5):
            halves = []
            for half, side in enumerate(("left", "right")):
                kind = cell.operations[2 * pair + half]
                source = cell.inputs[2 * pair + half]
                step = stride if source < 2 else 1
                halves.append(self.operation(kind, f"pairs.{pair}.{side}", maps[source], step))
            maps.append(halves[0] + halves[1])
        output = [source for source, used in enumerate(cell.used) if not used]
        for place, source in enumerate(output):
            if maps[source].shape[-1] != maps[-1].shape[-1]:
                maps[source] = self.reduced(f"joins.{place}", maps[source])
        return torch.cat([maps[source] for source in output], 1)
