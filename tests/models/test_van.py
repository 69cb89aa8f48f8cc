"""What is true of VAN alone: the decomposition of its kernel, its counts by hand, its forward."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model
from convnets.models.van import FAMILY, VAN, LargeKernelAttention, Spec
from convnets.weights.keys.van import AUTHORS

# The official models/van.py: blocks and channels of the four stages, and how much wider the
# feed-forward part is. Stochastic depth is that of the official commands.
MLP_RATIOS = (8, 8, 4, 4)
OFFICIAL: dict[str, tuple[tuple[int, ...], tuple[int, ...], float]] = {
    "van_b0": ((3, 3, 5, 2), (32, 64, 160, 256), 0.1),
    "van_b1": ((2, 2, 4, 2), (64, 128, 320, 512), 0.1),
    "van_b2": ((3, 3, 12, 3), (64, 128, 320, 512), 0.1),
    "van_b3": ((3, 5, 27, 3), (64, 128, 320, 512), 0.2),
    "van_b4": ((3, 6, 40, 3), (64, 128, 320, 512), 0.2),
    "van_b5": ((3, 3, 24, 3), (96, 192, 480, 768), 0.2),
    "van_b6": ((6, 6, 90, 6), (96, 192, 384, 768), 0.3),
}
every_network = pytest.mark.parametrize("name", OFFICIAL)


def test_these_are_all() -> None:
    assert OFFICIAL.keys() == FAMILY.variants.keys()


# --- counts ---------------------------------------------------------------------------------------


def counts(depths: Sequence[int], widths: Sequence[int], classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds at 224 pixels, summed over the layers by hand."""
    params = macs = 0
    for stage, (before, width) in enumerate(pairwise((3, *widths))):
        kernel, side = (3 if stage else 7), 56 >> stage
        hidden = MLP_RATIOS[stage] * width
        # 1x1 in, depthwise 5x5, depthwise dilated 7x7, 1x1 of the gate, 1x1 out
        attention = 3 * width * width + (25 + 49) * width
        feed_forward = 2 * width * hidden + 9 * hidden
        biases = 5 * width + 2 * hidden + width
        norms_and_scales = 2 * 2 * width + 2 * width
        patches = kernel * kernel * before * width
        block = attention + feed_forward
        params += patches + 3 * width + depths[stage] * (block + biases + norms_and_scales)
        params += 2 * width
        macs += side * side * (patches + depths[stage] * block)
    params += (widths[-1] + 1) * classes
    macs += widths[-1] * classes
    return params, macs


@every_network
def test_counts_by_hand(name: str) -> None:
    depths, widths, _ = OFFICIAL[name]
    variant = FAMILY.variants[name]
    assert counts(depths, widths, 1000) == (variant.params, variant.macs)
    assert counts(depths, widths, 10)[0] == variant.params_10


@every_network
def test_maps_and_drop_rate(name: str) -> None:
    depths, widths, rate = OFFICIAL[name]
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), stages)
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (width, 56 >> stage, 56 >> stage) for stage, width in enumerate(widths)
    ]
    survivals = [m.survival for m in network.modules() if isinstance(m, StochasticDepth)]
    assert len(survivals) == 2 * sum(depths)
    assert survivals == sorted(survivals, reverse=True)
    assert survivals[-1] == pytest.approx(1 - rate)


# --- large kernel attention ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "dilation", "near", "far"), [(21, 3, 5, 7), (35, 4, 7, 9), (9, 2, 3, 5)]
)
def test_a_kernel_is_decomposed_in_three(kernel: int, dilation: int, near: int, far: int) -> None:
    """(2d - 1) x (2d - 1), then ceil(K / d) x ceil(K / d) of dilation d, then 1x1."""
    attention = LargeKernelAttention(4, kernel, dilation)
    shapes = [tuple(each.weight.shape) for each in attention.children()]
    assert shapes == [(4, 1, near, near), (4, 1, far, far), (4, 4, 1, 1)]
    assert attention.long_range.dilation == (dilation, dilation)
    assert attention(torch.randn(1, 4, 32, 32)).shape == (1, 4, 32, 32)


def test_attention_sees_23_pixels_and_every_channel() -> None:
    """5 + (7 - 1) x 3 of the two depthwise kernels: no less than the 21 of the one they replace."""
    attention = LargeKernelAttention(3)
    x = torch.randn(1, 3, 41, 41, requires_grad=True)
    attention(x)[0, 1, 20, 20].backward()
    assert x.grad is not None
    seen = x.grad[0].abs() > 0
    assert seen.any(0).nonzero().amin(0).tolist() == [20 - 11, 20 - 11]
    assert seen.any(0).nonzero().amax(0).tolist() == [20 + 11, 20 + 11]
    assert seen.any(2).any(1).all()


def test_attention_multiplies_its_input() -> None:
    attention = LargeKernelAttention(2)
    for part in attention.children():
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)
    torch.nn.init.constant_(attention.channel.bias, 3.0)
    x = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(attention(x), 3 * x)


# --- the whole network, against the official code's names and order of work -----------------------


