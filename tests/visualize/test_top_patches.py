from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.models import lenet, resnet_cifar, vgg, vit, zfnet
from convnets.visualize.deconvnet import deconvnet
from convnets.visualize.top_patches import TopPatches, top_patches
from tests.models.peers import randomise

IMAGES = torch.randn(11, 3, 32, 32, generator=torch.Generator().manual_seed(4))


def small_vgg() -> vgg.VGG:
    network = vgg.VGG(vgg.Spec((1, 2), widths=(6, 8), hidden=16), num_classes=5).eval()
    randomise(network)
    return network


def small_zfnet() -> zfnet.ZFNet:
    spec = zfnet.Spec((6, 8, 8, 8, 6), hidden=16, stem="small")
    network = zfnet.ZFNet(spec, num_classes=5).eval()
    randomise(network)
    return network


def window(layers: list[tuple[int, int, int]]) -> tuple[int, int, float]:
    """Size, stride and first pixel of a unit's field: (kernel, stride, padding) layer by layer."""
    size, stride, first = 1, 1, 0
    for kernel, step, padding in layers:
        first -= padding * stride
        size += (kernel - 1) * stride
        stride *= step
    return size, stride, first


CASES = {
    "vgg": (small_vgg, "features.stage1", [(3, 1, 1), (2, 2, 0), (3, 1, 1), (3, 1, 1), (2, 2, 0)]),
    "vgg before an activation": (small_vgg, "features.stage1.conv1.conv", None),
    "zfnet": (small_zfnet, "features.stage1", [(7, 2, 3), (3, 2, 0), (5, 2, 2), (3, 2, 0)]),
}
CASES["vgg before an activation"] = (*CASES["vgg before an activation"][:2], CASES["vgg"][2][:3])


@pytest.mark.parametrize("once_per_image", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_a_search_of_everything(name: str, once_per_image: bool) -> None:
    make, layer, layers = CASES[name]
    network = make()
    with torch.no_grad():
        maps = network.forward_intermediates(IMAGES, [layer])[layer].numpy()
    units, k = [4, 0, 5], 6
    found = top_patches(network, IMAGES.split(4), layer, units, k, once_per_image=once_per_image)
    assert found.units == (4, 0, 5)
    assert found.strengths.axes == ("unit", "rank")
    assert found.patches.axes == ("unit", "rank", "channel", "height", "width")
    assert found.projections.values.shape == found.patches.values.shape
    size, stride, first = window(layers)
    for index, unit in enumerate(units):
        everything = sorted(
            (-float(value), place) for place, value in np.ndenumerate(maps[:, unit])
        )
        if once_per_image:
            best = {}
            for strength, place in everything:
                best.setdefault(place[0], (strength, place))
            everything = sorted(best.values())
        for rank, (strength, (image, row, column)) in enumerate(everything[:k]):
            np.testing.assert_allclose(found.strengths.values[index, rank], -strength, rtol=1e-5)
            assert found.images[index, rank] == image
            assert found.positions[index, rank].tolist() == [row, column]
            corner = [first + row * stride, first + column * stride]
            box = [max(0, edge) for edge in corner] + [min(32, edge + size) for edge in corner]
            assert found.boxes[index, rank].tolist() == box
            whole = deconvnet(network, IMAGES[image : image + 1], layer, unit, (row, column))
            check_tiles(found, index, rank, IMAGES[image].numpy(), whole.values[0])


def check_tiles(
    found: TopPatches, index: int, rank: int, image: np.ndarray, projection: np.ndarray
) -> None:
    top, left, bottom, right = found.boxes[index, rank]
    for picture, whole in ((found.patches, image), (found.projections, projection)):
        tile = picture.values[index, rank]
        inside = whole[:, top:bottom, left:right]
        rows = slice(None, bottom - top) if top else slice(tile.shape[1] - bottom, None)
        columns = slice(None, right - left) if left else slice(tile.shape[2] - right, None)
        np.testing.assert_allclose(tile[:, rows, columns], inside, atol=1e-5 * abs(whole).max())
        # Nothing else is in the tile, and nothing of a projection lies outside the box.
        np.testing.assert_allclose(abs(tile).sum(), abs(inside).sum(), rtol=1e-4)
    np.testing.assert_allclose(
        abs(found.projections.values[index, rank]).sum(), abs(projection).sum(), rtol=1e-4
    )


@pytest.mark.parametrize("layer", ["features.stem", "features.stage1", "features.stage1.conv"])
def test_the_box_is_where_the_gradient_is(layer: str) -> None:
    # Average pooling and tanh hand back a gradient to every pixel that a unit sees.
    network = lenet.build(lenet.Spec("modern"), in_chans=3).eval()
    found = top_patches(network, [IMAGES], layer, [2], 5)
    for image, (row, column), box in zip(
        found.images[0], found.positions[0], found.boxes[0], strict=True
    ):
        leaf = IMAGES[int(image)][None].clone().requires_grad_()
        activation = network.forward_intermediates(leaf, [layer])[layer][0, 2, row, column]
        (gradient,) = torch.autograd.grad(activation, leaf)
        seen = gradient[0].abs().sum(0).nonzero()
        assert [*seen.amin(0).tolist(), *(seen.amax(0) + 1).tolist()] == box.tolist()


@pytest.mark.parametrize("once_per_image", [True, False])
def test_batches_do_not_matter(once_per_image: bool) -> None:
    network, layer = small_zfnet(), "features.stem"
    # Pooled maps and repeated images have many equal values, of which the first count.
    images = torch.cat((IMAGES[:3], IMAGES[:3], torch.zeros(2, 3, 32, 32)))

    def places(size: int) -> tuple[list[int], list[int]]:
        found = top_patches(
            network, images.split(size), layer, range(6), 7, once_per_image=once_per_image
        )
        return found.images.tolist(), found.positions.tolist()

    whole = places(8)
    assert places(1) == whole
    assert places(3) == whole


def test_a_field_that_reaches_past_the_edge_is_missing_on_that_side() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
    image = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    found = top_patches(network, [image], "0", [0], 16, once_per_image=False)
    corner = {tuple(place): rank for rank, place in enumerate(found.positions[0].tolist())}
    tiles = found.patches.values[0, :, 0]
    assert tiles[corner[0, 0]].tolist() == [[0, 0, 0], [0, 1, 2], [0, 5, 6]]
    assert tiles[corner[3, 3]].tolist() == [[11, 12, 0], [15, 16, 0], [0, 0, 0]]
    assert tiles[corner[3, 0]].tolist() == [[0, 9, 10], [0, 13, 14], [0, 0, 0]]
    assert tiles[corner[1, 2]].tolist() == [[2, 3, 4], [6, 7, 8], [10, 11, 12]]
    assert found.boxes[0, corner[0, 3]].tolist() == [0, 2, 2, 4]


def test_images_are_let_go_of() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def batches() -> Iterator[Tensor]:
        nonlocal most
        for number in range(12):
            batch = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(number))
            alive.append(weakref.ref(batch))
            most = max(most, sum(each() is not None for each in alive))
            yield batch
            del batch

    seen: list[int] = []
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    found = top_patches(network, batches(), "1", [0, 1], 3, progress=seen.append)
    assert seen == list(range(4, 49, 4))
    assert most <= 2
    assert found.images.max() > 4


