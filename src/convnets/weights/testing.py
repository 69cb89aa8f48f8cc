"""Trained networks on a test split: one or several together, with one view of an image or more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convnets.data import ImageSet
from convnets.data.batches import Batch, Batches, make_batches
from convnets.data.sets import Split
from convnets.errors import BadData, UsageError
from convnets.training.engine import Engine
from convnets.training.evaluation import Evaluation, evaluate
from convnets.training.per_class import balanced_accuracy, class_scores
from convnets.weights.calibration import Calibration, calibration
from convnets.weights.model_file import LoadedModel, ModelDescription
from convnets.weights.views import MIRRORED, Viewed, Views, larger_size

Tracker = Callable[[int, int], None]
BATCH = 250


@dataclass(frozen=True)
class Tested:
    """The evaluation of one network, or of several whose probabilities were averaged."""

    descriptions: tuple[ModelDescription, ...]
    data: str
    views: Views
    evaluation: Evaluation
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON; accuracies are shares of 1."""
        found = self.evaluation
        confusion = found.confusion.tolist()
        return {
            "model": " + ".join(description.model for description in self.descriptions),
            "stem": " + ".join(description.stem for description in self.descriptions),
            "data": self.data,
            "views": self.views,
            "classes": list(self.descriptions[0].classes),
            "samples": found.samples,
            "top1": found.top1,
            "top5": found.top5,
            "loss": found.loss,
            "balanced_accuracy": balanced_accuracy(confusion),
            "per_class": [asdict(score) for score in class_scores(confusion)],
            "confusion": confusion,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
        }


def evaluate_on(
    loaded: LoadedModel | Sequence[LoadedModel],
    image_set: ImageSet,
    engine: Engine,
    *,
    views: Views = "one",
    calibrate: bool = False,
    progress: Tracker | None = None,
) -> Tested:
    """Test a network, or the mean of several networks' probabilities, on a set's test split.

    ``views`` is how often each image is looked at; see ``Viewed``. Raises ``BadData`` where a
    network's classes or channels are others than the set's, and ``UsageError`` for mirrored views
    of a set whose mirror images are none of its own.
    """
    members = (loaded,) if isinstance(loaded, LoadedModel) else tuple(loaded)
    if not members:
        raise UsageError("no network to test")
    for member in members:
        _check(member.description, image_set)
    if views in MIRRORED and not image_set.mirrors:
        raise UsageError(
            f"--views {views} mirrors, and mirrored {image_set.name} are not of the same class; "
            "use five-crop or multi-scale"
        )
    split = image_set.test
    done = 0
    batches = [prepared(m.description, split, engine, BATCH, views) for m in members]
    total = sum(each.steps for each in batches)

    def between() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    scores = [
        _scores(member, each, engine, views, between)
        for member, each in zip(members, batches, strict=True)
    ]
    logits = scores[0] if len(scores) == 1 else mean_probability(scores)
    labels = torch.from_numpy(split.labels).long()
    return Tested(
        descriptions=tuple(member.description for member in members),
        data=image_set.name,
        views=views,
        evaluation=scored(logits, labels),
        calibration=calibration(logits, labels) if calibrate else None,
    )


def mean_probability(scores: Sequence[Tensor]) -> Tensor:
    """Log of the mean of several networks' probabilities (n, classes), from their logits."""
    each = torch.stack([logits.double().log_softmax(1) for logits in scores])
    return each.logsumexp(0) - math.log(len(scores))


def scored(logits: Tensor, labels: Tensor) -> Evaluation:
    """The evaluation of logits (n, classes) that are known already."""
    host = Engine(torch.device("cpu"))
    return evaluate(nn.Identity(), _Known(logits, labels), host, num_classes=logits.shape[1])


@torch.no_grad()
def _scores(
    loaded: LoadedModel,
    batches: Batches,
    engine: Engine,
    views: Views,
    between: Callable[[], None],
) -> Tensor:
    """Logits (n, classes) of every image of a split in its order, float32, on the host."""
    network: nn.Module = engine.place(loaded.network).eval()
    if views != "one":
        network = Viewed(network, loaded.description.input_size, views)
    found = []
    for batch in batches.epoch(0):
        with engine.autocast():
            found.append(network(batch.images).float().cpu())
        between()
    return torch.cat(found)


@dataclass(frozen=True)
class _Known:
    """Logits that pass for a split's batches, so that they are judged as a network's are."""

    logits: Tensor
    labels: Tensor
    steps: int = 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield Batch(self.logits, self.labels, torch.arange(len(self.labels)))


def prepared(
    description: ModelDescription,
    split: Split,
    engine: Engine,
    batch_size: int,
    views: Views = "one",
) -> Batches:
    """A split's batches in its own order, as a network's file says, large enough for ``views``."""
    return make_batches(
        split,
        size=larger_size(description.input_size, views),
        batch_size=batch_size,
        mean=description.mean,
        deviation=description.deviation,
        device=engine.device,
        seed=0,
        augmentation=None,
        training=False,
        channels_last=engine.channels_last,
    )


def _check(description: ModelDescription, image_set: ImageSet) -> None:
    if image_set.classes != description.classes:
        raise BadData(
            f"{image_set.name} has the classes {some(image_set.classes)}; "
            f"the network was trained on {some(description.classes)}"
        )
    if image_set.channels != description.in_chans:
        raise BadData(
            f"{image_set.name} has {image_set.channels} channels; "
            f"the network takes {description.in_chans}"
        )


def some(names: Sequence[str]) -> str:
    """The first few names of many, for an error's line."""
    shown = ", ".join(names[:5])
    return f"{shown}, ... ({len(names)})" if len(names) > 5 else shown
