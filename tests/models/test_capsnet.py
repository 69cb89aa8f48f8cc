"""CapsNet's layers by hand, and its formulas written out in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convnets.models import VARIANTS, capsnet, create_model


def test_parameters_and_multiply_adds_by_hand() -> None:
    # Fig. 1: 256 kernels of 9x9 on 28x28 leave 20x20; 32 capsules of 8 values by 9x9 of stride 2
    # leave 6x6; a matrix of 8x16 for each of the 1152 capsules and each of the ten classes.
    matrices = 6 * 6 * 32 * 10 * 8 * 16
    params = (9 * 9 + 1) * 256 + (9 * 9 * 256 + 1) * 32 * 8 + matrices
    macs = 20 * 20 * 9 * 9 * 256 + 6 * 6 * 9 * 9 * 256 * 32 * 8 + matrices
    _, plain = VARIANTS["capsnet_mnist_no_recon"]
    assert (params, macs) == (6_804_224, 200_871_936) == (plain.params, plain.macs)
    # Fig. 2: 512, 1024 and 784 units behind the 160 values of the ten capsules.
    layers = ((160, 512), (512, 1024), (1024, 784))
    _, row = VARIANTS["capsnet_mnist"]
    assert params + sum((inputs + 1) * units for inputs, units in layers) == row.params
    assert row.params == 8_215_568
    assert macs + sum(inputs * units for inputs, units in layers) == 202_280_960


def test_maps_of_figure_1() -> None:
    with torch.device("meta"):
        network = create_model("capsnet_mnist")
        names = ["features.stem", "features.stage1.conv", "features.stage1", "head.capsules"]
        maps = network.forward_intermediates(torch.empty(1, 1, 28, 28), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (256, 20, 20),
        (32 * 8, 6, 6),
        (32 * 8, 6, 6),
        (10, 16),
    ]


def norm(vector: list[float]) -> float:
    return math.sqrt(sum(value**2 for value in vector))


def squashed(vector: list[float]) -> list[float]:
    """Eq. 1."""
    length = norm(vector)
    return [length**2 / (1 + length**2) * value / length for value in vector]


def procedure_1(predictions: list[list[list[float]]], iterations: int) -> list[list[float]]:
    """Routing of ``predictions[i][j]``, what lower capsule i predicts of upper capsule j."""
    uppers, length = len(predictions[0]), len(predictions[0][0])
    logits = [[0.0] * uppers for _ in predictions]
    for _ in range(iterations):
        coupling = [[math.exp(b) / sum(map(math.exp, row)) for b in row] for row in logits]
        upper = [
            squashed(
                [
                    sum(c[j] * votes[j][d] for c, votes in zip(coupling, predictions, strict=True))
                    for d in range(length)
                ]
            )
            for j in range(uppers)
        ]
        for row, votes in zip(logits, predictions, strict=True):
            for j in range(uppers):
                row[j] += sum(a * b for a, b in zip(votes[j], upper[j], strict=True))
    return upper


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_is_procedure_1(iterations: int) -> None:
    predictions = torch.randn(2, 3, 5, 4, dtype=torch.float64)  # image, upper, lower, value
    routed = capsnet.route(predictions, iterations)
    for image, votes in zip(routed, predictions, strict=True):
        expected = procedure_1(votes.transpose(0, 1).tolist(), iterations)
        torch.testing.assert_close(image, torch.tensor(expected, dtype=torch.float64))


def test_routing_prefers_the_capsule_on_which_predictions_agree() -> None:
    agreed = torch.tensor([1.0, 0.0]).expand(6, 2)
    split = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).repeat(3, 1)
    votes = torch.stack((agreed, split)).unsqueeze(0)
    lengths = [capsnet.route(votes, n).norm(dim=-1)[0].tolist() for n in (1, 3)]
    assert lengths[1][0] > lengths[0][0] > 0.5
    assert lengths[1][1] < 1e-6


def test_class_capsules_multiply_each_place_by_its_own_matrices() -> None:
    spec = capsnet.Spec(reconstruct=False, primary=2, primary_length=3, class_length=4)
    layer = capsnet.ClassCapsules(spec, num_classes=5).double()
    maps = torch.randn(1, 2 * 3, 6, 6, dtype=torch.float64)
    votes = torch.zeros(72, 5, 4, dtype=torch.float64)
    for capsule, row, column in ((c, y, x) for c in range(2) for y in range(6) for x in range(6)):
        index = (capsule * 6 + row) * 6 + column
        values = maps[0, capsule * 3 : capsule * 3 + 3, row, column]
        for j in range(5):
            votes[index, j] = layer.weight[index, j].detach() @ values
    expected = torch.tensor(procedure_1(votes.tolist(), 3), dtype=torch.float64)
    torch.testing.assert_close(layer(maps).detach()[0], expected)
    assert layer.macs(5, 4) == 72 * 5 * 3 * 4


def test_squash_keeps_directions_and_maps_lengths_into_the_unit_ball() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], requires_grad=True)
    short = capsnet.squash(vectors)
    expected = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]])
    expected = expected * torch.tensor([[25 / 26], [0.25 / 1.25], [0.0]])
    torch.testing.assert_close(short.detach(), expected)
    short.sum().backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    maps = torch.randn(1, 6, 2, 2)
    squashed_map = capsnet.Squash(3)(maps)
    torch.testing.assert_close(squashed_map[0, 3:, 1, 0], capsnet.squash(maps[0, 3:, 1, 0]))


@pytest.mark.parametrize("soft", [False, True])
def test_criterion_is_the_margin_loss_of_equation_4(soft: bool) -> None:
    lengths = torch.rand(4, 5, dtype=torch.float64)
    if soft:
        targets = torch.rand(4, 5, dtype=torch.float64).softmax(1)
        shares = targets.tolist()
    else:
        targets = torch.tensor([3, 0, 4, 3])
        shares = F.one_hot(targets, 5).tolist()
    losses = [
        sum(
            t * max(0, 0.9 - v) ** 2 + 0.5 * (1 - t) * max(0, v - 0.1) ** 2
            for t, v in zip(share, row, strict=True)
        )
        for share, row in zip(shares, lengths.tolist(), strict=True)
    ]
    with torch.device("meta"):
        network = create_model("capsnet_mnist")
    found = network.criterion(lengths, targets)
    assert found.item() == pytest.approx(sum(losses) / 4, rel=1e-12)


def test_logits_are_lengths_of_capsules() -> None:
    network = capsnet.CapsNet(capsnet.Spec(reconstruct=False, maps=8, primary=2))
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        logits, auxiliary = network.forward_auxiliary(images)
        capsules = network.forward_intermediates(images, ["head.capsules"])["head.capsules"]
        assert torch.equal(network(images), logits)
    assert auxiliary == {}
    torch.testing.assert_close(logits, capsules.square().sum(-1).sqrt())
    assert ((logits >= 0) & (logits < 1)).all()


def test_reconstruction_is_drawn_from_the_longest_capsule_alone() -> None:
    network = capsnet.CapsNet(capsnet.Spec(reconstruct=True, maps=8, primary=2), in_chans=3)
    images = torch.rand(2, 3, 28, 28)
    with torch.no_grad():
        lengths, auxiliary = network.forward_auxiliary(images)
        drawn = auxiliary["reconstruction"]
        capsules = network.forward_intermediates(images, ["head.capsules"])["head.capsules"]
        for image, capsule, longest in zip(drawn, capsules, lengths.argmax(1), strict=True):
            alone = torch.zeros(10, 16)
            alone[longest] = capsule[longest]
            torch.testing.assert_close(image, network.auxiliary(alone.flatten().unsqueeze(0))[0])
    assert drawn.shape == images.shape
    assert ((drawn > 0) & (drawn < 1)).all()


def test_reconstruction_loss_is_a_scaled_sum_of_squares() -> None:
    drawn, images = torch.rand(3, 1, 28, 28), torch.rand(3, 1, 28, 28)
    per_image = [((a - b) ** 2).sum().item() for a, b in zip(drawn, images, strict=True)]
    loss = capsnet.reconstruction_loss(drawn, images)
    assert loss.item() == pytest.approx(0.0005 * sum(per_image) / 3, rel=1e-5)
    larger: Tensor = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(capsnet.reconstruction_loss(drawn, larger), loss)
