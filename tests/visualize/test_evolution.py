"""Units over checkpoints: by hand for one weight, and against the networks themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.models import vgg
from convnets.visualize.deconvnet import deconvnet
from convnets.visualize.evolution import evolution
from tests.models.peers import randomise


def one_weight(weight: float) -> dict[str, Tensor]:
    return {"0.weight": torch.tensor([0.0, weight]).view(2, 1, 1, 1)}


def test_the_strongest_of_each_checkpoint_by_hand() -> None:
    # The unit is one weight times the image, so its sign decides which pixel is strongest.
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    images = torch.zeros(70, 1, 2, 2)
    images[3, 0, 1, 0], images[69, 0, 0, 1] = 5, -6
    told, before = [], copy.deepcopy(network.state_dict())

    def checkpoints() -> Iterator[tuple[str, dict[str, Tensor]]]:
        for name, weight in (("a", 1.0), ("b", 2.0), ("c", -1.0)):
            yield name, one_weight(weight)

    seen = evolution(
        network,
        checkpoints(),
        lambda: images.split(32),
        "0",
        [1],
        progress=lambda *n: told.append(n),
    )
    assert seen.names == ("a", "b", "c")
    assert [top.images.tolist() for top in seen.tops] == [[[3]], [[3]], [[69]]]
    assert [top.positions.tolist() for top in seen.tops] == [[[[1, 0]]], [[[1, 0]]], [[[0, 1]]]]
    assert [top.strengths.values.item() for top in seen.tops] == [5, 10, 6]
    assert [top.patches.values.item() for top in seen.tops] == [5, 5, -6]
    # The activation led back through the weight.
    assert [top.projections.values.item() for top in seen.tops] == [5, 20, -6]
    assert told == [(1, 0), (2, 0), (3, 0)]
    assert torch.equal(network[0].weight, before["0.weight"])


def test_it_is_what_each_network_shows() -> None:
    def network() -> vgg.VGG:
        made = vgg.VGG(vgg.Spec((1, 2), widths=(6, 8), hidden=16), num_classes=5).eval()
        randomise(made)
        return made

    networks, layer = [network() for _ in range(3)], "features.stem"
    images = torch.randn(5, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    states = [(f"epoch {index}", each.state_dict()) for index, each in enumerate(networks)]
    seen = evolution(networks[0], states, lambda: [images], layer, [4, 2])
    for top, each in zip(seen.tops, networks, strict=True):
        with torch.no_grad():
            maps = each.forward_intermediates(images, [layer])[layer][:, [4, 2]].transpose(0, 1)
        values, places = maps.flatten(1).max(1)
        np.testing.assert_allclose(top.strengths.values[:, 0], values, rtol=1e-5)
        assert top.images[:, 0].tolist() == (places // (14 * 14)).tolist()
        image = int(top.images[0, 0])
        up, left, down, right = top.boxes[0, 0]
        whole = deconvnet(each, images[image : image + 1], layer, 4, tuple(top.positions[0, 0]))
        inside = whole.values[0, :, up:down, left:right]
        assert abs(top.projections.values[0, 0]).sum() == pytest.approx(abs(inside).sum(), rel=1e-4)


def test_checkpoints_that_do_not_serve() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    images = torch.zeros(1, 1, 2, 2)
    with pytest.raises(UsageError, match=r"step 7 does not fit the network.*0\.weight"):
        evolution(network, [("step 7", {})], lambda: [images], "0", [0])
    with pytest.raises(UsageError, match="no checkpoints"):
        evolution(network, [], lambda: [images], "0", [0])
    with pytest.raises(UsageError, match="no images"):
        evolution(network, [("step 7", network.state_dict())], lambda: [], "0", [0])
