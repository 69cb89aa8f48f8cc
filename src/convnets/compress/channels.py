"""Whole channels taken out: a smaller network of the same form, faster on any machine.

Li, Kadav, Durdanovic, Samet and Graf 2016 (arXiv:1608.08710) take the filters of the smallest L1
norm, layer by layer; Liu et al. 2017 (arXiv:1708.06519) the channels of the smallest scale in batch
normalisation, over all layers. What a sum of a residual network holds together stays (Li et al.,
Section 3.3: the block's inner layers alone are pruned).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from convnets.compress.spaces import Space, free_spaces
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.weights.changes import Width, narrow, width_of

Measure = Literal["filters", "scales"]
"""What tells a channel that can go: its filters' L1 norm, or its scale in normalisation."""


def kept_channels(
    network: ConvNet, shares: Mapping[str, float], spaces: Mapping[str, Space] | None = None
) -> dict[str, Tensor]:
    """The channels that stay, rising, where each named layer keeps its share of largest filters.

    Layers are named as ``free_spaces`` names them; at least one channel of each stays.
    """
    spaces = free_spaces(network) if spaces is None else spaces
    kept = {}
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise UsageError(f"{name}: the share to keep is {share}; it is above 0 and at most 1")
        norms = filter_norms(network, _known(spaces, name))
        count = max(1, round(share * len(norms)))
        kept[name] = norms.topk(count).indices.sort().values
    return kept


def kept_scales(
    network: ConvNet, share: float, spaces: Mapping[str, Space] | None = None
) -> dict[str, Tensor]:
    """The channels that stay, rising, where one threshold on their scales keeps a share of all.

    Layers without such a scale keep all; of any other, the largest scale stays. Raises
    ``UsageError`` where there is no layer with one.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share to keep is {share}; it is above 0 and at most 1")
    spaces = free_spaces(network) if spaces is None else spaces
    measured = {name: norm_scales(network, space) for name, space in spaces.items()}
    scales = {name: own for name, own in measured.items() if own is not None}
    if not scales:
        raise UsageError("no channel that can go has a batch normalisation; rank by filters")
    every = torch.cat(list(scales.values()))
    threshold = every.topk(max(1, round(share * len(every)))).values[-1]
    return {
        name: (own >= torch.minimum(threshold, own.max())).nonzero().squeeze(1)
        for name, own in scales.items()
    }


def filter_norms(network: ConvNet, space: Space) -> Tensor:
    """Sum of the absolute weights that make each channel (channels,) (Li et al., Section 3.1)."""
    weights = (network.get_parameter(f"{maker}.weight").detach() for maker in space.makers)
    return torch.stack([weight.abs().flatten(1).sum(1) for weight in weights]).sum(0)


def norm_scales(network: ConvNet, space: Space) -> Tensor | None:
    """Absolute scale of each channel in normalisation (channels,), the product of several.

    None where no batch normalisation with a scale sees the channels.
    """
    norms = (network.get_submodule(name) for name in space.norms)
    weights = [norm.weight for norm in norms if isinstance(norm.weight, Tensor)]
    return torch.stack(weights).detach().abs().prod(0) if weights else None


def prune_channels(
    network: ConvNet,
    kept: Mapping[str, Tensor],
    spaces: Mapping[str, Space] | None = None,
) -> tuple[ConvNet, dict[str, Width]]:
    """A copy of a network without the channels that are not kept, and its narrower layers' widths.

    ``kept`` are rising numbers of channels by layer. Where all that makes a channel is zero, the
    outputs stay as they were. Raises ``UnknownName`` for a layer whose channels cannot be taken
    out.
    """
    spaces = free_spaces(network) if spaces is None else spaces
    outputs: dict[str, Tensor] = {}
    inputs: dict[str, Tensor] = {}
    for name, channels in kept.items():
        space = _known(spaces, name)
        if len(channels) == space.channels:
            continue
        for layer in (*space.makers, *space.norms, *space.depthwise):
            outputs[layer] = channels
        for layer, features in space.readers:
            places = torch.arange(features, device=channels.device)
            inputs[layer] = (channels[:, None] * features + places).flatten()
    pruned = copy.deepcopy(network)
    widths = {}
    for name, module in pruned.named_modules():
        if name in outputs or name in inputs:
            every = slice(None)
            narrow(module, outputs.get(name, every), inputs.get(name, every))
            width = width_of(module)
            assert width is not None
            widths[name] = width
    return pruned, widths


def _known(spaces: Mapping[str, Space], name: str) -> Space:
    if not spaces:
        raise UsageError("this network has no channels that can be taken out by themselves")
    if name not in spaces:
        raise UnknownName("layer whose channels can go", name, spaces)
    return spaces[name]
