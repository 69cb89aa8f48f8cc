"""Initialisations that two or more families share."""

from __future__ import annotations

from torch import nn


def initialise_he2015(network: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in (arXiv:1502.01852, Section 2.2), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
