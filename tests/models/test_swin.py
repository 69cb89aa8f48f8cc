"""What is true of Swin alone: its stages, windows, shifts and mergings."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torchvision
from torch import Tensor, nn

from convnets.models import create_model
from convnets.models.swin import PatchMerging, WindowAttention
from convnets.weights.keys import swin as keys
from tests.models.peers import difference, randomise


@pytest.mark.parametrize(
    ("name", "depths", "width", "heads"),
    [
        ("swin_t", (2, 2, 6, 2), 96, (3, 6, 12, 24)),
        ("swin_s", (2, 2, 18, 2), 96, (3, 6, 12, 24)),
        ("swin_b", (2, 2, 18, 2), 128, (4, 8, 16, 32)),
        ("swin_l", (2, 2, 18, 2), 192, (6, 12, 24, 48)),
    ],
)
def test_stages_of_table_7(
    name: str, depths: tuple[int, ...], width: int, heads: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = create_model(name).eval()
        names = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (width * 2**stage, 56 >> stage, 56 >> stage) for stage in range(4)
    ]
    for name, depth, count in zip(names, depths, heads, strict=True):
        parts = network.get_submodule(name).named_children()
        blocks = [part for child, part in parts if child.startswith("block")]
        assert [block.attention.shift for block in blocks] == [0, 3] * (depth // 2)
        assert {block.attention.attention.heads for block in blocks} == {count}


@pytest.mark.parametrize("size", [64, 100])
def test_maps_that_windows_do_not_divide_are_padded_as_torchvision_does(size: int) -> None:
    peer = torchvision.models.get_model("swin_t")
    randomise(peer)
    network = create_model("swin_t")
    network.load_state_dict(keys.TORCHVISION.convert(network, peer.state_dict()))
    assert difference(peer, network, size) < 1e-9


def by_hand(layer: WindowAttention, x: Tensor) -> Tensor:
    """Attention in windows of a grid moved by the shift, those at the edges smaller (Fig. 4).

    Works on one map (height, width, channels), window by window, head by head, pixel by pixel.
    """
    height, width, channels = x.shape
    heads, side = layer.attention.heads, layer.window
    places = list(product(range(height), range(width)))
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column in places:
        key = ((row - layer.shift) // side, (column - layer.shift) // side)
        groups.setdefault(key, []).append((row, column))
    table = layer.position_bias.view(2 * side - 1, 2 * side - 1, heads)
    out = torch.zeros_like(x)
    for group in groups.values():
        tokens = torch.stack([x[place] for place in group])
        query, key_, value = layer.attention.qkv(tokens).view(len(group), 3, heads, -1).unbind(1)
        for (index, here), head in product(enumerate(group), range(heads)):
            scores = key_[:, head] @ query[index, head] * (channels / heads) ** -0.5
            scores = scores + torch.stack(
                [
                    table[here[0] - there[0] + side - 1, here[1] - there[1] + side - 1, head]
                    for there in group
                ]
            )
            part = slice(head * channels // heads, (head + 1) * channels // heads)
            out[here[0], here[1], part] = scores.softmax(0) @ value[:, head]
    return layer.attention.project(out)


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_are_those_of_a_shifted_grid(shift: int) -> None:
    layer = WindowAttention(64, window=4, shift=shift).double()
    nn.init.normal_(layer.position_bias)
    nn.init.normal_(layer.attention.qkv.bias)
    x = torch.randn(2, 8, 12, 64, dtype=torch.float64)
    with torch.no_grad():
        out = layer(x)
        for each, image in zip(out, x, strict=True):
            torch.testing.assert_close(each, by_hand(layer, image))


def test_a_map_of_one_window_is_not_shifted() -> None:
    x = torch.randn(1, 4, 4, 32)
    still, shifted = (WindowAttention(32, window=4, shift=shift) for shift in (0, 2))
    shifted.load_state_dict(still.state_dict())
    assert torch.equal(still(x), shifted(x))


def test_merging_combines_groups_of_2x2() -> None:
    layer = PatchMerging(1)
    layer.norm = nn.Identity()  # type: ignore[assignment]
    nn.init.eye_(layer.reduce.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    # Of the four stacked pixels, the first two outputs show the upper left and the lower left.
    assert layer(x).flatten().tolist() == [0, 2, 8, 10, 4, 6, 12, 14]
    nn.init.ones_(layer.reduce.weight)
    assert layer(x)[0, 0].tolist() == [[10, 18], [42, 50]]
    assert layer(torch.rand(1, 1, 5, 3)).shape == (1, 2, 3, 2)
