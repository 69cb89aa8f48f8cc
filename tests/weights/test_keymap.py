"""Rules of a key map, on a network of three layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.errors import UsageError
from convnets.layers.network import ConvNet, stack
from convnets.weights.keymap import KeyMap, Rule

RULES: tuple[Rule, ...] = (
    ("features.stem", "conv_first"),
    ("features.stage{s}.block{b}.scale", "gamma.{n}"),
    ("features.stage{s}.block{b}", "stages.{s-1}.{b-1}.all{n+10}"),
    ("head", "classifier.1"),
)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.scale = nn.Parameter(torch.ones(2, 1, 1))


class Net(ConvNet):
    def __init__(self) -> None:
        super().__init__(None, in_chans=1, num_classes=3)
        self.features = stack(
            ("stem", nn.Conv2d(1, 2, 1)),
            ("stage1", stack(("block1", Block()), ("block2", Block()))),
            ("stage2", stack(("block1", Block()))),
        )
        self.head = nn.Linear(2, 3)


def test_names_follow_the_first_rule_that_fits() -> None:
    pairs = dict(KeyMap({}, RULES).pairs(Net()))
    assert pairs["features.stem.weight"] == "conv_first.weight"
    assert pairs["features.stage1.block2.conv.bias"] == "stages.0.1.all11.conv.bias"
    assert pairs["features.stage2.block1.scale"] == "gamma.2"
    assert pairs["head.bias"] == "classifier.1.bias"


def test_both_sides_are_used_up() -> None:
    network = Net()
    theirs = {name: torch.zeros(()) for _, name in KeyMap({}, RULES).pairs(network)}
    keys = KeyMap({}, RULES, ignored=("auxiliary",))
    keys.convert(network, {**theirs, "auxiliary.fc.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match=r"auxiliary_2\.weight: the network has no such"):
        keys.convert(network, {**theirs, "auxiliary_2.weight": torch.zeros(1)})
    del theirs["gamma.1"]
    with pytest.raises(UsageError, match=r"the weights have no gamma\.1"):
        keys.convert(network, theirs)


def test_sides_of_one_are_the_only_ones_that_may_differ() -> None:
    network = Net()
    theirs = {name: network.state_dict()[own] for own, name in KeyMap({}, RULES).pairs(network)}
    theirs["gamma.0"] = torch.tensor([3.0, 4.0])
    state = KeyMap({}, RULES).convert(network, theirs)
    assert state["features.stage1.block1.scale"].tolist() == [[[3.0]], [[4.0]]]


def test_a_name_without_a_rule_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"head\.weight: no rule"):
        dict(KeyMap({}, RULES[:3]).pairs(Net()))
