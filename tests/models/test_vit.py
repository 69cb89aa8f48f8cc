"""What is true of the Vision Transformer alone: Table 1, its tokens, and images of other sizes."""

from __future__ import annotations

import pytest
import timm
import torch

from convnets.models import create_model
from convnets.models.vit import FAMILY, VisionTransformer
from convnets.weights.keys import vit as keys
from tests.models.peers import difference, randomise


@pytest.mark.parametrize(
    ("name", "layers", "width", "hidden", "heads"),
    [
        ("vit_ti_16", 12, 192, 768, 3),
        ("vit_s_16", 12, 384, 1536, 6),
        ("vit_b_16", 12, 768, 3072, 12),
        ("vit_b_32", 12, 768, 3072, 12),
        ("vit_l_16", 24, 1024, 4096, 16),
    ],
)
def test_rows_of_table_1(name: str, layers: int, width: int, hidden: int, heads: int) -> None:
    with torch.device("meta"):
        network = create_model(name)
        tokens = network.forward_features(torch.empty(1, 3, 224, 224))
    patch = int(name.rpartition("_")[2])
    assert tokens.shape == (1, 1 + (224 // patch) ** 2, width)
    blocks = list(network.features.stage1.children())
    assert len(blocks) == layers
    assert all(block.feed_forward.expand.out_features == hidden for block in blocks)
    assert all(block.attention.heads == heads for block in blocks)


@pytest.mark.parametrize("size", [96, 320])
def test_positions_of_other_sizes_are_timms(size: int) -> None:
    peer = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True)
    randomise(peer)
    network = create_model("vit_ti_16")
    network.load_state_dict(keys.TIMM.convert(network, peer.state_dict()))
    # timm interpolates in single precision.
    assert difference(peer, network, size) < 1e-5


def pocket() -> VisionTransformer:
    return VisionTransformer(FAMILY.pocket, num_classes=10).eval()


def test_small_stem_has_a_position_for_each_patch_of_32_pixels() -> None:
    network = pocket()
    assert network.forward_features(torch.rand(1, 3, 32, 32)).shape == (1, 1 + 8 * 8, 64)
    assert network.features.stem.positions(8, 8) is network.features.stem.position


def test_without_positions_the_order_of_patches_is_lost() -> None:
    network = pocket()
    images = torch.rand(1, 3, 32, 32)
    swapped = images.roll(8, dims=3)
    assert not torch.allclose(network(images), network(swapped))
    torch.nn.init.zeros_(network.features.stem.position)
    torch.testing.assert_close(network(images), network(swapped))


def test_the_class_token_alone_is_read() -> None:
    network = pocket()
    tokens = network.forward_features(torch.rand(2, 3, 32, 32))
    logits = network.head(tokens)
    tokens[:, 1:] = 0
    assert torch.equal(network.head(tokens), logits)
