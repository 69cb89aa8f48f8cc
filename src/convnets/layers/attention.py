"""The two halves of a transformer's block (Vaswani et al. 2017, arXiv:1706.03762, Section 3)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.network import stack


class Attention(nn.Module):
    """Multi-head self-attention (Section 3.2): each token gathers from all tokens of its image.

    Takes and returns (batch, tokens, width). ``bias`` is added to the scores before the softmax; it
    spreads to (batch, heads, tokens, tokens).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()
        gathered = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.project(gathered.transpose(1, 2).flatten(2))
        return out

    def extra_repr(self) -> str:
        return f"heads={self.heads}"


def feed_forward(width: int) -> nn.Sequential:
    """Two linear layers on each token, four times wider between (Section 3.3), here with GELU."""
    return stack(
        ("expand", nn.Linear(width, 4 * width)),
        ("act", nn.GELU()),
        ("project", nn.Linear(4 * width, width)),
    )
