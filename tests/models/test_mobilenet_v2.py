"""What is true of MobileNetV2 alone: Table 2, its block, and the rounding of widths."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models._utils import _make_divisible

from convnets.layers.conv import conv_bn
from convnets.layers.inverted_residual import InvertedResidual, multiple_of_8
from convnets.models import create_model

relu6_conv = partial(conv_bn, act=nn.ReLU6)


def test_53_layers_and_the_maps_of_table_2() -> None:
    with torch.device("meta"):
        network = create_model("mobilenet_v2")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224),
            [f"features.{name}" for name, _ in network.features.named_children()],
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (32, 28, 28),
        (64, 14, 14),
        (96, 14, 14),
        (160, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
    ]
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 53


def test_block_adds_its_input_where_the_shape_stays_and_projects_without_activation() -> None:
    kept = InvertedResidual(16, 16, hidden=96, conv=relu6_conv).eval()
    strided = InvertedResidual(16, 16, hidden=96, stride=2, conv=relu6_conv).eval()
    nn.init.zeros_(kept.project.norm.weight)
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(kept(x), x)
    out = strided(x)
    assert out.shape == (2, 16, 4, 4)
    assert out.min() < 0


def test_block_is_figure_4d_written_out() -> None:
    block = InvertedResidual(8, 8, hidden=48, kernel=5, conv=relu6_conv).eval()
    x = 4 * torch.randn(2, 8, 6, 6)

    def norm(values: Tensor, layer: nn.BatchNorm2d) -> Tensor:
        nn.init.normal_(layer.running_mean)
        nn.init.uniform_(layer.running_var, 0.5, 1)
        mean, variance = (each[:, None, None] for each in (layer.running_mean, layer.running_var))
        return (values - mean) / (variance + 1e-5).sqrt()

    weight = block.expand.conv.weight[:, :, 0, 0]
    wide = norm(torch.einsum("oc,bchw->bohw", weight, x), block.expand.norm).clamp(0, 6)
    windows = F.pad(wide, (2, 2, 2, 2)).unfold(2, 5, 1).unfold(3, 5, 1)
    filtered = torch.einsum("bchwij,cij->bchw", windows, block.depthwise.conv.weight[:, 0])
    filtered = norm(filtered, block.depthwise.norm).clamp(0, 6)
    weight = block.project.conv.weight[:, :, 0, 0]
    thin = norm(torch.einsum("oc,bchw->bohw", weight, filtered), block.project.norm)
    torch.testing.assert_close(block(x), x + thin)


def test_drop_works_on_the_branch_alone() -> None:
    class Nothing(nn.Module):
        def forward(self, branch: Tensor) -> Tensor:
            return 0 * branch

    x = torch.randn(2, 16, 4, 4)
    kept = InvertedResidual(16, 16, hidden=32, drop=Nothing()).eval()
    assert torch.equal(kept(x), x)
    wider = InvertedResidual(16, 24, hidden=32, drop=Nothing()).eval()
    assert wider(x).any(), "a block without a shortcut is never dropped"


def test_widths_round_as_in_the_authors_code() -> None:
    widths = [
        channels * width / 100 for channels in range(8, 1300, 8) for width in range(10, 210, 5)
    ]
    assert [multiple_of_8(width) for width in widths] == [_make_divisible(w, 8) for w in widths]
