"""A network that reads the built-in digits, which are real images of another size than it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from convnets.data import ImageSet, load_data
from convnets.runs import train
from convnets.weights import LoadedModel, load_model
from tests.runs.tiny import CPU, RECIPE


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    return load_data("digits")


@pytest.fixture(scope="session")
def reader(digits: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of LeNet-5 as text books have it."""
    out = tmp_path_factory.mktemp("reader")
    return out / train("lenet5_modern", digits, RECIPE, out=out, engine=CPU).run


@pytest.fixture(scope="session")
def loaded(reader: Path) -> LoadedModel:
    return load_model(reader)
