"""Rows of pictures on a sheet, aligned, with a title, captions and one colour scale.

Pictures are arrays (height, width, 3) between 0 and 1. Signed values are drawn from blue over white
(0) to red, magnitudes from black (0) to yellow. matplotlib is imported when a sheet is laid out.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnets.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]

SIDE = 2.1  # inches: the height of a picture
GAP = 0.14
TITLE = 0.56
HEAD = 0.28
BAR = 0.95
CHARACTER = 0.082  # the width of one in a caption
LETTER = 0.112  # in a title
LONGEST = 25  # characters of a caption's line
LINE = 0.19
INK, SOFT, RULE = "#1b1d22", "#5c616b", "#d5d2ca"
HELD = 99.5  # percent of the values that a scale holds, so that one pixel is not all of it
SMALLEST = 24  # pixels of a tile, below which gaps between tiles would look wide


@dataclass(frozen=True)
class Scale:
    """Colours for values from ``low``, which is ``-high`` or 0, to ``high``; ``beyond`` says that
    a few values lie outside, where the colour is that of the end."""

    low: float
    high: float
    beyond: bool = False

    @property
    def colours(self) -> str:
        """The name of matplotlib's colour map."""
        return "RdBu_r" if self.low < 0 else "inferno"

    def paint(self, values: Array) -> Array:
        """Colours (..., 3) of values (...)."""
        from matplotlib import colormaps

        shares = (values - self.low) / (self.high - self.low)
        painted: Array = colormaps[self.colours](np.clip(shares, 0, 1))[..., :3]
        return painted.astype(np.float32)

    def overlay(self, images: Array, values: Array) -> Array:
        """Images (..., 3) in grey under the colours, hidden the more the further from 0."""
        grey = images.mean(axis=-1, keepdims=True)
        share = 0.8 * np.clip(np.abs(values) / self.high, 0, 1)[..., None]
        mixed: Array = (1 - share) * grey + share * self.paint(values)
        return mixed


def scale_of(values: Array) -> Scale:
    """The scale that holds nearly all values: around 0 if any is negative, else from 0.

    Raises ``UsageError`` for values that are not finite.
    """
    if not np.isfinite(values).all():
        raise UsageError("the picture holds values that are not finite")
    sizes = np.abs(values)
    # Where most values are 0, as behind a ReLU, the largest counts.
    largest = float(sizes.max())
    high = float(np.percentile(sizes, HELD)) or largest or 1.0
    return Scale(-high if values.min() < 0 else 0.0, high, largest > high)


def rgb(images: Array) -> Array:
    """Images (..., channels) with three channels, of one repeated or of three."""
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise UsageError(f"images of {channels} channels have no colours; those of 1 or 3 have")
    return np.repeat(images, 3, axis=-1) if channels == 1 else images


