"""Every network that torchvision or timm has too, and how far its logits are from theirs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import timm
import torch
import torchvision
from timm.layers import AvgPool2dSame
from torch import Tensor, nn

from convnets.models import create_model, find_variant
from convnets.weights.keys import KEYS
from tests.models.peers import NoInitialisation, difference, randomise

SIZE = 64
LARGE = 40_000_000  # parameters from which double precision takes too much memory and time
# Families whose peers take no smaller image than this one.
LARGER_SIZES: dict[str, int] = {
    "inception_v3": 75,
    "inception_v4": 75,
    "inception_resnet": 75,
    "vit": 224,
    "swin": 224,
}


@dataclass(frozen=True)
class Case:
    """One of our rows and a library's network for it: a name, with arguments where it has none."""

    row: str
    library: str
    peer: str

    def __str__(self) -> str:
        return f"{self.row}-{self.library}"

    def build_peer(self) -> nn.Module:
        """Build the library's network without its weights."""
        found = re.fullmatch(r"(\w+)(?:\((.*)\))?", self.peer)
        assert found, f"{self.peer!r} is not a name with arguments"
        call = ast.parse(f"f({found[2] or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        arguments = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if self.library == "timm":
            return timm.create_model(found[1], **arguments)
        return torchvision.models.get_model(found[1], **arguments)


def cases() -> Iterator[Case]:
    """Yield every row of every key map."""
    for library, families in KEYS.items():
        for keys in families.values():
            for row, peer in keys.names.items():
                yield Case(row, library, peer)


def average_inside(peer: nn.Module) -> None:
    """Take the padding out of the averages of timm's pools for TensorFlow's SAME padding.

    timm asks for that (``count_include_pad=False``) but pads beforehand, so that its zeros count;
    in TensorFlow, where the network and its weights come from, they do not.
    """

    def average(pool: nn.Module, inputs: tuple[Tensor], averages: Tensor) -> Tensor:
        inside: Tensor = pool.forward(torch.ones_like(inputs[0]))
        return averages / inside

    for module in peer.modules():
        if isinstance(module, AvgPool2dSame):
            module.register_forward_hook(average)


def precision(case: Case) -> tuple[torch.dtype, float]:
    """The number format of a comparison, and the difference that rounding explains in it."""
    large = find_variant(case.row)[1].params > LARGE
    return (torch.float32, 1e-5) if large else (torch.float64, 1e-9)


def measure(case: Case) -> float:
    """Return the largest difference of two images' logits, as a share of the largest logit.

    All values are drawn and go to our network through the family's key map.
    """
    family, variant = find_variant(case.row)
    with NoInitialisation():
        peer = case.build_peer()
    if case.peer == "nasnetalarge":
        average_inside(peer)
    randomise(peer)
    with torch.device("meta"):
        network = create_model(case.row)
    theirs: dict[str, Tensor] = peer.state_dict()
    state = KEYS[case.library][family.name].convert(network, theirs)
    network.load_state_dict(state, assign=True)
    size = LARGER_SIZES.get(family.name, SIZE)
    number_format, _ = precision(case)
    return difference(peer, network, size, in_chans=variant.in_chans, precision=number_format)
