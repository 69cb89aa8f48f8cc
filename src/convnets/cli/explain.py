"""``convnets explain``: one layer's formula with the numbers in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.analysis.explain import Explanation
    from convnets.analysis.scenes import Demonstration

app = typer.Typer(
    help="Show a layer's formula with the numbers in it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Input = Annotated[str, typer.Option("--input", "-i", help="Height x width x channels: 28x28x192.")]
Maps = Annotated[int, typer.Option("--out", "-n", help="Maps of the output.", min=1)]
Kernel = Annotated[int, typer.Option("--kernel", "-k", help="Side of the kernel.", min=1)]
Stride = Annotated[int, typer.Option(help="Stride.", min=1)]
PoolingStride = Annotated[
    int | None, typer.Option(help="Stride; the kernel's side if none.", min=1)
]
Padding = Annotated[
    int | None, typer.Option(help="Padding; without it, what keeps the size at stride 1.", min=0)
]
Values = Annotated[str, typer.Option(help="Activations with commas between them: 1,2,4.")]
Grid = Annotated[
    str | None, typer.Option("--input", "-i", help="Rows with slashes between them: '1 2 / 3 4'.")
]
KernelGrid = Annotated[
    str | None, typer.Option("--kernel", "-k", help="Rows with slashes between them: '0 1 / 2 2'.")
]
Above = Annotated[str | None, typer.Option(help="What unpooling takes; the pooled map if none.")]
NoPadding = Annotated[int, typer.Option(help="Padding.", min=0)]
Svg = Annotated[Path | None, typer.Option(help="Draw it, step by step, into an SVG file.")]


@app.command("conv")
def conv(
    input: Input,
    out: Maps,
    kernel: Kernel,
    stride: Stride = 1,
    padding: Padding = None,
    json: options.Json = False,
) -> int:
    """A convolution: output size, parameters, multiply-adds."""
    from convnets.analysis import explain

    return _say(explain.conv(_size(input), out, kernel, stride=stride, padding=padding), json)


@app.command("depthwise")
def depthwise(
    input: Input,
    out: Maps,
    kernel: Kernel,
    stride: Stride = 1,
    padding: Padding = None,
    json: options.Json = False,
) -> int:
    """A depthwise separable convolution against a standard one."""
    from convnets.analysis import explain

    size = _size(input)
    return _say(
        explain.depthwise_separable(size, out, kernel, stride=stride, padding=padding), json
    )


@app.command("pooling")
def pooling(
    input: Input,
    kernel: Kernel,
    stride: PoolingStride = None,
    padding: NoPadding = 0,
    json: options.Json = False,
) -> int:
    """A pooling: output size and operations."""
    from convnets.analysis import explain

    return _say(explain.pooling(_size(input), kernel, stride=stride, padding=padding), json)


@app.command("bottleneck")
def bottleneck(
    input: Input,
    out: Maps,
    kernel: Kernel,
    between: Annotated[int, typer.Option(help="Maps of the 1x1 convolution.", min=1)],
    json: options.Json = False,
) -> int:
    """A 1x1 convolution before a larger one, against the larger one alone."""
    from convnets.analysis import explain

    return _say(explain.bottleneck(_size(input), out, kernel, between), json)


@app.command("stacked")
def stacked(
    channels: Annotated[int, typer.Option(help="Maps in and out.", min=1)],
    kernel: Kernel = 3,
    count: Annotated[int, typer.Option(help="Convolutions one after another.", min=1)] = 3,
    json: options.Json = False,
) -> int:
    """Small kernels in a stack against one that sees as much."""
    from convnets.analysis import explain

    return _say(explain.stacked(channels, kernel, count), json)


@app.command("lrn")
def lrn(
    values: Values,
    channel: Annotated[int, typer.Option(help="The channel to normalise, from 0.", min=0)] = 0,
    k: Annotated[float, typer.Option(help="k.")] = 2,
    alpha: Annotated[float, typer.Option(help="alpha.")] = 1e-4,
    beta: Annotated[float, typer.Option(help="beta.")] = 0.75,
    n: Annotated[int, typer.Option(help="Channels in the window.", min=1)] = 5,
    json: options.Json = False,
) -> int:
    """Local response normalisation across channels at one position."""
    from convnets.analysis import explain

    found = explain.local_response(_numbers(values), channel, k=k, alpha=alpha, beta=beta, n=n)
    return _say(found, json)


@app.command("bn")
def bn(
    values: Values,
    gamma: Annotated[float, typer.Option(help="Scale.")] = 1,
    beta: Annotated[float, typer.Option(help="Shift.")] = 0,
    eps: Annotated[float, typer.Option(help="Added to the variance.")] = 1e-5,
    json: options.Json = False,
) -> int:
    """Batch normalisation of one channel's values."""
    from convnets.analysis import explain

    return _say(explain.batch_norm(_numbers(values), gamma=gamma, beta=beta, eps=eps), json)


@app.command("convolve")
def convolve(
    input: Grid = None,
    kernel: KernelGrid = None,
    stride: Stride = 1,
    padding: NoPadding = 0,
    svg: Svg = None,
    json: options.Json = False,
) -> int:
    """A convolution on a small grid, sum by sum."""
    from convnets.analysis import sliding

    values = _rows(input) or sliding.INPUT
    weights = _rows(kernel) or sliding.KERNEL
    return _draw(sliding.convolve(values, weights, stride=stride, padding=padding), svg, json)


@app.command("transposed")
def transposed(
    input: Grid = None,
    kernel: KernelGrid = None,
    stride: Stride = 1,
    padding: NoPadding = 0,
    svg: Svg = None,
    json: options.Json = False,
) -> int:
    """A transposed convolution on a small grid, in both readings."""
    from convnets.analysis import sliding

    values = _rows(input) or sliding.SMALL
    weights = _rows(kernel) or sliding.KERNEL
    return _draw(sliding.transposed(values, weights, stride=stride, padding=padding), svg, json)


@app.command("unpool")
def unpool(
    input: Grid = None,
    above: Above = None,
    kernel: Kernel = 2,
    stride: PoolingStride = None,
    padding: NoPadding = 0,
    svg: Svg = None,
    json: options.Json = False,
) -> int:
    """Max pooling that records its switches, and unpooling by them."""
    from convnets.analysis import sliding

    values = _rows(input) or sliding.POOLED
    found = sliding.unpool(values, _rows(above), kernel=kernel, stride=stride, padding=padding)
    return _draw(found, svg, json)


def _draw(found: Demonstration, svg: Path | None, json: bool) -> int:
    from convnets.cli.console import show
    from convnets.files import atomic_write, to_json
    from convnets.report.grids import drawn

    if svg is not None:
        atomic_write(svg, drawn(found))
    show(to_json(found.to_dict()) if json else str(found))
    return 0


def _rows(text: str | None) -> tuple[tuple[float, ...], ...] | None:
    if text is None:
        return None
    try:
        return tuple(tuple(float(cell) for cell in row.split()) for row in text.split("/"))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not rows of numbers, as '1 2 / 3 4'") from error


def _say(found: Explanation, json: bool) -> int:
    from convnets.cli.console import show
    from convnets.files import to_json

    show(to_json({"lines": list(found.lines), **found.figures}) if json else str(found))
    return 0


def _size(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not height x width x channels, as 28x28x192")
    return int(found[1]), int(found[2]), int(found[3])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not numbers with commas between them") from error
