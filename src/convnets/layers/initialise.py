"""Initialisations that two or more families share."""

from __future__ import annotations

from torch import nn


def initialise_he2015(network: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in (arXiv:1502.01852, Section 2.2), biases 0.

    The last layer, which no ReLU follows, draws N(0, 0.01), so that no class is favoured at first.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)
