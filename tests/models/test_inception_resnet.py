"""What is true of Inception-ResNet alone: its schema, its residuals, and pytorchcv's logits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn

from convnets.models import create_model, find_variant
from convnets.models.inception_resnet import InceptionResidual, InceptionResNet
from tests.models.peers import NoInitialisation, agree, carry

PYTORCHCV = {"inception_resnet_v1": "inceptionresnetv1"}
POCKET = find_variant("inception_resnet_v2")[0].pocket


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv(name: str) -> None:
    with NoInitialisation():
        peer = get_model(PYTORCHCV[name])
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # it takes 299x299 images alone
    carry(peer, network)
    agree(peer, network, 75)


@pytest.mark.parametrize(
    ("name", "widths", "blocks"),
    [
        # Fig. 7 and 11 to 15, with 6 modules C for 5; Table 1.
        ("inception_resnet_v1", (256, 896, 1792), (5, 10, 6)),
        # The authors' code: 320 maps for 384, and twice as many modules.
        ("inception_resnet_v2", (320, 1088, 2080), (10, 20, 10)),
    ],
)
def test_maps_and_modules(name: str, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = create_model(name).eval()
        names = [f"features.stage{index}" for index in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, 299, 299), ["features.stem", *names])
    assert maps["features.stem"].shape == (1, widths[0], 35, 35)
    for stage, width, side in zip(names, widths, (35, 17, 8), strict=True):
        assert maps[stage].shape == (1, width, side, side)
    residuals = [m for m in network.modules() if isinstance(m, InceptionResidual)]
    assert len(residuals) == sum(blocks)
    for index, count in enumerate(blocks, start=1):
        stage = network.features.get_submodule(f"stage{index}")
        assert len([m for m in stage.children() if isinstance(m, InceptionResidual)]) == count


@pytest.mark.parametrize(("stage", "scale"), [(1, 0.17), (2, 0.10), (3, 0.20)])
def test_the_branch_is_scaled_before_the_sum(stage: int, scale: float) -> None:
    block = InceptionResNet(POCKET).features.get_submodule(f"stage{stage}.block1").eval()
    nn.init.zeros_(block.expand.weight)
    nn.init.constant_(block.expand.bias, -1.0)
    x = torch.randn(1, block.expand.out_channels, 4, 4)
    torch.testing.assert_close(block(x), (x - scale).clamp(min=0))


def test_the_last_sum_is_plain() -> None:
    block = InceptionResNet(POCKET).features.stage3.block2.eval()
    nn.init.zeros_(block.expand.weight)
    nn.init.constant_(block.expand.bias, -1.0)
    x = torch.randn(1, block.expand.out_channels, 4, 4)
    torch.testing.assert_close(block(x), x - 1)


def test_stochastic_depth_has_no_weights() -> None:
    plain = InceptionResNet(POCKET)
    dropped = InceptionResNet(replace(POCKET, stochastic_depth=0.5))
    assert dropped.state_dict().keys() == plain.state_dict().keys()
    drops = [m.drop.survival for m in dropped.modules() if isinstance(m, InceptionResidual)]
    assert drops == [0.875, 0.75, 0.625, 0.5]


def test_squeeze_and_excitation_adds_two_layers_a_block() -> None:
    plain, squeezed = (InceptionResNet(replace(POCKET, squeeze=squeeze)) for squeeze in (0, 4))
    added = 0
    for block in plain.modules():
        if isinstance(block, InceptionResidual):
            width = block.expand.out_channels
            hidden = width // 4
            added += 2 * width * hidden + hidden + width
    counts = [sum(p.numel() for p in network.parameters()) for network in (plain, squeezed)]
    assert counts[1] - counts[0] == added
    assert squeezed(torch.randn(2, 3, 32, 32)).shape == (2, 1000)


def test_small_stem_halves_once() -> None:
    with torch.device("meta"):
        network = create_model("inception_resnet_v2", stem="small", num_classes=10)
        names = ["features.stem.conv5", *(f"features.stage{index}" for index in (1, 2, 3))]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), names)
    assert [maps[name].shape[-1] for name in names] == [32, 15, 7, 3]
