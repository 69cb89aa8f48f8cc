"""The arithmetic of one layer, with the numbers in it.

Each function returns an ``Explanation``: its lines for a person, its figures for a program.
Sizes are (height, width, channels) as the literature writes them; multiply-adds leave out biases,
parameters include them.
"""

from __future__ import annotations

from dataclasses import dataclass

from convnets.errors import UsageError

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Explanation:
    """Formulas with their numbers, one a line, and the results by name."""

    lines: tuple[str, ...]
    figures: dict[str, float]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """(N - F + 2P) / S + 1, rounded down; raises ``UsageError`` where nothing is left."""
    for name, value, least in (
        ("size", size, 1),
        ("kernel", kernel, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
    ):
        if value < least:
            raise UsageError(f"{name} is {value}; it must be at least {least}")
    result = (size - kernel + 2 * padding) // stride + 1
    if result < 1:
        raise UsageError(f"a kernel of {kernel} does not fit {size} pixels with padding {padding}")
    return result


def conv(
    size: Size, out_channels: int, kernel: int, *, stride: int = 1, padding: int | None = None
) -> Explanation:
    """A convolution with bias; ``padding`` None is (kernel - 1) / 2, which keeps the size."""
    height, width, line = _slide(size, kernel, stride, padding)
    channels = size[2]
    params = (kernel * kernel * channels + 1) * out_channels
    macs = kernel * kernel * channels * out_channels * height * width
    return Explanation(
        (
            line,
            f"parameters: (F·F·C + 1)·N = ({kernel}·{kernel}·{channels} + 1)·{out_channels}"
            f" = {params:,}",
            f"multiply-adds: F·F·C·N·H·W = {kernel}·{kernel}·{channels}·{out_channels}"
            f"·{height}·{width} = {macs:,}",
        ),
        {"height": height, "width": width, "params": params, "macs": macs},
    )


def depthwise_separable(
    size: Size, out_channels: int, kernel: int, *, stride: int = 1, padding: int | None = None
) -> Explanation:
    """A depthwise and a pointwise convolution against a standard one (MobileNet, Section 3.1)."""
    height, width, line = _slide(size, kernel, stride, padding)
    channels = size[2]
    depthwise = kernel * kernel * channels * height * width
    pointwise = channels * out_channels * height * width
    standard = depthwise * out_channels
    macs = depthwise + pointwise
    ratio = 1 / out_channels + 1 / kernel**2
    return Explanation(
        (
            line,
            f"standard: Dk·Dk·M·N·H·W = {kernel}·{kernel}·{channels}·{out_channels}"
            f"·{height}·{width} = {standard:,}",
            f"depthwise: Dk·Dk·M·H·W = {kernel}·{kernel}·{channels}·{height}·{width}"
            f" = {depthwise:,}",
            f"pointwise: M·N·H·W = {channels}·{out_channels}·{height}·{width} = {pointwise:,}",
            f"together: {depthwise:,} + {pointwise:,} = {macs:,}",
            f"ratio: 1/N + 1/Dk² = 1/{out_channels} + 1/{kernel**2} = {ratio:.4f}",
        ),
        {
            "height": height,
            "width": width,
            "standard": standard,
            "depthwise": depthwise,
            "pointwise": pointwise,
            "macs": macs,
            "ratio": ratio,
        },
    )


def pooling(size: Size, kernel: int, *, stride: int | None = None, padding: int = 0) -> Explanation:
    """A pooling; ``stride`` None is the kernel's size. It has no parameters."""
    height, width, line = _slide(size, kernel, kernel if stride is None else stride, padding)
    flops = kernel * kernel * size[2] * height * width
    return Explanation(
        (
            line,
            "parameters: 0",
            f"FLOPs: F·F·C·H·W = {kernel}·{kernel}·{size[2]}·{height}·{width} = {flops:,}",
        ),
        {"height": height, "width": width, "params": 0, "flops": flops},
    )


def bottleneck(size: Size, out_channels: int, kernel: int, between: int) -> Explanation:
    """A convolution through ``between`` maps of a 1x1 convolution first, against a direct one."""
    pixels, channels = size[0] * size[1], size[2]
    direct = kernel * kernel * channels * out_channels * pixels
    reduce = channels * between * pixels
    expand = kernel * kernel * between * out_channels * pixels
    macs = reduce + expand
    return Explanation(
        (
            f"direct: H·W·F·F·C·N = {size[0]}·{size[1]}·{kernel}·{kernel}·{channels}"
            f"·{out_channels} = {direct:,}",
            f"1x1 first: H·W·C·K = {size[0]}·{size[1]}·{channels}·{between} = {reduce:,}",
            f"then: H·W·F·F·K·N = {size[0]}·{size[1]}·{kernel}·{kernel}·{between}·{out_channels}"
            f" = {expand:,}",
            f"together: {reduce:,} + {expand:,} = {macs:,}, {direct / macs:.1f} times fewer",
        ),
        {"direct": direct, "reduce": reduce, "expand": expand, "macs": macs},
    )


def stacked(channels: int, kernel: int, count: int) -> Explanation:
    """``count`` small convolutions of stride 1 against one that sees as much (VGG, Section 2.3)."""
    field = 1 + count * (kernel - 1)
    small = count * kernel**2 * channels**2
    large = field**2 * channels**2
    return Explanation(
        (
            f"receptive field: 1 + n·(F - 1) = 1 + {count}·({kernel} - 1) = {field}",
            f"stacked: n·F²·C² = {count}·{kernel}²·{channels}² = {small:,} weights",
            f"one {field}x{field}: {field}²·{channels}² = {large:,} weights",
        ),
        {"receptive_field": field, "stacked": small, "single": large},
    )


def local_response(
    values: tuple[float, ...],
    channel: int,
    *,
    k: float = 2,
    alpha: float = 1e-4,
    beta: float = 0.75,
    n: int = 5,
) -> Explanation:
    """Local response normalisation over channels at one position (AlexNet, Section 3.3).

    ``values`` are the activations of all channels there; ``channel`` the one to normalise.
    """
    if not 0 <= channel < len(values):
        raise UsageError(f"channel is {channel}; the values given have 0 to {len(values) - 1}")
    first, last = max(0, channel - n // 2), min(len(values) - 1, channel + n // 2)
    squares = sum(value**2 for value in values[first : last + 1])
    base = k + alpha * squares
    if base <= 0:
        raise UsageError(f"k + alpha·sum is {base:g}; it must be positive")
    result = values[channel] / base**beta
    return Explanation(
        (
            f"channels {first} to {last}: sum of squares = {squares:g}",
            f"b = a / (k + alpha·sum)^beta = {values[channel]:g} / ({k:g} + {alpha:g}·{squares:g})"
            f"^{beta:g} = {result:g}",
        ),
        {"sum_of_squares": squares, "value": result},
    )


def batch_norm(
    values: tuple[float, ...], *, gamma: float = 1, beta: float = 0, eps: float = 1e-5
) -> Explanation:
    """Batch normalisation of one channel's mini-batch (Ioffe and Szegedy, Algorithm 1)."""
    if not values or eps < 0:
        raise UsageError("batch normalisation needs at least one value and an eps of 0 or more")
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    if variance + eps == 0:
        raise UsageError("the values are all equal and eps is 0: the division is by zero")
    outputs = [gamma * (value - mean) / (variance + eps) ** 0.5 + beta for value in values]
    return Explanation(
        (
            f"mean = {sum(values):g} / {len(values)} = {mean:g}",
            f"variance = {variance:g}",
            "y = gamma·(x - mean) / sqrt(variance + eps) + beta: "
            + ", ".join(f"{x:g} -> {y:g}" for x, y in zip(values, outputs, strict=True)),
            "parameters: 2 a channel (gamma, beta)",
        ),
        {"mean": mean, "variance": variance, "params": 2}
        | {f"y{index}": value for index, value in enumerate(outputs)},
    )


def _slide(size: Size, kernel: int, stride: int, padding: int | None) -> tuple[int, int, str]:
    padding = (kernel - 1) // 2 if padding is None else padding
    height, width = (output_size(side, kernel, stride, padding) for side in size[:2])
    line = (
        f"output: (N - F + 2P) / S + 1 = ({size[0]} - {kernel} + 2·{padding}) / {stride} + 1"
        f" = {height}"
    )
    if width != height:
        line += f", ({size[1]} - {kernel} + 2·{padding}) / {stride} + 1 = {width}"
    return height, width, line
