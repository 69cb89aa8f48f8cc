"""Precision, recall and balanced accuracy are scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from convnets.training.per_class import balanced_accuracy, class_scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = draw.choice(5, 200, p=[0.5, 0.3, 0.15, 0.05, 0])  # the last class has no images
    called = np.where(draw.random(200) < 0.6, labels, draw.choice([0, 1, 2, 4], 200))
    confusion = confusion_matrix(labels, called, labels=range(5)).tolist()
    found = class_scores(confusion)
    columns = precision_recall_fscore_support(labels, called, labels=range(5), zero_division=np.nan)
    for score, precision, recall, f1, images in zip(found, *columns, strict=True):
        assert score.images == images
        for ours, theirs in ((score.precision, precision), (score.recall, recall), (score.f1, f1)):
            assert ours is None if np.isnan(theirs) else ours == pytest.approx(theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are called and have no images
        assert balanced_accuracy(confusion) == pytest.approx(
            balanced_accuracy_score(labels, called)
        )


def test_balanced_accuracy_is_worked_out_by_hand() -> None:
    # 90 of 100 and 1 of 2: accuracy 91 / 102, balanced (0.9 + 0.5) / 2.
    assert balanced_accuracy([[90, 10], [1, 1]]) == pytest.approx(0.7)
    rare = class_scores([[90, 10], [1, 1]])[1]
    assert (rare.precision, rare.recall) == pytest.approx((1 / 11, 1 / 2))
    assert rare.f1 == pytest.approx(2 / 13)


def test_without_images_there_is_no_score() -> None:
    assert balanced_accuracy([[0, 0], [0, 0]]) is None
    (first, second) = class_scores([[3, 0], [0, 0]])
    assert (first.precision, first.recall, first.f1) == (1, 1, 1)
    assert (second.precision, second.recall, second.f1) == (None, None, None)
