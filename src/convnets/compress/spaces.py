"""Which layers share a channel: who makes it, who scales it, who reads it.

A network is traced once, and each map is followed from the layer that makes its channels to all
that read them. What is not known to treat each channel by itself, sums of a residual network among
it, holds the channels that it sees fast; so what is found free can be taken out.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from convnets.layers.network import ConvNet
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.weights.changes import CONVOLUTIONS, is_depthwise

ELEMENTWISE: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Sigmoid, nn.Tanh, nn.Identity, nn.Dropout, StochasticDepth),
)
POOLS: tuple[type[nn.Module], ...] = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
PRODUCTS = (operator.mul, torch.mul)
LEAVES = (nn.Conv2d, nn.Linear, nn.modules.batchnorm._BatchNorm, nn.LayerNorm, StochasticDepth)


@dataclass
class Space:
    """The channels of one map and of all maps that have the same.

    ``makers`` are the layers whose outputs they are, ``norms`` and ``depthwise`` work on each by
    itself, and ``readers`` take them as inputs, each channel as that many features.
    """

    channels: int
    makers: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    depthwise: list[str] = field(default_factory=list)
    readers: list[tuple[str, int]] = field(default_factory=list)
    fixed: bool = False


@dataclass(frozen=True)
class Seen:
    """A value whose channels are known: maps (b, c, h, w), these flattened, or (b, ..., c)."""

    space: int
    form: Literal["maps", "flat", "vectors"]


def free_spaces(network: ConvNet) -> dict[str, Space]:
    """The channels that can be taken out of a network, by the first layer that makes them."""
    way = _Way(network)
    graph = _Tracer().trace(way)
    walk = _Walk(way, graph)
    walk.run(None)
    return {
        space.makers[0]: space
        for number, space in walk.spaces.items()
        if walk.root(number) == number and not space.fixed and space.readers
    }


class _Way(nn.Module):
    """From images to logits without a look at the images' shape."""

    def __init__(self, network: ConvNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network.head(self.network.features(images))
        return logits


class _Tracer(fx.Tracer):
    """Follows the data into every module that it can; one that decides by values stays whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        nodes, entered = len(self.graph.nodes), self.module_stack.copy()
        try:
            return super().call_module(m, forward, args, kwargs)
        except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError):
            for node in reversed(list(self.graph.nodes)[nodes:]):
                self.graph.erase_node(node)
            self.module_stack = entered
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)


class _Walk(fx.Interpreter):
    """Runs the graph with ``Seen`` in the place of tensors; None is a value that is not known."""

    def __init__(self, way: nn.Module, graph: fx.Graph) -> None:
        super().__init__(way, graph=graph)
        self.spaces: dict[int, Space] = {}
        self.merged: dict[int, int] = {}
        called = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self.called_again = {target for target, times in called.items() if times > 1}

    def root(self, number: int) -> int:
        """The space that a space was merged into."""
        while number in self.merged:
            number = self.merged[number]
        return number

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> None:
        """Images, whose channels stay."""

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> None:
        """A parameter of a module that is not a leaf."""

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        """Logits: the classes stay."""
        self._hold(args, kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> None:
        """No method is known to leave channels apart."""
        self._hold(args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Seen | None:
        """A product of two maps of the same channels, as in squeeze-and-excitation."""
        if target in PRODUCTS and len(args) == 2 and not kwargs:
            one, other = args
            if isinstance(one, Seen) and isinstance(other, Seen) and one.form == other.form:
                return self._merge(one, other)
        self._hold(args, kwargs)
        return None

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Seen | None:
        """A layer: it makes, reads or passes on channels, or holds them."""
        module, name = self.fetch_attr(target), target.removeprefix("network.")
        seen = args[0] if len(args) == 1 and not kwargs else None
        if target not in self.called_again and len(args) == 1:
            if type(module) in CONVOLUTIONS and module.groups == 1:
                self._read(name, seen, "maps", module.in_channels)
                return self._made(name, module.out_channels, "maps")
            if type(module) is nn.Linear:
                form = "flat" if isinstance(seen, Seen) and seen.form == "flat" else "vectors"
                self._read(name, seen, form, module.in_features)
                return self._made(name, module.out_features, "vectors")
            if isinstance(seen, Seen) and self._passes(name, module, seen):
                flattens = type(module) is nn.Flatten and seen.form == "maps"
                return Seen(seen.space, "flat") if flattens else seen
        self._hold(args, kwargs)
        return None

    def _passes(self, name: str, module: nn.Module, seen: Seen) -> bool:
        """Whether a module treats each channel by itself."""
        space, maps = self.spaces[self.root(seen.space)], seen.form == "maps"
        if type(module) is nn.BatchNorm2d and maps:
            space.norms.append(name)
            return True
        if isinstance(module, nn.Conv2d) and type(module) in CONVOLUTIONS and maps:
            if not is_depthwise(module):
                return False
            space.depthwise.append(name)
            return True
        if type(module) is nn.Flatten:
            return seen.form in ("maps", "flat") and (module.start_dim, module.end_dim) == (1, -1)
        return type(module) in ELEMENTWISE or (type(module) in POOLS and maps)

    def _made(self, name: str, channels: int, form: Literal["maps", "vectors"]) -> Seen:
        number = len(self.spaces)
        self.spaces[number] = Space(channels, makers=[name])
        return Seen(number, form)

    def _read(self, name: str, seen: Any, form: str, inputs: int) -> None:
        if not isinstance(seen, Seen):
            return
        space = self.spaces[self.root(seen.space)]
        features, rest = divmod(inputs, space.channels)
        if seen.form != form or rest or (features > 1 and form != "flat"):
            space.fixed = True
        space.readers.append((name, features))

    def _merge(self, one: Seen, other: Seen) -> Seen | None:
        first, second = sorted((self.root(one.space), self.root(other.space)))
        kept, gone = self.spaces[first], self.spaces[second]
        if kept.channels != gone.channels:  # a broadcast over channels
            self._hold((one, other), {})
            return None
        if kept is not gone:
            self.merged[second] = first
            for part in ("makers", "norms", "depthwise", "readers"):
                getattr(kept, part).extend(getattr(gone, part))
            kept.fixed |= gone.fixed
        return Seen(first, one.form)

    def _hold(self, args: Any, kwargs: Mapping[str, Any]) -> None:
        def hold(value: Any) -> None:
            if isinstance(value, Seen):
                self.spaces[self.root(value.space)].fixed = True
            elif isinstance(value, list | tuple):
                for each in value:
                    hold(each)

        hold(args)
        hold(list(kwargs.values()))
