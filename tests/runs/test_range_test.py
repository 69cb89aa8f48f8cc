"""The range test sweeps as asked, finds what is known of a quadratic bowl, and keeps nothing."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest

from convnets.errors import TrainingFailed, UsageError
from convnets.recipes import with_changes
from convnets.runs.range_test import RangeTest, landmarks, range_test, smooth
from tests.runs.tiny import CPU, RECIPE, tiny_set

NOISE = tiny_set()


@pytest.fixture(scope="module")
def swept() -> RangeTest:
    return range_test("lenet5_modern", NOISE, RECIPE, count=40, engine=CPU)


def test_rates_rise_evenly_in_their_logarithm(swept: RangeTest) -> None:
    expected = np.geomspace(1e-6, 10, 40)[: len(swept.rates)]
    assert swept.rates == pytest.approx(expected.tolist(), rel=1e-9)
    assert len(swept.losses) == len(swept.smoothed) == len(swept.rates)
    assert swept.own_rate == RECIPE.optimizer.lr
    assert (swept.stopped is None) == (len(swept.rates) == 40)


def test_the_first_losses_are_those_of_an_untrained_network(swept: RangeTest) -> None:
    assert swept.losses[0] == pytest.approx(math.log(10), rel=0.05)


def test_the_advice_lies_between_no_learning_and_divergence(swept: RangeTest) -> None:
    assert swept.steepest is not None
    assert swept.tenth is not None
    lowest = swept.rates[swept.smoothed.index(min(swept.smoothed))]
    assert swept.tenth == pytest.approx(lowest / 10)
    assert 1e-5 < swept.steepest <= lowest < swept.rates[-1]


def test_the_same_call_gives_the_same_curve(swept: RangeTest, tmp_path: Path) -> None:
    again = range_test("lenet5_modern", NOISE, RECIPE, count=40, engine=CPU)
    assert again == swept
    assert not list(tmp_path.iterdir())


def test_csv_and_json_hold_every_step(swept: RangeTest) -> None:
    rows = list(csv.DictReader(io.StringIO(swept.as_csv())))
    assert [float(row["learning_rate"]) for row in rows] == list(swept.rates)
    assert [float(row["smoothed_loss"]) for row in rows] == list(swept.smoothed)
    assert swept.to_dict()["losses"] == list(swept.losses)


def test_the_steepest_point_is_where_the_slope_of_a_known_curve_is() -> None:
    # A falling logistic in log10(rate) about -2, whose slope is greatest there.
    rates = np.logspace(-5, 1, 121)
    curve = 1 - 1 / (1 + np.exp(-4 * (np.log10(rates) + 2))) + 0.5 * (rates > 3) * rates
    steepest, lowest = landmarks(rates.tolist(), curve.tolist())
    assert steepest == pytest.approx(1e-2, rel=0.15)
    assert lowest == pytest.approx(3, rel=0.15)
    assert landmarks([1, 2, 3], [1.0, 2.0, 3.0]) == (None, 1)


def test_smoothing_keeps_a_line_and_calms_noise() -> None:
    draw = np.random.default_rng(0)
    line = np.linspace(3, 1, 60)
    assert smooth(line.tolist())[5:-5] == pytest.approx(line[5:-5].tolist())
    noisy = line + draw.normal(0, 0.1, 60)
    assert np.std(np.array(smooth(noisy.tolist())) - line) < 0.06
    # By hand for 20 values: a reach of 1 weighs neighbours by 1/2.
    values = [float(v) for v in draw.random(20)]
    assert smooth(values)[4] == pytest.approx((values[3] / 2 + values[4] + values[5] / 2) / 2)
    assert smooth(values)[0] == pytest.approx((values[0] + values[1] / 2) / 1.5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "the first must be the lower"),
        ({"lowest": 0.0}, "the first must be the lower"),
        ({"count": 5}, "at least 20"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(changes: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        range_test("lenet5", NOISE, RECIPE, engine=CPU, **changes)  # type: ignore[arg-type]


def test_rates_that_all_diverge_are_an_error() -> None:
    plain = with_changes(RECIPE, ["optimizer.kind=sgd"])
    with pytest.raises(TrainingFailed, match="start from a lower rate"):
        range_test("lenet5_modern", NOISE, plain, lowest=1e6, highest=1e12, engine=CPU)
