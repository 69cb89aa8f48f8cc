"""What one rank finds all ranks act on: memory, numbers, figures, errors, a rank that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from convnets.errors import Busy, DiskFull, EnvironmentFailure, NonFinite, UnknownName
from convnets.training.evaluation import evaluate
from convnets.training.gradients import piece_sizes
from convnets.training.ranks import Ranks
from convnets.training.settings import Sgd
from convnets.training.state import TrainingState
from tests.company import agreed, together
from tests.training.parts import COUNT, PartBatch, Parts, distance, floats, settled, trained
from tests.training.pocket import CPU, FixedBatch, FixedBatches, Plain, run

SINGLE = 5e-6


@pytest.mark.fault("B1")
def test_memory_short_on_one_rank_splits_batches_on_all() -> None:
    chosen = settled(Sgd(lr=0.1))
    state, _ = trained(Ranks(), Plain, settled(Sgd(lr=0.1), accumulation=8))
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
