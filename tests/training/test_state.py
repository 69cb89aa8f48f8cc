"""A captured run goes on as if nothing had been; anything that lacks or is left over is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from convnets.errors import BadModelFile
from convnets.training.settings import AdamW, Cosine, Optimisation, Sgd
from convnets.training.state import Progress, TrainingState, capture, restore, weights_sha256
from tests.training.pocket import CPU, Normed, Plain, equal, run, settings, weights

CAPTURED = {"model", "optimizer", "average", "progress"}
NOT_CAPTURED = {
    "forward",  # the model again, compiled or not
    "replica",  # and again, as the ranks share it
    "rehearsed",  # the largest piece of a batch that this process has tried
    "graphs",  # recorded passes, recorded anew
    "seed",  # the plan's
    "device",  # the engine's, chosen anew at each start
}

Tensors = dict[str, Tensor]


def chosen(**changes: object) -> Optimisation:
    return settings(optimizer=AdamW(lr=0.01), schedule=Cosine(), ema_decay=0.9, **changes)


def begun(
    with_settings: Optimisation, count: int = 5
) -> tuple[TrainingState, Tensors, dict[str, Any]]:
    """A run some steps old and a copy of what was captured of it."""
    torch.manual_seed(1)
    state = TrainingState(Normed(), with_settings, CPU)
    run(state, with_settings, count)
    tensors, numbers = capture(state)
    return state, {name: value.clone() for name, value in tensors.items()}, numbers


def restored(
    with_settings: Optimisation, tensors: Tensors, numbers: dict[str, Any]
) -> TrainingState:
    torch.manual_seed(99)
    state = TrainingState(Normed(), with_settings, CPU)
    restore(state, tensors, numbers)
    return state


def everything(state: TrainingState) -> Tensors:
    tensors, numbers = capture(state)
    assert numbers["seconds"] > 0
    return {name: value.clone() for name, value in tensors.items()}


@pytest.mark.parametrize("split", [1, 2])
@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), Sgd(lr=0.1), Sgd(lr=0.1, momentum=0)])
def test_a_restored_run_goes_on_with_the_same_bits(optimizer: object, split: int) -> None:
    plan = chosen(accumulation=split).model_copy(update={"optimizer": optimizer})
    state, tensors, numbers = begun(plan, count=7)
    twin = restored(plan, tensors, numbers)
    assert equal(everything(twin), tensors)
    assert twin.progress == state.progress
    run(twin, plan, 8)
    twins = everything(twin)
    torch.set_rng_state(tensors["random.cpu"])
    run(state, plan, 8)
    assert equal(everything(state), twins)
    assert state.progress.epoch_losses == twin.progress.epoch_losses


def test_without_the_random_state_a_dropout_run_differs() -> None:
    plan = chosen()
    state, tensors, numbers = begun(plan)
    torch.set_rng_state(tensors["random.cpu"])
    run(state, plan, 5)
    torch.manual_seed(2)
    forgetful = restored(plan, {**tensors, "random.cpu": torch.get_rng_state()}, numbers)
    run(forgetful, plan, 5)
    assert not equal(weights(forgetful.model), weights(state.model))


def test_every_attribute_is_captured_or_known_not_to_be() -> None:
    state, tensors, numbers = begun(chosen())
    assert vars(state).keys() == CAPTURED | NOT_CAPTURED
    assert numbers.keys() == Progress.model_fields.keys()
    kept = state.optimizer.state_dict()["state"].values()
    prefixes = {
        "model.": len(state.model.state_dict()),
        "average.": len(state.model.state_dict()),
        "optimizer.": sum(len(each) for each in kept),
        "random.": 1,
    }
    for prefix, count in prefixes.items():
        assert sum(name.startswith(prefix) for name in tensors) == count, prefix
    assert len(tensors) == sum(prefixes.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.0.weight", None),
        ("average.2.running_mean", None),
        ("optimizer.0.weight.exp_avg", None),
        ("optimizer.0.weight.step", None),
        ("random.cpu", None),
        ("model.extra", torch.zeros(1)),
        ("average.extra", torch.zeros(1)),
        ("optimizer.extra.exp_avg", torch.zeros(1)),
        ("optimizer.0.weight.extra", torch.zeros(1)),
        ("extra", torch.zeros(1)),
        ("model.0.weight", torch.zeros(1)),
        ("average.0.weight", torch.zeros(3, 3)),
        ("optimizer.0.weight.exp_avg", torch.zeros(1)),
        ("optimizer.0.weight.exp_avg", torch.zeros(4, 2, 9)),
        ("random.cpu", torch.zeros(3, dtype=torch.uint8)),
        ("random.cpu", torch.zeros(5056)),
    ],
)
def test_a_tensor_that_lacks_or_does_not_fit_is_refused(name: str, value: Tensor | None) -> None:
    plan = chosen()
    _, tensors, numbers = begun(plan, count=1)
    tensors.pop(name, None)
    if value is not None:
        tensors[name] = value
    with pytest.raises(BadModelFile):
        restored(plan, tensors, numbers)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": "three"},
        {"split": 0},
        {"loss_sum": float("nan")},
        {"epoch_losses": [float("inf")]},
        {"curve": [{"epoch": 1}]},
        {"extra": 1},
    ],
)
def test_numbers_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    plan = chosen()
    _, tensors, numbers = begun(plan, count=1)
    with pytest.raises(BadModelFile, match="progress does not fit"):
        restored(plan, tensors, {**numbers, **change})
    with pytest.raises(BadModelFile, match="progress does not fit"):
        restored(plan, tensors, None)  # type: ignore[arg-type]


def test_a_run_with_an_average_is_not_one_without() -> None:
    _, tensors, numbers = begun(chosen(), count=1)
    with pytest.raises(BadModelFile, match="unknown tensors"):
        restored(settings(optimizer=AdamW(lr=0.01)), tensors, numbers)


def test_the_hash_of_weights_sees_values_names_types_and_shapes() -> None:
    model = Plain()
    own = weights_sha256(model)
    twin = Plain()
    twin.load_state_dict(model.state_dict())
    assert weights_sha256(twin) == own
    assert weights_sha256(twin.to(memory_format=torch.channels_last)) == own  # type: ignore
    hashes = {own, weights_sha256(Plain().requires_grad_(False)), weights_sha256(twin.double())}
    with torch.no_grad():
        twin.float()[0].weight[0, 0, 0, 0] = -0.0
        hashes.add(weights_sha256(twin))
        twin[0].weight[0, 0, 0, 0] = 0.0
        hashes.add(weights_sha256(twin))
    twin.extra = torch.nn.Parameter(torch.zeros(()))
    hashes.add(weights_sha256(twin))
    assert len(hashes) == 6
