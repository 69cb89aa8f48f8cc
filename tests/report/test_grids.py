"""The drawn grids: well-formed, inside the frame, and showing the numbers of the text."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest

from convnets.analysis.scenes import Demonstration, Grid
from convnets.analysis.sliding import convolve, transposed, unpool
from convnets.report.grids import drawn

SVG = "{http://www.w3.org/2000/svg}"
WIDE = 0.62  # of the font size: a generous mean width of a character

CASES = {
    "convolution": convolve(),
    "stride and padding": convolve(stride=2, padding=1),
    "one cell": convolve([[3]], [[-0.123456]]),
    "wide numbers": convolve([[12345.5, -2e9], [0.25, 1e-7]], [[1]]),
    "many steps": convolve([[1] * 7] * 7, [[2, 1], [1, 2]]),
    "no steps": convolve([[1] * 16] * 16, [[1]]),
    "transposed": transposed(),
    "transposed 2, 1": transposed(stride=2, padding=1),
    "unpooling": unpool(above=[[1, 2], [3, 4]]),
    "overlapping": unpool(kernel=3, stride=1, padding=1),
}


@pytest.mark.parametrize("found", CASES.values(), ids=CASES)
def test_the_picture_is_inside_its_frame(found: Demonstration) -> None:
    root = ElementTree.fromstring(drawn(found))
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for box in root.iter(f"{SVG}rect"):
        x, y = float(box.get("x", 0)), float(box.get("y", 0))
        assert 0 <= x <= x + float(box.attrib["width"]) <= width
        assert 0 <= y <= y + float(box.attrib["height"]) <= height
    for text in root.iter(f"{SVG}text"):
        size, x = float(text.attrib["font-size"]), float(text.attrib["x"])
        long = WIDE * size * len(text.text or "")
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        assert x - share * long >= 0
        assert x + (1 - share) * long <= width
        assert size <= float(text.attrib["y"]) <= height


@pytest.mark.parametrize("found", CASES.values(), ids=CASES)
def test_every_number_is_drawn(found: Demonstration) -> None:
    root = ElementTree.fromstring(drawn(found))
    texts = Counter(text.text for text in root.iter(f"{SVG}text"))
    grids = [
        part for scene in (*found.scenes, *found.steps) for part in scene if isinstance(part, Grid)
    ]
    cells = Counter(cell for grid in grids for row in grid.cells for cell in row if cell)
    assert not cells - texts
    assert not Counter(grid.title for grid in grids) - texts
    marked = [box for box in root.iter(f"{SVG}rect") if box.get("fill") == "#cfdcf3"]
    assert len(marked) == sum(len(grid.marked) for grid in grids)


def test_grids_do_not_overlap() -> None:
    root = ElementTree.fromstring(drawn(convolve(stride=2, padding=1)))
    corners = [(box.get("x"), box.get("y")) for box in root.iter(f"{SVG}rect")]
    assert len(set(corners)) == len(corners)
