"""Optimizers from their settings, with decay where the settings want it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from convnets.training.settings import AdamW, OptimizerSetting, Sgd

MOMENTS = {
    torch.optim.SGD: {"momentum_buffer"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
}
"""What an optimizer keeps of each parameter."""


def build_optimizer(model: nn.Module, setting: OptimizerSetting) -> torch.optim.Optimizer:
    """Return the optimizer of ``model``'s trainable parameters, fused where torch can."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = decay_groups(trainable, setting.weight_decay, setting.decay_vectors)
    match setting:
        case Sgd():
            return torch.optim.SGD(
                groups,
                lr=setting.lr,
                momentum=setting.momentum,
                nesterov=setting.nesterov,
                fused=True,
            )
        case AdamW():
            return torch.optim.AdamW(
                groups, lr=setting.lr, betas=setting.betas, eps=setting.eps, fused=True
            )


def decay_groups(
    parameters: Iterable[nn.Parameter], weight_decay: float, decay_vectors: bool
) -> list[dict[str, object]]:
    """Two parameter groups, decayed and spared; an empty one is left out."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if decay_vectors or parameter.ndim > 1 else spared).append(parameter)
    groups = [(decayed, weight_decay), (spared, 0.0)]
    return [{"params": members, "weight_decay": decay} for members, decay in groups if members]
