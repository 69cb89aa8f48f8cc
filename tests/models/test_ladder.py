"""What is true of the ladder alone: each step's cost by hand, its block, its two ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet

from convnets.layers.network import ConvNet
from convnets.layers.norm import ChannelNorm
from convnets.layers.shapes import QuickShapes
from convnets.models import create_model
from convnets.models.ladder import FAMILY, LADDERS, Rung, Spec, Step, network
from tests.models.peers import agree, carry

RUNGS = [pytest.param(rung, id=rung.model) for rungs in LADDERS.values() for rung in rungs[1:]]
BETWEEN = [each for each in RUNGS if each.values[0].step < Step.SEPARATE_DOWNSAMPLING_CONV]
KERNEL_AT = {8: 5, 9: 7, 10: 9, 11: 11, 12: 7, 13: 7, 14: 7, 15: 7}


def build(name: str, **arguments: int) -> ConvNet:
    with torch.device("meta"):
        return create_model(name, **arguments)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


# --- the paper's description, step by step, as sums ---------------------------------------------


def sizes(table: str, step: int) -> tuple[Sequence[int], int]:
    """Blocks and first width (Section 2.2 and 2.3, and Table 11's second row for the larger)."""
    if table == "Table 10":
        return (3, 4, 6, 3) if step < 2 else (3, 3, 9, 3), 64 if step < 5 else 96
    depths = (3, 24, 36, 3) if step < 2 else (3, 3, 27, 3)
    return depths, 64 if step < 2 else 84 if step < 5 else 128


def by_hand(table: str, step: int, classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds at 224 pixels; convolutions without bias, norms of two."""
    depths, first = sizes(table, step)
    patch = 49 if step < 3 else 16
    stem_pixels = 112 * 112 if step < 3 else 56 * 56
    params, macs = patch * 3 * first + 2 * first, patch * 3 * first * stem_pixels
    before = first
    for stage, depth in enumerate(depths):
        width, pixels = first << stage, (56 >> stage) ** 2
        outer = 4 * width if step < 6 else width
        for number in range(depth):
            # The stride stays in the depthwise convolution, so what comes before sees more pixels.
            entering = 4 * pixels if stage and not number else pixels
            if step < 7:
                inner = width if step < 6 else 4 * width
                spatial = 9 * inner * (inner if step < 4 else 1)
                work = [(before * inner, entering), (spatial, pixels), (inner * outer, pixels)]
                norms = 2 * inner + outer
            else:
                taps = KERNEL_AT.get(step, 3) ** 2
                work = [(taps * before, pixels), (before * 4 * width, pixels)]
                work += [(4 * width * width, pixels)]
                norms = before + (5 * width if step < 14 else 0)
            if before != outer:
                work.append((before * outer, pixels))
                norms += outer
            params += sum(weights for weights, _ in work) + 2 * norms
            macs += sum(weights * seen for weights, seen in work)
            before = outer
    return params + (before + 1) * classes, macs + before * classes


@pytest.mark.parametrize("table", LADDERS)
def test_costs_of_every_step_but_the_last_by_hand(table: str) -> None:
    for rung in LADDERS[table][:-1]:
        assert by_hand(table, rung.step, 1000) == (rung.params, rung.macs), rung.model
        assert by_hand(table, rung.step, 10)[0] == rung.params_10, rung.model


# Tables 10 and 11, GFLOPs from the stage ratio on; the last two of Table 10 are misprints.
TABLE_10 = [4.53, 4.42, 2.35, 5.27, 4.64, 4.07, 4.10, 4.15, 4.21, 4.29, 4.15, 4.15, 4.15]
TABLE_11 = [14.52, 14.38, 7.23, 16.76, 15.68, 14.63, 14.70, 14.81, 14.95, 15.13, 14.81, 14.81]
TABLE_11 += [14.81, 14.81, 15.35]


@pytest.mark.parametrize(
    ("table", "start", "printed"), [("Table 10", 4.09, TABLE_10), ("Table 11", 15.01, TABLE_11)]
)
def test_costs_are_the_printed_ones(table: str, start: float, printed: list[float]) -> None:
    rungs = LADDERS[table]
    assert [rung.step for rung in rungs] == list(range(17))
    for rung, figure in zip(rungs, [start, start, *printed], strict=False):
        assert rung.macs / 1e9 == pytest.approx(figure, abs=0.01), rung.model
    noted = [rung.model for rung in rungs if FAMILY.variants[rung.model].note]
    assert noted == [rung.model for rung in rungs[len(printed) + 2 :]]


# --- the two ends --------------------------------------------------------------------------------


def test_a_ladder_starts_at_resnet50() -> None:
    peer, first = torchvision.models.resnet50(), create_model("ladder_t_00_resnet50")
    carry(peer, first)
    agree(peer, first, 64)


def test_the_stage_ratio_alone_is_a_resnet_of_other_depths() -> None:
    peer, second = ResNet(Bottleneck, [3, 3, 9, 3]), create_model("ladder_t_02_stage_ratio")
    carry(peer, second)
    agree(peer, second, 64)


def test_the_larger_ladder_starts_at_resnet200() -> None:
    with torch.device("meta"):
        peer = timm.create_model("resnet200")
    ours = shapes(build("ladder_b_00_resnet200"))
    assert list(ours.values()) == list(shapes(peer).values())


@pytest.mark.parametrize(("ladder", "size"), [("t", "tiny"), ("b", "base")])
def test_the_last_step_is_convnext(ladder: str, size: str) -> None:
    last = build(f"ladder_{ladder}_16_separate_downsampling_conv")
    convnext = build(f"convnext_{size}")
    assert type(last) is type(convnext)
    assert last.spec == convnext.spec
    assert shapes(last) == shapes(convnext)


# --- what a step changes -------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNGS)
def test_every_step_has_the_maps_of_a_resnet(rung: Rung) -> None:
    built = build(rung.model)
    stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
    with torch.device("meta"), QuickShapes():
        maps = built.forward_intermediates(torch.empty(1, 3, 224, 224), stages)
    assert [each.shape[-1] for each in maps.values()] == [56, 28, 14, 7]
    widths = [each.shape[1] for each in maps.values()]
    assert widths == [widths[0] << stage for stage in range(4)]


def kinds(module: nn.Module, *types: type[nn.Module]) -> int:
    return sum(isinstance(each, types) for each in module.modules())


@pytest.mark.parametrize("rung", BETWEEN)
def test_activations_and_norms_of_a_block(rung: Rung) -> None:
    """Three of each, one activation from step 13 on, one norm from 14, layer norm at 15."""
    built = build(rung.model)
    block = built.get_submodule("features.stage1.block2")
    step = rung.step
    assert kinds(block, nn.ReLU) == (3 if step < 12 else 0)
    assert kinds(block, nn.GELU) == (0 if step < 12 else 3 if step == 12 else 1)
    assert kinds(block, nn.BatchNorm2d) == (3 if step < 14 else 1 if step == 14 else 0)
    assert kinds(block, ChannelNorm) == (step == 15)
    assert kinds(built, nn.BatchNorm2d) * kinds(built, ChannelNorm) == 0


@pytest.mark.parametrize("table", LADDERS)
def test_activations_cost_nothing_and_a_norm_is_a_norm(table: str) -> None:
    names = {rung.step: rung.model for rung in LADDERS[table]}
    large_kernel = shapes(build(names[Step.KERNEL_SIZE_7]))
    assert shapes(build(names[Step.RELU_TO_GELU])) == large_kernel
    assert shapes(build(names[Step.FEWER_ACTIVATIONS])) == large_kernel
    batch, layer = shapes(build(names[Step.FEWER_NORMS])), shapes(build(names[Step.BN_TO_LN]))
    assert {name for name in batch if name.endswith(("weight", "bias"))} == layer.keys()


def by_the_figure(block: nn.Module, x: Tensor, step: int) -> Tensor:
    """Fig. 3c, and Fig. 4 from left to right, on tensors by name."""
    tensors = block.state_dict()

    def norm(part: str, x: Tensor) -> Tensor:
        weight, bias = tensors[f"{part}.norm.weight"], tensors[f"{part}.norm.bias"]
        if step == 15:
            pixels = x.permute(0, 2, 3, 1)
            return F.layer_norm(pixels, weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)
        return F.batch_norm(x, None, None, weight, bias, training=True)

    act = F.relu if step < 12 else F.gelu
    kernel = tensors["depthwise.conv.weight"]
    side = KERNEL_AT.get(step, 3)
    branch = F.conv2d(x, kernel, stride=2, padding=side // 2, groups=len(kernel))
    branch = norm("depthwise", branch)
    branch = act(branch) if step < 13 else branch
    branch = F.conv2d(branch, tensors["expand.conv.weight"])
    branch = act(norm("expand", branch) if step < 14 else branch)
    branch = F.conv2d(branch, tensors["project.conv.weight"])
    branch = norm("project", branch) if step < 14 else branch
    out = branch + norm("shortcut", F.conv2d(x, tensors["shortcut.conv.weight"], stride=2))
    return act(out) if step < 13 else out


@pytest.mark.parametrize("step", [step for step in Step if 7 <= step < 16])
def test_blocks_are_those_of_the_figures(step: Step) -> None:
    built = network(Spec(step, (1, 1), 4, stochastic_depth=0.0), num_classes=2).double()
    block = built.get_submodule("features.stage2.block1")
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 4, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(block(x), by_the_figure(block, x, step))


@pytest.mark.parametrize("step", [step for step in Step if step < 16])
def test_every_step_learns(step: Step) -> None:
    built = network(Spec(step, (1, 2), 8, stochastic_depth=0.1, stem="small"), num_classes=4)
    F.cross_entropy(built(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
