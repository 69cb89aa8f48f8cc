"""A small network of each family as if it had been trained, and what its file would say of it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from convnets.catalog import Family
from convnets.weights import LoadedModel, ModelDescription

SIZE = 32


def settled(network: nn.Module) -> nn.Module:
    """Give every batch norm other statistics, and weights if it has any, than it starts with."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            with torch.no_grad():
                for parameter in module.parameters(recurse=False):
                    parameter.uniform_(0.5, 1.5)
    return network.eval()


def pocket(family: Family) -> LoadedModel:
    """The family's pocket network for ten classes of colour images of 32x32 pixels."""
    network = family.network(family.pocket, in_chans=3, num_classes=10)
    settled(network)
    description = ModelDescription(
        model=next(iter(family.variants)),
        stem="small",
        classes=tuple("abcdefghij"),
        in_chans=3,
        input_size=SIZE,
        mean=(0.5, 0.4, 0.3),
        deviation=(0.2, 0.3, 0.25),
        data="none",
    )
    return LoadedModel(network, description, Path("pocket"))
