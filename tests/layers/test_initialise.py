"""He's initialisation keeps the scale of a signal; a depthwise kernel sees one channel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.layers.initialise import initialise_he2015


@pytest.mark.parametrize(
    ("module", "fan_in"),
    [
        (nn.Conv2d(64, 512, 3), 9 * 64),
        (nn.Conv2d(2048, 2048, 5, groups=2048), 25),
        (nn.Linear(256, 512), 256),
    ],
)
def test_variance_is_two_over_the_inputs_of_a_unit(module: nn.Module, fan_in: int) -> None:
    initialise_he2015(nn.Sequential(module, nn.Linear(1, 1)))
    weight, bias = module.parameters()
    assert weight.var().item() == pytest.approx(2 / fan_in, rel=0.03)
    assert torch.count_nonzero(bias) == 0


def test_last_layer_favours_no_class() -> None:
    last = nn.Linear(256, 512)
    initialise_he2015(nn.Sequential(nn.Conv2d(3, 8, 3), last))
    assert last.weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert torch.count_nonzero(last.bias) == 0
