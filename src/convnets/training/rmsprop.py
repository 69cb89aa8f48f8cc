"""RMSProp as TensorFlow 1 has it, which torch's differs from in three places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class TensorFlowRmsProp(Optimizer):
    """Each gradient over the root of the average of its squares (Hinton 2012), with momentum.

    The average starts at 1, not 0; ``eps`` is added inside the root; and the rate is part of the
    momentum, so that a change of the rate is felt slowly.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        decay: float,
        momentum: float,
        eps: float,
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": 0.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; there is no closure to evaluate."""
        assert closure is None
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            slopes: Any = [p.grad for p in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = {
                        "square_average": torch.ones_like(weight),
                        "momentum_buffer": torch.zeros_like(weight),
                    }
            squares: list[Tensor] = [self.state[p]["square_average"] for p in weights]
            moves: list[Tensor] = [self.state[p]["momentum_buffer"] for p in weights]
            if group["weight_decay"]:
                slopes = torch._foreach_add(slopes, weights, alpha=group["weight_decay"])
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, slopes, slopes, 1 - group["decay"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(moves, group["momentum"])
            torch._foreach_addcdiv_(moves, slopes, roots, group["lr"])
            torch._foreach_sub_(weights, moves)
