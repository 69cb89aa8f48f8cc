"""Several ranks train one network as one does: replicas and shards, uneven and empty parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convnets.training.checkpoints import load_checkpoint, save_checkpoint
from convnets.training.ranks import Ranks
from convnets.training.settings import (
    AdamW,
    Lamb,
    Lars,
    Optimisation,
    OptimizerSetting,
    RmsProp,
    Sgd,
)
from convnets.training.state import capture, weights_sha256
from tests.company import agreed
from tests.training.parts import distance, floats, settled, trained
from tests.training.pocket import Plain, equal, settings

REPLICAS_AND_SHARDS = [
    pytest.param(False, marks=pytest.mark.fault("B1"), id="replicas"),
    pytest.param(True, marks=pytest.mark.fault("B2"), id="shards"),
]
SINGLE, DOUBLE = 5e-6, 1e-12
OPTIMIZERS = {"sgd": Sgd(lr=0.1, weight_decay=1e-3), "adamw": AdamW(lr=0.01)}


@pytest.mark.parametrize(
    "kind", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
def test_two_ranks_train_as_one(sharded: bool, optimizer: str, kind: torch.dtype) -> None:
    # batches of 8, 8 and 5 images: parts of 4, 4 and 2 or 3
    chosen = settled(OPTIMIZERS[optimizer], clip_norm=0.5, accumulation=2)
    alone, losses = trained(Ranks(), Plain, chosen, samples=21, kind=kind)
    expected = floats(alone)

    def work(ranks: Ranks) -> list[float]:
        state, own = trained(ranks, Plain, chosen, sharded=sharded, samples=21, kind=kind)
        spread = max(abs(a - b) for a, b in zip(own, losses, strict=True))
        return [distance(floats(state), expected), spread]

    bound = DOUBLE if kind == torch.float64 else SINGLE
    weights, curve = agreed(2, work)
    assert weights <= bound
    assert curve <= (1e-6 if kind == torch.float64 else SINGLE)  # losses travel as float32


@pytest.mark.parametrize("optimizer", [RmsProp(lr=0.01), Lamb(lr=0.01), Lars(lr=0.1)])
@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
def test_norms_of_whole_tensors_and_averages_are_those_of_one(
    sharded: bool, optimizer: OptimizerSetting
) -> None:
    """LAMB and LARS scale each tensor by its norm, which shards see a part of."""
    chosen = settings(optimizer=optimizer, swa_start=0.25, accumulation=2)
    expected = floats(trained(Ranks(), Plain, chosen)[0])

    def work(ranks: Ranks) -> float:
        return distance(floats(trained(ranks, Plain, chosen, sharded=sharded)[0]), expected)

    assert agreed(2, work) <= SINGLE


class NormOnly(Plain):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(4, momentum=0.3))


@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_batch_normalisation_is_that_of_the_pieces(world: int, sharded: bool) -> None:
    """Weights and running statistics are those of one process that takes a batch in pieces."""
    optimizer = Sgd(lr=0.1)
    pieces = settled(optimizer, accumulation=world)
    state, _ = trained(Ranks(), NormOnly, pieces)
    expected = floats(state)

    def work(ranks: Ranks) -> float:
        state, _ = trained(ranks, NormOnly, settled(optimizer), sharded=sharded)
        return distance(floats(state), expected)

    assert agreed(world, work) <= SINGLE
    whole, _ = trained(Ranks(), NormOnly, settled(optimizer))
    assert distance(floats(whole), expected) > 1e-3  # the pieces matter


@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
def test_a_rank_without_an_image_takes_its_turn(sharded: bool) -> None:
    # 17 images in batches of 8: the last one has one, and the first rank none of it
    chosen = settled(Sgd(lr=0.1))
    state, losses = trained(Ranks(), NormOnly, replace_pieces(chosen, 2), samples=17)
    expected = floats(state)

    def work(ranks: Ranks) -> list[float]:
        state, own = trained(ranks, NormOnly, chosen, sharded=sharded, samples=17)
        return [distance(floats(state), expected), abs(own[-1] - losses[-1])]

    assert max(agreed(2, work)) <= SINGLE


def replace_pieces(chosen: Optimisation, pieces: int) -> Optimisation:
    return chosen.model_copy(update={"accumulation": pieces})


@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
def test_what_two_ranks_save_goes_on_on_one_and_on_two(tmp_path: Path, sharded: bool) -> None:
    chosen = settled(AdamW(lr=0.01), accumulation=2)
    whole, losses = trained(Ranks(), NormOnly, chosen)
    expected = floats(whole)
    path = tmp_path / "step-00000010.ckpt"

    def half(ranks: Ranks) -> str:
        state, _ = trained(ranks, NormOnly, chosen, sharded=sharded, count=10)
        tensors, progress = capture(state)
        if ranks.main:
            save_checkpoint(path, tensors, {"progress": progress})
        return weights_sha256(state.model)

    def rest(ranks: Ranks) -> list[float]:
        state, own = trained(ranks, NormOnly, chosen, sharded=sharded, saved=path)
        spread = max(abs(a - b) for a, b in zip(own, losses[10:], strict=True))
        return [distance(floats(state), expected), spread]

    hashed = agreed(2, half)
    tensors, content = load_checkpoint(path)
    plain = NormOnly()
    plain.load_state_dict(
        {n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")}
    )
    assert weights_sha256(plain) == hashed
    assert content["progress"]["step"] == 10
    assert max(agreed(2, rest)) <= SINGLE
    assert max(rest(Ranks())) <= SINGLE


class Wide(nn.Sequential):
    """Large enough for its gradients to be added up in more than one piece."""

    def __init__(self) -> None:
        hidden = [nn.Linear(400, 400), nn.BatchNorm1d(400), nn.Tanh(), nn.Dropout(0.5)]
        super().__init__(
            nn.Flatten(), nn.Linear(72, 400), *hidden, nn.Linear(400, 400), nn.Linear(400, 4)
        )


@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
def test_a_run_that_goes_on_has_the_bits_of_one_that_never_stopped(
    tmp_path: Path, sharded: bool
) -> None:
    """Replicas on three ranks, where the order of sums shows; with dropout, drawn on each anew."""
    chosen, world = settled(AdamW(lr=0.01)), 2 if sharded else 3
    path = tmp_path / "step-00000010.ckpt"

    def work(ranks: Ranks) -> list[bool]:
        whole, _ = trained(ranks, Wide, chosen, sharded=sharded)
        expected = floats(whole)
        half, _ = trained(ranks, Wide, chosen, sharded=sharded, count=10)
        tensors, progress = capture(half)
        if ranks.main:
            save_checkpoint(path, tensors, {"progress": progress})
        ranks.barrier()
        rest, _ = trained(ranks, Wide, chosen, sharded=sharded, saved=path)
        return [equal(floats(rest), expected), equal(floats(half), expected)]

    assert agreed(world, work) == [True, False]


class Aided(nn.Module):
    """A network with an auxiliary head, which ``forward`` skips."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten())
        self.head, self.auxiliary = nn.Linear(64, 4), nn.Linear(64, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))

    def forward_auxiliary(
        self, images: Tensor, targets: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        maps = self.features(images)
        return self.head(maps), {"one": self.auxiliary(maps)}

    def auxiliary_loss(
        self, images: Tensor, others: dict[str, Tensor], targets: Tensor, criterion: Any
    ) -> Tensor:
        loss: Tensor = criterion(others["one"], targets)
        return loss


@pytest.mark.parametrize("sharded", REPLICAS_AND_SHARDS)
@pytest.mark.parametrize("weight", [None, 0.3])
def test_auxiliary_heads_count_or_are_left_alone(weight: float | None, sharded: bool) -> None:
    chosen = settled(Sgd(lr=0.1), auxiliary_weight=weight)
    state, _ = trained(Ranks(), Aided, chosen)
    expected = floats(state)

    def work(ranks: Ranks) -> float:
        return distance(floats(trained(ranks, Aided, chosen, sharded=sharded)[0]), expected)

    assert agreed(2, work) <= SINGLE