def official_state(spec: Spec, classes: int) -> dict[str, Tensor]:
    """Random tensors under the names and with the shapes of the authors' code."""
    state: dict[str, Tensor] = {}

    def conv(name: str, before: int, after: int, kernel: int) -> None:
        weight = torch.randn(after, before, kernel, kernel, dtype=torch.float64)
        state[f"{name}.weight"] = weight * (2 / (before * kernel**2)) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(after, dtype=torch.float64)

    def norm(name: str, width: int, *statistics: str) -> None:
        for part in ("weight", "bias", *statistics):
            state[f"{name}.{part}"] = 0.5 + torch.rand(width, dtype=torch.float64)

    batch = ("running_mean", "running_var")
    for stage, (before, width) in enumerate(pairwise((3, *spec.widths)), start=1):
        hidden = MLP_RATIOS[stage - 1] * width
        conv(f"patch_embed{stage}.proj", before, width, 7 if stage == 1 else 3)
        norm(f"patch_embed{stage}.norm", width, *batch)
        for number in range(spec.depths[stage - 1]):
            block = f"block{stage}.{number}"
            norm(f"{block}.norm1", width, *batch)
            norm(f"{block}.norm2", width, *batch)
            for scale in ("layer_scale_1", "layer_scale_2"):
                state[f"{block}.{scale}"] = 0.5 + torch.rand(width, dtype=torch.float64)
            conv(f"{block}.attn.proj_1", width, width, 1)
            conv(f"{block}.attn.spatial_gating_unit.conv0", 1, width, 5)
            conv(f"{block}.attn.spatial_gating_unit.conv_spatial", 1, width, 7)
            conv(f"{block}.attn.spatial_gating_unit.conv1", width, width, 1)
            conv(f"{block}.attn.proj_2", width, width, 1)
            conv(f"{block}.mlp.fc1", width, hidden, 1)
            conv(f"{block}.mlp.dwconv.dwconv", 1, hidden, 3)
            conv(f"{block}.mlp.fc2", hidden, width, 1)
        norm(f"norm{stage}", width)
    state["head.weight"] = torch.randn(classes, spec.widths[-1], dtype=torch.float64)
    state["head.bias"] = torch.randn(classes, dtype=torch.float64)
    return state


def official_logits(state: dict[str, Tensor], spec: Spec, x: Tensor) -> Tensor:
    """The authors' order of work: norms before the branches, LayerScale on them, a mean at last."""

    def conv(name: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def batch_norm(name: str, x: Tensor) -> Tensor:
        parts = [state[f"{name}.{part}"] for part in ("running_mean", "running_var")]
        return F.batch_norm(x, *parts, state[f"{name}.weight"], state[f"{name}.bias"])

    def attention(block: str, x: Tensor) -> Tensor:
        unit = f"{block}.attn.spatial_gating_unit"
        start = batch_norm(f"{block}.norm1", x)
        inside = F.gelu(conv(f"{block}.attn.proj_1", start))
        gate = conv(f"{unit}.conv0", inside, padding=2, groups=x.shape[1])
        gate = conv(f"{unit}.conv_spatial", gate, padding=9, dilation=3, groups=x.shape[1])
        gate = conv(f"{unit}.conv1", gate)
        return conv(f"{block}.attn.proj_2", inside * gate) + start

    def feed_forward(block: str, x: Tensor) -> Tensor:
        wide = conv(f"{block}.mlp.fc1", batch_norm(f"{block}.norm2", x))
        wide = conv(f"{block}.mlp.dwconv.dwconv", wide, padding=1, groups=wide.shape[1])
        return conv(f"{block}.mlp.fc2", F.gelu(wide))

    def scale(name: str) -> Tensor:
        return state[name][:, None, None]

    for stage, width in enumerate(spec.widths, start=1):
        stride, padding = (4, 3) if stage == 1 else (2, 1)
        x = conv(f"patch_embed{stage}.proj", x, stride=stride, padding=padding)
        x = batch_norm(f"patch_embed{stage}.norm", x)
        for number in range(spec.depths[stage - 1]):
            block = f"block{stage}.{number}"
            x = x + scale(f"{block}.layer_scale_1") * attention(block, x)
            x = x + scale(f"{block}.layer_scale_2") * feed_forward(block, x)
        pixels = x.permute(0, 2, 3, 1)
        norm = [state[f"norm{stage}.{part}"] for part in ("weight", "bias")]
        x = F.layer_norm(pixels, (width,), *norm, 1e-6).permute(0, 3, 1, 2)
    return F.linear(x.mean((2, 3)), state["head.weight"], state["head.bias"])


def test_logits_equal_the_official_order_of_work() -> None:
    spec = Spec((2, 1, 2, 1), (8, 16, 24, 32), stochastic_depth=0.1)
    network = VAN(spec, num_classes=5).double().eval()
    state = official_state(spec, classes=5)
    network.load_state_dict(AUTHORS.convert(network, state))
    images = torch.randn(2, 3, 96, 96, dtype=torch.float64)
    expected = official_logits(state, spec, images)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()
    torch.testing.assert_close(network(images), expected)
