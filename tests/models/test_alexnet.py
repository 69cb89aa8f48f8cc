"""AlexNet's map sizes and layers, and the network of 2012 written out for two GPUs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.models import VARIANTS, alexnet, create_model
from tests.models.peers import randomise

LAYERS = ("stem.conv1", "stem", "stage1.conv2", "stage1", "stage2.conv3", "stage2.conv5", "stage2")


@pytest.mark.parametrize(
    ("name", "stem", "size", "expected"),
    [
        ("alexnet", "paper", 227, [55, 27, 27, 13, 13, 13, 6]),
        ("alexnet_owt", "paper", 224, [55, 27, 27, 13, 13, 13, 6]),
        ("alexnet", "small", 32, [16, 7, 7, 3, 3, 3, 3]),
        ("alexnet_owt", "small", 32, [16, 7, 7, 3, 3, 3, 3]),
    ],
)
def test_map_sizes(name: str, stem: str, size: int, expected: list[int]) -> None:
    with torch.device("meta"):
        network = create_model(name, stem=stem)
        maps = network.forward_intermediates(
            torch.empty(1, 3, size, size), [f"features.{layer}" for layer in LAYERS]
        )
    assert [maps[f"features.{layer}"].shape[-1] for layer in LAYERS] == expected


def test_neurons_of_figure_2() -> None:
    # The figure's 253,440 for the first layer are not the 55 x 55 x 96 of its own drawing.
    neurons = {
        "features.stem.conv1": 55 * 55 * 96,
        "features.stage1.conv2": 186_624,
        "features.stage2.conv3": 64_896,
        "features.stage2.conv4": 64_896,
        "features.stage2.conv5": 43_264,
        "head.fc1": 4096,
        "head.fc2": 4096,
        "head.fc3": 1000,
    }
    with torch.device("meta"):
        network = create_model("alexnet")
        maps = network.forward_intermediates(torch.empty(1, 3, 227, 227), neurons)
    assert {name: maps[name].numel() for name in neurons} == neurons


def test_parameters_of_section_3_5_by_hand() -> None:
    # Kernels of 11x11x3, 5x5x48, 3x3x256, 3x3x192 and 3x3x192, as the section prints them.
    kernels = ((96, 11, 3), (256, 5, 48), (384, 3, 256), (384, 3, 192), (256, 3, 192))
    convolutions = [(side**2 * depth + 1) * maps for maps, side, depth in kernels]
    linear = [(6 * 6 * 256 + 1) * 4096, (4096 + 1) * 4096, (4096 + 1) * 1000]
    with torch.device("meta"):
        network = create_model("alexnet")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == convolutions + linear
    assert counts[0] == 34_944
    assert sum(counts) == 60_965_224 == VARIANTS["alexnet"][1].params


def two_gpus(network: nn.Module, images: Tensor) -> Tensor:
    """Logits by Section 3.5: each GPU has half of the maps, and all meet in conv3 and fc1."""
    state = network.state_dict()

    def convolve(name: str, maps: Tensor, gpu: int | None = None, **geometry: int) -> Tensor:
        weight, bias = (state[f"features.{name}.conv.{part}"] for part in ("weight", "bias"))
        if gpu is not None:
            weight, bias = weight.chunk(2)[gpu], bias.chunk(2)[gpu]
        return F.conv2d(maps, weight, bias, **geometry).relu()

    def normalise(maps: Tensor) -> Tensor:
        padded = F.pad(maps.square(), (0, 0, 0, 0, 2, 2))
        sums = sum(padded[:, shift : shift + maps.shape[1]] for shift in range(5))
        return maps / (2 + 1e-4 * sums) ** 0.75

    def each(name: str, halves: list[Tensor], padding: int) -> list[Tensor]:
        return [convolve(name, half, gpu, padding=padding) for gpu, half in enumerate(halves)]

    maps = F.max_pool2d(normalise(convolve("stem.conv1", images, stride=4)), 3, 2)
    both = torch.cat(each("stage1.conv2", list(maps.chunk(2, 1)), 2), 1)
    both = F.max_pool2d(normalise(both), 3, 2)
    halves = list(convolve("stage2.conv3", both, padding=1).chunk(2, 1))
    halves = each("stage2.conv5", each("stage2.conv4", halves, 1), 1)
    x = F.max_pool2d(torch.cat(halves, 1), 3, 2).flatten(1)
    for index in (1, 2, 3):
        x = F.linear(x, state[f"head.fc{index}.weight"], state[f"head.fc{index}.bias"])
        x = x.relu() if index < 3 else x
    return x


def test_logits_equal_two_gpus() -> None:
    spec = alexnet.Spec((8, 12, 16, 12, 8), hidden=16, columns=2)
    network = alexnet.AlexNet(spec, num_classes=5).double().eval()
    randomise(network)
    images = 100 * torch.randn(2, 3, 227, 227, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), two_gpus(network, images))


@pytest.mark.parametrize("name", ["alexnet", "alexnet_owt"])
def test_only_the_first_kernel_of_the_small_form_differs(name: str) -> None:
    with torch.device("meta"):
        paper = create_model(name).state_dict()
        small = create_model(name, stem="auto", input_size=32).state_dict()
    assert paper.keys() == small.keys()
    differing = {name for name in paper if paper[name].shape != small[name].shape}
    assert differing == {"features.stem.conv1.conv.weight"}
    assert small[differing.pop()].shape[1:] == (3, 5, 5)
