"""A changed row's name goes the whole way: a run, its folder, checkpoint and model file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from convnets.errors import BadModelFile
from convnets.runs.run import train
from convnets.training.checkpoints import load_checkpoint, save_checkpoint
from convnets.weights.model_file import load_model
from tests.runs.tiny import CPU, RECIPE, tiny_set

NAME = "resnet20@blocks=1,width=4"


def test_a_changed_row_is_trained_and_loaded_again(tmp_path: Path) -> None:
    done = train(NAME, tiny_set(train=40, test=20), RECIPE, out=tmp_path, engine=CPU)
    folder = tmp_path / done.run
    assert folder.is_dir()
    assert done.run.startswith("resnet20-blocks-1-width-4-")
    # He et al. 2015, Section 4.2: 2n layers of each width, here n = 1; a bias in the last alone.
    convolutions = 9 * (1 * 4 + 2 * 16 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16)
    norms = 2 * (4 + 2 * (4 + 8 + 16))
    assert done.params == convolutions + norms + 16 * 10 + 10
    loaded = load_model(folder)
    assert loaded.description.model == NAME
    images = torch.zeros(1, 1, 32, 32)
    assert loaded.network(images).shape == (1, len(loaded.description.classes))


@pytest.mark.parametrize("name", ["resnet20@blocks=2,width=4", "resnet20@wdth=4", "vgg16@width=1"])
def test_a_file_that_names_another_network_is_refused(tmp_path: Path, name: str) -> None:
    done = train(NAME, tiny_set(train=40, test=20), RECIPE, out=tmp_path, engine=CPU)
    (path,) = sorted((tmp_path / done.run).glob("step-*.ckpt"))[-1:]
    tensors, state = load_checkpoint(path)
    state["model"]["model"] = name
    other = tmp_path / "other.ckpt"
    save_checkpoint(other, tensors, state)
    with pytest.raises(BadModelFile):
        load_model(other)
