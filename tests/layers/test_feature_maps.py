"""A network as a list of maps, against torchvision's stages and timm's own wrapper."""

from __future__ import annotations

import pytest
import timm
import torch

import convnets
from convnets.errors import UsageError
from convnets.layers.feature_maps import FeatureInfo


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_maps_are_those_of_timm(name: str) -> None:
    peer = timm.create_model(name, features_only=True)
    ours = convnets.create_model(name, features_only=True)
    assert [(info.channels, info.stride) for info in ours.feature_info] == list(
        zip(peer.feature_info.channels(), peer.feature_info.reduction(), strict=True)
    )[1:], "timm's first map lies inside the stem"
    maps = ours(torch.rand(2, 3, 64, 96))
    assert [each.shape[1:] for each in maps] == [
        (info.channels, 64 // info.stride, 96 // info.stride) for info in ours.feature_info
    ]


def test_stages_are_chosen_by_name_and_gradients_flow() -> None:
    backbone = convnets.create_model("resnet18", features_only=True, stages=("stem", "stage3"))
    assert backbone.feature_info == (
        FeatureInfo("features.stem", 64, 4),
        FeatureInfo("features.stage3", 256, 16),
    )
    stem, third = backbone(torch.rand(1, 3, 64, 64))
    assert (stem.shape[1], third.shape[1]) == (64, 256)
    third.sum().backward()
    assert backbone.network.features.stem.conv.conv.weight.grad is not None
    with pytest.raises(UsageError, match=r"stage9.*stage4"):
        convnets.create_model("resnet18", features_only=True, stages=("stage9",))


def test_strides_are_exact_where_sizes_round() -> None:
    """AlexNet at 224 has maps of 27, 13 and 6 pixels: their strides are 8, 16 and 32."""
    info = convnets.create_model("alexnet_owt", features_only=True).feature_info
    assert [(each.name, each.channels, each.stride) for each in info] == [
        ("features.stem", 64, 8),
        ("features.stage1", 192, 16),
        ("features.stage2", 256, 32),
    ]
