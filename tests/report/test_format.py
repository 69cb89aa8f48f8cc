"""Numbers as people read them, against hand-written readings."""

from __future__ import annotations

import pytest

from convnets.report import format as reading


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (60_000, "60.0 k"),
        (999_499, "999 k"),
        (999_501, "1.00 M"),
        (9_996_000, "10.0 M"),
        (11_181_642, "11.2 M"),
        (138_357_544, "138 M"),
        (1_814_073_344, "1.81 G"),
        (2.7e18, "2.70 E"),
    ],
)
def test_count(value: float, text: str) -> None:
    assert reading.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(5e6, "5 M"), (1e9, "1 G"), (200, "200")])
def test_tick(value: float, text: str) -> None:
    assert reading.tick(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(512, "512 B"), (1024, "1.00 KiB"), (812 << 20, "812 MiB"), (5 << 29, "2.50 GiB")],
)
def test_memory(size: int, text: str) -> None:
    assert reading.memory(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.35, "0.35 s"),
        (9.999, "10.0 s"),
        (59.97, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86_399, "1 d 00 h"),
        (190_800, "2 d 05 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert reading.duration(seconds) == text


def test_percent_rate_and_listing() -> None:
    assert reading.percent(0.7032, 0.0021) == "70.32 ± 0.21"
    assert reading.percent(0.7032) == "70.32"
    assert reading.percent(None) == reading.NOTHING
    assert (reading.rate(5123.4), reading.rate(51.24)) == ("5,123", "51.2")
    assert reading.listing(["a"]) == "a"
    assert reading.listing(["a", "b", "c"]) == "a, b and c"
    assert (reading.plural(1, "seed"), reading.plural(3, "seed")) == ("1 seed", "3 seeds")
