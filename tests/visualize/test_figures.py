"""Figures as they come out: what colour a value has, where panels stand, what text they carry."""

from __future__ import annotations

import io
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from convnets.errors import UsageError
from convnets.visualize import figures
from convnets.visualize.arrays import Picture
from convnets.visualize.evolution import Evolution
from convnets.visualize.sheets import Row, Scale, encoded, mosaic, rgb, scale_of, sheet
from convnets.visualize.top_patches import TopPatches

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.1, 0.3)


def noise(*shape: int, low: float = 0.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, 1, shape).astype(np.float32)


def heat(low: float = -1.0, images: int = 2) -> Picture:
    return Picture(noise(images, 8, 8, low=low), ("image", "height", "width"), "a heat map")


def channels(*shape: int, low: float = -1.0, first: str = "image") -> Picture:
    return Picture(noise(*shape, low=low), (first, "channel", "height", "width"), "values")


def top(in_chans: int = 3) -> TopPatches:
    tiles = noise(4, 9, in_chans, 6, 6, low=-1)
    tiles[0, 0, :, :2] = 0  # beyond the image's edge
    axes = ("unit", "rank", "channel", "height", "width")
    return TopPatches(
        "features.stage1",
        (0, 3, 5, 7),
        Picture(noise(4, 9), ("unit", "rank"), "strengths"),
        np.zeros((4, 9), np.int64),
        np.zeros((4, 9, 2), np.int64),
        np.zeros((4, 9, 4), np.int64),
        Picture(tiles, axes, "patches"),
        Picture(noise(4, 9, in_chans, 6, 6, low=-1), axes, "projections"),
    )


NAMES = ["<cat> & $x$: 93.1 %", "dog\na very long name, of more than one line: 50 %"]
IMAGES, GREY = noise(2, 8, 8, 3), noise(2, 8, 8, 1)
CASES: dict[str, Callable[[], Figure]] = {
    "signed attribution": lambda: figures.attribution_figure(IMAGES, heat(), NAMES, title="A"),
    "magnitudes": lambda: figures.attribution_figure(GREY, heat(0), NAMES, title="A"),
    "with channels": lambda: figures.attribution_figure(
        IMAGES, channels(2, 3, 8, 8), NAMES, title="A"
    ),
    "projection": lambda: figures.projection_figure(IMAGES, channels(2, 3, 8, 8), NAMES, title="A"),
    "grey projection": lambda: figures.projection_figure(
        GREY, channels(2, 1, 8, 8), NAMES, title="A"
    ),
    "maps": lambda: figures.channels_figure(IMAGES, channels(2, 7, 4, 4), NAMES, title="A"),
    "vectors": lambda: figures.channels_figure(IMAGES, channels(2, 99, 1, 1), NAMES, title="A"),
    "filters": lambda: figures.filters_figure(channels(5, 3, 7, 7, first="unit"), title="A"),
    "deep filters": lambda: figures.filters_figure(channels(5, 64, 3, 3), title="A"),
    "top": lambda: figures.top_figure(top(), MEAN, DEVIATION, title="A"),
    "grey top": lambda: figures.top_figure(top(1), (0.5,), (0.2,), title="A"),
    "images": lambda: figures.images_figure(
        [list(IMAGES), [IMAGES[0]]], NAMES, [NAMES, NAMES[:1]], title="A"
    ),
    "points": lambda: figures.points_figure(
        Picture(noise(30, 2), ("image", "channel"), "points"),
        np.arange(30) % 12,
        [f"${i}" for i in range(12)],
        title="$A",
    ),
    "one point": lambda: figures.points_figure(
        Picture(noise(1, 2), ("image", "channel"), "points"), [0], ["a", "b"], title="A"
    ),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_figure_becomes_a_png_and_an_svg_always_the_same(make: Callable[[], Figure]) -> None:
    figure = make()
    with Image.open(io.BytesIO(encoded(figure, "png"))) as picture:
        assert min(picture.size) > 100
    svg = encoded(figure, "svg")
    root = ElementTree.fromstring(svg)
    assert root.attrib["viewBox"]
    addresses = {value for each in root.iter() for name, value in each.items() if "href" in name}
    assert all(value.startswith(("#", "data:image/png;")) for value in addresses)
    assert encoded(make(), "svg") == svg


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_panels_and_texts_stay_on_the_page_and_apart(make: Callable[[], Figure]) -> None:
    figure = make()
    figure.draw_without_rendering()
    boxes = [axes.get_position() for axes in figure.axes]
    for place, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
        for other in boxes[:place]:
            assert not box.overlaps(other)
    page = figure.bbox
    texts = [text.get_window_extent() for text in figure.texts if text.get_text()]
    for place, extent in enumerate(texts):
        assert page.x0 <= extent.x0 <= extent.x1 <= page.x1
        assert page.y0 <= extent.y0 <= extent.y1 <= page.y1
        for other in texts[:place]:
            assert not extent.overlaps(other)


def test_all_panels_of_a_row_are_as_tall_and_columns_are_aligned() -> None:
    boxes = [a.get_position() for a in CASES["signed attribution"]().axes[:6]]
    assert len({round(box.y0, 9) for box in boxes}) == 2
    assert len({round(box.x0, 9) for box in boxes}) == 3
    assert len({(round(box.width, 9), round(box.height, 9)) for box in boxes}) == 1


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=50))
def test_a_scale_is_centred_at_0_or_starts_there(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    scale = scale_of(array)
    assert scale.high > 0
    assert scale.low == (-scale.high if array.min() < 0 else 0)
    assert scale.beyond == bool((np.abs(array) > scale.high).any())


def test_zero_is_white_or_black_and_signs_are_red_and_blue() -> None:
    values = np.array([-2.0, -1, 0, 1, 2], dtype=np.float32)
    blue, _, white, _, red = Scale(-1, 1).paint(values)
    assert white.min() > 0.96
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    np.testing.assert_array_equal(Scale(-1, 1).paint(values[:1]), Scale(-1, 1).paint(values[1:2]))
    magnitudes = Scale(0, 1).paint(np.linspace(0, 1, 20, dtype=np.float32)).sum(axis=1)
    assert magnitudes[0] < 0.02
    assert (np.diff(magnitudes) > 0).all()


def test_a_scale_is_not_stretched_by_one_pixel() -> None:
    values = np.ones(1000, dtype=np.float32)
    values[0] = 1e6
    assert scale_of(values) == Scale(0, 1, beyond=True)
    lone = np.zeros(1000, dtype=np.float32)
    lone[0] = 7
    assert scale_of(lone).high == 7
    assert scale_of(np.zeros(3, np.float32)).high == 1


def test_an_overlay_is_the_grey_image_where_the_map_is_0() -> None:
    images, values = noise(2, 4, 4, 3), np.zeros((2, 4, 4), np.float32)
    grey = images.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    np.testing.assert_allclose(Scale(-1, 1).overlay(images, values), grey, atol=1e-6)
    full = Scale(0, 1).overlay(images, values + 1)
    expected = 0.2 * grey + 0.8 * Scale(0, 1).paint(values + 1)
    np.testing.assert_allclose(full, expected, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 10), st.integers(1, 4), st.integers(1, 40))
