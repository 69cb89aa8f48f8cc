"""SqueezeNet's Table 1, its bypasses, and parity with pytorchcv."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models import squeezenet as peers
from torch import nn
from torch.nn import functional as F

from convnets.models import VARIANTS, create_model
from convnets.models.squeezenet import Fire
from tests.models.peers import agree, carry

PYTORCHCV = {"squeezenet1_0_simple_bypass": "squeezeresnet_v1_0"}


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv(name: str) -> None:
    peer = getattr(peers, PYTORCHCV[name])()
    network = create_model(name)
    carry(peer, network)
    agree(peer, network, 224)


def test_output_sizes_of_table_1() -> None:
    # Its 111 x 111 after conv1 are those of an image of 227 pixels.
    table = {
        "features.stem": (96, 111),
        "features.stage1.pool": (96, 55),
        "features.stage1.fire2": (128, 55),
        "features.stage1.fire3": (128, 55),
        "features.stage1.fire4": (256, 55),
        "features.stage2.pool": (256, 27),
        "features.stage2.fire5": (256, 27),
        "features.stage2.fire6": (384, 27),
        "features.stage2.fire7": (384, 27),
        "features.stage2.fire8": (512, 27),
        "features.stage3.pool": (512, 13),
        "features.stage3.fire9": (512, 13),
        "head.conv": (1000, 13),
    }
    with torch.device("meta"):
        network = create_model("squeezenet1_0")
        maps = network.forward_intermediates(torch.empty(1, 3, 227, 227), table)
    assert {name: tuple(maps[name].shape[1:3]) for name in table} == table


def test_parameters_of_table_1() -> None:
    # s1x1, e1x1 and e3x3 of each module, and the table's parameters before pruning.
    table = {
        "stage1.fire2": (16, 64, 64, 11_920),
        "stage1.fire3": (16, 64, 64, 12_432),
        "stage1.fire4": (32, 128, 128, 45_344),
        "stage2.fire5": (32, 128, 128, 49_440),
        "stage2.fire6": (48, 192, 192, 104_880),
        "stage2.fire7": (48, 192, 192, 111_024),
        "stage2.fire8": (64, 256, 256, 188_992),
        "stage3.fire9": (64, 256, 256, 197_184),
    }
    with torch.device("meta"):
        network = create_model("squeezenet1_0")
    for name, (squeeze, one, three, params) in table.items():
        fire = network.features.get_submodule(name)
        assert fire.squeeze.conv.out_channels == squeeze
        assert fire.expand1x1.conv.out_channels == one
        assert fire.expand3x3.conv.out_channels == three
        assert sum(p.numel() for p in fire.parameters()) == params
    assert sum(p.numel() for p in network.features.stem.parameters()) == 14_208
    assert sum(p.numel() for p in network.head.parameters()) == 513_000
    assert round(4 * VARIANTS["squeezenet1_0"][1].params / 2**20, 1) == 4.8


@pytest.mark.parametrize(
    ("name", "identities", "convolutions"),
    [
        ("squeezenet1_0", [], []),
        ("squeezenet1_1", [], []),
        ("squeezenet1_0_simple_bypass", ["fire3", "fire5", "fire7", "fire9"], []),
        (
            "squeezenet1_0_complex_bypass",
            ["fire3", "fire5", "fire7", "fire9"],
            ["fire2", "fire4", "fire6", "fire8"],
        ),
    ],
)
def test_bypasses_of_figure_2(name: str, identities: list[str], convolutions: list[str]) -> None:
    with torch.device("meta"):
        network = create_model(name)
    found: dict[type[nn.Module], list[str]] = {nn.Identity: [], nn.Conv2d: []}
    for path, module in network.named_modules():
        if isinstance(module, Fire) and module.bypass is not None:
            found[type(module.bypass)].append(path.rpartition(".")[2])
    assert found == {nn.Identity: identities, nn.Conv2d: convolutions}


def test_complex_bypass_by_hand() -> None:
    # A 1x1 convolution with bias around each module that changes the number of maps.
    around = ((96, 128, 54), (128, 256, 54), (256, 384, 27), (384, 512, 27))
    params = sum((inputs + 1) * outputs for inputs, outputs, _ in around)
    macs = sum(inputs * outputs * side**2 for inputs, outputs, side in around)
    _, plain = VARIANTS["squeezenet1_0"]
    _, row = VARIANTS["squeezenet1_0_complex_bypass"]
    assert (row.params - plain.params, row.macs - plain.macs) == (params, macs)


@pytest.mark.parametrize("bypass", [None, nn.Identity(), nn.Conv2d(16, 16, 1)])
def test_a_fire_module_is_its_formula(bypass: nn.Module | None) -> None:
    fire = Fire(16, 16, bypass)
    weights = {name: value.detach() for name, value in fire.named_parameters()}
    maps = torch.randn(2, 16, 5, 6)

    def convolve(name: str, x: torch.Tensor, padding: int = 0) -> torch.Tensor:
        weight, bias = weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"]
        return F.conv2d(x, weight, bias, padding=padding).relu()

    squeezed = convolve("squeeze", maps)
    expected = torch.cat(
        (convolve("expand1x1", squeezed), convolve("expand3x3", squeezed, padding=1)), 1
    )
    with torch.no_grad():
        if bypass is not None:
            expected = expected + bypass(maps)
        torch.testing.assert_close(fire(maps), expected)
    assert squeezed.shape[1] == 2


def test_small_form_keeps_all_pixels_for_fire2() -> None:
    with torch.device("meta"):
        network = create_model("squeezenet1_0", stem="small")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 32, 32), ["features.stage1", "features"]
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [(256, 32, 32), (512, 8, 8)]
