"""Optimizers for large batches, whose step is as long as each tensor's weights want it.

LARS (You, Gitman and Ginsburg 2017, arXiv:1708.03888) and LAMB (You et al. 2020, arXiv:1904.00962).
Norms and biases, which are not decayed, take the plain step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LayerwiseSgd(Optimizer):
    """LARS, Algorithm 1: SGD with momentum, each tensor's rate times trust |w| / (|g| + d |w|).

    The rate is part of the momentum, as in the paper.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float, trust: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; there is no closure to evaluate."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = {"momentum_buffer": torch.zeros_like(weight)}
            moves: list[Tensor] = [self.state[p]["momentum_buffer"] for p in weights]
            slopes: Any = [p.grad for p in weights]
            if weights[0].ndim > 1:  # a group holds tensors of one kind
                slopes = _scaled(weights, slopes, group["weight_decay"], group["trust"])
            torch._foreach_mul_(moves, group["momentum"])
            torch._foreach_add_(moves, slopes, alpha=group["lr"])
            torch._foreach_sub_(weights, moves)


def _scaled(
    weights: list[Tensor], slopes: list[Tensor], decay: float, trust: float
) -> list[Tensor]:
    """Slopes with decay, each times its tensor's local rate."""
    lengths, steepness = norms(weights), norms(slopes)
    rates = trust * lengths / (steepness + decay * lengths)
    rates = torch.where((lengths > 0) & (steepness > 0), rates, torch.ones_like(rates))
    decayed = torch._foreach_add(slopes, weights, alpha=decay)
    return list(torch._foreach_mul(decayed, list(rates.unbind())))


class LayerwiseAdam(Optimizer):
    """LAMB, Algorithm 2: Adam's direction with decay, as long as its weights times the rate.

    The paper's phi is the identity. A group without decay is of vectors.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; there is no closure to evaluate."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            moves = self._directions(weights, group)
            if group["weight_decay"]:
                torch._foreach_add_(moves, weights, alpha=group["weight_decay"])
                torch._foreach_mul_(moves, trust_ratios(weights, moves))
            torch._foreach_add_(weights, moves, alpha=-group["lr"])

    def _directions(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Adam's, both averages corrected for their start at 0."""
        one, two = group["betas"]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        counts: list[Tensor] = [self.state[p]["step"] for p in weights]
        first: list[Tensor] = [self.state[p]["exp_avg"] for p in weights]
        second: list[Tensor] = [self.state[p]["exp_avg_sq"] for p in weights]
        slopes: Any = [p.grad for p in weights]
        torch._foreach_add_(counts, 1)
        torch._foreach_lerp_(first, slopes, 1 - one)
        torch._foreach_mul_(second, two)
        torch._foreach_addcmul_(second, slopes, slopes, 1 - two)
        step = int(counts[0])  # a group's parameters step together
        roots = torch._foreach_div(second, 1 - two**step)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["eps"])
        moves = torch._foreach_div(first, 1 - one**step)
        torch._foreach_div_(moves, roots)
        return list(moves)


def trust_ratios(weights: list[Tensor], moves: list[Tensor]) -> list[Tensor]:
    """Norm of each weight over that of its move; 1 where either has none."""
    lengths, others = norms(weights), norms(moves)
    ratios = torch.where((lengths > 0) & (others > 0), lengths / others, torch.ones_like(lengths))
    return list(ratios.unbind())


def norms(tensors: list[Tensor]) -> Tensor:
    """The norm of each tensor, (n,)."""
    return torch.stack(torch._foreach_norm(tensors))
