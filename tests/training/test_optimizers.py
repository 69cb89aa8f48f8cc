"""A step is the written formula and torch's plain optimizer; decay goes where it is wanted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from convnets.training.optimizers import MOMENTS, build_optimizer, decay_groups
from convnets.training.settings import AdamW, OptimizerSetting, Sgd
from tests.training.pocket import Normed, Plain, weights

STEPS = 3


def gradient(step: int, like: Tensor) -> Tensor:
    return torch.sin(torch.arange(like.numel(), dtype=torch.float32) + step).view_as(like)


def stepped(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    for step in range(STEPS):
        for parameter in model.parameters():
            parameter.grad = gradient(step, parameter)
        optimizer.step()
    return weights(model)


def sgd(start: Tensor, setting: Sgd) -> Tensor:
    """v = m v + (g + d w), then w = w - lr v, or w - lr (g + d w + m v) with Nesterov."""
    value, velocity = start.double(), torch.zeros(())
    for step in range(STEPS):
        slope = gradient(step, start).double() + setting.weight_decay * value
        velocity = setting.momentum * velocity + slope
        move = slope + setting.momentum * velocity if setting.nesterov else velocity
        value = value - setting.lr * move
    return value


def adamw(start: Tensor, setting: AdamW) -> Tensor:
    """Algorithm 2 of Loshchilov and Hutter (2019), with torch's decay of lr times weight_decay."""
    value, first, second = start.double(), torch.zeros(()), torch.zeros(())
    one, two = setting.betas
    decay = setting.weight_decay if start.ndim > 1 or setting.decay_vectors else 0.0
    for step in range(STEPS):
        slope = gradient(step, start).double()
        first, second = one * first + (1 - one) * slope, two * second + (1 - two) * slope**2
        mean, spread = first / (1 - one ** (step + 1)), second / (1 - two ** (step + 1))
        value = value * (1 - setting.lr * decay)
        value = value - setting.lr * mean / (spread.sqrt() + setting.eps)
    return value


@pytest.mark.parametrize(
    "setting",
    [
        Sgd(lr=0.1),
        Sgd(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        Sgd(lr=0.1, momentum=0),
        AdamW(lr=0.01),
        AdamW(lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.3, decay_vectors=True),
    ],
)
def test_steps_follow_the_formula(setting: OptimizerSetting) -> None:
    model = Plain()
    before = weights(model)
    after = stepped(model, build_optimizer(model, setting))
    for name, start in before.items():
        formula = sgd(start, setting) if isinstance(setting, Sgd) else adamw(start, setting)
        torch.testing.assert_close(after[name].double(), formula, rtol=1e-5, atol=1e-6)


def test_steps_are_those_of_torchs_unfused_optimizers() -> None:
    settings = (Sgd(lr=0.1), AdamW(lr=0.01, decay_vectors=True))
    for setting in settings:
        model, plain = Plain(), Plain()
        plain.load_state_dict(model.state_dict())
        loop = {"fused": False, "foreach": False}
        reference: torch.optim.Optimizer
        if isinstance(setting, Sgd):
            reference = torch.optim.SGD(
                plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, **loop
            )
        else:
            reference = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.05, **loop)
        found, expected = stepped(model, build_optimizer(model, setting)), stepped(plain, reference)
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


def test_decay_spares_vectors_if_asked() -> None:
    parameters = list(Normed().parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    both = decay_groups(parameters, 0.1, decay_vectors=False)
    assert [group["weight_decay"] for group in both] == [0.1, 0.0]
    for group, expected in zip(both, (matrices, vectors), strict=True):
        assert [id(p) for p in group["params"]] == [id(p) for p in expected]  # type: ignore
    (whole,) = decay_groups(parameters, 0.1, decay_vectors=True)
    assert len(whole["params"]) == len(parameters)  # type: ignore[arg-type]
    assert whole["weight_decay"] == 0.1


def test_frozen_parameters_are_left_out() -> None:
    model = Plain()
    model[0].requires_grad_(False)
    optimizer = build_optimizer(model, Sgd(lr=0.1))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize("setting", [Sgd(lr=0.1), AdamW(lr=0.1)])
def test_what_an_optimizer_keeps_is_on_the_list(setting: OptimizerSetting) -> None:
    model = Plain()
    optimizer = build_optimizer(model, setting)
    stepped(model, optimizer)
    for state in optimizer.state.values():
        assert state.keys() == MOMENTS[type(optimizer)]
