"""Frequencies against integrals and numpy's FFT, and dead filters in networks made to have them."""

from __future__ import annotations

from math import asinh, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, alexnet, create_model, zfnet
from convnets.visualize.filters import (
    FREQUENCIES,
    FrequencyContent,
    convolutions,
    dead_filters,
    first_convolutions,
    first_filters,
    frequency_content,
    negligible_filters,
    rectifier_of,
    spectral_energy,
)

# One frequency more or less on a grid of 128.
GRID = 1.5 / 64


def content(weight: Tensor, stride: int = 1, dilation: int = 1) -> FrequencyContent:
    out_channels, in_channels, *kernel = weight.shape
    convolution = nn.Conv2d(
        in_channels, out_channels, tuple(kernel), stride=stride, dilation=dilation, bias=False
    )
    convolution.weight.data = weight
    return frequency_content(nn.Sequential(convolution), "0")


def wave(frequency: float, *, along: str, side: int = 11) -> Tensor:
    """A sinusoid under a window that keeps its energy together, (1, 1, side, side)."""
    places = torch.arange(side, dtype=torch.float64) - side // 2
    line = torch.cos(2 * pi * frequency * places)
    window = torch.hann_window(side + 2, periodic=False, dtype=torch.float64)[1:-1]
    if along == "columns":
        kernel = window[:, None] * (window * line)[None, :]
    elif along == "rows":
        kernel = (window * line)[:, None] * window[None, :]
    else:
        both = torch.cos(2 * pi * frequency / sqrt(2) * (places[:, None] + places[None, :]))
        kernel = window[:, None] * window[None, :] * both
    return kernel[None, None]


@pytest.mark.parametrize("along", ["rows", "columns", "diagonal"])
@pytest.mark.parametrize(("frequency", "band"), [(0.0, 0), (0.25, 1), (0.45, 2)])
def test_a_sinusoid_lies_in_its_band(frequency: float, band: int, along: str) -> None:
    found = content(wave(frequency, along=along))
    assert found.shares[0, band] > 0.8
    # The window's own width moves the mean distance, most at 0, which has nothing below it.
    assert found.centroid[0] == pytest.approx(frequency, abs=0.02 if frequency else 0.1)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_flat_spectrum_has_the_shares_of_the_areas(stride: int) -> None:
    found = content(torch.full((1, 1, 1, 1), 3.0), stride)
    low, middle = pi / 36, pi / 9 - pi / 36
    np.testing.assert_allclose(found.shares[0], [low, middle, 1 - low - middle], atol=GRID / 2)
    # The mean distance from the centre of a unit square.
    assert found.centroid[0] == pytest.approx((sqrt(2) + asinh(1)) / 6, abs=1e-3)
    assert found.aliased[0] == pytest.approx(1 - 1 / stride**2, abs=GRID)
    assert found.stride == (stride, stride)


def test_a_difference_of_neighbours_aliases_by_its_integral() -> None:
    # |1 - exp(2 pi i f)|^2 = 2 - 2 cos(2 pi f), of which 1/2 - 1/pi lies within 1/4 of 0; half of
    # that is also within 1/4 along the other axis.
    found = content(torch.tensor([[[[1.0, -1.0]]], [[[1.0, 1.0]]]]), stride=2)
    assert found.aliased[0] == pytest.approx(1 - (1 / 2 - 1 / pi) / 2, abs=GRID)
    assert found.aliased[1] == pytest.approx(1 - (1 / 2 + 1 / pi) / 2, abs=GRID)
    assert found.centroid[0] > found.centroid[1]


def test_a_wave_above_the_next_grids_nyquist_is_aliased() -> None:
    # With stride 2 the next grid holds 1/4 cycle a pixel, with stride 4 an eighth.
    slow, fast = wave(0.06, along="rows"), wave(0.4, along="rows")
    assert content(slow, stride=2).aliased[0] < 0.01
    assert content(fast, stride=2).aliased[0] > 0.97
    assert content(wave(0.2, along="columns"), stride=2).aliased[0] < 0.2
    assert content(wave(0.2, along="columns"), stride=4).aliased[0] > 0.8


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 6),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    dilation=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_energy_is_the_sum_of_the_channels_spectra(
    channels: int, height: int, width: int, dilation: int, seed: int
) -> None:
    weight = np.random.default_rng(seed).normal(size=(2, channels, height, width))
    convolution = nn.Conv2d(channels, 2, (height, width), dilation=dilation).double()
    convolution.weight.data = torch.from_numpy(weight)
    holed = np.zeros((2, channels, (height - 1) * dilation + 1, (width - 1) * dilation + 1))
    holed[..., ::dilation, ::dilation] = weight
    spectrum = np.fft.fft2(holed, (FREQUENCIES, FREQUENCIES))
    expected = (np.abs(spectrum) ** 2).sum(1)
    np.testing.assert_allclose(np.stack(list(spectral_energy(convolution))), expected, atol=1e-9)


def test_shares_add_up_and_ignore_the_scale() -> None:
    weight = torch.randn(8, 3, 5, 5)
    found, scaled = content(weight, stride=2), content(-1e4 * weight, stride=2)
    np.testing.assert_allclose(found.shares.sum(1), 1)
    np.testing.assert_allclose(found.shares, scaled.shares, rtol=1e-5)
    np.testing.assert_allclose(found.aliased, scaled.aliased, rtol=1e-5)


def test_a_kernel_of_zeros_has_no_frequencies() -> None:
    found = content(torch.zeros(1, 1, 3, 3))
    assert np.isnan(found.shares).all()
    assert np.isnan(found.centroid).all()


