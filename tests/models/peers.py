"""Parity with another library: its weights carried over to our network, and its logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

POOL = 4_194_301  # a prime, so that no side of a tensor divides it


def carry(peer: nn.Module, network: nn.Module) -> None:
    """Give both networks the same random weights, statistics and scales.

    Every value is drawn, those included that libraries start at 0, 1 or 1e-6 (biases,
    normalisation, LayerScale), so that no default hides a difference. Tensors pair off in order of
    definition; each pair must agree in the last part of its name and in shape.
    """
    randomise(peer)
    theirs = peer.state_dict()
    ours = network.state_dict()
    if len(theirs) != len(ours):
        raise AssertionError(f"the peer has {len(theirs)} tensors, ours {len(ours)}")
    for (their_name, theirs_), (our_name, ours_) in zip(theirs.items(), ours.items(), strict=True):
        same_kind = their_name.rpartition(".")[2] == our_name.rpartition(".")[2]
        if not same_kind or theirs_.shape != ours_.shape:
            raise AssertionError(
                f"the peer's {their_name} {tuple(theirs_.shape)} meets "
                f"our {our_name} {tuple(ours_.shape)}"
            )
        ours_.copy_(theirs_)


def randomise(peer: nn.Module) -> None:
    """Draw every floating-point tensor of a network's state anew, always the same."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in peer.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(_draw(name, tensor, generator))


class NoInitialisation(TorchFunctionMode):
    """Within it networks are built without drawing the weights that are drawn anew anyway."""

    SKIPPED = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.erfinv_})

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return args[0] if func in self.SKIPPED else func(*args, **(kwargs or {}))


def agree(peer: nn.Module, network: nn.Module, size: int, *, in_chans: int = 3) -> None:
    """Assert equal logits in eval mode for two random images of ``size`` x ``size`` pixels."""
    assert difference(peer, network, size, in_chans=in_chans) < 1e-9


def difference(
    peer: nn.Module,
    network: nn.Module,
    size: int,
    *,
    in_chans: int = 3,
    precision: torch.dtype = torch.float64,
) -> float:
    """Return the largest difference of two images' logits, as a share of the largest logit.

    Both networks are left in ``precision``: in double, 1e-9 is rounding alone and one lost bias is
    not.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, in_chans, size, size, dtype=precision, generator=generator)
    with torch.no_grad():
        expected = peer.to(precision).eval()(images)
        logits = network.to(precision).eval()(images)
    assert logits.shape == expected.shape
    scale = expected.abs().max().item()
    seen = (expected[0] - expected[1]).abs().max().item()
    assert seen > 1e-3 * scale, "the peer's logits hardly depend on the image: nothing is compared"
    return (logits - expected).abs().max().item() / scale


@cache
def _pool() -> Tensor:
    return torch.randn(POOL, generator=torch.Generator().manual_seed(2))


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal values from a pool, begun anywhere: quicker than drawing each."""
    start = int(torch.randint(POOL, (), generator=generator))
    end = start + like.numel()
    pool = _pool() if end <= POOL else _pool().repeat(end // POOL + 1)
    return pool[start:end].view(like.shape)


def _draw(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Values that keep the scale of a signal from layer to layer (He's for kernels)."""
    if name.endswith(("bias", "running_mean")):
        return 0.1 * _normal(like, generator)
    if like.numel() == max(like.shape):
        return 0.5 + torch.rand(like.shape, generator=generator)
    fan_in = like[0].numel()
    return (2 / fan_in) ** 0.5 * _normal(like, generator)
