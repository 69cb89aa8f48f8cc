"""A step is the written formula and torch's plain optimizer; decay goes where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import pytorch_optimizer
import timm.optim
import torch
from timm.optim import RMSpropTF
from torch import Tensor, nn

from convnets.training.optimizers import MOMENTS, build_optimizer, parameter_groups
from convnets.training.settings import AdamW, Lamb, Lars, OptimizerSetting, RmsProp, Sgd
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


def rmsprop(start: Tensor, setting: RmsProp) -> Tensor:
    """TensorFlow's ApplyRMSProp: ms from 1, mom = m mom + lr g / sqrt(ms + e), w = w - mom."""
    value, square, move = start.double(), torch.ones(()), torch.zeros(())
    decay = setting.weight_decay if start.ndim > 1 or setting.decay_vectors else 0.0
    for step in range(STEPS):
        slope = gradient(step, start).double() + decay * value
        square = setting.decay * square + (1 - setting.decay) * slope**2
        move = setting.momentum * move + setting.lr * slope / (square + setting.eps).sqrt()
        value = value - move
    return value


def lamb(start: Tensor, setting: Lamb) -> Tensor:
    """Algorithm 2 of You et al. (2020), phi the identity; vectors take Adam's plain step."""
    value, first, second = start.double(), torch.zeros(()), torch.zeros(())
    one, two = setting.betas
    scaled = start.ndim > 1 or setting.decay_vectors
    for step in range(STEPS):
        slope = gradient(step, start).double()
        first, second = one * first + (1 - one) * slope, two * second + (1 - two) * slope**2
        mean, spread = first / (1 - one ** (step + 1)), second / (1 - two ** (step + 1))
        move = mean / (spread.sqrt() + setting.eps)
        if scaled:
            move = move + setting.weight_decay * value
            move = move * value.norm() / move.norm()
        value = value - setting.lr * move
    return value


def lars(start: Tensor, setting: Lars) -> Tensor:
    """Algorithm 1 of You, Gitman and Ginsburg (2017): the rate is trust |w| / (|g| + d |w|)."""
    value, velocity = start.double(), torch.zeros(())
    for step in range(STEPS):
        slope = gradient(step, start).double()
        if start.ndim > 1:
            length = slope.norm() + setting.weight_decay * value.norm()
            local = setting.trust * value.norm() / length
            slope = local * (slope + setting.weight_decay * value)
        velocity = setting.momentum * velocity + setting.lr * slope
        value = value - velocity
    return value


FORMULAS = {"sgd": sgd, "adamw": adamw, "rmsprop": rmsprop, "lamb": lamb, "lars": lars}


@pytest.mark.parametrize(
    "setting",
    [
        Sgd(lr=0.1),
        Sgd(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        Sgd(lr=0.1, momentum=0),
        AdamW(lr=0.01),
        AdamW(lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.3, decay_vectors=True),
        RmsProp(lr=0.01),
        RmsProp(lr=0.01, decay=0.5, momentum=0, eps=1.0, weight_decay=0.3, decay_vectors=True),
        Lamb(lr=0.01),
        Lamb(lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.3, decay_vectors=True),
        Lars(lr=0.1),
        Lars(lr=10, momentum=0.5, trust=0.02, weight_decay=0.3),
    ],
    ids=lambda setting: setting.kind,
)
def test_steps_follow_the_formula(setting: OptimizerSetting) -> None:
    model = Plain()
    before = weights(model)
    after = stepped(model, build_optimizer(model, setting))
    for name, start in before.items():
        formula = FORMULAS[setting.kind](start, setting)  # type: ignore[operator]
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


@pytest.mark.parametrize(
    ("setting", "reference"),
    [
        (RmsProp(lr=0.01, weight_decay=0.1), partial(RMSpropTF, alpha=0.9, eps=1e-3, momentum=0.9)),
        (Lamb(lr=0.01, weight_decay=0.1), partial(timm.optim.Lamb, max_grad_norm=None)),
        (Lars(lr=0.01, weight_decay=0.1), partial(pytorch_optimizer.LARS, momentum=0.9)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_steps_are_those_of_other_libraries(
    setting: OptimizerSetting, reference: Callable[..., torch.optim.Optimizer]
) -> None:
    model, plain = Plain(), Plain()
    plain.load_state_dict(model.state_dict())
    theirs = reference(parameter_groups(plain, 0.1, decay_vectors=False), lr=0.01)
    found, expected = stepped(model, build_optimizer(model, setting)), stepped(plain, theirs)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("setting", [Lamb(lr=0.5, decay_vectors=True), Lars(lr=0.5)])
def test_a_tensor_of_zeros_moves_at_the_rate_itself(setting: OptimizerSetting) -> None:
    model = Plain()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    after = stepped(model, build_optimizer(model, setting))
    assert all(bool(value.isfinite().all()) and value.abs().max() > 0 for value in after.values())


def test_decay_spares_vectors_if_asked() -> None:
    model = Normed()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    both = parameter_groups(model, 0.1, decay_vectors=False)
    assert [group["weight_decay"] for group in both] == [0.1, 0.0]
    for group, expected in zip(both, (matrices, vectors), strict=True):
        assert [id(p) for p in group["params"]] == [id(p) for p in expected]
    (whole,) = parameter_groups(model, 0.1, decay_vectors=True)
    assert len(whole["params"]) == len(list(model.parameters()))
    assert whole["weight_decay"] == 0.1


def test_layers_far_from_the_head_learn_more_slowly() -> None:
    model = nn.ModuleDict(
        {
            "features": nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)),
            "head": nn.Linear(2, 2),
        }
    )
    groups = parameter_groups(model, 0.1, decay_vectors=False, layer_decay=0.5)
    rates = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    expected = {"features.0": 0.125, "features.1": 0.25, "features.2": 0.5, "head": 1.0}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == expected[name.rpartition(".")[0]]
    assert len(groups) == 8, "decayed and spared, at four rates"


def test_frozen_parameters_are_left_out() -> None:
    model = Plain()
    model[0].requires_grad_(False)
    optimizer = build_optimizer(model, Sgd(lr=0.1))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize(
    "setting",
    [
        Sgd(lr=0.1),
        AdamW(lr=0.1),
        RmsProp(lr=0.1),
        RmsProp(lr=0.1, momentum=0),
        Lamb(lr=0.1),
        Lars(lr=0.1),
    ],
    ids=lambda setting: setting.kind,
)
def test_what_an_optimizer_keeps_is_on_the_list(setting: OptimizerSetting) -> None:
    model = Plain()
    optimizer = build_optimizer(model, setting)
    stepped(model, optimizer)
    for state in optimizer.state.values():
        assert state.keys() == MOMENTS[type(optimizer)]
