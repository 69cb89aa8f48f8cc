"""Initialisations that two or more families share."""

from __future__ import annotations

from torch import nn


def initialise_he2015(network: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in (arXiv:1502.01852, Section 2.2), biases 0.

    The last layer, which no ReLU follows, draws N(0, 0.01), so that no class is favoured at first.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if layers[-1].weight.is_meta:
        return  # no values there, and drawing them is slow
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)


def initialise_tan2018(network: nn.Module) -> None:
    """Normal kernels of variance 2 / fan-out, a uniform classifier, biases 0.

    The papers of MnasNet (arXiv:1807.11626) and both EfficientNets leave it to their code: the fan
    of a depthwise kernel is its area, and the classifier draws from +-1 / sqrt(number of classes).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[:, 0].numel() // module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            bound = module.out_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_truncated(network: nn.Module) -> None:
    """Truncated normal weights of deviation 0.02, biases 0.

    So the code of DeiT, Swin and both ConvNeXts has it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
