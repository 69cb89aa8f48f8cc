"""Batch normalisation folded into the convolution before it: fewer layers, the same function.

In eval mode a batch norm scales and shifts each channel by fixed numbers (Ioffe and Szegedy 2015,
arXiv:1502.03167, Algorithm 2), which the convolution's own weights and bias can carry.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from convnets.layers.network import ConvNet

PASSES_ON = (nn.Identity, nn.Dropout)
"""Modules that change nothing in eval mode."""


@dataclass(frozen=True)
class Folded:
    """A network in eval mode whose norms are folded where that is legal; paths of all its norms."""

    network: ConvNet
    folded: tuple[str, ...]
    kept: tuple[str, ...]


def fold_norms(network: ConvNet) -> Folded:
    """Return a copy of ``network`` with every norm folded that alone sees a convolution's output.

    Auxiliary heads, which training alone runs, are left out.
    A norm before a convolution, as in pre-activation networks, stays: its shift does not reach the
    zeros with which the convolution pads. So does one behind a sum or a concatenation.
    """
    twin = copy.deepcopy(network).eval()
    if hasattr(twin, "auxiliary"):
        del twin.auxiliary
    pairs = list(_pairs(twin))
    for norm_path, conv_path in pairs:
        conv, norm = twin.get_submodule(conv_path), twin.get_submodule(norm_path)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight, conv.bias = fuse_conv_bn_weights(
            *(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps),
            *(norm.weight, norm.bias),
        )
        twin.set_submodule(norm_path, nn.Identity())
    folded = tuple(path for path, _ in pairs)
    kept = (path for path, module in twin.named_modules() if isinstance(module, nn.BatchNorm2d))
    return Folded(twin, folded, tuple(kept))


class _Tracer(fx.Tracer):
    """Follows the data through modules that hold a norm, and through sequences."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        parts = list(m.modules())
        inside = type(m).forward is nn.Sequential.forward or any(
            isinstance(part, nn.BatchNorm2d) for part in parts
        )
        return len(parts) == 1 or not inside


def _pairs(network: ConvNet) -> Iterator[tuple[str, str]]:
    """Paths of norms, and of the convolutions whose output is theirs alone."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return
    for child in ("features", "head"):
        modules = dict(network.get_submodule(child).named_modules())
        graph = _Tracer().trace(network.get_submodule(child))
        calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        for node in graph.nodes:
            if node.op != "call_module" or not _is_fixed(modules[node.target]):
                continue
            source = node.args[0]
            while source.op == "call_module" and isinstance(modules[source.target], PASSES_ON):
                source = source.args[0] if len(source.users) == 1 else node
            if (
                source.op == "call_module"
                and isinstance(modules[source.target], nn.Conv2d)
                and len(source.users) == calls[source.target] == calls[node.target] == 1
            ):
                yield f"{child}.{node.target}", f"{child}.{source.target}"


def _is_fixed(module: nn.Module) -> bool:
    """Whether a module is a norm that scales and shifts by fixed numbers in eval mode."""
    return isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
