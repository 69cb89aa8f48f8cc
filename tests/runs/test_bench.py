"""Two networks, two seeds, end to end: results, repeats, and one network that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from convnets import models
from convnets.catalog import Family
from convnets.errors import NonFinite
from convnets.models import create_model
from convnets.records import read_result, read_results
from convnets.runs import Bench, Observer, bench, train
from convnets.runs.plan import Plan
from convnets.runs.run import Conduct
from convnets.training.checkpoints import checkpoints
from tests.runs import crash
from tests.runs.tiny import CPU, RECIPE, tiny_set

MODELS = ("lenet5", "lenet5_modern")
NOISE = tiny_set()


class Told(Observer):
    """Keeps the names of what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.events.append(f"started {plan.model} {plan.seed} {step}/{total_steps}")

    def finished(self, plan: Plan, result: object, *, before: bool) -> None:
        self.events.append(f"{'read' if before else 'made'} {plan.model} {plan.seed}")

    def failed(self, plan: Plan, error: Exception) -> None:
        self.events.append(f"failed {plan.model} {plan.seed}")


def compared(out: Path, names: tuple[str, ...] = MODELS, told: Told | None = None) -> Bench:
    return bench(
        names,
        NOISE,
        RECIPE,
        seeds=range(2),
        out=out,
        engine=CPU,
        conduct=Conduct(command="bench"),
        observer=told,
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def outcome(out: Path) -> Bench:
    return compared(out)


def test_every_run_has_a_result_that_reads_back(out: Path, outcome: Bench) -> None:
    assert outcome.failures == ()
    assert [(r.model, r.seed) for r in outcome.results] == [
        (model, seed) for seed in range(2) for model in MODELS
    ]
    read = read_results(out)
    assert read == sorted(outcome.results, key=lambda result: result.run)
    for result in read:
        run = out / result.run
        assert read_result(run / "result.json") == result
        assert json.loads((run / "plan.json").read_text()) == result.plan
        assert [step for step, _ in checkpoints(run)] == [6]


def test_a_result_adds_up(outcome: Bench) -> None:
    for result in outcome.results:
        confusion = torch.tensor(result.confusion)
        assert confusion.sum() == len(NOISE.test) == 20
        assert (
            confusion.sum(1).tolist()
            == torch.bincount(torch.from_numpy(NOISE.test.labels)).tolist()
        )
        assert result.top1 == confusion.diagonal().sum().item() / 20
        assert result.top5 is not None
        assert result.top1 <= result.top5 <= 1
        assert [record.epoch for record in result.curve] == [1, 2]
        assert [record.step for record in result.curve] == [3, 6]
        assert (result.curve[-1].test_loss, result.curve[-1].test_top1) == (
            result.test_loss,
            result.top1,
        )
        assert len(result.mistakes) == min(12, 20 - round(result.top1 * 20))
        assert result.seconds >= result.curve[0].seconds > 0
        assert result.images_per_second == pytest.approx(2 * 40 / result.seconds)
        assert result.training_macs == 3 * 2 * 40 * result.macs
        assert result.peak_memory_bytes > 50 << 20
        assert result.engine.device == "cpu"
        assert torch.__version__.startswith(result.machine.versions["torch"])
        assert result.command == "bench"


def test_cost_is_that_of_independent_counts(outcome: Bench) -> None:
    by_model = {result.model: result for result in outcome.results}
    # LeCun et al. (1998), Section II.B: 60,000 trainable parameters; connections less biases
    assert by_model["lenet5"].params == 60_000
    assert by_model["lenet5"].macs == 325_680
    network = create_model("lenet5_modern", num_classes=10, in_chans=1).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 32, 32))
    assert by_model["lenet5_modern"].macs == counter.get_total_flops() // 2
    assert by_model["lenet5_modern"].params == sum(p.numel() for p in network.parameters())


def test_a_fresh_folder_gives_the_same_bits(outcome: Bench, tmp_path: Path) -> None:
    again = compared(tmp_path)
    assert [r.weights_sha256 for r in again.results] == [r.weights_sha256 for r in outcome.results]
    assert len({r.weights_sha256 for r in again.results}) == 4
    for one, other in zip(again.results, outcome.results, strict=True):
        assert (one.top1, one.test_loss, one.confusion) == (
            other.top1,
            other.test_loss,
            other.confusion,
        )


def test_finished_runs_are_read_not_repeated(out: Path, outcome: Bench) -> None:
    told = Told()
    assert compared(out, told=told) == outcome
    assert told.events == [f"read {model} {seed}" for seed in range(2) for model in MODELS]


class Broken(crash.Pocket):
    """Its loss is never a number."""

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.sum() * float("nan")


@pytest.fixture
def broken() -> Iterator[str]:
    family = Family(
        name="broken", title="Broken", year=2026, paper="", url="", network=Broken, variants={},
        pocket=crash.Spec(),
    )  # fmt: skip
    models.VARIANTS["broken"] = (family, crash.ROW)
    yield "broken"
    del models.VARIANTS["broken"]


def test_a_run_that_fails_is_told_of_and_the_others_go_on(tmp_path: Path, broken: str) -> None:
    told = Told()
    outcome = compared(tmp_path, (broken, "lenet5"), told)
    assert [result.model for result in outcome.results] == ["lenet5", "lenet5"]
    assert [name.split("-")[0] for name, _ in outcome.failures] == ["broken", "broken"]
    assert all(isinstance(error, NonFinite) for _, error in outcome.failures)
    assert told.events == [
        event
        for seed in range(2)
        for event in (
            f"started broken {seed} 0/6",
            f"failed broken {seed}",
            f"started lenet5 {seed} 0/6",
            f"made lenet5 {seed}",
        )
    ]
    assert read_results(tmp_path) == sorted(outcome.results, key=lambda result: result.run)


def test_one_run_is_the_same_as_in_a_bench(outcome: Bench, tmp_path: Path) -> None:
    result = train("lenet5_modern", NOISE, RECIPE, seed=1, out=tmp_path, engine=CPU)
    assert result.weights_sha256 == outcome.results[3].weights_sha256


def test_a_network_learns_what_is_easy(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 12})
    result = train("lenet5_modern", tiny_set(classes=2), recipe, out=tmp_path, engine=CPU)
    assert result.top1 == 1
    assert result.top5 is None
