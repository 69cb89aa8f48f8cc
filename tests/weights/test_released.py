"""The table of released weights, against what torchvision and timm say they have released."""

from __future__ import annotations

import re

import pytest
import timm
from timm.models import get_pretrained_cfg
from torchvision.models import get_model_weights

from convnets.models import find_variant
from convnets.weights.keys import KEYS
from convnets.weights.released import released
from convnets.weights.released_files import TIMM, TORCHVISION

NAMES = {
    library: {row: name for keys in families.values() for row, name in keys.names.items()}
    for library, families in KEYS.items()
}


def test_every_file_is_one_of_torchvision() -> None:
    for row, file in TORCHVISION.items():
        peer = NAMES["torchvision"][row].partition("(")[0]
        files = [weights.url.rpartition("/")[2] for weights in get_model_weights(peer)]
        assert file == files[0], row
        digits = file.removesuffix(".pth").rpartition("-")[2]
        assert re.fullmatch("[0-9a-f]{8,}", digits), "the first of its SHA-256"


@pytest.mark.parametrize("row", NAMES["torchvision"])
def test_nothing_of_torchvision_is_left_out(row: str) -> None:
    name, _, arguments = NAMES["torchvision"][row].partition("(")
    if "width_mult" in arguments or "block_config" in arguments or "layers" in arguments:
        return  # a network that torchvision can build and has not trained
    assert (row in TORCHVISION) == (len(get_model_weights(name)) > 0)


def test_every_repository_is_one_of_timm() -> None:
    known = set(timm.list_pretrained())
    for row, repository in TIMM.items():
        assert repository in known, row
        config = get_pretrained_cfg(repository)
        assert config is not None
        assert config.num_classes == find_variant(row)[1].num_classes


def test_who_offers_weights() -> None:
    assert released("resnet50") == ["torchvision", "timm"]
    assert released("vgg11_lrn") == []
