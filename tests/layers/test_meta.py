"""Twins without memory: what they share with a module, and what they must not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from convnets.layers.meta import on_meta


def outline(module: nn.Module) -> dict[str, Any]:
    """Every part with its type and its attributes, tensors by shape and format."""

    def shown(value: Any) -> Any:
        if isinstance(value, Tensor):
            return type(value), tuple(value.shape), value.dtype, value.requires_grad
        if isinstance(value, nn.Module):
            return type(value)
        if isinstance(value, dict):
            return {key: shown(each) for key, each in value.items()}
        return value

    return {name: (type(part), shown(vars(part))) for name, part in module.named_modules()}


@pytest.mark.parametrize("name", ["googlenet", "mobilenet_v3_small", "swin_t", "convnext_tiny"])
def test_a_twin_is_what_deepcopy_gives_but_for_its_memory(name: str) -> None:
    with torch.device("meta"):
        options = {"init_weights": False} if name == "googlenet" else {}
        network = torchvision.models.get_model(name, **options).eval()
    twin = on_meta(network)
    assert outline(twin) == outline(copy.deepcopy(network))
    own = {id(part) for part in network.modules()}
    assert not any(id(part) in own for part in twin.modules())


class Ties(nn.Module):
    """One weight under two names, parts in a list beside their registration, and values."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.order = [self.second, self.first]
        self.seen: list[int] = []
        self.scale = torch.ones(3)
        self.apply_it = self.first.forward

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        for part in self.order:
            x = part(x) * self.scale
        out: Tensor = self.apply_it(x)
        return out


def test_ties_stay_within_the_twin() -> None:
    module = Ties()
    twin = on_meta(module)
    assert twin(torch.empty(2, 3, device="meta")).shape == (2, 3)
    assert twin.first.weight is twin.second.weight
    assert twin.order[0] is twin.second
    assert (twin.seen, module.seen) == ([2], [])
    assert module.scale.device == module.first.weight.device == torch.device("cpu")


@pytest.mark.parametrize(
    "module",
    [nn.LSTM(3, 4), parametrizations.weight_norm(nn.Linear(3, 4))],
    ids=["state of its own", "a copy of its own"],
)
def test_modules_with_ways_of_their_own(module: nn.Module) -> None:
    twin = on_meta(nn.Sequential(module))
    made = twin(torch.empty(2, 3, device="meta"))
    assert (made[0] if isinstance(made, tuple) else made).shape == (2, 4)
    assert all(tensor.is_meta for tensor in (*twin.parameters(), *twin.buffers()))
    assert not any(parameter.is_meta for parameter in module.parameters())


@pytest.mark.parametrize("hooks", [True, False])
def test_watchers_come_along_or_stay(hooks: bool) -> None:
    module = nn.Sequential(nn.ReLU())
    seen: list[torch.Size] = []
    module[0].register_forward_hook(lambda *call: seen.append(call[2].shape))
    on_meta(module, hooks=hooks)(torch.empty(5, device="meta"))
    assert seen == [torch.Size([5])] * hooks
