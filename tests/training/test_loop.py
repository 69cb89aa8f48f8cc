"""The loop is the text book's, bit for bit, and stops before a step that would spoil weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import NonFinite, TrainingFailed
from convnets.training.engine import Engine
from convnets.training.loop import steps
from convnets.training.objective import Criterion
from convnets.training.schedules import learning_rate
from convnets.training.settings import AdamW, Cosine, Sgd
from convnets.training.state import TrainingState
from tests.training.pocket import (
    CPU,
    FixedBatch,
    FixedBatches,
    Normed,
    Own,
    Plain,
    equal,
    run,
    settings,
    weights,
)

COUNT = 20


@pytest.mark.parametrize("network", [Plain, Normed])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_twenty_steps_are_a_text_books(network: type[Plain], kind: str) -> None:
    chosen = settings(
        optimizer=Sgd(lr=0.05, weight_decay=1e-3) if kind == "sgd" else AdamW(lr=0.01),
        schedule=Cosine(warmup=0.2),
        epochs=4,
    )
    model, book = network(), network()
    book.load_state_dict(model.state_dict())
    torch.manual_seed(3)
    state = TrainingState(model, chosen, CPU)
    reports = run(state, chosen, COUNT)

    torch.manual_seed(3)
    optimizer: torch.optim.Optimizer
    if kind == "sgd":
        optimizer = torch.optim.SGD(
            book.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, fused=True
        )
    else:
        vectors = [p for p in book.parameters() if p.ndim == 1]
        matrices = [p for p in book.parameters() if p.ndim > 1]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.05, fused=True)
    batches = FixedBatches()
    losses, step = [], 0
    book.train()
    for epoch in range(4):
        for batch in batches.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(chosen, step, COUNT, ())
            optimizer.zero_grad()
            loss = F.cross_entropy(book(batch.images), batch.targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
            step += 1
    assert step == COUNT
    assert [report.loss for report in reports] == losses
    assert equal(weights(model), weights(book))


def test_reports_count_steps_epochs_and_samples() -> None:
    chosen = settings(schedule=Cosine())
    state = TrainingState(Plain(), chosen, CPU)
    batches = FixedBatches(samples=21)
    reports = run(state, chosen, 6, batches)
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    assert [report.epoch for report in reports] == [0, 0, 0, 1, 1, 1]
    assert [report.samples for report in reports] == [8, 8, 5, 8, 8, 5]
    assert [report.learning_rate for report in reports] == [
        learning_rate(chosen, step, 12, ()) for step in range(6)
    ]
    # an epoch's loss is the mean over its samples, not over its batches
    means = [sum(r.loss * r.samples for r in reports[i : i + 3]) / 21 for i in (0, 3)]
    assert state.progress.epoch_losses == pytest.approx(means)
    assert state.progress.loss_samples == 0
    assert state.progress.seconds > 0


def test_a_plateau_looks_at_the_epochs_behind() -> None:
    chosen = settings(schedule={"kind": "plateau", "patience": 0, "threshold": 1.0, "factor": 0.5})
    state = TrainingState(Plain(), chosen, CPU)
    rates = [report.learning_rate for report in run(state, chosen, 20)]
    assert rates == pytest.approx([0.1 / 2**epoch for epoch in range(4) for _ in range(5)])


def test_clipping_bounds_the_norm_and_keeps_the_direction() -> None:
    model = Plain()
    plain = settings(optimizer=Sgd(lr=1.0, momentum=0, weight_decay=0))
    for bound in (1e-2, 1e3):
        clipped = plain.model_copy(update={"clip_norm": bound})
        moves = []
        for chosen in (plain, clipped):
            twin = Plain()
            twin.load_state_dict(model.state_dict())
            report = run(TrainingState(twin, chosen, CPU), chosen, 1)[0]
            after = weights(twin)
            moves.append(torch.cat([(after[n] - v).flatten() for n, v in weights(model).items()]))
        free, bounded = moves
        assert report.gradient_norm == pytest.approx(free.norm().item(), rel=1e-5)
        assert bounded.norm().item() == pytest.approx(min(bound, report.gradient_norm), rel=1e-3)
        assert F.cosine_similarity(free, bounded, dim=0).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("pieces", [2, 3, 8, 100])
def test_accumulated_gradients_are_the_whole_batchs(pieces: int) -> None:
    model, whole = Plain().double(), Plain().double()
    whole.load_state_dict(model.state_dict())
    batches = FixedBatches(samples=21)  # the last batch has five samples
    batches.images = batches.images.double()
    chosen, split = settings(), settings(accumulation=pieces)
    expected = run(TrainingState(whole, chosen, CPU), chosen, 6, batches)
    reports = run(TrainingState(model, split, CPU), split, 6, batches)
    for name, value in weights(model).items():
        torch.testing.assert_close(value, weights(whole)[name], rtol=1e-6, atol=1e-6)
    assert [r.loss for r in reports] == pytest.approx([r.loss for r in expected], rel=1e-6)


def test_the_average_follows_its_formula() -> None:
    chosen = settings(ema_decay=0.6)
    state = TrainingState(Normed(), chosen, CPU)
    assert state.average is not None
    expected = weights(state.model)
    for step, _ in enumerate(steps(state, FixedBatches(samples=80), chosen, CPU), start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        for name, value in weights(state.model).items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value
    assert step == 10
    assert expected["2.num_batches_tracked"] == 10
    for name, value in weights(state.average).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
    assert state.tested_model is state.average
    plain = settings()
    assert TrainingState(state.model, plain, CPU).tested_model is state.model


class Edge(Plain):
    """Its loss is finite, its gradient at the edge of a square root is not."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = nn.Parameter(torch.ones(()))

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets) + self.edge.sqrt()


