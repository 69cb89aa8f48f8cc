"""Dropout, stochastic depth and frozen parameters of a built network, as the settings want them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from convnets.errors import UnknownName, UsageError
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay
from convnets.training.settings import Optimisation, Progressive

DROPOUTS = (nn.Dropout, nn.Dropout2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ALL_BUT_LAST = "all-but-last"
COARSE, FINE, LARGE = 32, 4, 128
"""Image sizes in training that grows: multiples of 32 from 128 pixels on, of 4 below."""


def prepare(model: nn.Module, settings: Optimisation) -> None:
    """Set what the settings say of the network itself, before its optimizer is built."""
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    if settings.stochastic_depth is not None:
        set_stochastic_depth(model, settings.stochastic_depth)
    if settings.freeze is not None:
        freeze(model, settings.freeze)


def set_dropout(model: nn.Module, rate: float) -> None:
    """Give every dropout layer the probability ``rate``; a network without any stays as it is."""
    for module in model.modules():
        if isinstance(module, DROPOUTS):
            module.p = rate


def set_stochastic_depth(model: nn.Module, last: float) -> None:
    """Let the last block be dropped with probability ``last``, those before it linearly less.

    Eq. 4 of Huang et al. 2016. A block is a child of a stage; two branches of one block have one
    probability. A network without residual branches stays as it is.
    """
    blocks: dict[str, list[StochasticDepth]] = {}
    for name, module in model.named_modules():
        if isinstance(module, StochasticDepth):
            block = ".".join(name.split(".")[:3])  # features.stage1.block1
            blocks.setdefault(block, []).append(module)
    survivals = linear_decay(len(blocks), 1 - last)
    for drops, survival in zip(blocks.values(), survivals, strict=True):
        for drop in drops:
            drop.survival = survival


def freeze(model: nn.Module, patterns: tuple[str, ...]) -> None:
    """Leave the parameters whose names match out of training; ``*`` stands for anything.

    A pattern is a parameter's name, a module's (all below it), or either with ``*``;
    ``all-but-last`` is all but the last layer of the head. Raises ``UnknownName`` for a pattern
    that nothing matches, and ``UsageError`` where nothing would be left to train.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        last = last_layer(model) if pattern == ALL_BUT_LAST else None
        found = [
            parameter
            for name, parameter in named.items()
            if (fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*"))
            or (last is not None and name.rpartition(".")[0] != last)
        ]
        if not found:
            layers = (name for name, _ in model.named_modules() if name)
            raise UnknownName("layer to freeze", pattern, layers)
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise UsageError(f"freeze: {', '.join(patterns)} leaves nothing to train")


def last_layer(model: nn.Module) -> str:
    """The name of the last module with parameters of its own, in a network's head if it has one."""
    head = getattr(model, "head", None)
    prefix, part = ("", model) if head is None else ("head.", head)
    names = [name for name, _ in part.named_parameters()]
    if not names:
        raise UsageError(f"freeze: {ALL_BUT_LAST}: this network's head has no parameters")
    return f"{prefix}{names[-1]}".rpartition(".")[0]


def enter_training(model: nn.Module) -> None:
    """Put a network in training mode, but for frozen batch norms.

    Those keep the statistics that came with their weights: a frozen part is a fixed function.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, NORMS) and frozen(module):
            module.eval()


def frozen(module: nn.Module) -> bool:
    """Whether a module has parameters and none of them is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


@dataclass(frozen=True)
class Stage:
    """An epoch of training that grows: image side in pixels, strength of augmentation, dropout."""

    size: int
    strength: float
    dropout: float | None


def progressive_stage(
    setting: Progressive, epoch: int, epochs: int, full_size: int, dropout: float | None
) -> Stage:
    """The stage of ``epoch`` (from 0): Algorithm 1 of Tan and Le 2021.

    Values go in equal steps from the setting's to the recipe's own: ``full_size`` pixels,
    strength 1, and ``dropout``, which stays where the setting does not name it.
    """
    stages = min(setting.stages, epochs)
    share = 1.0 if stages == 1 else epoch * stages // epochs / (stages - 1)

    def between(first: float, last: float) -> float:
        return first + (last - first) * share

    size = between(setting.size_from * full_size, full_size)
    if dropout is not None and setting.dropout_from is not None:
        dropout = between(setting.dropout_from, dropout)
    return Stage(rounded_size(size, full_size), between(setting.strength_from, 1.0), dropout)


def rounded_size(size: float, full_size: int) -> int:
    """The nearest multiple of 32 (of 4 below 128 pixels), the full size as it is."""
    if size >= full_size:
        return full_size
    step = COARSE if size >= LARGE else FINE
    return min(full_size, max(step, step * round(size / step)))
