"""Optimizers from their settings, with decay and rates where the settings want them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from convnets.training.layerwise import LayerwiseAdam, LayerwiseSgd
from convnets.training.rmsprop import TensorFlowRmsProp
from convnets.training.settings import AdamW, Lamb, Lars, OptimizerSetting, RmsProp, Sgd

MOMENTS: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.SGD: {"momentum_buffer"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    TensorFlowRmsProp: {"square_average", "momentum_buffer"},
    LayerwiseAdam: {"step", "exp_avg", "exp_avg_sq"},
    LayerwiseSgd: {"momentum_buffer"},
}
"""What an optimizer keeps of each parameter."""


def build_optimizer(
    model: nn.Module, setting: OptimizerSetting, layer_decay: float | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer of ``model``'s trainable parameters, fused where torch can."""
    groups = parameter_groups(
        model, setting.weight_decay, decay_vectors=setting.decay_vectors, layer_decay=layer_decay
    )
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
        case RmsProp():
            return TensorFlowRmsProp(
                groups,
                lr=setting.lr,
                decay=setting.decay,
                momentum=setting.momentum,
                eps=setting.eps,
            )
        case Lamb():
            return LayerwiseAdam(groups, lr=setting.lr, betas=setting.betas, eps=setting.eps)
        case Lars():
            return LayerwiseSgd(
                groups, lr=setting.lr, momentum=setting.momentum, trust=setting.trust
            )


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    decay_vectors: bool,
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters as groups: decayed or spared, and with one rate each.

    ``lr_scale`` is ``layer_decay`` to the power of a parameter's distance from the head, in stages
    (Liu et al. 2022, ConvNeXt, Table 6): 0 for the head, 1 for the last stage, and so on to the
    stem.
    """
    distances = stage_distances(model) if layer_decay is not None else {}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            distance = distances.get(".".join(name.split(".")[:2]), 0)
            spared = not (decay_vectors or parameter.ndim > 1)
            groups.setdefault((distance, spared), []).append(parameter)
    return [
        {"params": members, "weight_decay": 0.0 if spared else weight_decay}
        | ({} if layer_decay is None else {"lr_scale": layer_decay**distance})
        for (distance, spared), members in sorted(groups.items(), key=lambda item: item[0])
    ]


def stage_distances(model: nn.Module) -> dict[str, int]:
    """How many stages each child of ``features`` is away from the head: 1 for the last one."""
    features = getattr(model, "features", None)
    names = [name for name, _ in features.named_children()] if features is not None else []
    return {f"features.{name}": len(names) - place for place, name in enumerate(names)}
