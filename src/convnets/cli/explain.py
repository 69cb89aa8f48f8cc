"""``convnets explain``: one layer's formula with the numbers in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.analysis.explain import Explanation

app = typer.Typer(
    help="Show a layer's formula with the numbers in it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Input = Annotated[str, typer.Option("--input", "-i", help="Height x width x channels: 28x28x192.")]
Maps = Annotated[int, typer.Option("--out", "-n", help="Maps of the output.", min=1)]
Kernel = Annotated[int, typer.Option("--kernel", "-k", help="Side of the kernel.", min=1)]
Stride = Annotated[int, typer.Option(help="Stride.", min=1)]
Padding = Annotated[
    int | None, typer.Option(help="Padding; without it, what keeps the size at stride 1.", min=0)
]
Values = Annotated[str, typer.Option(help="Activations with commas between them: 1,2,4.")]


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
    stride: Annotated[int | None, typer.Option(help="Stride; the kernel's side if none.")] = None,
    padding: Annotated[int, typer.Option(help="Padding.", min=0)] = 0,
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
