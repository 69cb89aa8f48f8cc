"""The grid of constants by a hand count, and a search of one from start to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convnets.data import ImageSet, load_data
from convnets.data.subset import subset
from convnets.errors import UsageError
from convnets.recipes import Recipe, load_recipe, with_changes
from convnets.search.grid import Candidates, GridSearch, candidates, grid, grid_search
from convnets.search.scaling import Coefficients

TINY = "resnet20@blocks=1,width=4"
# Of 1, 1.2, ..., 2: products 1.96, 2.0736, 1.96, 2.016, 2.016 and 2; others are 0.1 off or more.
BY_HAND = {
    (1, 1, 1.4),
    (1, 1.2, 1.2),
    (1, 1.4, 1),
    (1.4, 1, 1.2),
    (1.4, 1.2, 1),
    (2, 1, 1),
}


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return subset(load_data("digits"), 100)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return with_changes(load_recipe("baseline"), ["epochs=1", "batch_size=32"])


@pytest.fixture(scope="module")
def tried(digits: ImageSet, recipe: Recipe) -> Candidates:
    return candidates(TINY, digits, recipe, step=0.2, most=10, validation=0.2)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scaling")


@pytest.fixture(scope="module")
def found(tried: Candidates, out: Path) -> GridSearch:
    return grid_search(tried, seeds=(0, 1), out=out)


def test_grid_by_hand() -> None:
    assert {(each.alpha, each.beta, each.gamma) for each in grid(0.2)} == BY_HAND
    assert grid(1) == grid(0.5) == [Coefficients(2, 1, 1)]
    assert Coefficients(1.2, 1.1, 1.15) in grid(0.05)
    assert all(1.9 - 1e-9 <= each.product <= 2.1 + 1e-9 for each in grid(0.05))
    for step in (0.0, 0.01, 2.0, float("nan")):
        with pytest.raises(UsageError, match="the grid's step is"):
            grid(step)


def test_candidates_see_no_test_image(tried: Candidates, digits: ImageSet) -> None:
    seen = {*tried.judged.train.hashes(), *tried.judged.test.hashes()}
    assert seen <= set(digits.train.hashes())
    assert np.abs(len(tried.judged.test) - 20) <= 5
    assert len(tried.networks) == 1 + len(BY_HAND)
    assert not tried.left_out


def test_what_costs_too_much_is_left_out(digits: ImageSet, recipe: Recipe) -> None:
    few = candidates(TINY, digits, recipe, step=0.2, most=2.0)
    assert len(few.networks) + len(few.left_out) == 1 + len(BY_HAND)
    assert all(network.times <= 2 for _, network in few.networks)
    assert all(network.times > 2 for _, network in few.left_out)
    with pytest.raises(UsageError, match="give a larger --size or --most"):
        candidates(TINY, digits, recipe, step=0.2, most=1.0)


def test_search_ranks_by_validation_and_reads_what_is_finished(
    found: GridSearch, tried: Candidates, out: Path
) -> None:
    images = len(tried.judged.test)
    assert {run.data.test_images for run in found.results} == {images}
    assert len(found.results) == 2 * tried.count
    assert len(found.trials) == len(BY_HAND)
    assert found.base is not None
    accuracies = [trial.accuracy for trial in found.trials]
    assert accuracies == sorted(accuracies, reverse=True)
    for trial in found.trials:
        assert trial.constants is not None
        runs = [r for r in found.results if r.model == trial.network.model]
        runs = [r for r in runs if r.input_size == trial.network.input_size]
        assert tuple(run.top1 for run in runs) == trial.accuracies
        assert [run.macs for run in runs] == [trial.network.macs] * 2
    share = found.best.accuracy
    assert found.chance == pytest.approx((share * (1 - share) / images) ** 0.5)
    assert [network.phi for network in found.networks][:3] == [0, 1, 2]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert grid_search(tried, seeds=(0, 1), out=out) == found
    assert {path: path.stat().st_mtime_ns for path in out.rglob("result.json")} == before


def test_record_is_the_search(found: GridSearch) -> None:
    record = found.to_dict()
    assert record["chosen"] == {
        name: record["trials"][0]["constants"][name] for name in ("alpha", "beta", "gamma")
    }
    assert record["base"]["model"] == TINY
    assert record["base"]["times"] == 1
    assert len(record["networks"]) == len(found.networks)
    assert record["failures"] == {}
