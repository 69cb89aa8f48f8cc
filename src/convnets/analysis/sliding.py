"""Convolution, transposed convolution, max pooling and unpooling on grids small enough to read.

Grids have one channel; a place is (row, column), counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from convnets.analysis.explain import output_size
from convnets.analysis.scenes import (
    Demonstration,
    Grid,
    Place,
    Rows,
    Scene,
    Values,
    cells,
    shape_of,
    texts,
    titled,
)
from convnets.errors import UsageError

LARGEST = 16  # rows and columns of a grid that one can still read
MOST_STEPS = 36
CORNER = frozenset({(0, 0)})

# The convolution of Dumoulin and Visin 2016, Figure 1.1.
INPUT = ((3, 3, 2, 1, 0), (0, 0, 1, 3, 1), (3, 1, 2, 2, 3), (2, 0, 0, 2, 2), (2, 0, 0, 0, 1))
KERNEL = ((0, 1, 2), (2, 2, 0), (0, 1, 2))
SMALL = ((1, 2), (3, 4))
POOLED = ((1, 2, 6, 3), (3, 5, 2, 1), (1, 2, 2, 1), (7, 3, 4, 8))


def convolve(
    values: Rows = INPUT, kernel: Rows = KERNEL, *, stride: int = 1, padding: int = 0
) -> Demonstration:
    """A convolution as ConvNets have it, a cross-correlation: the kernel is not turned."""
    inputs, weights = _numbers("input", values), _numbers("kernel", kernel)
    formula = _size_line(inputs.shape, weights.shape, stride, padding)
    padded, outside = np.pad(inputs, padding), _around(inputs.shape, padding)
    outputs = _correlated(padded, weights, stride)

    def source(place: Place, beside: dict[Place, str]) -> Grid:
        window = _window(place, stride, weights.shape)
        return Grid(titled("input", inputs), cells(padded), window, outside, beside)

    def step(place: Place) -> Scene:
        window = sorted(_window(place, stride, weights.shape))
        beside = dict(zip(window, texts(weights.flat), strict=True))
        done = [each for each in np.ndindex(*outputs.shape) if each <= place]
        return source(place, beside), "→", Grid("output", cells(outputs, done), frozenset({place}))

    kernel_grid = Grid(titled("kernel", weights), cells(weights))
    output_grid = Grid(titled("output", outputs), cells(outputs), CORNER)
    sums = [
        f"{place}: {_sum(weights, _under(padded, place, stride, weights.shape))} = {value:g}"
        for place, value in np.ndenumerate(outputs)
    ]
    return Demonstration(
        f"convolution, stride {stride}, padding {padding}",
        ((source((0, 0), {}), "*", kernel_grid, "=", output_grid),),
        (formula, "each output: the kernel times the window it lies on, summed", *sums),
        {"output": outputs.tolist()},
        _steps(step, outputs.shape),
    )


def transposed(
    values: Rows = SMALL, kernel: Rows = KERNEL, *, stride: int = 1, padding: int = 0
) -> Demonstration:
    """A transposed convolution in both readings: every value lays its multiple of the kernel down;
    and the turned kernel slides over the values spread out.

    ``padding`` is that of the convolution whose transpose it is: so much is cut off every side.
    """
    inputs, weights = _numbers("input", values), _numbers("kernel", kernel)
    formula = _transposed_line(inputs.shape, weights.shape, stride, padding)
    so_far = _laid(inputs, weights, stride)
    whole = so_far[-1]
    outputs = whole[padding : len(whole) - padding, padding : whole.shape[1] - padding]
    spread, added = _spread(inputs, weights, stride, padding)
    turned = weights[::-1, ::-1]

    source = Grid(titled("input", inputs), cells(inputs))
    output = titled("output", outputs)
    lay: Scene = (
        *(source, "*ᵀ", Grid(titled("kernel", weights), cells(weights))),
        *("=", Grid(output, cells(outputs))),
    )
    slide: Scene = (
        Grid("input, spread", cells(spread), _window((0, 0), 1, weights.shape), added),
        *("*", Grid("kernel, turned", cells(turned))),
        *("=", Grid(output, cells(outputs), CORNER)),
    )

    def step(place: Place) -> Scene:
        here = Grid(source.title, source.cells, frozenset({place}))
        reached = cells(so_far[place[0] * inputs.shape[1] + place[1]])
        window = _window(place, stride, weights.shape)
        return here, "→", Grid("sum so far", reached, window, _around(outputs.shape, padding))

    cut = f"; {padding} is cut off every side" if padding else ""
    zeros = f"{stride - 1} zero{'s' if stride != 2 else ''}"
    around = "x".join(dict.fromkeys(str(side - 1 - padding) for side in weights.shape))
    first = _sum(turned, _under(spread, (0, 0), 1, weights.shape))
    return Demonstration(
        f"transposed convolution, stride {stride}, padding {padding}",
        (lay, slide),
        (
            formula,
            f"each value lays its multiple of the kernel down, {stride} further than the one "
            f"before; what overlaps is added{cut}",
            f"equally, the kernel turned by 180° slides over the input with {zeros} between values "
            f"and F - 1 - P = {around} around",
            f"(0, 0): {first} = {outputs[0, 0]:g}",
        ),
        {"output": outputs.tolist()},
        _steps(step, inputs.shape),
    )


def unpool(
    values: Rows = POOLED,
    above: Rows | None = None,
    *,
    kernel: int = 2,
    stride: int | None = None,
    padding: int = 0,
) -> Demonstration:
    """Max pooling that keeps the places of its maxima (switches), and unpooling by them.

    ``above`` is what comes back from above; None is the pooled map itself. Of equal values the
    first is the maximum. Where windows overlap and share a switch, their values are added, as the
    backward pass does; ``torch.nn.functional.max_unpool2d`` keeps one of them.
    """
    inputs, stride = _numbers("input", values), kernel if stride is None else stride
    formula = _size_line(inputs.shape, (kernel, kernel), stride, padding)
    if padding > kernel // 2:
        raise UsageError(f"padding is {padding}; it must be at most half the kernel of {kernel}")
    padded = np.pad(inputs, padding, constant_values=-math.inf)
    pooled = np.zeros([output_size(side, kernel, stride, padding) for side in inputs.shape])
    switches: dict[Place, Place] = {}
    sums = []
    for place in np.ndindex(*pooled.shape):
        window = _under(padded, place, stride, (kernel, kernel))
        row, column = divmod(int(window.argmax()), kernel)
        pooled[place] = window[row, column]
        switches[place] = (place[0] * stride + row - padding, place[1] * stride + column - padding)
        inside = ", ".join(texts(window[np.isfinite(window)]))
        sums.append(f"{place}: max({inside}) = {pooled[place]:g}, switch {switches[place]}")
    returned = pooled if above is None else _numbers("map above", above)
    if returned.shape != pooled.shape:
        raise UsageError(
            f"the map above is {shape_of(returned)}, the pooled one {shape_of(pooled)}"
        )
    unpooled = np.zeros_like(inputs)
    for place, switch in switches.items():
        unpooled[switch] += returned[place]
    shared = len(set(switches.values())) < len(switches)
    return Demonstration(
        f"max pooling {kernel}x{kernel}, stride {stride}, padding {padding}, and unpooling",
        _down_and_up(inputs, padded, pooled, switches, returned, unpooled),
        (
            formula,
            *sums,
            "unpooling puts each value at its switch and 0 everywhere else"
            f"{'; values that share a switch are added' if shared else ''}",
        ),
        {
            "pooled": pooled.tolist(),
            "switches": [[float(side) for side in switch] for switch in switches.values()],
            "unpooled": unpooled.tolist(),
        },
    )


def _down_and_up(
    inputs: Values,
    padded: Values,
    pooled: Values,
    switches: dict[Place, Place],
    returned: Values,
    unpooled: Values,
) -> tuple[Scene, Scene]:
    kept = frozenset(switches.values())
    padding = (len(padded) - len(inputs)) // 2
    maxima = frozenset((i + padding, j + padding) for i, j in kept)
    places = np.array([f"{i},{j}" for i, j in switches.values()]).reshape(pooled.shape)
    outside = _around(inputs.shape, padding)
    down: Scene = (
        *(Grid(titled("input", inputs), cells(padded), maxima, outside), "→"),
        *(Grid(titled("pooled", pooled), cells(pooled)), "and"),
        Grid("switches", tuple(map(tuple, places.tolist()))),
    )
    up: Scene = (
        *(Grid(titled("from above", returned), cells(returned)), "→"),
        Grid(titled("unpooled", unpooled), cells(unpooled), kept),
    )
    return down, up


def _numbers(name: str, rows: Rows) -> Values:
    """Rows of numbers as an array; raises ``UsageError`` unless they are a small grid."""
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise UsageError(f"the {name} is no grid: its rows have {[len(row) for row in rows]} cells")
    if max(len(rows), len(rows[0])) > LARGEST:
        raise UsageError(f"the {name} has more than {LARGEST} rows or columns")
    values = np.array(rows, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UsageError(f"the {name} holds a value that is no finite number")
    return values


def _under(values: Values, place: Place, stride: int, sides: tuple[int, ...]) -> Values:
    """The window of an output place, a view."""
    top, left = place[0] * stride, place[1] * stride
    return values[top : top + sides[0], left : left + sides[1]]


def _window(place: Place, stride: int, sides: tuple[int, ...]) -> frozenset[Place]:
    top, left = place[0] * stride, place[1] * stride
    return frozenset((top + i, left + j) for i, j in np.ndindex(*sides))


def _around(shape: tuple[int, ...], border: int) -> frozenset[Place]:
    """The cells of a border around a grid, counted in the grid with its border."""
    inside = _window((border, border), 1, shape)
    return frozenset(np.ndindex(*(side + 2 * border for side in shape))) - inside


def _correlated(padded: Values, weights: Values, stride: int) -> Values:
    shape = [output_size(n, f, stride) for n, f in zip(padded.shape, weights.shape, strict=True)]
    outputs = np.zeros(shape)
    for place in np.ndindex(*shape):
        outputs[place] = (weights * _under(padded, place, stride, weights.shape)).sum()
    return outputs


def _laid(inputs: Values, weights: Values, stride: int) -> list[Values]:
    """The sum of the kernel's multiples after each value, nothing cut off."""
    pairs = zip(inputs.shape, weights.shape, strict=True)
    laid = np.zeros([(n - 1) * stride + f for n, f in pairs])
    so_far = []
    for place, value in np.ndenumerate(inputs):
        _under(laid, place, stride, weights.shape)[:] += value * weights
        so_far.append(laid.copy())
    return so_far


