"""Shared weights: a path is a network of its own, and training them goes on where it stopped."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.errors import UsageError
from convnets.models import find_variant
from convnets.models.nasnet import Spec
from convnets.search.built_in import CellByCell, cells
from convnets.search.costs import Costing
from convnets.search.holdout import held_out
from convnets.search.observer import Observer
from convnets.search.shared import SharedCells
from convnets.search.sharing import Sharing
from convnets.search.spaces import Space, with_base
from convnets.search.strategies import Controller, Shared
from convnets.training.checkpoints import checkpoints, load_checkpoint
from convnets.training.stopping import StopFlag
from tests.children import in_child, start, wait
from tests.runs.tiny import CPU
from tests.search.small import IMAGES, go, outcomes, study

BLOCKS = 2
SPACE = with_base(cells(1), "nasnet_a_cifar@depth=1,width=4")
HOW = Shared(controller=Controller(width=4), controller_steps=3)
WHAT = study(HOW, SPACE)


def path(space: Space, seed: int) -> tuple[Any, Any]:
    values = space.options(space.sample(random.Random(seed)))
    assert isinstance(space.composition, CellByCell)
    return space.composition.rows(values, "normal"), space.composition.rows(values, "reduction")


def large(depth: int, blocks: int) -> SharedCells:
    torch.manual_seed(depth)
    return SharedCells(Spec(depth, 4, stem_width=None), blocks, in_chans=1)


@pytest.mark.parametrize(("depth", "blocks"), [(1, 2), (2, 3), (3, 2)])
def test_a_path_gives_what_a_network_of_its_own_gives(depth: int, blocks: int) -> None:
    network, images = large(depth, blocks), torch.randn(4, 1, 16, 16)
    passing = 0
    for seed in range(12):
        child = network.child(*path(cells(blocks), seed))
        torch.testing.assert_close(network(images), child(images), rtol=1e-4, atol=1e-5)
        passing += any(cell.passed is not None for cell in network.cells.values())
    assert passing, "some children hand an older map on as it is"


def test_a_path_moves_its_own_weights_alone() -> None:
    network = large(1, BLOCKS)
    rows = [((3, 0, 0, 1), (4, 2, 2, 0))] * 2  # separable 3x3, identity; separable 5x5, maximum
    network.follow(*rows)
    network(torch.randn(2, 1, 16, 16)).square().sum().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    taken = {name for name in moved if ".lefts." in name or ".rights." in name}
    reduction = network.cells["stage2.reduction"]
    assert {name.split("stage2_reduction.")[1].rsplit(".conv", 1)[0].split(".")[:3][2]
            for name in taken if "stage2_reduction" in name} <= {
        "map0_3", "map1_0", "map2_4"}  # fmt: skip
    assert all(p.grad is not None for p in reduction.current.parameters())
    assert len(moved) < len(dict(network.named_parameters())) / 2


def test_weights_are_shared_in_cells_with_the_cifar_stem_alone() -> None:
    with pytest.raises(UsageError, match="CIFAR stem alone"):
        SharedCells(Spec(1, 4), BLOCKS)
    with pytest.raises(UsageError, match="in the space cells alone, not in lenets"):
        sharing(study(HOW))
    averaged = replace(WHAT, recipe=WHAT.recipe.model_copy(update={"ema_decay": 0.9}))
    with pytest.raises(UsageError, match="--set ema_decay=none"):
        sharing(averaged)


def sharing(what: Any = WHAT) -> Sharing:
    images = held_out(IMAGES, 0.2)
    return Sharing(what, HOW, images, Costing(images, what.recipe, CPU), CPU)


def trained(folder: Path, observer: Observer | None = None) -> dict[str, Any]:
    made = sharing()
    with StopFlag() as stop:
        made.train(folder, stop, observer or Observer())
    return state(folder)


def state(folder: Path) -> dict[str, Any]:
    """All that the newest checkpoint holds, durations left out."""
    tensors, numbers = load_checkpoint(checkpoints(folder)[0][1])
    numbers.pop("seconds")
    numbers["progress"].pop("seconds")
    return {**{name: value.tolist() for name, value in tensors.items()}, "numbers": numbers}


class Signals(Observer):
    """Sends this process a signal at a step of one kind of work."""

    def __init__(self, what: str, step: int, number: int) -> None:
        self.at, self.number = (what, step), number

    def sharing(self, what: str, done: int, total: int, detail: str) -> None:
        if (what, done) == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What training ends with when nobody disturbs it."""
    code, found = in_child(lambda: trained(tmp_path_factory.mktemp("whole")))
    assert code == 0
    return dict(found)


@pytest.mark.parametrize("at", [("shared weights", 2), ("controller", 1)])
def test_stopped_and_killed_training_ends_with_the_same_bits(
    tmp_path: Path, whole: dict[str, Any], at: tuple[str, int]
) -> None:
    stopped = Signals(*at, signal.SIGTERM)
    code, told = in_child(lambda: trained(tmp_path / "cut", stopped))
    assert code == 143
    assert "the same command goes on" in told
    killed = Signals("controller", 3, signal.SIGKILL)
    assert wait(start(lambda: trained(tmp_path / "cut", killed))) == -signal.SIGKILL
    assert in_child(lambda: trained(tmp_path / "cut")) == (0, whole)


def test_its_trials_are_ranked_without_training(tmp_path: Path) -> None:
    code, _ = in_child(lambda: go(tmp_path, 3, WHAT) and None)
    assert code == 0
    found = outcomes(tmp_path)
    assert [trial[1] for trial in found] == ["complete"] * 3
    assert not (tmp_path / "runs").exists()
    assert find_variant(str(found[0][3]))[0].name == "nasnet"
    assert in_child(lambda: go(tmp_path, 4, WHAT) and None)[0] == 0
    assert outcomes(tmp_path)[:3] == found, "more trials leave the others as they are"