def test_fewer_activations_than_asked_for() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    found = top_patches(network, [IMAGES[:2]], "0", [1], 9)
    assert found.strengths.values.shape == (1, 2)
    assert found.patches.values.shape == (1, 2, 3, 3, 3)
    found = top_patches(network, [IMAGES[:1, :, :4, :4]], "0", [1], 9, once_per_image=False)
    assert found.positions.shape == (1, 4, 2)


def test_classes_and_tokens_see_the_whole_image() -> None:
    network = small_vgg()
    found = top_patches(network, [IMAGES], "head.fc3", [1], 3)
    with torch.no_grad():
        logits = network(IMAGES)[:, 1]
    assert found.images[0].tolist() == logits.topk(3).indices.tolist()
    assert found.positions.tolist() == [[[0, 0]] * 3]
    assert found.boxes.tolist() == [[[0, 0, 32, 32]] * 3]
    transformer = vit.FAMILY.network(vit.FAMILY.pocket, num_classes=5)
    found = top_patches(transformer, [IMAGES], "features.stem", [1], 3)
    assert found.boxes.tolist() == [[[0, 0, 32, 32]] * 3]
    assert found.positions[0, :, 0].max() > 0


def test_a_network_whose_path_depends_on_values_shows_whole_images() -> None:
    class Choosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x if float(x.detach().sum()) > 0 else -x

    found = top_patches(Choosy(), [IMAGES[:4]], "", [0], 2)
    assert found.boxes.tolist() == [[[0, 0, 32, 32]] * 2]


def test_the_network_is_left_as_it_was() -> None:
    network = resnet_cifar.FAMILY.network(resnet_cifar.FAMILY.pocket, num_classes=5).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    top_patches(network, IMAGES.split(4), "features.stage1", [0, 1], 2)
    assert all(module.training for module in network.modules())
    assert all(not module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_what_does_not_fit_is_named() -> None:
    network = small_vgg()
    with pytest.raises(UnknownName, match="stage7"):
        top_patches(network, [IMAGES], "features.stage7", [0])
    with pytest.raises(UsageError, match=r"features\.stage1 has units 0 to 7; there is no 8"):
        top_patches(network, [IMAGES], "features.stage1", [0, 8])
    with pytest.raises(UsageError, match="k is 0"):
        top_patches(network, [IMAGES], "features.stage1", [0], 0)
    with pytest.raises(UsageError, match="no images"):
        top_patches(network, [], "features.stage1", [0])
    with pytest.raises(UsageError, match="no units"):
        top_patches(network, [IMAGES], "features.stage1", [])
    with pytest.raises(UsageError, match=r"shapes \(3, 32, 32\) and \(3, 28, 28\)"):
        top_patches(network, [IMAGES, IMAGES[..., :28, :28]], "features.stage1", [0])
