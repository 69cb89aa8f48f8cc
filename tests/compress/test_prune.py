"""Pruning: what is kept, that it stays so in training, and dropout's rate after it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from convnets.compress.layers import by_pattern, settle, weighted_layers
from convnets.compress.prune import (
    adjusted_dropout,
    largest,
    prune,
    sensitivity,
    share_above,
    share_in_round,
)
from convnets.errors import UnknownName, UsageError
from convnets.training.settings import AdamW, Sgd
from convnets.training.state import TrainingState
from tests.training.pocket import CPU, Normed, run, settings


@pytest.mark.parametrize("share", [1.0, 0.5, 0.08, 1e-9])
def test_the_largest_are_kept(share: float) -> None:
    weight = torch.randn(30, 7)
    order = np.argsort(-np.abs(weight.numpy()).ravel())
    expected = sorted(order[: max(1, round(share * 210))].tolist())
    assert largest(weight, share).flatten().nonzero().flatten().tolist() == expected


def test_a_threshold_in_deviations_keeps_a_gaussians_tails() -> None:
    weight = torch.randn(400, 500)
    assert share_above(weight, 1.0) == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=0.005)


def test_rounds_go_down_evenly_to_the_share() -> None:
    shares = [share_in_round(0.125, number, 3) for number in (1, 2, 3)]
    assert shares == pytest.approx([0.5, 0.25, 0.125])


@pytest.mark.parametrize(
    "optimizer", [AdamW(lr=0.01, weight_decay=0.1), Sgd(lr=0.1, momentum=0.9, weight_decay=0.01)]
)
def test_what_is_pruned_stays_zero_in_training(optimizer: AdamW | Sgd) -> None:
    network = Normed()
    prune(network, {"0": 0.5, "5": 0.25})
    masks = {name: layer.weight != 0 for name, layer in weighted_layers(network).items()}
    assert [int(mask.sum()) for mask in masks.values()] == [36, 64]
    before = {name: layer.weight.clone() for name, layer in weighted_layers(network).items()}
    chosen = settings(optimizer=optimizer)
    run(TrainingState(network, chosen, CPU), chosen, 10)
    settle(network)
    for name, layer in weighted_layers(network).items():
        assert not parametrize.is_parametrized(layer)
        assert isinstance(layer.weight, nn.Parameter)
        assert torch.equal(layer.weight != 0, masks[name])
        assert not torch.equal(layer.weight, before[name])
        assert not torch.signbit(layer.weight[~masks[name]]).any()
    network.load_state_dict(Normed().state_dict())  # the names are the plain ones again


def test_a_second_round_prunes_within_the_first() -> None:
    network = Normed()
    prune(network, {"5": 0.5})
    settle(network)
    first = network[5].weight != 0
    prune(network, {"5": 0.25})
    settle(network)
    second = network[5].weight != 0
    assert int(second.sum()) == 64
    assert bool((first | ~second).all())


def test_a_share_that_is_none_is_refused() -> None:
    for share in (0.0, 1.5, -1.0):
        with pytest.raises(UsageError, match="share to keep"):
            prune(Normed(), {"5": share})


def test_dropout_follows_the_connections_left() -> None:
    """Eq. 3: a rate of 0.5 before a layer with a quarter of its connections is 0.25."""
    network = nn.Sequential(
        nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 16), nn.Dropout(0.4), nn.Dropout(0.1)
    )
    prune(network, {"2": 0.25})
    with adjusted_dropout(network):
        assert network[1].p == pytest.approx(0.25)
        assert [network[3].p, network[4].p] == pytest.approx([0.2, 0.05])
    assert [network[1].p, network[3].p, network[4].p] == [0.5, 0.4, 0.1]


def test_the_last_rule_that_matches_counts() -> None:
    layers = dict.fromkeys(("features.stem.conv", "head.fc1", "head.output"), 1.0)
    rules = [("*", 0.3), ("head.*", 0.1), ("*output", 0.2)]
    assert list(by_pattern(rules, layers).values()) == [0.3, 0.1, 0.2]
    assert by_pattern([], layers) == layers
    with pytest.raises(UnknownName, match=r"unknown layer 'fc\*'"):
        by_pattern([("fc*", 0.1)], layers)


def test_sensitivity_prunes_one_layer_at_a_time_and_leaves_no_trace() -> None:
    network = Normed()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen: list[list[int]] = []

    def accuracy(pruned: nn.Module) -> float:
        kept = [int(layer.weight.count_nonzero()) for layer in weighted_layers(pruned).values()]
        seen.append(kept)
        return float(sum(kept))

    found = sensitivity(network, [0.5, 0.25], accuracy)
    assert seen == [[36, 256], [18, 256], [72, 128], [72, 64]]
    assert found == {"0": [292.0, 274.0], "5": [200.0, 136.0]}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
