"""What the methods of this room find, as figures.

Images are (..., height, width, channels) between 0 and 1, of one channel or three. ``captions``
stand before the images, one each: class names and probabilities. matplotlib is imported when a
figure is drawn; ``convnets.visualize.sheets.encoded`` makes a file of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from convnets.errors import UsageError
from convnets.visualize.arrays import Picture
from convnets.visualize.sheets import (
    INK,
    RULE,
    SIDE,
    SOFT,
    Array,
    Row,
    Scale,
    mosaic,
    rgb,
    scale_of,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convnets.visualize.evolution import Evolution
    from convnets.visualize.top_patches import TopPatches

ABREAST = 3  # units side by side, each with its patches and its projections
MOST_CHANNELS = 64
COLOURS = (
    *("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2"),
    *("#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#8c8c8c"),
)
MARKERS = "osD^vPX"


def pixels(values: Array, mean: Sequence[float], deviation: Sequence[float]) -> Array:
    """Normalised images (..., channels, height, width) as images again."""
    column = (len(mean), 1, 1)
    shown = values * np.reshape(deviation, column) + np.reshape(mean, column)
    images: Array = np.moveaxis(shown, -3, -1).clip(0, 1).astype(np.float32)
    return images


def attribution_figure(
    images: Array, picture: Picture, captions: Sequence[str], *, title: str, note: str = ""
) -> Figure:
    """Each image, how much its pixels count, and the one over the other.

    ``picture`` has the axes image, height and width; of channels between them, the sum is shown.
    """
    maps = summed(picture)
    scale = scale_of(maps)
    shown = _matching(images, len(maps))
    rows = [
        Row((image, scale.paint(each), scale.overlay(image, each)), caption, heads)
        for image, each, caption, heads in zip(
            shown, maps, captions, _once(("image", "map", "map over image"), maps), strict=True
        )
    ]
    meaning = "sum over channels" if "channel" in picture.axes else ""
    return sheet(rows, title=title, note=_notes(picture.about, note), scale=scale, unit=meaning)


def projection_figure(
    images: Array, picture: Picture, captions: Sequence[str], *, title: str, note: str = ""
) -> Figure:
    """Each image beside what was led back to its pixels, in colours around a mid-grey of 0, each
    on a scale of its own.

    ``picture`` has the axes image, channel, height and width. Grey images have the scale's colours,
    and one scale.
    """
    shown = _matching(images, len(picture.values))
    painted, scale = in_colour(picture.values)
    if scale is None:
        painted = np.concatenate([in_colour(each[None])[0] for each in picture.values])
    rows = [
        Row((image, each), caption, heads)
        for image, each, caption, heads in zip(
            shown, painted, captions, _once(("image", "projection"), painted), strict=True
        )
    ]
    return sheet(rows, title=title, note=_notes(picture.about, note), scale=scale)


def channels_figure(
    images: Array, picture: Picture, captions: Sequence[str], *, title: str
) -> Figure:
    """Each image beside its feature maps (axes image, channel, height, width), all on one scale.

    Of many channels those are shown that respond most, in their own order.
    """
    values, note = picture.values, picture.about
    count = values.shape[1]
    if count > MOST_CHANNELS:
        strength = np.abs(values).mean(axis=(0, 2, 3))
        values = values[:, np.sort(np.argsort(-strength, kind="stable")[:MOST_CHANNELS])]
        note += f"; the {MOST_CHANNELS} of {count} channels with the largest mean magnitude"
    scale = scale_of(values)
    columns = math.ceil(math.sqrt(values.shape[1]))
    rows = [
        Row((image, mosaic(scale.paint(maps), columns)), caption, framed=False)
        for image, maps, caption in zip(
            _matching(images, len(values)), values, captions, strict=True
        )
    ]
    return sheet(rows, title=title, note=note, scale=scale, unit="activation", height=2 * SIDE)


def filters_figure(picture: Picture, *, title: str, note: str = "") -> Figure:
    """Kernels (axes unit, channel, height, width) in one grid; those of one or three channels
    whole, of more channels their mean."""
    values = visible(picture.values)
    note = _notes(note, "one scale for all, so that a weak one looks weak")
    painted, scale = in_colour(values, largest=float(np.abs(values).max()))
    columns = math.ceil(math.sqrt(len(values) * 1.6))
    grid = mosaic(painted, columns)
    return sheet(
        [Row((grid,), framed=False)],
        title=title,
        note=note,
        scale=scale,
        unit="weight",
        height=2 * SIDE,
    )


def visible(kernels: Array) -> Array:
    """Kernels (units, channels, height, width) of one or three channels as they are, of others
    their mean over channels."""
    return kernels if kernels.shape[1] in (1, 3) else kernels.mean(axis=1, keepdims=True)


def top_figure(
    found: TopPatches, mean: Sequence[float], deviation: Sequence[float], *, title: str
) -> Figure:
    """Unit by unit, the patches that excite it most beside their projections, as in Figure 2 of
    Zeiler and Fergus (2013); each unit's projections are on its own scale.

    Of a patch that reaches past an edge of its image, what lies outside is white, and so is a patch
    with an activation of 0.
    """
    columns = math.ceil(math.sqrt(found.images.shape[1]))
    pairs = zip(*_tiles(found, mean, deviation), strict=True)
    shown = [[mosaic(tiles, columns) for tiles in pair] for pair in pairs]
    strongest = zip(found.units, found.strengths.values[:, 0], strict=True)
    heads = [(f"unit {unit}: up to {most:.3g}", "projections") for unit, most in strongest]
    rows = []
    for start in range(0, len(shown), ABREAST):
        some = slice(start, start + ABREAST)
        pictures, above = (tuple(chain(*each[some])) for each in (shown, heads))
        rows.append(Row(pictures, heads=above, framed=False))
    note = f"{found.patches.about}, the strongest first, and their deconvnet projections"
    return sheet(rows, title=title, note=note)


def _tiles(
    found: TopPatches, mean: Sequence[float], deviation: Sequence[float]
) -> tuple[Array, Array]:
    """Patches and projections (unit, rank, height, width, 3), white where there is nothing."""
    nothing = (found.patches.values == 0).all(axis=2)[..., None]
    nothing = nothing | (found.strengths.values == 0)[..., None, None, None]
    patches = rgb(pixels(found.patches.values, mean, deviation))
    back = np.stack([in_colour(unit)[0] for unit in found.projections.values])
    white = np.float32(1)
    return np.where(nothing, white, patches), np.where(nothing, white, back)


def evolution_figure(
    found: Evolution, mean: Sequence[float], deviation: Sequence[float], *, title: str
) -> Figure:
    """Unit by unit, from one checkpoint to the next, the patch with the strongest activation and
    its projection below, each projection on its own scale, as in Figure 4 of Zeiler and Fergus."""
    tiles = [_tiles(top, mean, deviation) for top in found.tops]
    rows = []
    for index, unit in enumerate(found.tops[0].units):
        seen, back = (tuple(each[index, 0] for each in kind) for kind in zip(*tiles, strict=True))
        heads = () if index else found.names
        rows += [Row(seen, f"unit {unit}", heads), Row(back)]
    note = "the patch of the strongest activation, and below it its deconvnet projection"
    return sheet(rows, title=title, note=note, height=SIDE / 2)


def images_figure(
    rows: Sequence[Sequence[Array]],
    captions: Sequence[str],
    heads: Sequence[Sequence[str]],
    *,
    title: str,
    note: str = "",
) -> Figure:
    """Rows of images with a head each: maximised units, or queries before their neighbours."""
    shown = [
        Row(tuple(rgb(image) for image in images), caption, tuple(names))
        for images, caption, names in zip(rows, captions, heads, strict=True)
    ]
    return sheet(shown, title=title, note=note, height=0.75 * SIDE)


def points_figure(
    picture: Picture, labels: ArrayLike, classes: Sequence[str], *, title: str, note: str = ""
) -> Figure:
    """A data set in the plane (axes image, channel), its classes told apart by colour and form."""
    from matplotlib.figure import Figure

    number, points = np.asarray(labels), picture.values
    figure = Figure(figsize=(8.0, 6.5), facecolor="white")
    axes = figure.add_axes((0.02, 0.02, 0.76, 0.76 * 8.0 / 6.5 - 0.06))
    for index, name in enumerate(classes):
        x, y = points[number == index].T
        colour = COLOURS[index % len(COLOURS)]
        form = MARKERS[index // len(COLOURS) % len(MARKERS)]
        axes.scatter(x, y, s=14, c=colour, marker=form, alpha=0.75, lw=0, label=_plain(name))
    middle, half = (points.min(0) + points.max(0)) / 2, 0.53 * np.ptp(points, axis=0).max() or 1.0
    axes.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half], xticks=[], yticks=[])
    axes.spines[:].set(color=RULE, linewidth=0.6)
    figure.text(0.02, 0.98, _plain(title), va="top", fontsize=12, fontweight="bold", color=INK)
    about = _plain(_notes(picture.about, note))
    figure.text(0.02, 0.935, about, va="top", fontsize=9, color=SOFT)
    if len(classes) <= len(COLOURS) * len(MARKERS):
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)
    return figure


def _notes(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _plain(text: str) -> str:
    """Text in which a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def _matching(images: Array, count: int) -> Array:
    if len(images) != count:
        raise UsageError(f"{len(images)} images have pictures of {count}")
    return rgb(images)


def _once(heads: tuple[str, ...], rows: Array) -> list[tuple[str, ...]]:
    """Heads for the first row alone."""
    return [heads, *[()] * (len(rows) - 1)]


def summed(picture: Picture) -> Array:
    """An attribution as (image, height, width)."""
    if "channel" not in picture.axes:
        return picture.values
    total: Array = picture.values.sum(axis=picture.axis("channel"))
    return total


def in_colour(values: Array, largest: float | None = None) -> tuple[Array, Scale | None]:
    """Signed values (n, channels, height, width) as colours: three channels around mid-grey, one
    channel on a scale, which is returned too."""
    scale = scale_of(values)
    high = largest or scale.high
    if values.shape[1] == 1:
        signed = Scale(-high, high)
        return signed.paint(values[:, 0]), signed
    return np.clip(0.5 + rgb(np.moveaxis(values, 1, -1)) / (2 * high), 0, 1), None
