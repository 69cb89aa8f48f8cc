"""A network that was trained on CIFAR-10 answers the same in every float form, on 1,000 images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convnets.data import ImageArrays, ImageSet, load_data
from convnets.export import SUFFIXES, Kind, exported
from convnets.runs import train
from convnets.weights import LoadedModel, load_model
from tests.children import with_openvino
from tests.runs.tiny import CPU, RECIPE


@pytest.fixture(scope="module")
def cifar(shared: Path) -> ImageSet:
    return load_data("cifar10", data_dir=shared / "data")


@pytest.fixture(scope="module")
def learnt(cifar: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """ResNet-20 after an epoch of 5,000 images."""
    assert isinstance(cifar.train, ImageArrays)
    few = ImageArrays(cifar.train.images[:5000], cifar.train.labels[:5000])
    recipe = RECIPE.model_copy(update={"epochs": 1, "batch_size": 64})
    out = tmp_path_factory.mktemp("cifar")
    result = train("resnet20", replace(cifar, train=few), recipe, out=out, engine=CPU)
    assert result.top1 > 0.2
    return load_model(out / result.run)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUFFIXES)
def test_every_answer_is_the_same(
    kind: Kind, learnt: LoadedModel, cifar: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convnets.export.kinds.COMPARED", 1000)

    def work() -> list[float]:
        agreement = exported(learnt, kind, cifar).agreement
        return [agreement.images, agreement.same, agreement.largest]

    images, same, largest = with_openvino(work) if kind == "openvino" else work()
    assert images == same == 1000
    assert largest <= 1e-4
