"""Accuracy class by class, and which class is taken for which, as coloured tables and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnets.files import to_json
from convnets.records import Result
from convnets.report.entries import Entry
from convnets.report.markup import Markup, tag

LEGIBLE = 20  # classes up to which a cell has room for its number
RIGHT = (0x4A, 0x6B, 0xD6)
WRONG = (0xD2, 0x51, 0x2F)
PICTURE = 720  # pixels, at most, of a matrix drawn as a picture

Matrix = NDArray[np.int64]


def confusion(runs: Sequence[Result]) -> Matrix:
    """The counts (true class, called class) summed over the runs of one row."""
    counts = np.array([run.confusion for run in runs], dtype=np.int64)
    total: Matrix = counts.sum(axis=0)
    return total


def shares(matrix: Matrix) -> NDArray[np.float64]:
    """Each count as a share of its true class; 0 for a class without test images."""
    share: NDArray[np.float64] = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return share


def class_table(entries: Sequence[Entry], classes: Sequence[str]) -> Markup:
    """Accuracy of each network on each class; many classes become a strip, hardest first."""
    accuracy = np.array([np.diag(shares(confusion(entry.runs))) for entry in entries])
    legible = len(classes) <= LEGIBLE
    order = range(len(classes)) if legible else np.argsort(accuracy.mean(axis=0), kind="stable")
    low, high = float(accuracy.min()), float(accuracy.max())
    body = []
    for entry, row in zip(entries, accuracy, strict=True):
        cells = [
            _cell(
                f"{row[index] * 100:.0f}" if legible else "",
                (row[index] - low) / (high - low) if high > low else 1.0,
                f"{entry.name} on {classes[index]}: {row[index] * 100:.1f} %",
            )
            for index in order
        ]
        body.append(tag("tr", {}, tag("th", {"scope": "row"}, entry.name), *cells))
    head = _class_head("", classes) if legible else Markup("")
    note = (
        f"Percent of a class's test images that are called right; palest {low * 100:.0f} %, "
        f"fullest {high * 100:.0f} %."
    )
    if not legible:
        note += f" All {len(classes)} classes, hardest on the left; point at a cell for its name."
    return _figure(
        tag("table", {"class": "heat" if legible else "heat strip"}, head, tag("tbody", {}, *body)),
        note,
    )


def confusion_figure(matrix: Matrix, classes: Sequence[str]) -> Markup:
    """True classes down, called classes across, in shares of the true class."""
    if len(classes) > LEGIBLE:
        return _confusion_picture(matrix, classes)
    share = shares(matrix)
    body = []
    for true, name in enumerate(classes):
        cells = [
            _cell(
                f"{share[true, called] * 100:.0f}" if share[true, called] >= 0.005 else "",
                share[true, called] if true == called else min(share[true, called] * 3, 1.0),
                f"{name} called {classes[called]}: {matrix[true, called]} of {matrix[true].sum()} "
                f"({share[true, called] * 100:.1f} %)",
                wrong=true != called,
            )
            for called in range(len(classes))
        ]
        body.append(tag("tr", {}, tag("th", {"scope": "row"}, name), *cells))
    return _figure(
        tag(
            "table",
            {"class": "heat"},
            _class_head("true ↓ called →", classes),
            tag("tbody", {}, *body),
        ),
        "Percent of each true class; blue is right, red is wrong (three times as strong).",
    )


def _confusion_picture(matrix: Matrix, classes: Sequence[str]) -> Markup:
    strength = np.sqrt(shares(matrix))
    pixels = np.zeros((*matrix.shape, 4), dtype=np.uint8)
    pixels[..., :3] = WRONG
    pixels[np.eye(len(matrix), dtype=bool), :3] = RIGHT
    pixels[..., 3] = np.rint(strength * 255)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG", optimize=True)
    filled = [[int(value) for j in np.flatnonzero(row) for value in (j, row[j])] for row in matrix]
    side = max(PICTURE // len(classes), 1) * len(classes)
    picture = tag(
        "img",
        {
            "class": "matrix",
            "alt": f"confusion matrix of {len(classes)} classes",
            "src": png_url(base64.b64encode(png.getvalue()).decode()),
            "style": f"width:{side}px",
            "data-cells": to_json(filled, indent=None).replace(" ", ""),
        },
    )
    return _figure(
        picture,
        "True classes down, called classes across; blue is right, red is wrong, by the root of "
        "the share of the true class. Point at a cell for its names.",
    )


def confused_pairs(matrix: Matrix, most: int) -> list[tuple[int, int, int, float]]:
    """The most frequent mistakes: (true, called, count, share of the true class)."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    share = shares(matrix)
    return [(i, j, int(wrong[i, j]), float(share[i, j])) for i, j in pairs if wrong[i, j]]


def png_url(encoded: str) -> str:
    """The address of a picture that stands in the page itself, from base64."""
    return f"data:image/png;base64,{encoded}"


def _class_head(corner: str, classes: Sequence[str]) -> Markup:
    names = [tag("th", {"scope": "col"}, tag("span", {}, name)) for name in classes]
    return tag("thead", {}, tag("tr", {}, tag("th", {}, corner), *names))


def _cell(text: str, strength: float, tip: str, *, wrong: bool = False) -> Markup:
    classes = [name for name, on in (("wrong", wrong), ("deep", strength > 0.9)) if on]
    return tag(
        "td",
        {
            "class": " ".join(classes) or None,
            "style": f"--v:{strength:.2f}",
            "data-tip": tip,
        },
        text,
    )


def _figure(content: Markup, note: str) -> Markup:
    return tag("figure", {}, tag("div", {"class": "scroll"}, content), tag("figcaption", {}, note))
