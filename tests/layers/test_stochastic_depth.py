"""Stochastic depth keeps the mean, has a Bernoulli draw's variance, and drops image by image."""

from __future__ import annotations

import pytest
import torch

from convnets.errors import UsageError
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay


@pytest.mark.parametrize("survival", [0.5, 0.9])
def test_mean_and_variance_are_those_of_a_scaled_bernoulli_draw(survival: float) -> None:
    images = 100_000
    out = StochasticDepth(survival)(torch.ones(images, 1, 1, 1)).flatten()
    variance = (1 - survival) / survival
    deviation = (variance / images) ** 0.5
    assert out.mean().item() == pytest.approx(1, abs=4 * deviation)
    assert out.var().item() == pytest.approx(variance, rel=0.03)


def test_an_image_is_kept_whole_or_dropped_whole() -> None:
    branch = torch.rand(200, 3, 4, 4) + 1
    ratio = (StochasticDepth(0.5)(branch) / branch).flatten(1)
    assert (ratio == ratio[:, :1]).all()
    assert set(ratio[:, 0].tolist()) == {0.0, 2.0}


def test_evaluation_and_certain_survival_change_nothing() -> None:
    branch = torch.rand(4, 3, 2, 2)
    assert StochasticDepth(0.5).eval()(branch) is branch
    assert StochasticDepth(1.0)(branch) is branch


def test_gradient_reaches_kept_images_alone() -> None:
    branch = torch.ones(64, 1, 1, 1, requires_grad=True)
    out = StochasticDepth(0.5)(branch)
    out.sum().backward()
    assert branch.grad is not None
    torch.testing.assert_close(branch.grad, out.detach())


def test_survival_falls_in_a_line_to_the_last_block() -> None:
    """The paper's CIFAR network: 54 blocks, p_L = 0.5, so a quarter of them dropped on average."""
    survivals = linear_decay(54, 0.5)
    assert survivals[0] == pytest.approx(1 - 1 / 54 * 0.5)
    assert survivals[-1] == 0.5
    assert sum(survivals) == pytest.approx((3 * 54 - 1) / 4)


@pytest.mark.parametrize("survival", [0.0, -0.1, 1.1])
def test_refuses_what_is_no_probability_of_survival(survival: float) -> None:
    with pytest.raises(UsageError, match="survival"):
        StochasticDepth(survival)
