"""The checks on networks and pictures of which the verdict is known."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.models import resnet
from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import saliency
from convnets.visualize.sanity import (
    deletion,
    insertion,
    magnitudes,
    overlap,
    randomisation_check,
    rank_correlation,
)
from convnets.visualize.scores import Target
from tests.models.peers import randomise

PIXELS = ("image", "height", "width")


def residual() -> nn.Module:
    network = resnet.ResNet(resnet.FAMILY.pocket, num_classes=5).eval()
    randomise(network)
    return network


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 24, 24, generator=torch.Generator().manual_seed(2))


def edges(network: nn.Module, inputs: Tensor, *, target: Target = None) -> Picture:
    """What looks like an explanation and never asks the network."""
    kernel = torch.tensor([[[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]])
    grey = inputs.mean(1, keepdim=True)
    found = F.conv2d(grey, kernel, padding=1).abs() + F.conv2d(grey, kernel.mT, padding=1).abs()
    return Picture(found[:, 0].numpy(), PIXELS, "edges")


class Mean(nn.Module):
    """Two classes; the probability of class 1 is the mean of the pixels, between 0 and 1."""

    def forward(self, pixels: Tensor) -> Tensor:
        share = pixels.mean((1, 2, 3)).double()
        return torch.stack([torch.log1p(-share), torch.log(share)], dim=1)


def picture_of(values: Any) -> Picture:
    return Picture(np.asarray(values, dtype=np.float32), PIXELS, "by hand")


# Few different values, so that there are ties.
VALUES = arrays(np.float32, 12, elements=st.integers(-3, 3).map(float))


@given(VALUES, VALUES)
def test_rank_correlation_is_spearmans(left: np.ndarray, right: np.ndarray) -> None:
    if np.ptp(left) and np.ptp(right):
        expected = scipy.stats.spearmanr(left, right).statistic
        assert rank_correlation(left, right) == pytest.approx(expected, abs=1e-9)
    else:
        assert rank_correlation(left, right) == (np.ptp(left) == np.ptp(right))


@given(VALUES, VALUES, st.floats(0.1, 10))
def test_overlap_is_of_shares(left: np.ndarray, right: np.ndarray, scale: float) -> None:
    left, right = abs(left), abs(right)
    assert 0 <= overlap(left, right) <= 1 + 1e-6
    assert overlap(left, left * np.float32(scale)) == pytest.approx(1, abs=1e-5)
    if left.any() and right.any():
        # Half of what is moved leaves one place and half arrives at another.
        moved = np.abs(left / left.sum() - right / right.sum()).sum() / 2
        assert overlap(left, right) == pytest.approx(1 - moved, abs=1e-5)


def test_magnitudes_are_the_largest_over_channels() -> None:
    values = np.array([[[[1.0, -2.0]], [[-3.0, 1.0]]]], dtype=np.float32)
    picture = Picture(values, ("image", "channel", "height", "width"), "")
    np.testing.assert_array_equal(magnitudes(picture), [[[3, 2]]])
    np.testing.assert_array_equal(magnitudes(picture_of([[[-1, 2]]])), [[[1, 2]]])


def test_a_gradient_depends_on_the_weights() -> None:
    network = residual()
    check = randomisation_check(network, images(), saliency)
    assert check.passed
    assert check.layers == ("head", "features.stage2", "features.stage1", "features.stem")
    assert check.correlations[-1] < 0.5
    assert all(share < 1 for share in check.overlaps)
    assert str(check).startswith("passed randomisation: rank correlation")


def test_an_edge_detector_is_caught() -> None:
    check = randomisation_check(residual(), images(), edges)
    assert not check.passed
    assert check.correlations == pytest.approx([1] * 4)
    assert check.overlaps == pytest.approx([1] * 4)
    assert str(check).startswith("failed randomisation")


def test_what_loses_its_weights_late_fails_on_the_way() -> None:
    def by_first_weight(network: nn.Module, inputs: Tensor, *, target: Target = None) -> Picture:
        weight = network.get_parameter("features.stem.conv.conv.weight").detach()
        return picture_of(weight.reshape(1, 1, -1))

    check = randomisation_check(residual(), images(), by_first_weight)
    assert check.correlations[:3] == pytest.approx([1] * 3)
    assert check.correlations[3] < 0.5
    assert not check.passed


def test_layers_lose_their_weights_one_after_the_other() -> None:
    network = residual()
    before = copy.deepcopy(network.state_dict())
    seen: list[tuple[set[str], Tensor]] = []

    def watch(found: nn.Module, inputs: Tensor, *, target: Target = None) -> Picture:
        changed = {
            name for name, value in found.state_dict().items() if (value != before[name]).any()
        }
        assert isinstance(target, Tensor)
        seen.append((changed, target))
        return edges(found, inputs)

    told: list[tuple[int, int]] = []
    randomisation_check(
        network, images(), watch, progress=lambda done, total: told.append((done, total))
    )
    learned = {name for name, _ in network.named_parameters()}
    gone: set[str] = set()
    for layer, (changed, _) in zip(
        ("none", "head.", "features.stage2.", "features.stage1.", "features.stem."),
        seen,
        strict=True,
    ):
        gone |= {name for name in learned if name.startswith(layer)}
        assert changed == gone
    assert gone == learned
    with torch.no_grad():
        classes = network(images()).argmax(1)
    assert all(torch.equal(target, classes) for _, target in seen)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_weights_keep_their_scale() -> None:
    network = nn.Sequential(nn.Conv2d(3, 40, 5), nn.Flatten(), nn.Linear(40 * 16, 3))
    with torch.no_grad():
        network.get_parameter("0.weight").mul_(7).add_(2)
    found: list[Tensor] = []

    def watch(twin: nn.Module, inputs: Tensor, *, target: Target = None) -> Picture:
        found.append(twin.get_parameter("0.weight").detach().clone())
        return edges(twin, inputs)

    check = randomisation_check(network, torch.randn(1, 3, 8, 8), watch)
    assert check.layers == ("2", "0")
    assert torch.equal(found[0], found[1])
    assert found[2].mean().item() == pytest.approx(found[0].mean().item(), rel=0.1)
    assert found[2].std().item() == pytest.approx(found[0].std().item(), rel=0.1)
    assert abs(np.corrcoef(found[0].flatten(), found[2].flatten())[0, 1]) < 0.1


def test_layers_may_be_named() -> None:
    check = randomisation_check(residual(), images(1), edges, layers=["features.stem"])
    assert check.layers == ("features.stem",)
    with pytest.raises(UnknownName, match="layer"):
        randomisation_check(residual(), images(1), edges, layers=["stem"])
    with pytest.raises(UsageError, match="no parameters"):
        randomisation_check(Mean(), images(1), edges)


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 0.99)))
def test_curves_in_closed_form(pixels: np.ndarray) -> None:
    pixels = pixels.astype(np.float32).astype(np.float64)
    inputs = torch.from_numpy(pixels)[None, None]
    network, picture = Mean(), picture_of(pixels[None])
    ordered = np.sort(pixels.ravel())[::-1]
    gained = np.concatenate([[0], np.cumsum(ordered)]) / 12
    gone = deletion(network, inputs, picture, target=1, steps=12)
    come = insertion(network, inputs, picture, target=1, steps=12)
    np.testing.assert_allclose(gone.shares, np.arange(13) / 12)
    np.testing.assert_allclose(come.curve, gained, atol=1e-9)
    np.testing.assert_allclose(gone.curve, pixels.mean() - gained, atol=1e-9)
    # The trapezoid rule over twelve equal parts.
    area = (gained[1:] + gained[:-1]).sum() / 24
    assert come.area == pytest.approx(area, abs=1e-9)
    assert gone.area == pytest.approx(pixels.mean() - area, abs=1e-9)
    assert come.area >= max(come.random) - 1e-9
    assert gone.area <= min(gone.random) + 1e-9


def test_steps_are_parts_of_the_pixels_and_images_are_averaged() -> None:
    inputs = torch.tensor([[0.2, 0.4, 0.6], [0.9, 0.0, 0.3]]).view(2, 1, 1, 3).double()
    check = deletion(Mean(), inputs, picture_of(inputs[:, 0]), target=1, steps=2, fill=0.1)
    # Two of three pixels go first (1.5, rounded to even), then the third.
    assert check.shares == pytest.approx((0, 2 / 3, 1))
    middle = ((0.2 + 0.1 + 0.1) + (0.1 + 0.0 + 0.1)) / 6
    assert check.curve == pytest.approx((0.4, middle, 0.1), abs=1e-6)
    area = (0.4 + middle) / 2 * 2 / 3 + (middle + 0.1) / 2 / 3
    assert check.area == pytest.approx(area, abs=1e-6)


def test_verdicts_are_against_random_orders() -> None:
    inputs = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    good, bad = picture_of(inputs[:, 0]), picture_of(-inputs[:, 0])
    for check in (deletion, insertion):
        assert check(Mean(), inputs, good, target=1).passed
        assert not check(Mean(), inputs, bad, target=1).passed
        found = check(Mean(), inputs, good, target=1, random_orders=40)
        # In a random order the mean falls on a straight line, whose area is half the start.
        assert np.mean(found.random) == pytest.approx(inputs.mean().item() / 2, rel=0.05)
        assert len(set(found.random)) == 40
        assert str(found).startswith(f"passed {found.kind}: area 0.")


def test_a_picture_of_nothing_is_a_random_order() -> None:
    inputs = torch.linspace(0, 0.9, 64).view(1, 1, 8, 8)
    areas = [
        deletion(Mean(), inputs, picture_of(np.ones((1, 8, 8))), target=1, seed=seed).area
        for seed in range(20)
    ]
    # From the left to the right, dark pixels first, the area would be far larger than half.
    assert np.mean(areas) == pytest.approx(0.225, rel=0.05)


def test_channels_rank_by_their_largest_magnitude() -> None:
    inputs = torch.tensor([0.1, 0.8, 0.3]).view(1, 1, 1, 3).expand(1, 2, 1, 3).double()
    values = np.array([[[[0, 0, 1]], [[0.5, -9, 0]]]], dtype=np.float32)
    picture = Picture(values, ("image", "channel", "height", "width"), "")
    check = deletion(Mean(), inputs, picture, target=1, steps=3)
    assert check.curve == pytest.approx((0.4, 0.4 / 3, 0.1 / 3, 0), abs=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    inputs = torch.rand(1, 1, 4, 4)
    with pytest.raises(UsageError, match=r"the picture is \(1, 2, 2\)"):
        deletion(Mean(), inputs, picture_of(np.ones((1, 2, 2))), target=1)
    for wrong in ({"steps": 0}, {"random_orders": 0}):
        with pytest.raises(UsageError, match="must be a positive"):
            insertion(Mean(), inputs, picture_of(inputs[:, 0]), target=1, **wrong)
