"""The averages of weights are torch's own, and go on with the same bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from convnets.training.averaging import epochs_averaged, measure_norms
from convnets.training.engine import Engine
from convnets.training.ranks import Ranks
from convnets.training.state import TrainingState, capture, restore
from tests.training.pocket import (
    CLASSES,
    CPU,
    FixedBatches,
    Normed,
    Plain,
    equal,
    run,
    settings,
    weights,
)

EPOCH = FixedBatches().steps


class NormedAlone(Plain):
    """With batch normalisation, and nothing random."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(4))


def test_the_equal_average_is_torchs() -> None:
    plan = settings(swa_start=0.5)  # of 4 epochs: after the second, third and fourth
    torch.manual_seed(0)
    state = TrainingState(NormedAlone(), plan, CPU)
    theirs = AveragedModel(state.model)
    for epoch in range(1, 5):
        run(state, plan, EPOCH)
        if epoch >= 2:
            theirs.update_parameters(state.model)
        assert state.average is not None
        if epoch == 1:
            assert equal(weights(state.average), weights(state.model)), "none yet: the last weights"
    batches = FixedBatches()
    update_bn([batch.images for batch in batches.epoch(3)], theirs)
    measure_norms(state.average, (batch.images for batch in batches.epoch(3)), CPU)
    expected = theirs.module.state_dict()
    for name, value in state.average.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def test_statistics_are_measured_without_dropout_and_leave_the_network_as_it_was() -> None:
    model = Normed()
    images = [batch.images for batch in FixedBatches(samples=16).epoch(0)]
    before = torch.get_rng_state()
    measure_norms(model, images, CPU)
    assert torch.equal(torch.get_rng_state(), before), "nothing was drawn"
    norm = model[2]
    maps = [torch.tanh(model[0](batch)) for batch in images]
    means = torch.stack([batch.mean((0, 2, 3)) for batch in maps]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in maps]).mean(0)
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    assert norm.momentum == 0.1
    again = weights(model)
    measure_norms(model, images, CPU)
    assert equal(weights(model), again), "measuring twice is measuring once"


class Told(Ranks):
    """A rank of two that hears from the other what ``heard`` holds, and keeps what it says."""

    def __init__(self, heard: list[Tensor] | None = None) -> None:
        super().__init__(rank=0, world=2)
        object.__setattr__(self, "heard", heard)
        object.__setattr__(self, "said", [])

    def summed(self, values: Tensor) -> Tensor:
        self.said.append(values.clone())  # type: ignore[attr-defined]
        heard = self.heard  # type: ignore[attr-defined]
        return values if heard is None else values.add_(heard[len(self.said) - 1])  # type: ignore[attr-defined]


def test_two_ranks_measure_what_one_does() -> None:
    pieces = [batch.images for batch in FixedBatches(samples=40).epoch(0)]
    blank = pieces[0][:0]
    model = Normed()
    one, two, whole = (copy.deepcopy(model) for _ in range(3))
    other = Told()
    measure_norms(two, [*pieces[3:], blank], Engine(CPU.device, ranks=other))
    told = Engine(CPU.device, ranks=Told(other.said))  # type: ignore[attr-defined]
    measure_norms(one, pieces[:3], told)
    measure_norms(whole, pieces, CPU)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(one[2], name), getattr(whole[2], name))


def test_statistics_that_are_frozen_stay() -> None:
    plan = settings(swa_start=0.0, freeze=("2",))
    state = TrainingState(Normed(), plan, CPU)
    before = weights(state.tested_model)
    measure_norms(state.tested_model, [torch.randn(8, 2, 6, 6)], CPU)
    assert equal(weights(state.tested_model), before)


@pytest.mark.parametrize(
    ("start", "epochs", "counts"),
    [
        (0.0, 3, [1, 2, 3]),
        (0.5, 4, [1, 1, 2, 3]),
        (0.75, 4, [1, 1, 1, 2]),
        (0.9, 10, [1] * 9 + [2]),
        (0.99, 3, [1, 1, 1]),
        (0.7, 10, [1] * 7 + [2, 3, 4]),
    ],
)
def test_how_many_epochs_are_averaged(start: float, epochs: int, counts: list[int]) -> None:
    plan = settings(swa_start=start, epochs=epochs)
    assert [epochs_averaged(plan, done) for done in range(1, epochs + 1)] == counts


@pytest.mark.parametrize("stop", [1, EPOCH, 2 * EPOCH, 2 * EPOCH + 3])
def test_an_average_goes_on_with_the_same_bits(stop: int) -> None:
    plan = settings(swa_start=0.25)

    def begun() -> TrainingState:
        torch.manual_seed(3)
        return TrainingState(Normed(), plan, CPU)

    straight = begun()
    run(straight, plan, 3 * EPOCH)
    state = begun()
    run(state, plan, stop)
    tensors, numbers = capture(state)
    saved = {name: value.clone() for name, value in tensors.items()}
    torch.manual_seed(99)
    twin = TrainingState(Normed(), plan, CPU)
    restore(twin, saved, numbers)
    run(twin, plan, 3 * EPOCH - stop)
    assert equal(capture(twin)[0], capture(straight)[0])


def test_a_run_without_an_average_tests_its_own_weights() -> None:
    plan = settings()
    state = TrainingState(Plain(), plan, CPU)
    run(state, plan, EPOCH)
    assert state.tested_model is state.model
    assert epochs_averaged(plan, 3) == 1
    assert state.model(torch.zeros(1, 2, 6, 6)).shape == (1, CLASSES)
