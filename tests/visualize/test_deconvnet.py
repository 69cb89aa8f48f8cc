"""The deconvnet, against a derivation layer by layer and against captum."""

from __future__ import annotations

import copy

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.layers.network import stack
from convnets.layers.response_norm import ResponseNorm
from convnets.models import convnext, resnet_cifar, vit
from convnets.visualize.deconvnet import deconvnet
from tests.models.peers import randomise
from tests.visualize.explicit import SEQUENTIAL, built, close, explicit_deconvnet, strongest_of


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_it_is_unpooling_rectification_and_transposed_filters(name: str) -> None:
    network, images = built(name)
    leaves = [path for path, module in network.named_modules() if not list(module.children())]
    first = [path for path in leaves if path.endswith(("conv", "act"))][:3]
    stages = [f"features.{stage}" for stage, _ in network.features.named_children()]
    for layer in (*first, *stages, leaves[-1]):
        with torch.no_grad():
            expected = explicit_deconvnet(network, images, layer, strongest_of(None))
        picture = deconvnet(network, images, layer)
        assert picture.axes == ("image", "channel", "height", "width")
        assert close(torch.from_numpy(picture.values), expected), layer


def test_whole_maps_the_strongest_unit_and_one_position() -> None:
    network, images = built("vgg")
    layer = "features.stage1"
    with torch.no_grad():
        maps = network.get_submodule("features")[:2](images)

    def projected(mask: Tensor) -> Tensor:
        return explicit_deconvnet(network, images, layer, lambda values: values * mask)

    def got(unit: int | None, position: tuple[int, int] | None, keep: str) -> Tensor:
        picture = deconvnet(network, images, layer, unit, position, keep=keep)  # type: ignore[arg-type]
        return torch.from_numpy(picture.values)

    with torch.no_grad():
        every = torch.ones_like(maps)
        assert close(got(None, None, "all"), projected(every))
        one = torch.zeros_like(maps)
        one[:, 5] = 1
        assert close(got(5, None, "all"), projected(one))
        column = torch.zeros_like(maps)
        column[:, :, 4, 9] = 1
        assert close(got(None, (4, 9), "all"), projected(column))
        assert close(got(5, (4, 9), "strongest"), projected(one * column))
        tops = maps == maps.amax((1, 2, 3), keepdim=True)
        assert close(got(None, None, "strongest"), projected(tops))
        tops = (maps == (maps * column).amax((1, 2, 3), keepdim=True)) * column.bool()
        assert close(got(None, (4, 9), "strongest"), projected(tops))


def test_whole_maps_of_overlapping_windows() -> None:
    network, images = built("alexnet")
    with torch.no_grad():
        expected = explicit_deconvnet(network, images, "features.stem", lambda maps: maps)
        maps = network.get_submodule("features.stem")(images)
    distinct = len(set(maps[0, 0].flatten().tolist()))
    assert distinct < maps[0, 0].numel(), "no two windows share a maximum"
    values = deconvnet(network, images, "features.stem", keep="all").values
    assert close(torch.from_numpy(values), expected)


