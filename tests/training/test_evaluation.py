"""Accuracies, loss and confusion against scikit-learn; the worst mistakes against a plain sort."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor, nn

from convnets.errors import NonFinite, TrainingFailed
from convnets.training.evaluation import evaluate
from tests.training.pocket import CPU, FixedBatch


class Logits:
    """Batches whose images are the logits themselves, in batches of odd sizes."""

    def __init__(self, samples: int, classes: int, batch_size: int, scale: float = 3.0) -> None:
        draw = torch.Generator().manual_seed(samples)
        self.logits = scale * torch.randn(samples, classes, generator=draw)
        # each class at least once, so that scikit-learn knows them all
        self.labels = torch.cat(
            (torch.arange(classes), torch.randint(0, classes, (samples - classes,), generator=draw))
        )
        self.rows = torch.arange(samples).split(batch_size)
        self.steps = len(self.rows)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        for rows in self.rows[start:]:
            yield FixedBatch(self.logits[rows], self.labels[rows], rows)


@pytest.mark.parametrize(("samples", "classes", "batch"), [(103, 10, 10), (64, 6, 64), (51, 7, 1)])
def test_figures_are_scikit_learns(samples: int, classes: int, batch: int) -> None:
    batches = Logits(samples, classes, batch)
    found = evaluate(nn.Identity(), batches, CPU, num_classes=classes)
    labels, scores = batches.labels.numpy(), batches.logits.softmax(1).double().numpy()
    scores = scores / scores.sum(1, keepdims=True)
    called = scores.argmax(1)
    assert found.samples == samples
    assert found.top1 == metrics.accuracy_score(labels, called)
    assert found.top5 == metrics.top_k_accuracy_score(labels, scores, k=5)
    assert found.loss == pytest.approx(metrics.log_loss(labels, scores), rel=1e-5)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, called))
    assert found.worst == ()


def test_five_classes_have_no_top_five() -> None:
    assert evaluate(nn.Identity(), Logits(30, 5, 7), CPU, num_classes=5).top5 is None


@pytest.mark.parametrize("count", [1, 12, 1000])
def test_the_worst_mistakes_are_those_of_a_plain_sort(count: int) -> None:
    batches = Logits(203, 10, 17)
    batches.logits[100:120] = batches.logits[40]  # the same wrong guess many times: a tie
    batches.labels[100:120] = (batches.logits[40].argmax() + 1) % 10
    found = evaluate(nn.Identity(), batches, CPU, num_classes=10, worst=count)
    probabilities, called = batches.logits.softmax(1).max(1)
    wrong = [i for i in range(203) if called[i] != batches.labels[i]]
    wrong.sort(key=lambda i: (-float(probabilities[i]), i))
    assert [each.index for each in found.worst] == wrong[:count]
    for each in found.worst:
        assert each.label == batches.labels[each.index]
        assert each.predicted == called[each.index]
        assert each.probability == pytest.approx(float(probabilities[each.index]), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_and_evaluation_mode_used(training: bool) -> None:
    modes: list[bool] = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            modes.append(self.training or torch.is_grad_enabled())
            if len(modes) == 5:
                raise torch.OutOfMemoryError("out of memory")
            return x

    model = Watched().train(training)
    between: list[int] = []
    batches = Logits(40, 10, 10)
    evaluate(model, batches, CPU, num_classes=10, between=lambda: between.append(1))
    assert model.training is training
    assert len(between) == batches.steps == 4
    with pytest.raises(TrainingFailed, match="out of memory while testing"):
        evaluate(model, batches, CPU, num_classes=10)
    assert model.training is training
    assert modes == [False] * 5


def test_a_test_loss_that_is_no_number_is_refused() -> None:
    batches = Logits(20, 10, 20)
    batches.logits[3, 3] = float("nan")
    with pytest.raises(NonFinite, match="test loss is nan"):
        evaluate(nn.Identity(), batches, CPU, num_classes=10)
