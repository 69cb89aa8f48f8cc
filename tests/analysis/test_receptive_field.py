"""Receptive fields against printed ones, counts by hand, and gradients of real networks."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.analysis import LayerCost, profile
from convnets.analysis.grid import Axis


class Call(nn.Module):
    """A function of some modules, as a module."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def conv(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(4, 4, kernel, stride, padding, dilation)


def last(network: nn.Module, size: int = 64, in_chans: int = 4) -> LayerCost:
    return profile(network, size, in_chans=in_chans).layers[0]


def skip(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    out: Tensor = x + b(a(x))
    return out


def concatenated(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    return torch.cat([a(x), b(x)], 1)


def shifted(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    out: Tensor = a(F.pad(x, (2, 0, 2, 0))) + b(F.pad(x, (0, 2, 0, 2)))
    return out


def channels_last(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    mixed = F.linear(a(x).permute(0, 2, 3, 1), torch.ones(4, 4))
    out: Tensor = b(mixed.permute(0, 3, 1, 2))
    return out


def shuffle(x: Tensor, a: nn.Module) -> Tensor:
    out: Tensor = a(x).unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)
    return out


# Figures worked out by hand: (network, receptive field, stride, centre of the first unit).
BY_HAND = {
    "three stacked 3x3 see 7x7": (nn.Sequential(conv(3), conv(3), conv(3)), 7, 1, 3),
    "strides multiply": (nn.Sequential(conv(3, 2), conv(3, 2), conv(3)), 15, 4, 7),
    "padding moves the centre": (nn.Sequential(conv(3, 2, 1), conv(3, 2, 1)), 7, 4, 0),
    "dilation": (nn.Sequential(conv(3, 1, 0, 2), conv(3, 1, 0, 4)), 13, 1, 6),
    "pooling": (nn.Sequential(conv(5), nn.MaxPool2d(2), nn.AvgPool2d(3, 2)), 10, 4, 4.5),
    "a skip": (Call(skip, conv(3, padding=1), conv(3, padding=1)), 5, 1, 0),
    "the widest branch wins": (Call(concatenated, conv(1), conv(5, padding=2)), 5, 1, 0),
    "branches off centre join": (Call(shifted, conv(3), conv(3)), 5, 1, 0),
    "a module that runs twice": (Call(lambda x, a: a(a(x)), conv(3)), 5, 1, 2),
    "channels last": (Call(channels_last, conv(3, 2), conv(3)), 7, 2, 3),
    "channel shuffle": (Call(shuffle, conv(3)), 3, 1, 1),
    "strided slices": (Call(lambda x, a: a(x)[:, :, 1::2, 1::2], conv(3)), 3, 2, 2),
    "tokens": (Call(lambda x, a: F.gelu(a(x).flatten(2).transpose(1, 2)), conv(4, 4)), 4, 4, 1.5),
    "a classifier": (Call(lambda x: x.flatten(1) @ torch.ones(4 * 64**2, 2)), 64, 64, 31.5),
    "global pooling": (nn.Sequential(conv(3), nn.AdaptiveAvgPool2d(1), conv(1)), 64, 62, 31.5),
    "adaptive pooling": (nn.AdaptiveAvgPool2d(16), 4, 4, 1.5),
    "upsampling": (nn.Sequential(conv(2, 2), nn.Upsample(scale_factor=2)), 2, 1, 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    network, size, stride, centre = BY_HAND[name]
    layer = last(network)
    assert (layer.receptive_field, layer.stride, layer.centre) == (size, stride, centre)


def test_a_gate_sees_the_image() -> None:
    gate = Call(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid())
    layer = last(gate)
    assert (layer.receptive_field, layer.stride) == (64, 1)


def test_attention_sees_the_image() -> None:
    def attend(x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(tokens, tokens, tokens)

    assert last(Call(attend), 8).receptive_field == 8


def test_a_broken_grid_has_none() -> None:
    windows = Call(lambda x: x.unflatten(2, (8, 8)).unflatten(4, (8, 8)).transpose(3, 4) * 2)
    rolled = Call(lambda x: x.roll((3, 3), (2, 3)))
    assert last(windows).receptive_field is None
    assert last(rolled).receptive_field is None


def test_sides_that_differ() -> None:
    layer = last(nn.Conv2d(4, 4, (1, 7), stride=(1, 2), padding=(0, 3)))
    assert (layer.receptive_field, layer.stride, layer.centre) == ((1, 7), (1, 2), 0)


def test_printed_in_distill() -> None:
    """Araujo, Norris and Sim (Distill 2019): AlexNet 195, VGG-16 212, Inception v3 1311."""
    with torch.device("meta"):
        alexnet = torchvision.models.alexnet().features
        vgg16 = torchvision.models.vgg16().features
        inception = torchvision.models.inception_v3(init_weights=False)
    assert last(alexnet, 224, 3).receptive_field == 195
    assert last(vgg16, 224, 3).receptive_field == 212
    (mixed,) = (row for row in profile(inception, 299).layers if row.name == "Mixed_7c")
    assert (mixed.receptive_field, mixed.stride) == (1311, 32)


@pytest.mark.parametrize(
    ("depths", "size"),
    [((3, 4, 6, 3), 483), ((3, 4, 23, 3), 1027), ((3, 8, 36, 3), 1507)],
)
def test_resnet_v1_in_distill(depths: tuple[int, ...], size: int) -> None:
    """The table measures TF-slim's networks: the last unit of a stage strides, in its 3x3."""
    layers: list[nn.Module] = [conv(7, 2, 3), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if index == depth - 1 and stage < 3 else 1
            shortcut = nn.MaxPool2d(1, stride)
            layers.append(Call(lambda x, a, b: a(x) + b(x), conv(3, stride, 1), shortcut))
    assert last(nn.Sequential(*layers), 224).receptive_field == size


def positive(network: nn.Module) -> nn.Module:
    """The same geometry, linear and without cancellation: every path leaves a gradient."""
    network = copy.deepcopy(network).double().eval()
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.MaxPool2d):
                geometry = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(part, name, nn.AvgPool2d(*geometry))
            elif isinstance(child, nn.ReLU6):
                setattr(part, name, nn.Identity())
    for parameter in network.parameters():
        parameter.data.fill_(1)
    return network


def seen(network: nn.Module, size: int, unit: int) -> tuple[int, int]:
    """First and last pixel of a row with a gradient from output (unit, unit)."""
    images = torch.ones(1, 3, size, size, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images)[0, :, unit, unit].sum(), images)
    pixels = gradient.abs().sum((0, 1, 2)).nonzero()
    return int(pixels.min()), int(pixels.max())


def densenet() -> nn.Module:
    return torchvision.models.DenseNet(8, (2, 3), 8, bn_size=2).features


def cut(name: str, last_child: str) -> nn.Module:
    """The first part of a torchvision network, up to a child."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = torchvision.models.get_model(name, **options)
    children = []
    for child_name, child in network.named_children():
        children.append(child)
        if child_name == last_child:
            break
    return nn.Sequential(*children)


GRADIENT = {
    "resnet18": lambda: cut("resnet18", "layer3"),
    "resnet50": lambda: cut("resnet50", "layer2"),
    "googlenet": lambda: cut("googlenet", "inception4a"),
    "densenet": densenet,
    "squeezenet": lambda: torchvision.models.squeezenet1_1().features[:8],
    "shufflenet": lambda: cut("shufflenet_v2_x0_5", "stage3"),
    "mobilenet": lambda: torchvision.models.mobilenet_v2(width_mult=0.25).features[:11],
}


@pytest.mark.parametrize("name", GRADIENT)
def test_gradients_reach_as_far(name: str) -> None:
    size = 129
    network = positive(GRADIENT[name]())
    layer = last(network, size, 3)
    assert layer.field is not None
    axis: Axis = layer.field[1]
    for unit in (0, layer.output_shape[-1] // 2, layer.output_shape[-1] - 1):
        middle = axis.centre + unit * axis.stride
        reach = (axis.size - 1) / 2
        expected = (max(0, middle - reach), min(size - 1, middle + reach))
        assert seen(network, size, unit) == expected