def _spread(
    inputs: Values, weights: Values, stride: int, padding: int
) -> tuple[Values, frozenset[Place]]:
    """The values with zeros between and around them, and the places of those zeros."""
    spread = np.zeros([(side - 1) * stride + 1 for side in inputs.shape])
    spread[::stride, ::stride] = 1
    own = spread.copy()
    spread[::stride, ::stride] = inputs
    margins = [(side - 1 - padding,) * 2 for side in weights.shape]
    added = np.argwhere(np.pad(own, margins) == 0)
    return np.pad(spread, margins), frozenset((i, j) for i, j in added.tolist())


def _steps(step: Callable[[Place], Scene], shape: tuple[int, ...]) -> tuple[Scene, ...]:
    places = list(np.ndindex(*shape))
    return tuple(step((i, j)) for i, j in places) if len(places) <= MOST_STEPS else ()


def _sum(weights: Values, window: Values) -> str:
    pairs = zip(texts(weights.flat), texts(window.flat), strict=True)
    return " + ".join(f"{weight}·{value}" for weight, value in pairs)


def _size_line(sides: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> str:
    found = [
        f"({n} - {f} + 2·{padding}) / {stride} + 1 = {output_size(n, f, stride, padding)}"
        f"{'' if (n - f + 2 * padding) % stride == 0 else ', rounded down'}"
        for n, f in zip(sides, kernel, strict=True)
    ]
    return f"output: (N - F + 2P) / S + 1 = {'; '.join(dict.fromkeys(found))}"


def _transposed_line(
    sides: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int
) -> str:
    if stride < 1 or not 0 <= padding < min(kernel):
        raise UsageError(
            f"stride is {stride}, padding {padding}; the stride must be at least 1, the padding "
            f"0 to {min(kernel) - 1}, less than the kernel"
        )
    found = []
    for n, f in zip(sides, kernel, strict=True):
        result = (n - 1) * stride - 2 * padding + f
        if result < 1:
            raise UsageError(f"padding {padding} leaves nothing of {n} values")
        found.append(f"({n} - 1)·{stride} - 2·{padding} + {f} = {result}")
    return f"output: (N - 1)·S - 2P + F = {'; '.join(dict.fromkeys(found))}"
