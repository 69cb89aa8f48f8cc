"""The lectures' worked examples, and torch's own output sizes and values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnets.analysis import profile
from convnets.analysis.explain import (
    batch_norm,
    bottleneck,
    conv,
    depthwise_separable,
    local_response,
    output_size,
    pooling,
    stacked,
)
from convnets.errors import UsageError


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "result"),
    [(7, 3, 1, 1, 7), (227, 11, 4, 0, 55), (112, 3, 2, 1, 56)],
)
def test_output_size(size: int, kernel: int, stride: int, padding: int, result: int) -> None:
    assert output_size(size, kernel, stride, padding) == result


def test_conv() -> None:
    alexnet = conv((227, 227, 3), 96, 11, stride=4, padding=0)
    assert alexnet.figures["params"] == 34_944
    assert alexnet.figures["height"] == 55
    assert "(227 - 11 + 2·0) / 4 + 1 = 55" in str(alexnet)
    assert conv((28, 28, 192), 32, 5).figures["macs"] == 120_422_400
    uneven = conv((20, 31, 4), 8, 3, stride=2)
    torch_counts = profile(nn.Conv2d(4, 8, 3, stride=2, padding=1), (20, 31))
    assert uneven.figures["macs"] == torch_counts.macs
    assert uneven.figures["params"] == torch_counts.params


def test_depthwise_separable() -> None:
    first = depthwise_separable((8, 8, 3), 256, 5).figures
    assert first["standard"] == 1_228_800
    assert (first["depthwise"], first["pointwise"], first["macs"]) == (4_800, 49_152, 53_952)
    second = depthwise_separable((12, 12, 3), 128, 5, padding=0).figures
    assert second["standard"] == 614_400
    assert (second["depthwise"], second["macs"]) == (4_800, 29_376)
    assert second["macs"] / second["standard"] == pytest.approx(1 / 128 + 1 / 25)
    assert second["ratio"] == pytest.approx(1 / 128 + 1 / 25)


def test_bottleneck() -> None:
    figures = bottleneck((28, 28, 192), 32, 5, 16).figures
    assert figures["direct"] == 120_422_400
    assert round(figures["macs"] / 1e6, 1) == 12.4


def test_stacked() -> None:
    figures = stacked(64, 3, 3).figures
    assert figures == {
        "receptive_field": 7,
        "stacked": 3 * 3**2 * 64**2,
        "single": 7**2 * 64**2,
    }


def test_pooling() -> None:
    figures = pooling((55, 55, 96), 3, stride=2).figures
    assert (figures["height"], figures["params"]) == (27, 0)
    assert figures["flops"] == profile(nn.MaxPool2d(3, 2), 55, in_chans=96).flops


def test_local_response() -> None:
    assert local_response((1, 1), 0, k=0, alpha=1, beta=1, n=2).figures["value"] == 0.5
    values = torch.tensor([0.5, -2.0, 3.0, 1.0, 4.0, -1.0, 2.0])
    # torch divides alpha by n; the paper does not.
    expected = F.local_response_norm(values[None, :, None], 5, alpha=5e-4, beta=0.75, k=2)
    for channel, value in enumerate(expected.flatten().tolist()):
        ours = local_response(tuple(values.tolist()), channel).figures["value"]
        assert ours == pytest.approx(value)


def test_batch_norm() -> None:
    values = (1.0, 2.0, 4.0, 9.0)
    expected = F.batch_norm(torch.tensor(values)[:, None], None, None, training=True)
    figures = batch_norm(values).figures
    assert [figures[f"y{i}"] for i in range(4)] == pytest.approx(expected[:, 0].tolist(), rel=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: output_size(3, 5),
        lambda: output_size(7, 3, 0),
        lambda: local_response((1.0,), 3),
        lambda: local_response((0.0,), 0, k=0),
        lambda: batch_norm(()),
    ],
)
def test_errors(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()
