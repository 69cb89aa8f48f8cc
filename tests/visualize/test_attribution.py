"""Attributions against captum, and against what they are for networks known in closed form."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.layers.response_norm import ResponseNorm
from convnets.models import resnet, vgg
from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import (
    class_deconvnet,
    completeness_gap,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)
from convnets.visualize.deconvnet import deconvnet
from convnets.visualize.methods import METHODS
from tests.models.peers import randomise

TARGETS = torch.tensor([3, 1])


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 5),
    )


def sequential() -> nn.Module:
    return vgg.VGG(vgg.Spec((1, 2), "batch", widths=(6, 8), hidden=16), num_classes=5)


def residual() -> nn.Module:
    return resnet.ResNet(resnet.FAMILY.pocket, num_classes=5)


@pytest.fixture(params=[(plain, 12), (sequential, 28), (residual, 24)])
def known(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    """A random network in eval mode, and two images that fit it."""
    make, side = request.param
    network = make().eval()
    randomise(network)
    return network, torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))


def for_captum(network: nn.Module) -> nn.Module:
    """A copy without activations in place, which captum's hooks cannot meet."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return twin


def assert_close(picture: Picture, expected: Tensor) -> None:
    scale = expected.abs().max().item()
    assert scale > 0
    np.testing.assert_allclose(picture.values, expected.detach().numpy(), rtol=0, atol=1e-5 * scale)


