"""A run that is stopped and goes on ends with the same bits, whatever its recipe keeps."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from convnets.data.augment import Augmentation, RandAugment
from convnets.errors import Stopped
from convnets.recipes import Recipe
from convnets.records import Result
from convnets.runs import Observer, train
from convnets.training.loop import StepReport
from convnets.training.settings import Exponential, Lamb, Lars, Progressive, RmsProp
from tests.runs.tiny import CPU, RECIPE, tiny_set

EPOCH_STEPS, EPOCHS = 3, 3
NOISE = tiny_set(channels=3, train=18, test=6)


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({**dict(RECIPE), "epochs": EPOCHS, "batch_size": 6, **changes})


GROWING = recipe(
    optimizer=RmsProp(lr=1e-3),
    schedule=Exponential(factor=0.9, every=0.1),
    progressive=Progressive(stages=2, size_from=0.75, strength_from=0.5, dropout_from=0.1),
    augmentation=Augmentation(padding=2, flip=True, rand_augment=RandAugment()),
    dropout=0.4,
    stochastic_depth=0.2,
    swa_start=0.5,
)
MIXED = recipe(
    optimizer=Lamb(lr=1e-3),
    loss="binary",
    binary_threshold=0.2,
    augmentation=Augmentation(padding=2, mixup=0.2, cutmix=1.0),
    sampling="balanced",
    ema_decay=0.9,
    accumulation=2,
)
PROBED = recipe(optimizer=Lars(lr=1.0), freeze=("all-but-last",), layer_decay=0.5)


class StopAfter(Observer):
    """Sends this process a signal after some steps, as a person would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def finished(model: str, chosen: Recipe, out: Path, stops: tuple[int, ...] = ()) -> Result:
    for step in stops:
        with pytest.raises(Stopped):
            train(model, NOISE, chosen, out=out, engine=CPU, observer=StopAfter(step))
    return train(model, NOISE, chosen, out=out, engine=CPU)


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        pytest.param("resnet20", GROWING, id="growing"),
        pytest.param("lenet5_modern", MIXED, id="mixed"),
        pytest.param("lenet5_modern", PROBED, id="probed", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, model: str, chosen: Recipe) -> None:
    whole = finished(model, chosen, tmp_path / "whole")
    # In the middle of an epoch, and at the end of one whose weights are averaged.
    pieces = finished(model, chosen, tmp_path / "pieces", stops=(4, 6))
    assert pieces.weights_sha256 == whole.weights_sha256
    assert [r.test_loss for r in pieces.curve] == [r.test_loss for r in whole.curve]
    assert [r.train_loss for r in pieces.curve] == [r.train_loss for r in whole.curve]
    assert pieces.confusion == whole.confusion
    assert whole.curve[-1].step == EPOCHS * EPOCH_STEPS


def test_growth_is_counted_at_the_size_it_is_trained_at(tmp_path: Path) -> None:
    full = finished("resnet20", recipe(epochs=2), tmp_path)
    growing = recipe(epochs=2, progressive=Progressive(stages=2, size_from=0.5))
    half = finished("resnet20", growing, tmp_path)
    assert half.macs == full.macs
    # All of resnet20 but its last layer, of 64 x 10, works on a quarter of the pixels.
    classifier = 640
    epoch = 3 * 18
    first = epoch * ((full.macs - classifier) // 4 + classifier)
    assert half.training_macs == first + epoch * full.macs
    assert full.training_macs == 2 * epoch * full.macs


def test_weights_from_elsewhere_are_what_a_run_starts_from(tmp_path: Path) -> None:
    source = finished("lenet5_modern", recipe(epochs=1), tmp_path)
    weights = str(tmp_path / source.run)
    plain = recipe(epochs=1, optimizer={"kind": "sgd", "lr": 1e-30, "weight_decay": 0})
    tuned = plain.model_copy(update={"weights": weights})
    result = finished("lenet5_modern", tuned, tmp_path)
    assert result.weights_sha256 == source.weights_sha256, "at no rate they stay what they are"
    assert result.plan["weights_sha256"] == source.weights_sha256
    other = finished("lenet5_modern", plain, tmp_path)
    assert "weights_sha256" not in other.plan
    assert other.weights_sha256 != source.weights_sha256
