"""Several ranks train one network as one does: replicas and shards, uneven and empty parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import Busy, DiskFull, EnvironmentFailure, NonFinite, UnknownName
from convnets.training.checkpoints import load_checkpoint, save_checkpoint
from convnets.training.evaluation import evaluate
from convnets.training.gradients import piece_sizes
from convnets.training.objective import Objective, Part, make_objective
from convnets.training.ranks import Ranks
from convnets.training.settings import (
    AdamW,
    Cosine,
    Lamb,
    Lars,
    Optimisation,
    OptimizerSetting,
    RmsProp,
    Sgd,
)
from convnets.training.state import TrainingState, capture, restore, weights_sha256
from tests.company import agreed, together
from tests.training.pocket import CPU, FixedBatch, FixedBatches, Plain, equal, run, settings

COUNT = 20
REPLICAS_AND_SHARDS = [
    pytest.param(False, marks=pytest.mark.fault("B1"), id="replicas"),
    pytest.param(True, marks=pytest.mark.fault("B2"), id="shards"),
]
SINGLE, DOUBLE = 5e-6, 1e-12
OPTIMIZERS = {"sgd": Sgd(lr=0.1, weight_decay=1e-3), "adamw": AdamW(lr=0.01)}


@dataclass(frozen=True)
class PartBatch(FixedBatch):
    whole: int = 0

    @property
    def total(self) -> int:
        return self.whole


class Parts(FixedBatches):
    """Each rank's part of the batches of one."""

    def __init__(self, ranks: Ranks, samples: int = 40, kind: torch.dtype = torch.float32) -> None:
        super().__init__(samples)
        self.ranks, self.images = ranks, self.images.to(kind)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        for batch in super().epoch(epoch, start):
            count, (rank, world) = len(batch.targets), (self.ranks.rank, self.ranks.world)
            own = slice(count * rank // world, count * (rank + 1) // world)
            yield PartBatch(batch.images[own], batch.targets[own], batch.indices[own], whole=count)


class Exact(Objective):
    """Cross-entropy in the logits' own precision."""

    def loss(self, logits: Tensor, others: dict[str, Tensor], part: Part) -> Tensor:
        return F.cross_entropy(logits, part.targets)


def trained(
    ranks: Ranks,
    network: Callable[[], nn.Module],
    chosen: Optimisation,
    *,
    sharded: bool = False,
    samples: int = 40,
    kind: torch.dtype = torch.float32,
    count: int = COUNT,
    saved: Path | None = None,
) -> tuple[TrainingState, list[float]]:
    """A run's state and losses after ``count`` steps from the start, or from what was saved."""
    from convnets.training.loop import steps

    torch.manual_seed(1)
    engine = replace(CPU, ranks=ranks, sharded=sharded and ranks.world > 1)
    state = TrainingState(network().to(kind), chosen, engine)
    batches = Parts(ranks, samples, kind)
    objective = make_objective(state.model, chosen)
    if kind == torch.float64:
        objective = Exact(objective.criterion)
    if saved is not None:
        tensors, content = load_checkpoint(saved)
        restore(state, tensors, content["progress"])
    losses: list[float] = []
    while state.progress.step < count:
        for report in steps(state, batches, chosen, engine, objective):
            losses.append(report.loss)
            if report.step == count:
                break
    return state, losses


def floats(state: TrainingState) -> dict[str, Tensor]:
    """All that a run remembers in numbers, copied."""
    tensors, _ = capture(state)
    return {n: v.clone() for n, v in tensors.items() if not n.startswith("random.")}


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of any two numbers."""
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


def settled(optimizer: OptimizerSetting, **changes: object) -> Optimisation:
    return settings(optimizer=optimizer, schedule=Cosine(warmup=0.1), ema_decay=0.9, **changes)


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


@pytest.mark.fault("B1")
def test_memory_short_on_one_rank_splits_batches_on_all() -> None:
    chosen = settled(Sgd(lr=0.1))
    state, _ = trained(Ranks(), Plain, replace_pieces(chosen, 8))
    expected = floats(state)

    def work(ranks: Ranks) -> list[float]:
        class Greedy(Plain):
            def forward(self, images: Tensor) -> Tensor:
                if ranks.rank == 1 and len(images) > 1:
                    raise torch.OutOfMemoryError("out of memory")
                logits: Tensor = super().forward(images)
                return logits

        state, _ = trained(ranks, Greedy, chosen)
        return [state.progress.split, distance(floats(state), expected)]

    split, far = agreed(2, work)
    assert split == 8
    assert far <= SINGLE

    def hopeless(ranks: Ranks) -> None:
        class Full(Plain):
            def forward(self, images: Tensor) -> Tensor:
                raise torch.OutOfMemoryError("out of memory")

        trained(ranks, Full if ranks.rank else Plain, chosen)

    found = together(2, hopeless)
    assert [code for code, _ in found] == [4, 4]
    assert found[0][1] == found[1][1]
    assert "out of memory with one image at a time" in found[0][1]


@pytest.mark.fault("B1")
def test_a_pixel_that_is_no_number_stops_all_ranks_and_is_named() -> None:
    class Spoilt(Parts):
        def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
            for number, batch in enumerate(super().epoch(epoch, start), start=start):
                if number == 3 and self.ranks.rank == 1:
                    batch.images[0, 0, 0, 0] = float("nan")
                yield batch

    def work(ranks: Ranks) -> None:
        chosen = settled(Sgd(lr=0.1))
        engine = replace(CPU, ranks=ranks)
        run(TrainingState(Plain(), chosen, engine), chosen, COUNT, Spoilt(ranks), engine)

    (one, first), (two, second) = together(2, work)
    assert (one, two) == (NonFinite.exit_code,) * 2
    assert first == second
    spoilt = list(Parts(Ranks(1, 2)).epoch(0))[3].indices.tolist()
    assert first.startswith("step 4: loss nan")
    assert f"samples {', '.join(map(str, spoilt))}, ..." in first


@pytest.mark.fault("B1")
def test_evaluation_counts_each_sample_once() -> None:
    torch.manual_seed(5)
    model = Plain()
    alone = evaluate(model, FixedBatches(37), CPU, num_classes=4, worst=9)

    def work(ranks: Ranks) -> list[Any]:
        engine = replace(CPU, ranks=ranks)
        found = evaluate(model, Parts(ranks, 37), engine, num_classes=4, worst=9)
        assert torch.equal(found.confusion, alone.confusion)
        assert found.loss == pytest.approx(alone.loss, rel=1e-6)
        assert [each.index for each in found.worst] == [each.index for each in alone.worst]
        return [found.samples, found.top1, found.top5, found.loss]

    assert agreed(2, work)[:3] == agreed(3, work)[:3] == [37, alone.top1, alone.top5]
    assert alone.samples == alone.confusion.sum() == 37


@pytest.mark.parametrize(("total", "split"), [(8, 2), (21, 6), (5, 12), (11, 8), (1, 4)])
def test_the_pieces_of_two_ranks_are_those_of_one(total: int, split: int) -> None:
    batch = PartBatch(torch.empty(0), torch.empty(0), torch.empty(0), whole=total)
    (alone,) = piece_sizes(batch, split, 1)
    assert sum(alone) == total
    assert max(alone) - min(alone) <= 1
    one, two = piece_sizes(batch, split, 2)
    assert one + two == alone
    assert sum(one) == total // 2  # as the ranks' parts are cut


def test_what_the_main_rank_finds_all_ranks_learn() -> None:
    def work(ranks: Ranks) -> list[Any]:
        found = [ranks.by_main(lambda: {"rank": ranks.rank, "half": 0.5, "name": "é"})]
        for error in (DiskFull("no space"), UnknownName("model", "x", ["y"])):
            with pytest.raises(type(error)) as caught:
                ranks.by_main(lambda error=error: fail(error))
            assert caught.value.exit_code == error.exit_code
            found.append(str(caught.value))
        tensors = {"a": torch.arange(3.0), "b": torch.tensor(7)} if ranks.main else None
        sent = ranks.tensors(tensors)
        found.append({name: value.tolist() for name, value in sent.items()})
        found.append([ranks.gathered("x" * ranks.rank), ranks.united(1 << ranks.rank)])
        return [*found, ranks.any(ranks.rank == 1), ranks.any(False)]

    assert agreed(3, work) == [
        {"rank": 0, "half": 0.5, "name": "é"},
        "no space",
        "unknown model 'x'; known: y",
        {"a": [0.0, 1.0, 2.0], "b": 7},
        [["", "x", "xx"], 7],
        True,
        False,
    ]
    assert Ranks().by_main(lambda: 3) == 3
    with pytest.raises(Busy):
        Ranks().by_main(lambda: fail(Busy("held")))


def fail(error: Exception) -> None:
    raise error


def test_a_rank_that_is_gone_is_told_of() -> None:
    def work(ranks: Ranks) -> None:
        if ranks.rank:
            raise DiskFull("gone")
        ranks.barrier()

    (one, first), (two, second) = together(2, work)
    assert (two, second) == (DiskFull.exit_code, "gone")
    assert one == EnvironmentFailure.exit_code
    assert first.startswith("rank 0 of 2 lost the others")