class Linear(nn.Module):
    """Two classes; the logit of class 1 is the sum of the pixels times ``weights``."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Square(nn.Module):
    """One class; the logit is half the sum of squares, so that the gradient is the image."""

    def forward(self, images: Tensor) -> Tensor:
        return 0.5 * images.square().sum((1, 2, 3))[:, None]


def test_saliency_agrees_with_captum(known: tuple[nn.Module, Tensor]) -> None:
    network, images = known
    theirs = captum.attr.Saliency(for_captum(network))
    gradient = theirs.attribute(images.clone().requires_grad_(), target=TARGETS, abs=False)
    assert_close(saliency(network, images, target=TARGETS, signed=True), gradient)
    assert_close(saliency(network, images, target=TARGETS), gradient.abs().amax(1))


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (guided_backpropagation, captum.attr.GuidedBackprop),
        (class_deconvnet, captum.attr.Deconvolution),
    ],
)
def test_changed_gradients_agree_with_captum(
    known: tuple[nn.Module, Tensor], ours: Callable[..., Picture], theirs: Callable[..., Any]
) -> None:
    network, images = known
    inputs = images.clone().requires_grad_()
    expected = theirs(for_captum(network)).attribute(inputs, target=TARGETS)
    picture = ours(network, images, target=TARGETS)
    assert picture.axes == ("image", "channel", "height", "width")
    assert_close(picture, expected)


@pytest.mark.parametrize("baseline", [0.0, -0.5])
def test_integrated_gradients_agree_with_captum(
    known: tuple[nn.Module, Tensor], baseline: float
) -> None:
    network, images = known
    expected, delta = captum.attr.IntegratedGradients(for_captum(network)).attribute(
        images,
        torch.full_like(images, baseline),
        target=TARGETS,
        n_steps=10,
        method="riemann_middle",
        return_convergence_delta=True,
    )
    picture = integrated_gradients(network, images, target=TARGETS, baseline=baseline, steps=10)
    assert_close(picture, expected)
    gap = completeness_gap(network, images, picture, target=TARGETS, baseline=baseline)
    scale = expected.abs().sum().item()
    np.testing.assert_allclose(gap, -delta.numpy(), rtol=0, atol=1e-5 * scale)
    assert picture.about.endswith(f"completeness gap {np.abs(gap).max():.2g}")


@pytest.mark.parametrize(("window", "stride"), [(6, 6), ((5, 4), (3, 2)), (7, 5)])
def test_occlusion_agrees_with_captum(
    known: tuple[nn.Module, Tensor],
    window: int | tuple[int, int],
    stride: int | tuple[int, int],
) -> None:
    network, images = known
    fill = torch.tensor([0.3, -0.2, 0.1])[:, None, None]
    rows, columns = (window, window) if isinstance(window, int) else window
    down, right = (stride, stride) if isinstance(stride, int) else stride
    expected = captum.attr.Occlusion(network).attribute(
        images,
        sliding_window_shapes=(3, rows, columns),
        strides=(3, down, right),
        baselines=fill.expand_as(images),
        target=TARGETS,
    )
    picture = occlusion(
        network, images, target=TARGETS, window=window, stride=stride, fill=fill, score="logit"
    )
    assert picture.axes == ("image", "height", "width")
    assert_close(picture, expected[:, 0])


def test_of_a_linear_network_every_gradient_is_its_weights() -> None:
    weights = torch.randn(2, 4, 5)
    network, images = Linear(weights), torch.randn(3, 2, 4, 5)
    baseline = torch.randn(2, 1, 1)
    assert_close(saliency(network, images, target=1), weights.abs().amax(0).expand(3, 4, 5))
    assert_close(smooth_grad(network, images, target=1, samples=2), weights.expand(3, 2, 4, 5))
    picture = integrated_gradients(network, images, target=1, baseline=baseline, steps=1)
    assert_close(picture, (images - baseline) * weights)
    gap = completeness_gap(network, images, picture, target=1, baseline=baseline)
    np.testing.assert_allclose(gap, 0, atol=1e-4)


def test_smooth_grad_without_noise_is_the_gradient(known: tuple[nn.Module, Tensor]) -> None:
    network, images = known
    gradient = saliency(network, images, signed=True).values
    assert_close(smooth_grad(network, images, noise=0, samples=3), torch.from_numpy(gradient))


def test_the_noise_of_smooth_grad_is_a_share_of_each_images_range() -> None:
    images = torch.rand(2, 3, 40, 40)
    images[1] *= 10
    once = smooth_grad(Square(), images, noise=0.2, samples=1, seed=5).values - images.numpy()
    share = once.reshape(2, -1).std(1) / np.ptp(images.numpy().reshape(2, -1), axis=1)
    np.testing.assert_allclose(share, 0.2, rtol=0.05)
    assert abs(once.mean()) < 0.1
    often = smooth_grad(Square(), images, noise=0.2, samples=100, seed=5).values - images.numpy()
    np.testing.assert_allclose(often.std(), once.std() / 10, rtol=0.1)
    again = smooth_grad(Square(), images, noise=0.2, samples=1, seed=5).values - images.numpy()
    np.testing.assert_array_equal(once, again)


def test_occlusion_by_hand_and_its_progress() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    told: list[tuple[int, int]] = []
    picture = occlusion(
        Linear(torch.ones(1, 4, 4)),
        image,
        target=1,
        window=2,
        stride=2,
        fill=1.0,
        score="logit",
        batch_size=3,
        progress=lambda done, total: told.append((done, total)),
    )
    # Each window of four pixels falls to 4: 0+1+4+5, 2+3+6+7, 8+9+12+13, 10+11+14+15.
    falls = torch.tensor([[6.0, 14.0], [38.0, 46.0]])
    assert_close(picture, falls.repeat_interleave(2, 0).repeat_interleave(2, 1)[None])
    assert told == [(3, 4), (4, 4)]


def test_occlusion_is_of_the_probability_as_in_the_paper() -> None:
    weights = torch.tensor([[[0.0, 2.0]]])
    picture = occlusion(Linear(weights), torch.ones(1, 1, 1, 2), window=1, stride=1)
    # The network calls the image class 1, with logits 0 and 2; without the right pixel 0 and 0.
    expected = torch.tensor([[[0.0, torch.sigmoid(torch.tensor(2.0)) - 0.5]]])
    assert_close(picture, expected)


def test_the_batch_does_not_matter(known: tuple[nn.Module, Tensor]) -> None:
    network, images = known
    for method in METHODS.values():
        together = method(network, images).values
        alone = np.concatenate([method(network, image[None]).values for image in images])
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4 * np.abs(alone).max())


def test_the_class_deconvnet_leaves_out_response_normalisation() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), ResponseNorm(3), nn.Flatten(), nn.Linear(64, 3)
    )
    randomise(network)
    images = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    logits = network(images).detach().amax(1)
    seen = logits > 0
    assert seen.any()
    # The deconvnet of a unit starts with its value, that of a class score with 1.
    projections = torch.from_numpy(deconvnet(network, images, "4").values)
    picture = class_deconvnet(network, images[seen])
    assert_close(picture, projections[seen] / logits[seen, None, None, None])


class InPlace(nn.Module):
    """Writes over its input, and has a part in eval mode while the rest trains."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4).eval()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 5)
        self.fc.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm(self.conv(self.first(x))))
        return self.fc(self.dropout(x).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", METHODS)
def test_network_and_images_are_left_as_they_were(name: str) -> None:
    network, images = InPlace().train(), torch.randn(2, 3, 8, 8)
    network.norm.eval()
    before = copy.deepcopy(network)
    kept = images.clone()
    with torch.no_grad():
        picture = METHODS[name](network, images)
    assert picture.values.dtype == np.float32
    assert picture.values.shape[0] == 2
    assert picture.values.shape[-2:] == (8, 8)
    assert len(picture.axes) == picture.values.ndim
    assert picture.about
    assert torch.equal(images, kept)
    assert not images.requires_grad
    for ours, theirs in zip(network.modules(), before.modules(), strict=True):
        assert ours.training == theirs.training
        assert getattr(ours, "inplace", None) == getattr(theirs, "inplace", None)
        assert not ours._forward_hooks
        assert not ours._backward_hooks
    for parameter, original in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(parameter, original)
        assert parameter.grad is None
        assert parameter.requires_grad == original.requires_grad
    assert torch.equal(network.norm.running_mean, before.norm.running_mean)


@pytest.mark.parametrize("name", METHODS)
def test_the_target_is_the_predicted_class_one_class_or_one_each(name: str) -> None:
    network = residual().eval()
    randomise(network)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        classes = network(images).argmax(1)
    method = METHODS[name]
    np.testing.assert_array_equal(
        method(network, images).values, method(network, images, target=classes).values
    )
    np.testing.assert_array_equal(
        method(network, images, target=1).values,
        method(network, images, target=torch.tensor([1, 1])).values,
    )


@pytest.mark.parametrize(
    "target", [5, -1, torch.tensor([0, 5]), torch.tensor([0, 1, 2]), torch.tensor([0.0, 1.0])]
)
def test_a_target_that_there_is_not_is_refused(target: int | Tensor) -> None:
    with pytest.raises(UsageError, match="target"):
        saliency(residual(), torch.randn(2, 3, 16, 16), target=target)


@pytest.mark.parametrize("name", METHODS)
def test_what_gives_no_class_scores_is_refused(name: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises(UsageError, match=r"needs \(batch, classes\)"):
        METHODS[name](network, torch.randn(1, 3, 8, 8))
    with pytest.raises(UsageError, match="floating point"):
        METHODS[name](network, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_wrong_settings_are_refused() -> None:
    network, images = Square(), torch.randn(1, 3, 8, 8)
    with pytest.raises(UsageError, match="steps is 0"):
        integrated_gradients(network, images, steps=0)
    with pytest.raises(UsageError, match="0 samples"):
        smooth_grad(network, images, samples=0)
    with pytest.raises(UsageError, match="stride of 3"):
        occlusion(network, images, window=2, stride=3)
    with pytest.raises(UsageError, match="window of 9"):
        occlusion(network, images, window=9)
    with pytest.raises(UnknownName, match="score"):
        occlusion(network, images, score="loss")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="does not broadcast"):
        occlusion(network, images, fill=torch.zeros(2, 1, 1))