class Functional(nn.Module):
    """A network with nothing but parameters in its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1)
        self.two = nn.Conv2d(6, 8, 3, padding=1, stride=2)
        self.last = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.one(images), inplace=True)
        x = F.max_pool2d(F.local_response_norm(x, 5, alpha=1.0), 2)
        return self.last(self.two(x).relu_().mean((2, 3)))  # type: ignore[no-any-return]


def test_functions_are_met_like_modules() -> None:
    torch.manual_seed(3)
    functional = Functional()
    modules = stack(
        ("one", functional.one),
        ("relu1", nn.ReLU()),
        ("norm", ResponseNorm(5, alpha=0.2, k=1.0)),
        ("pool", nn.MaxPool2d(2)),
        ("two", functional.two),
        ("relu2", nn.ReLU()),
        ("mean", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("last", functional.last),
    )
    images = torch.randn(2, 3, 14, 14)
    for layer in ("two", "last"):
        with torch.no_grad():
            expected = explicit_deconvnet(modules, images, layer, strongest_of(2))
        values = torch.from_numpy(deconvnet(functional, images, layer, 2).values)
        assert close(values, expected)


@pytest.mark.parametrize(
    "norm",
    [
        ResponseNorm(3, alpha=1.0),
        ResponseNorm(3, alpha=1.0, across="pixels"),
        nn.LocalResponseNorm(3, alpha=1.0),
        nn.CrossMapLRN2d(3, alpha=1.0),
    ],
)
def test_contrast_normalisation_is_left_out_on_the_way_back(norm: nn.Module) -> None:
    network = stack(("norm", norm), ("scale", nn.Conv2d(2, 1, 1, bias=False)))
    images = torch.rand(1, 2, 5, 5) + 1
    maps = network(images).detach()
    picture = deconvnet(network, images, "scale", 0, (2, 3))
    expected = torch.zeros_like(images)
    expected[0, :, 2, 3] = maps[0, 0, 2, 3] * network.get_submodule("scale").weight[0, :, 0, 0]
    assert close(torch.from_numpy(picture.values), expected.detach())
    # Outside the deconvnet its gradient is its own.
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf).sum(), leaf)
    plain = network.get_submodule("scale").weight[0, :, 0, 0, None, None].expand_as(images)
    assert not torch.allclose(gradient, plain)


def test_an_activation_in_place_does_not_reach_the_layer_before_it() -> None:
    network, images = built("alexnet")
    layer = "features.stem.conv1.conv"
    with torch.no_grad():
        maps = network.get_submodule(layer)(images)
    lowest = maps[0, 2].argmin()
    position = (int(lowest) // maps.shape[-1], int(lowest) % maps.shape[-1])
    assert maps[0, 2, position[0], position[1]] < 0

    def keep(values: Tensor) -> Tensor:
        kept = torch.zeros_like(values)
        kept[:, 2, position[0], position[1]] = values[:, 2, position[0], position[1]]
        return kept

    with torch.no_grad():
        expected = explicit_deconvnet(network, images, layer, keep)
    values = deconvnet(network, images, layer, 2, position).values
    assert close(torch.from_numpy(values), expected)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize("name", ["alexnet", "vgg", "vgg with batch normalisation", "resnet"])
def test_of_a_whole_image_it_agrees_with_captum(name: str) -> None:
    if name == "resnet":
        network = resnet_cifar.FAMILY.network(resnet_cifar.FAMILY.pocket, num_classes=5).eval()
        randomise(network)
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    else:
        network, images = built(name)
    logits = network(images).detach()
    strongest, targets = logits.max(1)
    assert (strongest > 0).all()
    layer = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    values = torch.from_numpy(deconvnet(network, images, layer).values)
    theirs = copy.deepcopy(network)
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks cannot work in place
    expected = captum.attr.Deconvolution(theirs).attribute(
        images.clone().requires_grad_(), target=targets
    )
    # captum starts from 1, the paper from the activation itself.
    assert close(values, expected.detach() * strongest[:, None, None, None])


def test_branches_are_summed() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.conv(x) + x)  # type: ignore[no-any-return]

    network = nn.Sequential(Residual(), Residual())
    images = torch.randn(2, 2, 8, 8)
    with torch.no_grad():
        x = strongest_of(1)(network(images))
        for block in reversed(network):
            positive = x.clamp(min=0)
            x = F.conv_transpose2d(positive, block.conv.weight, padding=1) + positive
    assert close(torch.from_numpy(deconvnet(network, images, "1", 1).values), x)


def test_a_module_that_runs_twice_and_one_that_returns_several() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, bias=False)
            self.pair = Pair()

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.pair(self.conv(self.conv(x)))
            return first.mul_(2) + second  # type: ignore[no-any-return]

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return -3 * x, x

    network, images = Twice(), torch.randn(1, 2, 4, 4)
    with torch.no_grad():
        weight = network.conv.weight
        once = network.conv(images)
        maps = network.conv(once)
        expected = strongest_of(0)(maps)
        for _ in range(2):
            expected = F.conv_transpose2d(expected, weight)
        paired = strongest_of(0)(-3 * maps) * -3
        for _ in range(2):
            paired = F.conv_transpose2d(paired, weight)
    assert close(torch.from_numpy(deconvnet(network, images, "conv", 0).values), expected)
    assert close(torch.from_numpy(deconvnet(network, images, "pair", 0).values), paired)


def test_tokens_have_channels_as_units() -> None:
    network = vit.FAMILY.network(vit.FAMILY.pocket, num_classes=5).eval()
    randomise(network)
    images = torch.randn(1, 3, 32, 32)
    leaf = images.clone().requires_grad_()
    tokens = network.features.stage1(network.features.stem(leaf))
    assert tokens.shape == (1, 1 + 8 * 8, 64)
    value = tokens[0, 1 + 5 * 8 + 3, 2]  # the class token is the first
    (gradient,) = torch.autograd.grad(value, leaf)  # no rectifiers: GELU keeps its own
    values = deconvnet(network, images, "features.stage1", 2, (5, 3)).values
    assert close(torch.from_numpy(values), gradient * value.detach())


def test_linear_layers_on_maps_have_their_channels_last() -> None:
    network = convnext.FAMILY.network(convnext.FAMILY.pocket, num_classes=5).eval()
    randomise(network)
    images = torch.randn(1, 3, 32, 32)
    leaf = images.clone().requires_grad_()
    block = network.features.stage1.block1
    seen = []
    hook = block.expand.register_forward_hook(lambda *call: seen.append(call[2]))
    network(leaf)
    hook.remove()
    assert seen[0].shape[-1] == block.expand.out_features
    value = seen[0][0, 4, 6, 9]
    (gradient,) = torch.autograd.grad(value, leaf)
    values = deconvnet(network, images, "features.stage1.block1.expand", 9, (4, 6)).values
    assert close(torch.from_numpy(values), gradient * value.detach())


def test_the_network_is_left_as_it_was() -> None:
    network, images = built("vgg with response normalisation")
    network.train()
    network.features.stage1.eval()
    frozen = network.get_submodule("features.stem.conv1.conv").weight
    frozen.requires_grad_(False)
    network(images).sum().backward()
    given = images.clone()

    def state() -> list[object]:
        modules = list(network.modules())
        return [
            [module.training for module in modules],
            [getattr(module, "inplace", None) for module in modules],
            [len(module._forward_hooks) for module in modules],
            [(p.requires_grad, p.tolist(), p.grad is not None) for p in network.parameters()],
            [p.grad.tolist() for p in network.parameters() if p.grad is not None],
        ]

    before = state()
    with torch.no_grad():
        deconvnet(network, images, "features.stage1", 1)
    with pytest.raises(UsageError):
        deconvnet(network, images, "features.stage1", 99)
    with pytest.raises(UsageError):
        deconvnet(network, images[:, :2], "features.stage1", 1)
    assert state() == before
    assert torch.equal(images, given)
    assert not images.requires_grad


def test_what_does_not_exist_is_named() -> None:
    network, images = built("vgg")
    with pytest.raises(UnknownName, match=r"features\.stage9.*features\.stage1"):
        deconvnet(network, images, "features.stage9")
    with pytest.raises(UsageError, match="unit is 8; the layer has 8"):
        deconvnet(network, images, "features.stage1", 8)
    with pytest.raises(UsageError, match="column is 14; the layer has 14"):
        deconvnet(network, images, "features.stage1", 0, (3, 14))
    with pytest.raises(UnknownName, match=r"al.*all"):
        deconvnet(network, images, "features.stage1", keep="al")  # type: ignore[arg-type]
    network.add_module("spare", nn.Conv2d(3, 3, 1))
    with pytest.raises(UsageError, match="spare does not run"):
        deconvnet(network, images, "spare")
