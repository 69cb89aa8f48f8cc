"""What is minimised is what torch, scikit-learn and the papers' formulas say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from convnets.errors import UsageError
from convnets.models import create_model
from convnets.models.capsnet import CapsNet, Spec, reconstruction_loss
from convnets.training.objective import (
    Objective,
    Part,
    WithAuxiliary,
    balanced_weights,
    binary_cross_entropy,
    make_objective,
    soft_targets,
)
from convnets.training.state import TrainingState
from tests.training.pocket import CLASSES, CPU, FixedBatches, Own, Plain, run, settings

TARGETS = torch.tensor([0, 3, 1, 1])
PARTNERS = torch.tensor([1, 3, 0, 2])
SHARES = torch.tensor([0.75, 0.5, 1.0, 0.25])


def logits() -> Tensor:
    return torch.randn(4, CLASSES, generator=torch.Generator().manual_seed(0))


def test_label_smoothing_is_torchs() -> None:
    chosen = settings(label_smoothing=0.2)
    model = Plain()
    (batch, *_) = FixedBatches().epoch(0)
    expected = F.cross_entropy(model(batch.images), batch.targets, label_smoothing=0.2).item()
    loss = run(TrainingState(model, chosen, CPU), chosen, 1)[0].loss
    assert loss == pytest.approx(expected, rel=1e-6)


def test_mixed_images_are_of_both_classes() -> None:
    part = Part(torch.empty(4, 1), TARGETS, PARTNERS, SHARES)
    by_hand = [[0.75, 0.25, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0.25, 0.75, 0]]
    assert torch.equal(soft_targets(part, 4), torch.tensor(by_hand))
    smooth = soft_targets(part, 4, 0.1)
    assert torch.allclose(smooth, torch.tensor(by_hand) * 0.9 + 0.025)
    # Eq. 1 of mixup is the same as two losses, weighed.
    scores = logits()
    two = SHARES * F.cross_entropy(scores, TARGETS, reduction="none") + (
        1 - SHARES
    ) * F.cross_entropy(scores, PARTNERS, reduction="none")
    loss = Objective(F.cross_entropy).loss(scores, {}, part)
    torch.testing.assert_close(loss, two.mean())


def test_a_networks_own_loss_counts() -> None:
    seen: list[Tensor] = []

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return outputs.square().mean()

    model = Own(criterion)
    (batch, *_) = FixedBatches().epoch(0)
    expected = model(batch.images).square().mean().item()
    chosen = settings()
    assert run(TrainingState(model, chosen, CPU), chosen, 1)[0].loss == expected
    assert torch.equal(seen[0], batch.targets)
    smooth = make_objective(model, settings(label_smoothing=0.2))
    smooth.loss(logits(), {}, Part(torch.empty(4, 1), TARGETS))
    assert torch.allclose(seen[1], F.one_hot(TARGETS, CLASSES) * 0.8 + 0.05)
    with pytest.raises(UsageError, match="loss of its own"):
        make_objective(model, settings(loss="binary"))


def test_binary_loss_asks_of_each_class_alone() -> None:
    scores = logits()
    yes = F.one_hot(TARGETS, CLASSES)
    probability = scores.sigmoid()
    by_hand = -(yes * probability.log() + (1 - yes) * (1 - probability).log()).mean()
    torch.testing.assert_close(binary_cross_entropy(scores, TARGETS), by_hand)
    part = Part(torch.empty(4, 1), TARGETS, PARTNERS, SHARES)
    both = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 1, 1, 0]])
    objective = make_objective(Plain(), settings(loss="binary", binary_threshold=0.2))
    expected = -(both * probability.log() + (1 - both) * (1 - probability).log()).mean()
    torch.testing.assert_close(objective.loss(scores, {}, part), expected)


def test_auxiliary_heads_add_their_share() -> None:
    """GoogLeNet's Section 5: the losses of the auxiliary classifiers, weighed by 0.3."""
    torch.manual_seed(0)
    network = create_model("googlenet_bn_aux", num_classes=CLASSES, stem="small").eval()
    images = torch.randn(4, 3, 32, 32)
    objective = make_objective(network, settings(auxiliary_weight=0.3))
    part = Part(images, TARGETS)
    loss = objective.loss(*objective.outputs(WithAuxiliary(network), part), part)
    main, others = network.forward_auxiliary(images)
    assert len(others) == 2
    expected = F.cross_entropy(main, TARGETS)
    for found in others.values():
        expected = expected + 0.3 * F.cross_entropy(found, TARGETS)
    torch.testing.assert_close(loss, expected)
    with pytest.raises(UsageError, match="no auxiliary heads"):
        make_objective(Plain(), settings(auxiliary_weight=0.3))


def test_capsules_draw_the_right_class() -> None:
    """Section 4.1 of the capsules' paper: all but the right capsule are masked out."""
    torch.manual_seed(0)
    network = CapsNet(Spec(maps=8, primary=2, reconstruct=True), num_classes=CLASSES)
    images = torch.rand(4, 1, 28, 28)
    objective = make_objective(network, settings(auxiliary_weight=1.0))
    part = Part(images, TARGETS)
    loss = objective.loss(*objective.outputs(WithAuxiliary(network), part), part)
    capsules = network.head.capsules(network.forward_features(images))
    masked = capsules * F.one_hot(TARGETS, CLASSES)[..., None]
    drawn = network.auxiliary(masked.flatten(1))
    lengths = capsules.norm(dim=-1)
    expected = network.criterion(lengths, TARGETS) + reconstruction_loss(drawn, images)
    torch.testing.assert_close(loss, expected)


def test_balanced_weights_are_scikit_learns() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    found = balanced_weights(labels, 3)
    assert found.tolist() == pytest.approx(expected.tolist())
    assert balanced_weights(labels, 4)[3] == 0
    objective = make_objective(Plain(), settings(), class_weights=found)
    scores, part = logits()[:, :3], Part(torch.empty(4, 1), torch.tensor([0, 1, 2, 0]))
    expected_loss = F.cross_entropy(scores, part.targets, weight=found)
    torch.testing.assert_close(objective.loss(scores, {}, part), expected_loss)
