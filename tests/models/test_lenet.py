"""LeNet-5 against the paper's tables and formulas, and hand counts of today's forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnets.errors import InputTooSmall, UsageError
from convnets.models import create_model, lenet

# Section II.B: trainable parameters and connections of each layer.
LAYERS = {
    "features.stem.c1": (156, 122_304),
    "features.stage1.s2": (12, 5_880),
    "features.stage2.c3": (1_516, 151_600),
    "features.stage3.s4": (32, 2_000),
    "features.stage4.c5": (48_120, 48_120),
    "head.f6": (10_164, 10_164),
}

# Table I, read by column.
SEEN = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"


@pytest.fixture(scope="module")
def network() -> lenet.LeNet5:
    torch.manual_seed(1)
    return lenet.LeNet5(lenet.Spec("1998"))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_and_connections(network: lenet.LeNet5, name: str) -> None:
    layer = network.get_submodule(name)
    units = network.forward_intermediates(torch.zeros(1, 1, 32, 32), [name])[name]
    shared = units[0, 0].numel() if units.ndim == 4 else 1  # units that share their weights
    if isinstance(layer, lenet.Subsampling):
        connections = (2 * 2 + 1) * units.numel()
    else:
        connections = count(layer) * shared
    assert (count(layer), connections) == LAYERS[name]


def test_sixty_thousand_parameters_and_840_fixed_ones(network: lenet.LeNet5) -> None:
    assert count(network) == 60_000 == sum(parameters for parameters, _ in LAYERS.values())
    output = network.get_submodule("head.output")
    assert count(output) == 0
    assert dict(output.named_buffers())["codes"].shape == (10, 7 * 12)
    assert sum(connections for _, connections in LAYERS.values()) + 840 == 340_908


def test_c3_sees_the_maps_of_table_one(network: lenet.LeNet5) -> None:
    c3 = network.get_submodule("features.stage2.c3")
    maps = torch.randn(1, 6, 14, 14, requires_grad=True)
    for index, column in enumerate(SEEN.split()):
        (gradient,) = torch.autograd.grad(c3(maps)[0, index].sum(), maps)
        seen = [str(i) for i in range(6) if gradient[0, i].abs().sum() > 0]
        assert "".join(seen) == column


def test_c3_is_a_sum_of_small_convolutions(network: lenet.LeNet5) -> None:
    c3 = network.get_submodule("features.stage2.c3")
    assert isinstance(c3, lenet.TableConvolution)
    maps = torch.randn(2, 6, 14, 14)
    kernels = iter(c3.weight)
    with torch.no_grad():
        for index, column in enumerate(SEEN.split()):
            expected = c3.bias[index].expand(2, 10, 10).clone()
            for seen in column:
                kernel = next(kernels)[None, None]
                expected += F.conv2d(maps[:, int(seen)].unsqueeze(1), kernel).squeeze(1)
            torch.testing.assert_close(c3(maps)[:, index], expected)
    assert c3.macs(10, 10) == 60 * 5 * 5 * 10 * 10


def test_subsampling_adds_four_then_scales_and_shifts() -> None:
    layer = lenet.Subsampling(3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    maps = torch.randn(2, 3, 4, 6)
    out = layer(maps)
    assert out.shape == (2, 3, 2, 3)
    for n, c, y, x in itertools.product(range(2), range(3), range(2), range(3)):
        total = sum(maps[n, c, 2 * y + dy, 2 * x + dx] for dy in (0, 1) for dx in (0, 1))
        expected = total * layer.weight[c, 0, 0] + layer.bias[c, 0, 0]
        torch.testing.assert_close(out[n, c, y, x], expected)


def test_squash_keeps_plus_and_minus_one() -> None:
    values = lenet.Squash()(torch.tensor([-1.0, 0.0, 1.0, 100.0]))
    torch.testing.assert_close(values, torch.tensor([-1.0, 0.0, 1.0, 1.7159]), atol=1e-4, rtol=0)


def test_c5_is_the_convolution_that_it_computes_as_a_product(network: lenet.LeNet5) -> None:
    c5 = network.get_submodule("features.stage4.c5")
    assert isinstance(c5, nn.Conv2d)
    maps = torch.randn(2, 16, 5, 5)
    torch.testing.assert_close(c5(maps), F.conv2d(maps, c5.weight, c5.bias))


@pytest.mark.parametrize("num_classes", [10, 7])
def test_logits_are_minus_squared_distances(num_classes: int) -> None:
    output = lenet.RadialBasis(num_classes)
    x = torch.randn(5, 84, dtype=torch.float64)
    torch.testing.assert_close(output(x), -(torch.cdist(x, output.codes.double()) ** 2))


def test_bitmaps_are_ten_different_figures() -> None:
    codes = torch.tensor(lenet.digit_codes())
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    differing = (codes.unsqueeze(0) != codes.unsqueeze(1)).sum(-1)
    assert differing[~torch.eye(10, dtype=torch.bool)].min() >= 6
    # The strokes of a one are a column in the middle, those of a zero stand to either side of it.
    one, zero = codes[1].view(12, 7), codes[0].view(12, 7)
    assert (one[3:9, 3] == 1).all()
    assert (zero[3:7, 3] == -1).all()


def test_random_codes_are_the_same_each_time_and_leave_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, second = lenet.RadialBasis(100).codes, lenet.RadialBasis(100).codes
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, second)
    assert len({tuple(code) for code in first.tolist()}) == 100
    assert first.mean().abs() < 0.05


@pytest.mark.parametrize("soft", [False, True])
def test_criterion_is_equation_nine(network: lenet.LeNet5, soft: bool) -> None:
    penalties = torch.rand(4, 10, dtype=torch.float64) * 20
    if soft:
        targets = torch.rand(4, 10, dtype=torch.float64).softmax(1)
        shares = targets.tolist()
    else:
        targets = torch.tensor([3, 0, 9, 3])
        shares = F.one_hot(targets, 10).tolist()
    errors = []
    for row, share in zip(penalties.tolist(), shares, strict=True):
        right = sum(p * y for p, y in zip(share, row, strict=True))
        competing = math.exp(-lenet.RUBBISH_PENALTY) + sum(math.exp(-y) for y in row)
        errors.append(right + math.log(competing))
    found = network.criterion(-penalties, targets)
    assert found.item() == pytest.approx(sum(errors) / 4, rel=1e-12)


def test_criterion_of_distant_inputs_is_finite(network: lenet.LeNet5) -> None:
    logits = torch.full((2, 10), -1e6, requires_grad=True)
    network.criterion(logits, torch.tensor([0, 1])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_initial_weights_lie_within_2_4_over_the_fan_in(network: lenet.LeNet5) -> None:
    c3 = network.get_submodule("features.stage2.c3")
    inputs = {"stem.c1": 25, "stage1.s2": 4, "stage3.s4": 4, "stage4.c5": 400}
    weights = [(network.get_submodule(f"features.{name}").weight, f) for name, f in inputs.items()]
    weights.append((network.get_submodule("head.f6").weight, 120))
    kernels = iter(c3.weight)
    for column in SEEN.split():
        own = torch.stack([next(kernels) for _ in column])
        weights.append((own, 25 * len(column)))
    for weight, fan_in in weights:
        assert 0.5 * 2.4 / fan_in < weight.abs().max().item() <= 2.4 / fan_in


def test_only_images_that_leave_one_pixel_of_c5_pass(network: lenet.LeNet5) -> None:
    with pytest.raises(InputTooSmall, match=r"c5 .* 32x32"):
        network(torch.zeros(1, 1, 28, 28))
    with pytest.raises(UsageError, match=r"C5 .* 32x32"):
        network(torch.zeros(1, 1, 64, 64))


def test_colour_images_and_other_classes() -> None:
    network = create_model("lenet5", in_chans=3, num_classes=4)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    assert count(network.get_submodule("features.stem")) == (5 * 5 * 3 + 1) * 6


def test_modern_count_by_hand() -> None:
    convolutions = (25 * 1 + 1) * 6 + (25 * 6 + 1) * 16
    linear = (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    assert convolutions + linear == 61_706 == count(create_model("lenet5_modern"))


def test_wide_count_by_hand() -> None:
    convolutions = (25 * 3 + 1) * 96 + (25 * 96 + 1) * 160
    linear = (5 * 5 * 160 + 1) * 1024 + (1024 + 1) * 10
    network = create_model("lenet_wide")
    assert convolutions + linear == 4_498_730 == count(network)
    macs = 25 * 3 * 96 * 28**2 + 25 * 96 * 160 * 10**2 + 4000 * 1024 + 1024 * 10
    assert macs == lenet.FAMILY.variants["lenet_wide"].macs


def test_wide_takes_large_images() -> None:
    with torch.device("meta"):
        assert create_model("lenet_wide")(torch.empty(1, 3, 224, 224)).shape == (1, 10)


def test_caffe_count_by_hand() -> None:
    convolutions = (5 * 5 * 1 + 1) * 20 + (5 * 5 * 20 + 1) * 50
    linear = (4 * 4 * 50 + 1) * 500 + (500 + 1) * 10
    network = create_model("lenet5_caffe")
    assert convolutions + linear == 431_080 == count(network)
    macs = 25 * 20 * 24**2 + 25 * 20 * 50 * 8**2 + 800 * 500 + 500 * 10
    assert macs == lenet.FAMILY.variants["lenet5_caffe"].macs


def test_caffe_rectifies_behind_the_hidden_layer_alone() -> None:
    network = create_model("lenet5_caffe")
    images = torch.randn(2, 1, 28, 28)
    state = network.state_dict()
    x = images
    for stage in ("stem", "stage1"):
        weight, bias = (state[f"features.{stage}.conv.{part}"] for part in ("weight", "bias"))
        x = F.max_pool2d(F.conv2d(x, weight, bias), 2)
    x = F.linear(x.flatten(1), state["head.fc1.weight"], state["head.fc1.bias"]).relu()
    expected = F.linear(x, state["head.output.weight"], state["head.output.bias"])
    torch.testing.assert_close(network(images), expected)
