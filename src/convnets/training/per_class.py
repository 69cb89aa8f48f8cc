"""How well each class is told apart, from the confusion of a test alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class ClassScore:
    """Of one class: its ``images``; the share of those called it that are it (``precision``); the
    share of it that is called so (``recall``); and the harmonic mean of both (``f1``).

    None where nothing was called it, where it has no images, and where it has neither.
    """

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


def class_scores(confusion: Sequence[Sequence[int]]) -> list[ClassScore]:
    """The score of each class; ``confusion[i][j]`` counts images of class i that were called j."""
    called = [sum(column) for column in zip(*confusion, strict=True)]
    scores = []
    for number, (row, calls) in enumerate(zip(confusion, called, strict=True)):
        right, images = row[number], sum(row)
        scores.append(
            ClassScore(
                images=images,
                precision=right / calls if calls else None,
                recall=right / images if images else None,
                f1=2 * right / (images + calls) if images + calls else None,
            )
        )
    return scores


def balanced_accuracy(confusion: Sequence[Sequence[int]]) -> float | None:
    """The mean recall of the classes that have images: accuracy as if each had as many."""
    recalls = [score.recall for score in class_scores(confusion) if score.recall is not None]
    return fmean(recalls) if recalls else None