def mosaic(tiles: Array, columns: int) -> Array:
    """Tiles (n, height, width, 3) row by row in one picture, white between them."""
    times = max(1, math.ceil(SMALLEST / max(tiles.shape[1:3])))
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    count, height, width, _ = tiles.shape
    gap = max(1, round(max(height, width) / 14))
    rows = math.ceil(count / columns)
    sides = rows * (height + gap) - gap, columns * (width + gap) - gap
    picture = np.ones((*sides, 3), dtype=np.float32)
    for place, tile in enumerate(tiles):
        y, x = (place // columns) * (height + gap), (place % columns) * (width + gap)
        picture[y : y + height, x : x + width] = tile
    return picture


@dataclass(frozen=True)
class Row:
    """Pictures (height, width, 3) from left to right, a head above each, a caption before them."""

    pictures: tuple[Array, ...]
    caption: str = ""
    heads: tuple[str, ...] = ()
    framed: bool = True


def sheet(
    rows: Sequence[Row],
    *,
    title: str,
    note: str = "",
    scale: Scale | None = None,
    unit: str = "",
    height: float = SIDE,
) -> Figure:
    """Rows of pictures, each ``height`` inches tall, their columns aligned.

    ``note`` stands below the title; ``unit`` says what the scale, drawn as a bar, measures.
    """
    from matplotlib.figure import Figure

    columns = range(max(len(row.pictures) for row in rows))
    widths = [max(_width(row, column, height) for row in rows) for column in columns]
    captions = [_wrapped(row.caption) for row in rows]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    before = CHARACTER * longest + 2 * GAP if longest else 0.0
    edges = [GAP + before + sum(widths[:column]) + GAP * column for column in columns]
    end = edges[-1] + widths[-1] + GAP
    wide = max(end + (BAR if scale else 0), LETTER * len(title) + 2 * GAP)
    notes = textwrap.wrap(note, int(wide / 0.075))
    top = TITLE + LINE * len(notes)
    tall = top + sum(height + GAP + (HEAD if row.heads else 0) for row in rows)
    figure = Figure(figsize=(wide, tall), facecolor="white")

    def write(x: float, y: float, text: str, **style: Any) -> None:
        usual: dict[str, Any] = {"va": "top", "color": INK, "fontsize": 9, "parse_math": False}
        figure.text(x / wide, 1 - y / tall, text, **(usual | style))

    def box(x: float, y: float, width: float, depth: float) -> tuple[float, float, float, float]:
        return x / wide, 1 - (y + depth) / tall, width / wide, depth / tall

    write(GAP, 0.16, title, fontsize=12, fontweight="bold")
    write(GAP, 0.46, "\n".join(notes), color=SOFT, linespacing=1.35)
    y = top
    for row, caption in zip(rows, captions, strict=True):
        for x, width, head in zip(edges, widths, row.heads, strict=False):
            fitting = _shortened(head, max(int(width / CHARACTER), 3))
            write(x + width / 2, y + 0.07, fitting, ha="center", color=SOFT)
        y += HEAD if row.heads else 0
        write(GAP, y, caption, linespacing=1.45)
        for x, column in zip(edges, range(len(row.pictures)), strict=False):
            axes = figure.add_axes(box(x, y, _width(row, column, height), height))
            shown = np.clip(row.pictures[column], 0, 1)
            axes.imshow(shown, interpolation="nearest", aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=row.framed, color=RULE, linewidth=0.6)
        y += height + GAP
    if scale is not None:
        start = top + (HEAD if rows[0].heads else 0)
        _bar(figure, box(end, start, 0.13, min(tall - GAP - start, 2 * SIDE)), scale, unit)
    return figure


def _width(row: Row, column: int, height: float) -> float:
    if column >= len(row.pictures):
        return 0.0
    rows, columns = row.pictures[column].shape[:2]
    return height * float(columns) / float(rows)


def _wrapped(caption: str) -> str:
    lines = [textwrap.wrap(line, LONGEST) or [""] for line in caption.split("\n")]
    return "\n".join(part for parts in lines for part in parts)


def _shortened(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _bar(figure: Figure, box: tuple[float, float, float, float], scale: Scale, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(scale.low, scale.high), scale.colours)
    ends = ("both" if scale.low else "max") if scale.beyond else "neither"
    bar = figure.colorbar(colours, cax=figure.add_axes(box), extend=ends)
    ticks = sorted({scale.low, 0.0, scale.high})
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.ax.tick_params(labelsize=8, length=2, color=SOFT, labelcolor=INK)
    bar.set_label(unit, fontsize=8, color=SOFT)
    bar.outline.set_visible(False)


def png(picture: Array) -> bytes:
    """A picture (height, width, 3) as a PNG file's bytes, pixel for pixel."""
    file = io.BytesIO()
    Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def encoded(figure: Figure, form: str) -> bytes:
    """The figure as a file's bytes, the same each time; ``form`` is ``png`` or ``svg``."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "convnets"}):
        # A class name in a script that the font lacks shows as boxes.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")
        metadata = {"Date": None} if form == "svg" else {}
        figure.savefig(file, format=form, dpi=150, metadata=metadata)
    return file.getvalue()
