"""All three stages together: what the file holds, what is reported of it, and going on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.compress import Compressed, Observer, Settings, compress, load_compressed
from convnets.compress.layers import weighted_layers
from convnets.errors import BadData, PlanChanged, Stopped, UnknownName, UsageError
from convnets.files import remove
from convnets.training.checkpoints import checkpoints
from convnets.training.settings import AdamW, Cosine, Optimisation
from convnets.training.state import weights_sha256
from convnets.weights import LoadedModel, evaluate_on, load_model
from tests.compress.networks import described, made
from tests.runs.tiny import CPU, tiny_set

TRAINING = Optimisation(epochs=1, batch_size=16, optimizer=AdamW(lr=1e-3), schedule=Cosine())
SETTINGS = Settings(
    keep=(("*", 0.3), ("*.c1", 0.8)),
    rounds=2,
    bits=(("*.f6", 3),),
    conv_bits=6,
    linear_bits=4,
    half=True,
    pruning=TRAINING,
    sharing=TRAINING,
)
SET = tiny_set()


def a_network() -> LoadedModel:
    description = described("lenet5").model_copy(update={"classes": SET.classes})
    return LoadedModel(made("lenet5", keep=1.0, bits=8), description, Path("a.ckpt"))


class Interrupts(Observer):
    """Stops everything in a stage, as a crash would, or asks it to stop."""

    def __init__(self, stage: str, *, politely: bool = False) -> None:
        self.stage, self.politely = stage, politely

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        if not what.startswith(self.stage) or done != 2:
            return
        if not self.politely:
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Compressed, Path]:
    path = tmp_path_factory.mktemp("compressed") / "lenet5.cnz"
    return compress(a_network(), SET, SETTINGS, path, engine=CPU), path


def test_the_file_is_what_was_tested(finished: tuple[Compressed, Path]) -> None:
    found, path = finished
    loaded = load_compressed(path)
    assert weights_sha256(loaded.network) == found.weights_sha256
    assert evaluate_on(loaded, SET, CPU).evaluation.top1 == found.top1_after
    assert evaluate_on(a_network(), SET, CPU).evaluation.top1 == found.top1_before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_sizes_add_up(finished: tuple[Compressed, Path]) -> None:
    found, path = finished
    assert found.file_bytes == path.stat().st_size
    assert sum(layer.coded for layer in found.layers) + found.other_bytes == found.file_bytes
    assert found.params == 60_000
    assert found.float32_bytes == 240_000
    assert found.rate == 240_000 / found.file_bytes
    assert 8 < found.rate < 40


def test_layers_are_as_asked(finished: tuple[Compressed, Path]) -> None:
    found, path = finished
    network = load_compressed(path).network
    asked = {"c1": (150, 0.8, 6), "c5": (48_000, 0.3, 6), "f6": (10_080, 0.3, 3)}
    assert len(found.layers) == 3
    for layer in found.layers:
        weights, kept, bits = asked[layer.name.rpartition(".")[2]]
        weight = weighted_layers(network)[layer.name].weight
        assert layer.weights == weights == weight.numel()
        assert layer.kept == pytest.approx(kept, abs=0.5 / weights)
        assert len(weight[weight != 0].unique()) <= 2**bits
        assert layer.weight_bits <= bits
        assert layer.weight_bits_coded <= bits
        assert layer.coded <= layer.packed + 200  # the codes' lengths
        assert torch.equal(weight.half().float(), weight)


@pytest.mark.parametrize("politely", [False, True])
@pytest.mark.parametrize("stage", ["pruning, round 1", "pruning, round 2", "sharing"])
def test_a_stopped_compression_goes_on_to_the_same_file(
    stage: str, politely: bool, finished: tuple[Compressed, Path], tmp_path: Path
) -> None:
    _, whole = finished
    path = tmp_path / "lenet5.cnz"
    observer = Interrupts(stage, politely=politely)
    with pytest.raises(Stopped if politely else KeyboardInterrupt):
        compress(a_network(), SET, SETTINGS, path, engine=CPU, observer=observer)
    assert not path.exists()
    folder = tmp_path / "lenet5.cnz.stages"
    if stage != "pruning, round 1":
        load_model(folder)  # a stage is a checkpoint like any other
    compress(a_network(), SET, SETTINGS, path, engine=CPU)
    assert path.read_bytes() == whole.read_bytes()
    assert not folder.exists()


def test_stages_of_another_plan_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "lenet5.cnz"
    with pytest.raises(KeyboardInterrupt):
        compress(a_network(), SET, SETTINGS, path, engine=CPU, observer=Interrupts("sharing"))
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(PlanChanged, match="stages of another network or of other settings"):
        compress(a_network(), SET, other, path, engine=CPU)
    for _, stage in checkpoints(tmp_path / "lenet5.cnz.stages"):
        remove(stage)
    compress(a_network(), SET, other.model_copy(update={"sharing": None}), path, engine=CPU)


def test_without_training_each_stage_is_done_at_once(tmp_path: Path) -> None:
    settings = Settings(conv_bits=6, linear_bits=6)
    path = tmp_path / "lenet5.cnz"
    loaded = a_network()
    before = weights_sha256(loaded.network)
    found = compress(loaded, SET, settings, path, engine=CPU)
    assert weights_sha256(loaded.network) == before
    assert found.kept == 1
    biases = loaded.network.get_parameter("head.f6.bias")
    assert torch.equal(load_compressed(path).network.get_parameter("head.f6.bias"), biases)


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path: Path) -> None:
    taken = tmp_path / "taken.cnz"
    taken.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"taken\.cnz: is there already"):
        compress(a_network(), SET, SETTINGS, taken, engine=CPU)
    assert taken.read_bytes() == b"precious"
    path = tmp_path / "a.cnz"
    with pytest.raises(BadData, match="classes"):
        compress(a_network(), tiny_set(classes=4), SETTINGS, path, engine=CPU)
    unknown = SETTINGS.model_copy(update={"keep": (("head.fc9", 0.1),)})
    with pytest.raises(UnknownName, match=r"head\.fc9"):
        compress(a_network(), SET, unknown, path, engine=CPU)
    assert list(tmp_path.iterdir()) == [taken]


@pytest.mark.parametrize(
    "field", [{"keep": (("*", 0.0),)}, {"keep": (("*", 1.1),)}, {"conv_bits": 9}, {"rounds": 0}]
)
def test_settings_out_of_bounds_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Input should be"):
        Settings.model_validate(field)
