"""A recorded pass gives the gradients, statistics and random numbers of one that is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.models import create_model
from convnets.training.engine import choose_engine
from convnets.training.graphs import REHEARSALS, Capture, StepGraphs
from convnets.training.loop import steps
from convnets.training.settings import Optimisation
from convnets.training.state import TrainingState, capture
from tests.training.pocket import CPU, FixedBatch, FixedBatches, Normed, equal, settings


class Uneven(FixedBatches):
    """Batches of 8 and a last one of 4, all mixed in pairs; each epoch in another order."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        for batch in super().epoch(epoch, start):
            shares = torch.linspace(0.5, 1, len(batch.targets))
            yield replace(batch, partners=batch.targets.flip(0), shares=shares)


def rerun(model: nn.Module) -> Capture:
    """What a CUDA graph does, by other means: each replay leaves its results in the same place."""

    def record(passed: Callable[[], Tensor], _: object) -> tuple[Tensor, Callable[[], None]]:
        generators = torch.get_rng_state()
        for _ in range(REHEARSALS):
            passed()
        loss = passed().clone()
        parameters = list(model.parameters())
        first = [parameter.grad for parameter in parameters]
        torch.set_rng_state(generators)

        def replay() -> None:
            loss.copy_(passed())
            for parameter, own in zip(parameters, first, strict=True):
                if own is not None and parameter.grad is not None:
                    own.copy_(parameter.grad)

        return loss, replay

    return record


class Dropping(Normed):
    """Batch normalisation, dropout, and a parameter that the loss does not reach."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)
        self.idle = nn.Parameter(torch.ones(2))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.dropout(super().forward(images))
        return out


def trained(chosen: Optimisation, *, graphs: bool) -> tuple[TrainingState, list[float]]:
    torch.manual_seed(1)
    state = TrainingState(Dropping(), chosen, CPU)
    if graphs:
        state.graphs = StepGraphs(rerun(state.model))
    batches, losses = Uneven(samples=20), []
    for epoch in range(chosen.epochs):
        if epoch == 2:
            state.model.dropout.p = 0.1
        losses += [report.loss for report in steps(state, batches, chosen, CPU)]
    return state, losses


def test_a_run_of_recorded_passes_has_the_bits_of_one_without() -> None:
    chosen = settings(epochs=3, clip_norm=1.0, ema_decay=0.9)
    (plain, losses), (recorded, others) = (trained(chosen, graphs=g) for g in (False, True))
    assert losses == others
    one, other = (capture(state)[0] for state in (plain, recorded))
    assert equal(one, other)
    assert recorded.graphs is not None
    assert len(recorded.graphs.kept) == 4  # two sizes of batch, at two rates of dropout


def test_a_batch_in_pieces_is_run_as_ever() -> None:
    chosen = settings(epochs=1, accumulation=2)
    (plain, losses), (recorded, others) = (trained(chosen, graphs=g) for g in (False, True))
    assert losses == others
    assert equal(capture(plain)[0], capture(recorded)[0])
    assert recorded.graphs is not None
    assert not recorded.graphs.kept


def test_graphs_are_refused_where_there_are_none() -> None:
    with pytest.raises(UsageError, match="--cuda-graphs needs one process on a CUDA device"):
        choose_engine("cpu", graphs=True)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "convnext_tiny"])
def test_a_cuda_graph_gives_what_the_passes_give(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    chosen = settings(epochs=2)
    found = []
    for graphs in (False, True):
        engine = choose_engine("cuda", graphs=graphs)
        torch.manual_seed(1)
        network = create_model(name, num_classes=4, stem="small")
        state = TrainingState(network, chosen, engine)
        draw = torch.Generator().manual_seed(0)
        batches = FixedBatches()
        batches.images = torch.randn(40, 3, 32, 32, generator=draw).cuda()
        batches.targets = batches.targets.cuda()
        losses = [report.loss for _ in range(2) for report in steps(state, batches, chosen, engine)]
        found.append((losses, capture(state)[0]))
    (losses, one), (others, other) = found
    assert losses == pytest.approx(others, rel=1e-3)
    for key, value in one.items():
        if key.startswith("model."):
            torch.testing.assert_close(value, other[key], rtol=1e-2, atol=1e-3)