def test_a_mosaic_holds_every_tile_once_in_reading_order(
    count: int, columns: int, side: int
) -> None:
    levels = np.arange(1, count + 1, dtype=np.float32) / 20
    tiles = np.broadcast_to(levels[:, None, None, None], (count, side, side, 3))
    picture = mosaic(tiles.copy(), columns)
    found, counts = np.unique(picture, return_counts=True)
    assert found[found < 1].tolist() == levels.tolist()
    assert len(set(counts[found < 1])) == 1
    first = [np.argwhere(picture[..., 0] == level)[0].tolist() for level in levels]
    assert first == sorted(first)
    assert len({column for _, column in first}) == min(columns, count)


def test_pixels_undo_the_normalisation() -> None:
    images = noise(2, 5, 6, 3)
    normalised = np.moveaxis((images - MEAN) / DEVIATION, -1, 1)
    np.testing.assert_allclose(figures.pixels(normalised, MEAN, DEVIATION), images, atol=1e-6)
    assert figures.pixels(normalised * 100, MEAN, DEVIATION).max() <= 1


def test_text_is_shown_as_it_is() -> None:
    figure = figures.attribution_figure(IMAGES, heat(), [NAMES[0], "猫: 50 %"], title="A")
    encoded(figure, "png")  # without a warning, although the font has no such letter
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "<cat> & $x$: 93.1 %" in words
    assert "猫" in words
    assert "a heat map" in words


def test_beyond_an_images_edge_a_patch_is_white() -> None:
    found = top()
    shown = figures.top_figure(found, MEAN, DEVIATION, title="A").axes[0].images[0].get_array()
    times = 24 // 6
    assert shown is not None
    assert (shown[: 2 * times, : 6 * times] == 1).all()
    seen = figures.pixels(found.patches.values[0, 0], MEAN, DEVIATION)
    np.testing.assert_allclose(shown[2 * times : 6 * times : times, : 6 * times : times], seen[2:])


def test_a_patch_that_excites_nothing_is_not_shown() -> None:
    found = top()
    found.strengths.values[1, 8] = 0
    figure = figures.top_figure(found, MEAN, DEVIATION, title="A")
    for axes in figure.axes[2:4]:  # the second unit's patches and projections
        shown = axes.images[0].get_array()
        assert shown is not None
        assert (shown[-24:, -24:] == 1).all()
        assert (shown[-24:, :24] < 1).any()


def test_an_evolution_has_a_column_a_checkpoint_and_two_rows_a_unit() -> None:
    tops = (top(), top(), top())
    tops[1].strengths.values[2, 0] = 0
    found = Evolution(("step 1", "step 20", "the last"), tops)
    figure = figures.evolution_figure(found, MEAN, DEVIATION, title="A")
    assert len(figure.axes) == 3 * 2 * 4
    words = [text.get_text() for text in figure.texts]
    assert [word for word in words if word.startswith(("step", "the last"))] == list(found.names)
    assert [word for word in words if word.startswith("unit")] == [
        f"unit {u}" for u in (0, 3, 5, 7)
    ]
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    np.testing.assert_allclose(
        shown[6], figures.pixels(tops[0].patches.values[1, 0], MEAN, DEVIATION), atol=1e-6
    )
    assert (shown[13] == 1).all()
    assert (shown[16] == 1).all()
    assert (shown[12] < 1).any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: figures.attribution_figure(IMAGES, heat(images=3), NAMES, title="A"), "2 images"),
        (lambda: rgb(noise(1, 2, 2, 4)), "4 channels"),
        (lambda: scale_of(np.array([0.0, np.nan])), "finite"),
    ],
)
def test_errors(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wrong()


def test_a_long_title_and_note_widen_the_sheet_or_wrap() -> None:
    figure = sheet([Row((IMAGES[0],))], title="title " * 15, note="a long note " * 20)
    figure.draw_without_rendering()
    for text in figure.texts:
        extent = text.get_window_extent()
        assert extent.x1 <= figure.bbox.x1
        assert extent.y0 >= max(axes.get_window_extent().y1 for axes in figure.axes)
