"""Class activation maps against closed forms, a computation by hand, and captum."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.models import lenet, resnet, resnet_cifar, swin, vgg, vit
from convnets.visualize.cam import grad_cam, grad_cam_plus_plus
from tests.models.peers import randomise

LAYERS = ["features.stem", "features.stage1", "features.stage1.block1.conv1.norm"]


def images(count: int = 2, side: int = 32) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))


def residual() -> nn.Module:
    network = resnet.ResNet(resnet.FAMILY.pocket, num_classes=5).eval()
    randomise(network)
    return network


class Pooled(nn.Module):
    """Maps, their means, and a linear classifier: what CAM was first defined for."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 4, 5, stride=4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu_(self.maps(x)).mean((2, 3)))  # type: ignore[no-any-return]


def by_hand(network: nn.Module, inputs: Tensor, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The last stage's maps and the gradient of the logit in them, taken in the head alone."""
    with torch.no_grad():
        maps = network.forward_features(inputs)  # type: ignore[operator]
    maps.requires_grad_()
    network.head(maps)[:, target].sum().backward()  # type: ignore[operator]
    assert maps.grad is not None
    return maps.detach().double().numpy(), maps.grad.double().numpy()


def assert_close(values: np.ndarray, expected: np.ndarray) -> None:
    assert expected.max() > 0
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize("target", [0, 1, 2])
def test_grad_cam_of_pooled_maps_is_the_first_cam(target: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network.extend([nn.Flatten(), nn.Linear(4, 3)])
    inputs = images(side=21)
    maps = network[1](network[0](inputs)).detach().double().numpy()
    weights = network[4].weight[target].detach().double().numpy()
    # The logit is the sum of weight times mean, so that its gradient is weight over places.
    expected = np.einsum("c,nchw->nhw", weights, maps).clip(min=0) / maps[0, 0].size
    picture = grad_cam(network, inputs, target=target, upsampled=False)
    assert picture.axes == ("image", "height", "width")
    assert picture.about == "Grad-CAM of 1"
    assert_close(picture.values, expected)


def test_grad_cam_plus_plus_of_pooled_maps() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network.extend([nn.Flatten(), nn.Linear(4, 3)])
    randomise(network)
    inputs = images(side=21)
    maps = network[1](network[0](inputs)).detach().double().numpy()
    places = maps[0, 0].size
    gradient = network[4].weight[1].detach().double().numpy() / places
    # One gradient g for all places of a map whose sum is s: alpha = g^2 / (2 g^2 + s g^3).
    alpha = 1 / (2 + maps.sum((2, 3)) * gradient)
    weights = places * alpha * gradient.clip(min=0)
    expected = np.einsum("nc,nchw->nhw", weights, maps).clip(min=0)
    picture = grad_cam_plus_plus(network, inputs, target=1, upsampled=False)
    assert_close(picture.values, expected)


@pytest.mark.parametrize("target", [0, 3])
def test_both_against_a_computation_by_hand(target: int) -> None:
    network = vgg.VGG(vgg.Spec((1, 2), "batch", widths=(6, 8), hidden=16), num_classes=5).eval()
    randomise(network)
    maps, gradient = by_hand(network, images(side=28), target)
    expected = np.zeros((2, *maps.shape[2:]))
    weighted = np.zeros_like(expected)
    for image in range(2):
        for channel in range(maps.shape[1]):
            a, g = maps[image, channel], gradient[image, channel]
            expected[image] += g.mean() * a
            below = 2 * g**2 + a.sum() * g**3
            alpha = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
            weighted[image] += (alpha * g.clip(min=0)).sum() * a
    picture = grad_cam(network, images(side=28), target=target, upsampled=False)
    assert_close(picture.values, expected.clip(min=0))
    picture = grad_cam_plus_plus(network, images(side=28), target=target, upsampled=False)
    assert_close(picture.values, weighted.clip(min=0))


@pytest.mark.parametrize("layer", LAYERS)
def test_any_layer_agrees_with_captum(layer: str) -> None:
    network = residual()
    theirs = residual()
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # which would change the layer's map before captum sees it
    expected = captum.attr.LayerGradCam(theirs, theirs.get_submodule(layer)).attribute(
        images(), target=2, relu_attributions=True
    )
    picture = grad_cam(network, images(), target=2, layer=layer, upsampled=False)
    assert picture.about == f"Grad-CAM of {layer}"
    assert_close(picture.values, expected.detach()[:, 0].numpy())


def test_upsampling_is_bilinear_between_the_centres_of_places() -> None:
    network, inputs = Pooled(), images(side=12)  # maps of 2x2
    small = grad_cam(network, inputs, target=0, upsampled=False).values
    large = grad_cam(network, inputs, target=0).values
    # Pixel i has its centre at (i + 1/2) / 6 - 1/2 places, kept between the outermost.
    share = ((np.arange(12) + 0.5) / 6 - 0.5).clip(0, 1)
    line = np.stack([1 - share, share], axis=1)
    np.testing.assert_allclose(large, line @ small @ line.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "side", "layer"),
    [
        (resnet.ResNet(resnet.FAMILY.pocket), 32, "features.stage2"),
        (resnet_cifar.FAMILY.network(resnet_cifar.FAMILY.pocket), 32, "features.stage3"),
        (resnet_cifar.FAMILY.network(resnet_cifar.FAMILY.pocket), 4, "features.stage2"),
        (lenet.FAMILY.network(lenet.FAMILY.pocket, in_chans=3), 32, "features.stage3"),
        (swin.FAMILY.network(swin.FAMILY.pocket), 32, "features.stage2"),
        (torchvision.models.resnet18(), 64, "layer4"),
        (torchvision.models.resnet18(), 32, "layer3"),
        (torchvision.models.squeezenet1_1(), 64, "classifier.2"),
        (torchvision.models.swin_t(), 64, "permute"),
        (vit.FAMILY.network(vit.FAMILY.pocket), 32, "features.stage1.block2.norm1"),
        (
            torchvision.models.VisionTransformer(32, 8, 3, 2, 8, 16),
            32,
            "encoder.layers.encoder_layer_2.ln_1",
        ),
        (Pooled(), 21, "maps"),
    ],
)
def test_the_layer_is_the_last_with_places(network: nn.Module, side: int, layer: str) -> None:
    picture = grad_cam(network, images(1, side))
    assert picture.about == f"Grad-CAM of {layer}"
    assert picture.values.shape == (1, side, side)


def test_the_chosen_layer_is_as_if_named() -> None:
    network = residual()
    for method in (grad_cam, grad_cam_plus_plus):
        found = method(network, images()).values
        np.testing.assert_array_equal(
            found, method(network, images(), layer="features.stage2").values
        )


def test_a_named_layer_is_seen_before_what_follows_writes_over_it() -> None:
    network, inputs = Pooled(), images(side=21)
    randomise(network)
    maps = network.maps(inputs).detach().double().numpy()
    weights = network.fc.weight[1].detach().double().numpy()[:, None, None]
    slopes = (weights * (maps > 0)).mean((2, 3)) / maps[0, 0].size
    expected = np.einsum("nc,nchw->nhw", slopes, maps).clip(min=0)
    picture = grad_cam(network, inputs, target=1, layer="maps", upsampled=False)
    assert_close(picture.values, expected)


def test_of_a_transformer_it_is_the_input_of_the_last_attention() -> None:
    network = vit.FAMILY.network(vit.FAMILY.pocket, num_classes=5).eval()
    randomise(network)
    first, last = network.features.stage1
    with torch.no_grad():
        before = first(network.features.stem(images()))
        tokens = last.norm1(before)
    tokens.requires_grad_()
    between = before + last.attention(tokens)
    logits = network.head(between + last.feed_forward(last.norm2(between)))
    (gradient,) = torch.autograd.grad(logits[:, 3].sum(), tokens)
    # The class token is no place: means and map are over the 8x8 patches.
    weights = gradient[:, 1:].mean(1, keepdim=True)
    expected = (weights * tokens[:, 1:]).sum(2).relu().view(2, 8, 8).detach().numpy()
    picture = grad_cam(network, images(), target=3, upsampled=False)
    assert picture.about == "Grad-CAM of features.stage1.block2.norm1"
    assert_close(picture.values, expected)


def test_what_comes_before_the_layer_is_not_recorded() -> None:
    network = residual()
    recorded = {}
    for name in ("stem", "stage1", "stage2"):
        network.get_submodule(f"features.{name}").register_forward_hook(
            lambda _m, _i, output, name=name: recorded.update({name: output.requires_grad})
        )
    grad_cam(network, images(), layer="features.stage1")
    assert recorded == {"stem": False, "stage1": False, "stage2": True}
    assert torch.is_grad_enabled()


def test_what_is_no_tensor_is_passed_over_in_a_search() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"maps": x}

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 5, stride=4)
            self.named = Named()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.named(self.conv(x))["maps"].mean((2, 3)))  # type: ignore[no-any-return]

    assert grad_cam(Wrapped(), images()).about == "Grad-CAM of conv"
    with pytest.raises(UsageError, match="named returns a dict and no map"):
        grad_cam(Wrapped(), images(), layer="named")


def test_a_layer_that_gives_nothing_is_refused() -> None:
    network = residual()
    with pytest.raises(UnknownName, match=r"features\.stage1"):
        grad_cam(network, images(), layer="features.stage11")
    network.spare = nn.Identity()
    with pytest.raises(UsageError, match="spare does not run"):
        grad_cam(network, images(), layer="spare")

    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(3, 2, 3)
            self.fc = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match="does not depend on it"):
        grad_cam(Aside(), images(), layer="aside")