class Spoilt(FixedBatches):
    """Its batch ``at`` has a pixel that is no number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        for number, batch in enumerate(super().epoch(epoch, start), start=start):
            if number == self.at:
                batch.images[3, 1, 2, 2] = float("nan")
            yield batch


def never_finite(at: int, value: float) -> Criterion:
    """Cross-entropy, but ``value`` at step ``at`` (from 1)."""
    calls = 0

    def criterion(logits: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        loss = F.cross_entropy(logits, targets)
        return loss * value if calls == at else loss

    return criterion


@pytest.mark.fault("A7")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", ["nan", "inf", "-inf", "nan pixels", "gradient"])
def test_what_is_not_finite_stops_before_the_step(
    case: str, precision: Literal["float32", "bfloat16"]
) -> None:
    engine = Engine(torch.device("cpu"), precision, channels_last=False)
    batches, model = FixedBatches(), Plain()
    if case == "nan pixels":
        batches = Spoilt(3)
    elif case == "gradient":
        model = Edge()
    else:
        model = Own(never_finite(4, float(case)))
    chosen = settings(optimizer=AdamW(lr=0.01), ema_decay=0.9)
    state = TrainingState(model, chosen, engine)
    training = steps(state, batches, chosen, engine)
    for _ in range(3):
        next(training)
    if isinstance(model, Edge):
        with torch.no_grad():
            model.edge.zero_()
    before = weights(model)
    moments = {
        id(p): {k: v.clone() for k, v in s.items()} for p, s in state.optimizer.state.items()
    }
    assert state.average is not None
    average = weights(state.average)
    with pytest.raises(NonFinite) as caught:
        next(training)
    assert caught.value.exit_code == 4
    message = str(caught.value)
    assert message.startswith("step 4: ")
    assert "learning rate 0.01" in message
    assert ("gradient norm" in message) == (case == "gradient")
    numbers = list(FixedBatches().epoch(0))[3].indices.tolist()
    assert f"samples {', '.join(map(str, numbers))}" in message
    assert equal(weights(model), before)
    assert equal(weights(state.average), average)
    assert all(equal(state.optimizer.state[p], moments[id(p)]) for p in state.optimizer.state)
    assert state.progress.step == 3


def limited(forward: Callable[[Tensor], Tensor], most: int) -> Callable[[Tensor], Tensor]:
    """A forward pass that runs out of memory, halfway, with more than ``most`` images."""

    def call(images: Tensor) -> Tensor:
        logits = forward(images)
        if len(images) > most:
            raise torch.OutOfMemoryError("out of memory")
        return logits

    return call


@pytest.mark.fault("A8")
@pytest.mark.parametrize(("most", "split"), [(4, 2), (3, 4), (1, 8)])
def test_a_batch_too_large_for_memory_is_split_as_if_from_the_start(most: int, split: int) -> None:
    start = Plain(nn.Dropout(0.5))
    ends = []
    for chosen, bound in ((settings(), most), (settings(accumulation=split), 8)):
        model = Plain(nn.Dropout(0.5))
        model.load_state_dict(start.state_dict())
        torch.manual_seed(5)
        state = TrainingState(model, chosen, CPU)
        state.forward = limited(model, bound)
        reports = run(state, chosen, 8)
        assert state.progress.split == split
        ends.append((weights(model), [(r.loss, r.samples) for r in reports]))
    assert equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@pytest.mark.fault("A8")
def test_a_single_image_too_large_for_memory_ends_training() -> None:
    chosen = settings()
    model = Plain()
    state = TrainingState(model, chosen, CPU)
    state.forward = limited(model, 0)
    before = weights(model)
    with pytest.raises(TrainingFailed, match="step 1: out of memory") as caught:
        run(state, chosen, 1)
    assert caught.value.exit_code == 4
    assert equal(weights(model), before)
