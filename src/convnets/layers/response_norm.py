"""Local response normalisation (Krizhevsky, Sutskever and Hinton 2012, Section 3.3)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F


class ResponseNorm(nn.Module):
    """Divide each value by (k + alpha * the sum of squares around it) ** beta.

    Takes and returns (batch, maps, height, width). The sum runs over the value itself and
    ``size // 2`` neighbours to each side: over maps at one pixel as in the paper, or, across
    ``"pixels"``, over a square of one map. Beyond the edge there is nothing to add.
    ``alpha`` multiplies the sum as in the paper; torch and Caffe divide it by ``size`` first.
    """

    def __init__(
        self,
        size: int = 5,
        *,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        across: Literal["maps", "pixels"] = "maps",
    ) -> None:
        super().__init__()
        self.window = size // 2 * 2 + 1
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.across = across

    def forward(self, x: Tensor) -> Tensor:
        if self.across == "maps":
            return F.local_response_norm(
                x, self.window, alpha=self.alpha * self.window, beta=self.beta, k=self.k
            )
        sums = F.avg_pool2d(
            x.square(), self.window, stride=1, padding=self.window // 2, divisor_override=1
        )
        return x / (self.k + self.alpha * sums) ** self.beta

    def extra_repr(self) -> str:
        return (
            f"window={self.window}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}, "
            f"across={self.across!r}"
        )
