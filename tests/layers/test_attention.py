"""Attention against its formula, written out token by token."""

from __future__ import annotations

import torch

from convnets.layers.attention import Attention, feed_forward


def test_each_token_gathers_by_the_softmax_of_its_scores() -> None:
    layer = Attention(6, heads=2).double()
    x = torch.randn(1, 4, 6, dtype=torch.float64)
    bias = torch.randn(2, 4, 4, dtype=torch.float64)
    query, key, value = layer.qkv(x[0]).chunk(3, dim=-1)
    gathered = torch.zeros(4, 6, dtype=torch.float64)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        for token in range(4):
            scores = key[:, part] @ query[token, part] / 3**0.5 + bias[head, token]
            shares = scores.exp() / scores.exp().sum()
            gathered[token, part] = shares @ value[:, part]
    torch.testing.assert_close(layer(x, bias[None])[0], layer.project(gathered))


def test_feed_forward_is_four_times_wider_between() -> None:
    layer = feed_forward(3)
    x = torch.randn(5, 3)
    hidden = x @ layer.expand.weight.T + layer.expand.bias
    assert hidden.shape == (5, 12)
    gelu = hidden / 2 * (1 + torch.erf(hidden / 2**0.5))
    expected = gelu @ layer.project.weight.T + layer.project.bias
    torch.testing.assert_close(layer(x), expected)
