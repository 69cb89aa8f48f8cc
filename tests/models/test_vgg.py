"""VGG's table, its memory for activations, and its configurations A-LRN and C."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnets.layers.response_norm import ResponseNorm
from convnets.models import VARIANTS, create_model, vgg


def convolutions(name: str) -> list[nn.Conv2d]:
    with torch.device("meta"):
        network = create_model(name)
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        *(("vgg11", 11), ("vgg11_lrn", 11), ("vgg11_bn", 11), ("vgg13", 13), ("vgg13_bn", 13)),
        *(("vgg16", 16), ("vgg16_c", 16), ("vgg16_bn", 16), ("vgg19", 19), ("vgg19_bn", 19)),
    ],
)
def test_layers_of_table_1(name: str, layers: int) -> None:
    assert len(convolutions(name)) + 3 == layers
    kernels = {layer.kernel_size for layer in convolutions(name)}
    assert kernels == ({(3, 3), (1, 1)} if name == "vgg16_c" else {(3, 3)})


def test_vgg16_maps_by_hand() -> None:
    # Two, two, three, three and three convolutions a stage, then a pooling that halves the side.
    # Their maps make 13.5 million values and the poolings' 1.5, so 15 million in all: the 24
    # million often printed beside the table of these very layers is not their sum.
    expected = []
    table = ((224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3))
    for side, width, depth in table:
        expected += [side**2 * width] * depth + [(side // 2) ** 2 * width]
    with torch.device("meta"):
        network = create_model("vgg16")
        names = [
            name
            for name, module in network.features.named_modules(prefix="features")
            if isinstance(module, nn.Conv2d | nn.MaxPool2d)
        ]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), names)
    assert [maps[name].numel() for name in names] == expected
    assert round(sum(expected) / 1e6, 1) == 15.1


def test_first_linear_layer_holds_most_weights_of_vgg16() -> None:
    with torch.device("meta"):
        fc1 = create_model("vgg16").get_submodule("head.fc1")
    assert sum(p.numel() for p in fc1.parameters()) == (7 * 7 * 512 + 1) * 4096
    assert (7 * 7 * 512 + 1) * 4096 > 0.7 * 138e6


def test_small_form_keeps_every_weight_and_twice_the_side() -> None:
    with torch.device("meta"):
        paper, small = (create_model("vgg11", stem=stem) for stem in ("paper", "small"))
        images = torch.empty(1, 3, 32, 32)
        assert paper.forward_features(images).shape[-2:] == (1, 1)
        assert small.forward_features(images).shape[-2:] == (2, 2)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (paper, small)]
    assert shapes[0] == shapes[1]


def test_configuration_c_by_hand() -> None:
    # Table 1: conv3-64 twice, conv3-128 twice, then three times two conv3 and a conv1.
    table = [(64, 3), (64, 3), (128, 3), (128, 3)]
    for width in (256, 512, 512):
        table += [(width, 3), (width, 3), (width, 1)]
    assert [(c.out_channels, c.kernel_size[0]) for c in convolutions("vgg16_c")] == table
    params, channels = 0, 3
    for width, kernel in table:
        params += (kernel**2 * channels + 1) * width
        channels = width
    params += (7 * 7 * 512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert params == 133_638_952 == VARIANTS["vgg16_c"][1].params


def test_a_lrn_is_a_with_one_normalisation_after_conv1() -> None:
    spec = vgg.Spec((1, 1), widths=(8, 8), hidden=16)
    plain = vgg.VGG(spec, num_classes=5).double().eval()
    network = vgg.VGG(vgg.Spec((1, 1), "response", widths=(8, 8), hidden=16), num_classes=5)
    network.load_state_dict(plain.state_dict())
    images = 100 * torch.randn(2, 3, 16, 16, dtype=torch.float64)

    def normalise(_module: nn.Module, _inputs: object, maps: torch.Tensor) -> torch.Tensor:
        sums = F.pad(maps.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return maps / (2 + 1e-4 * sums) ** 0.75

    plain.features.stem.conv1.register_forward_hook(normalise)
    with torch.no_grad():
        torch.testing.assert_close(network.double().eval()(images), plain(images))


def test_only_a_lrn_normalises_responses_and_bn_follows_every_convolution() -> None:
    counts = {}
    for name in ("vgg16", "vgg16_bn", "vgg11_lrn"):
        with torch.device("meta"):
            modules = list(create_model(name).modules())
        counts[name] = tuple(
            sum(isinstance(module, kind) for module in modules)
            for kind in (ResponseNorm, nn.BatchNorm2d)
        )
    assert counts == {"vgg16": (0, 0), "vgg16_bn": (0, 13), "vgg11_lrn": (1, 0)}
