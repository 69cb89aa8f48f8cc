"""The shuffle of channels, by an example."""

from __future__ import annotations

import torch

from convnets.layers.channel_shuffle import ChannelShuffle


def test_channels_of_the_groups_are_dealt_out_in_turn() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert ChannelShuffle(3)(x).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert ChannelShuffle(1)(x) is x
