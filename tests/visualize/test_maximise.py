"""Activation maximisation where the answer is known: linear units; and the blur against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.models import create_model
from convnets.visualize.maximise import Ascent, blurred, maximise, regularised

PLAIN = Ascent(decay=0, blur_every=0, jitter=0)
SHAPE = (3, 6, 5)


def linear(units: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 5, units))


def cosine(first: np.ndarray, second: Tensor) -> float:
    return float(F.cosine_similarity(torch.from_numpy(first.ravel()), second.flatten(), 0))


def test_of_one_norm_a_linear_unit_likes_its_own_weights() -> None:
    # Cauchy-Schwarz: over |x| = 3 the largest w.x + b is 3 |w| + b, at x = 3 w / |w|.
    network = linear()
    weight, bias = network[1].weight[2].detach(), network[1].bias[2].detach()
    found = maximise(
        network, SHAPE, 2, ascent=Ascent(decay=0, blur_every=0, jitter=0, norm=3, rate=1)
    )
    expected = 3 * weight / weight.norm()
    np.testing.assert_allclose(found.image.values, expected.view(SHAPE), atol=1e-4)
    assert found.scores.values[-1] == pytest.approx(float(3 * weight.norm() + bias), rel=1e-5)
    assert (np.diff(found.scores.values) > -1e-5).all()


def test_decay_balances_the_step() -> None:
    # x = (1 - d) (x + r g) gives x = r g (1 - d) / d, for g = w of root mean square 1.
    network = linear()
    weight = network[1].weight[0].detach()
    found = maximise(
        network, SHAPE, 0, ascent=Ascent(steps=300, decay=0.1, rate=0.2, blur_every=0, jitter=0)
    )
    unit = weight / weight.square().mean().sqrt()
    np.testing.assert_allclose(
        found.image.values, (0.2 * 0.9 / 0.1 * unit).view(SHAPE), rtol=1e-4, atol=1e-5
    )


def test_a_unit_of_a_map_paints_what_its_kernel_sees() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten())
    kernel = network[0].weight[1].detach()
    found = maximise(network, SHAPE, 1, layer="0", position=(2, 3), ascent=PLAIN)
    start = maximise(network, SHAPE, 1, layer="0", position=(2, 3), ascent=Ascent(steps=1, rate=0))
    moved = found.image.values - start.image.values * (1 / (1 - 1e-4))
    assert cosine(moved[:, 1:4, 2:5], kernel) == pytest.approx(1, abs=1e-4)
    outside = moved.copy()
    outside[:, 1:4, 2:5] = 0
    assert np.abs(outside).max() < 1e-6


def test_the_mean_of_a_map_is_climbed_without_a_position() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False))
    found = maximise(network, SHAPE, 0, layer="0", ascent=PLAIN)
    image = torch.from_numpy(found.image.values)
    assert found.scores.values[-1] == pytest.approx(network(image[None])[0, 0].mean().item(), 1e-5)


@pytest.mark.parametrize("ascent", [Ascent(steps=20), Ascent(steps=20, norm=5)])
def test_a_class_of_a_network_climbs(ascent: Ascent) -> None:
    network = create_model("resnet20", num_classes=10)
    told = []
    found = maximise(
        network, (3, 32, 32), 7, ascent=ascent, progress=lambda done, of: told.append((done, of))
    )
    assert found.image.axes == ("channel", "height", "width")
    assert found.scores.axes == ("step",)
    assert len(found.scores.values) == 21
    assert found.scores.values[-1] > found.scores.values[0]
    with torch.no_grad():
        logit = network.eval()(torch.from_numpy(found.image.values)[None])[0, 7]
    assert found.scores.values[-1] == pytest.approx(float(logit), rel=1e-4, abs=1e-5)
    assert told == [(step, 20) for step in range(1, 21)]


def test_the_seed_decides() -> None:
    network = linear()
    images = [
        maximise(network, SHAPE, 0, ascent=Ascent(steps=3), seed=seed).image.values
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(images[0], images[1])
    assert np.abs(images[0] - images[2]).max() > 1e-3


def test_the_network_is_left_as_it_was() -> None:
    network = create_model("resnet20").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        maximise(network, (3, 32, 32), 0, ascent=Ascent(steps=2))
        maximise(network, (3, 32, 32), 0, layer="features.stage1", ascent=Ascent(steps=2))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_a_dead_unit_stays_where_it_is() -> None:
    network = linear()
    network[1].bias.data.fill_(-1e3)
    found = maximise(network.append(nn.ReLU(inplace=True)), SHAPE, 0, ascent=PLAIN)
    assert np.isfinite(found.image.values).all()
    assert not found.scores.values.any()


def test_a_first_layer_in_place_leaves_the_image() -> None:
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3 * 6 * 5, 1))
    unchanged = Ascent(steps=1, rate=0, decay=0, blur_every=0)
    assert (maximise(network, SHAPE, 0, ascent=unchanged).image.values < 0).any()


def test_jitter_is_undone() -> None:
    # The mean of a 1x1 convolution's map does not notice a shift: nor must the image.
    network = nn.Sequential(nn.Conv2d(3, 1, 1))
    still, jittered = (
        maximise(
            network, SHAPE, 0, layer="0", ascent=Ascent(steps=9, jitter=jitter, blur_every=0)
        ).image.values
        for jitter in (0, 2)
    )
    assert np.abs(still - jittered).max() < 1e-5


@pytest.mark.parametrize("width", [0.3, 0.5, 1.0, 2.5])
def test_the_blur_is_scipys(width: float) -> None:
    images = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    reach = int(np.ceil(4 * width))
    expected = ndimage.gaussian_filter(
        images.numpy(), (0, 0, width, width), mode="nearest", radius=(0, 0, reach, reach)
    )
    np.testing.assert_allclose(blurred(images, width), expected, atol=1e-12)
    assert torch.equal(blurred(images, 0), images)


def test_regularisers_apply_when_they_are_due() -> None:
    image = torch.randn(1, 1, 8, 8)
    ascent = Ascent(decay=0.25, blur_every=3, blur_width=1, norm=None)
    torch.testing.assert_close(regularised(image, 2, ascent), 0.75 * image)
    torch.testing.assert_close(regularised(image, 3, ascent), blurred(0.75 * image, 1))
    assert float(regularised(image, 3, Ascent(norm=2)).norm()) == pytest.approx(2)


def test_what_does_not_exist() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    with pytest.raises(UnknownName):
        maximise(network, SHAPE, 0, layer="conv")
    with pytest.raises(UsageError, match="units 0 to 1"):
        maximise(network, SHAPE, 2, layer="0")
    with pytest.raises(UsageError, match=r"no position \(6, 0\)"):
        maximise(network, SHAPE, 0, layer="0", position=(6, 0))
    for wrong in ({"steps": 0}, {"rate": -1}, {"blur_every": -2}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Ascent(**wrong)
