"""Stochastic depth (Huang, Sun, Liu, Sedra and Weinberger 2016, arXiv:1603.09382)."""

from __future__ import annotations

from torch import Tensor, nn

from convnets.errors import UsageError


class StochasticDepth(nn.Module):
    """Drop a residual branch, whole, with probability ``1 - survival``; in training alone.

    Takes and returns the branch (batch, ...); each image draws for itself. Raises ``UsageError``
    for a probability outside (0, 1].
    """

    def __init__(self, survival: float) -> None:
        super().__init__()
        if not 0 < survival <= 1:
            raise UsageError(f"survival is {survival!r}; it must be above 0 and at most 1")
        self.survival = survival

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.survival == 1:
            return branch
        # Differs: the paper drops a block for the whole batch and scales by the probability at
        # test (Eq. 5); an image at a time, scaled in training, has the same mean and no test cost.
        kept = branch.new_empty((len(branch),) + (1,) * (branch.ndim - 1))
        return branch * kept.bernoulli_(self.survival).div_(self.survival)

    def extra_repr(self) -> str:
        return f"survival={self.survival:.3g}"


def linear_decay(blocks: int, last: float) -> list[float]:
    """Survival of each of ``blocks`` blocks, from nearly 1 down to ``last`` (Eq. 4)."""
    return [1 - block / blocks * (1 - last) for block in range(1, blocks + 1)]