def test_alexnet_and_zfnet_have_the_strides_of_the_papers() -> None:
    narrow_heads = (
        (alexnet.AlexNet(alexnet.Spec((96, 256, 8, 8, 8), hidden=8, columns=2)), [4, 1]),
        (zfnet.ZFNet(zfnet.Spec((96, 256, 8, 8, 8), hidden=8)), [2, 2]),
    )
    for network, strides in narrow_heads:
        layers = list(convolutions(network))[:2]
        found = [frequency_content(network, layer) for layer in layers]
        assert [each.stride[0] for each in found] == strides
        # Untrained filters are white noise.
        for each, stride in zip(found, strides, strict=True):
            assert each.aliased.mean() == pytest.approx(1 - 1 / stride**2, abs=0.03)
            assert each.centroid.mean() == pytest.approx(0.383, abs=0.01)


def test_a_block_stands_for_its_first_convolution() -> None:
    network = create_model("resnet18")
    block, convolution = (
        frequency_content(network, layer) for layer in ("features.stem", "features.stem.conv")
    )
    np.testing.assert_array_equal(block.shares, convolution.shares)
    with pytest.raises(UsageError, match=r"head\.fc has no convolution"):
        frequency_content(network, "head.fc")
    with pytest.raises(UnknownName, match="unknown layer 'stem'"):
        frequency_content(network, "stem")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_first_filters_are_those_that_see_the_image(family) -> None:  # type: ignore[no-untyped-def]
    network = family.network(family.pocket)
    picture = first_filters(network)
    assert picture.axes == ("unit", "channel", "height", "width")
    ran = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, *_: ran.append(m))
    network.eval()(torch.zeros(1, network.in_chans, 32, 32))
    np.testing.assert_array_equal(picture.values, ran[0].weight.detach())


def test_a_network_without_convolutions() -> None:
    with pytest.raises(UsageError, match="Linear has no convolution"):
        first_filters(nn.Linear(3, 4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zfnet", {"stem.conv1.conv": "stem.conv1.act", "stage1.conv2.conv": "stage1.conv2.act"}),
        (
            "googlenet",
            {"stem.conv1.conv": "stem.conv1.act", "stem.conv2.conv": "stem.conv2.act"},
        ),
        (
            "resnet18",
            {
                "stem.conv.conv": "stem.conv.act",
                "stage1.block1.conv1.conv": "stage1.block1.conv1.act",
            },
        ),
        (
            "nin_cifar10",
            {"stem.conv1.conv": "stem.conv1.act", "stage1.conv1.conv": "stage1.conv1.act"},
        ),
        # Of the next layer's normalisation there are more channels; GELU never rests.
        ("densenet121", {"stem.conv.conv": "stem.conv.act", "stage1.layer1.conv.conv": None}),
        ("convnext_tiny", {"stem.conv": None, "stage1.block1.depthwise": None}),
        ("lenet5_modern", {"stem.conv": None, "stage1.conv": None}),
    ],
)
def test_the_first_convolutions_and_what_rectifies_them(
    name: str, expected: dict[str, str | None]
) -> None:
    with torch.device("meta"):
        network = create_model(name)
    layers = first_convolutions(network)
    found = {layer: rectifier_of(network, layer) for layer in layers}
    assert found == {
        f"features.{layer}": act and f"features.{act}" for layer, act in expected.items()
    }


def test_a_pointwise_network_has_first_convolutions_too() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1))
    assert first_convolutions(network, 1) == ["0"]
    assert rectifier_of(network, "1") is None


def one_by_one(weights: list[float], biases: list[float]) -> nn.Sequential:
    convolution = nn.Conv2d(1, len(weights), 1)
    convolution.weight.data = torch.tensor(weights, dtype=torch.float32).view(-1, 1, 1, 1)
    convolution.bias.data = torch.tensor(biases, dtype=torch.float32)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


@pytest.mark.parametrize("layer", ["0", "1"])
def test_dead_filters_are_counted_over_the_whole_set(layer: str) -> None:
    # Images are 0 to 9: the first channel always responds, the second only to 9, the third never,
    # the fourth is off.
    network = one_by_one([1, 1, 1, 0], [1, -8.5, -9, 0])
    images = torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 2, 2)
    told = []
    found = dead_filters(network, images.split(4), layer, progress=lambda *n: told.append(n))
    assert found.dead == (2, 3)
    assert found.counts == (2, 4)
    assert found.images == 10
    np.testing.assert_array_equal(found.strongest, [10, 0.5, 0, 0])
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert dead_filters(network, images[:9].split(4), layer).dead == (1, 2, 3)
    assert dead_filters(network, iter(images.split(4)), layer, threshold=0.5).dead == (1, 2, 3)


def test_a_channel_that_is_not_finite_is_not_dead() -> None:
    network = one_by_one([1, 0], [float("nan"), 0])
    found = dead_filters(network, [torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)], "0")
    assert found.dead == (1,)
    with pytest.raises(UsageError, match="no images"):
        dead_filters(network, [], "0")


def test_negligible_filters() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3))
    norms = torch.tensor([2.0, 0.019, 0.021, 0.0])
    unit = nn.functional.normalize(torch.randn(4, 18)) * norms[:, None]
    network[0].weight.data = unit.view(4, 2, 3, 3)
    found = negligible_filters(network, "0")
    assert found.negligible == (1, 3)
    assert found.counts == (2, 4)
    np.testing.assert_allclose(found.norms, norms, rtol=1e-5)
    assert negligible_filters(network, "0", share=0).negligible == (3,)
