"""Geometry of the charts: areas, scales, and labels that keep apart."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnets.report.charts import Axis, complexity_chart, place_labels, spread_out
from convnets.report.entries import YEARS, comparisons, year_colours
from convnets.report.figures import complexity_png
from tests.report.synthetic import NETWORKS, build, sixteen


def test_disc_areas_are_proportional_to_parameters() -> None:
    [entries] = comparisons(sixteen(seeds=(0,)))
    drawn = complexity_chart(entries)
    discs = re.findall(
        r'data-key="([^"]+)" data-tip.*?r="([\d.]+)" fill="[^"]+" stroke="[^"]+" class="disc"',
        drawn,
        re.DOTALL,
    )
    areas = {key: math.pi * float(r) ** 2 for key, r in discs}
    assert len(areas) == len(NETWORKS)
    largest = max(entries, key=lambda entry: entry.row.params)
    for entry in entries:
        ratio = areas[entry.key] / areas[largest.key]
        # radii are printed to a hundredth of a pixel
        assert ratio == pytest.approx(entry.row.params / largest.row.params, rel=0.01)


def test_a_log_axis_gives_equal_steps_to_equal_ratios() -> None:
    axis = Axis(1e6, 1e9, 0, 300, log=True)
    assert [axis(value) for value in (1e6, 1e7, 1e8, 1e9)] == pytest.approx([0, 100, 200, 300])
    assert axis.ticks()[:4] == [1e6, 2e6, 5e6, 1e7]
    assert Axis(1e3, 1e9, 0, 1, log=True).ticks() == [10.0**power for power in range(3, 10)]


@given(st.floats(0, 99), st.floats(0.5, 100))
def test_linear_ticks_are_few_even_and_inside(low: float, length: float) -> None:
    axis = Axis(low, low + length, 0, 100)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 <= tick <= low + length + 1e-6 for tick in ticks)
    steps = [b - a for a, b in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps))


@given(st.lists(st.floats(0, 400), min_size=1, max_size=20))
def test_labels_of_curves_keep_their_order_and_distance(places: list[float]) -> None:
    moved = spread_out(places, 16, 0, 400)
    assert all(0 <= place <= 400 + 1e-9 for place in moved)
    ordered = [place for _, place in sorted(zip(places, moved, strict=True))]
    assert all(b - a >= 16 - 1e-6 for a, b in pairwise(ordered))


def test_labels_that_need_no_move_stay() -> None:
    assert spread_out([100, 10, 50], 16, 0, 400) == [100, 10, 50]
    assert spread_out([100, 100], 16, 0, 400) == [92, 108]


def test_labels_of_discs_do_not_overlap() -> None:
    discs = [(100 + 20 * (i % 4), 100 + 12 * (i // 4), 10 + i) for i in range(16)]
    boxes = place_labels(discs, [f"network_{i}" for i in range(16)], (0, 0, 960, 560))
    for index, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[1] >= 0
        for b in boxes[:index]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_years_take_the_ends_of_the_scale_in_order() -> None:
    assert year_colours([2022, 1998, 2012, 2012]) == {
        1998: YEARS[0],
        2012: YEARS[2],
        2022: YEARS[4],
    }
    assert year_colours([2015]) == {2015: YEARS[0]}


def test_picture_for_a_readme() -> None:
    [entries] = comparisons([build("vgg16"), build("resnet18", model="cost: $5 $")])
    png = complexity_png([entry.row for entry in entries])
    assert png.startswith(b"\x89PNG")
