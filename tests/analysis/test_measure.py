"""Measured time and memory: consistent with the clock, with each other, and with the prediction."""

from __future__ import annotations

import time

import pytest
import torch
import torchvision
from torch import nn

from convnets.analysis import profile
from convnets.analysis.measure import matmul_peak, measure, timed
from convnets.analysis.training_memory import training_bytes

CPU = torch.device("cpu")


def test_times_are_of_the_work() -> None:
    times = timed(lambda: time.sleep(0.01), CPU, repeats=5)
    assert len(times) == 5
    assert 0.01 <= min(times) < 0.1


def test_a_matrix_product_reaches_a_billion_operations() -> None:
    assert 1e9 < matmul_peak(CPU) < 1e15


def test_training_memory_by_hand() -> None:
    """One linear layer: weights, two moments, gradients; input kept once; output and its gradient.

    The input is kept for the weight's gradient but is there anyway; the peak is when the gradients
    of output, input and weights are all there.
    """
    network = nn.Linear(1000, 100, bias=False)
    weights, images, outputs = 4 * 1000 * 100, 4 * 8 * 1000, 4 * 8 * 100
    predicted = training_bytes(profile(network, (), in_chans=1000, batch_size=8))
    assert predicted == 4 * weights + 2 * images + outputs


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_predicted_training_memory_is_what_a_step_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a third: this process has run other tests, whose memory comes and goes beside it."""
    monkeypatch.setattr("convnets.analysis.measure.SECONDS", 0)  # times are not looked at
    (found,) = measure(
        lambda: torchvision.models.get_model(name), 64, batch_sizes=(16,), device="cpu"
    )
    assert found.training_bytes is not None
    assert found.predicted_training_bytes is not None
    assert found.training_bytes == pytest.approx(
        found.predicted_training_bytes, rel=0.33, abs=40 << 20
    )
