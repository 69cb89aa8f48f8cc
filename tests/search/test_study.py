"""A study: the same trials whoever is killed, each made once, no test image looked at."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convnets.data.sets import ImageArrays
from convnets.errors import NonFinite, PlanChanged, UsageError
from convnets.records import read_results
from convnets.runs import train
from convnets.search import together, trials, worker
from convnets.search.observer import Observer
from convnets.search.rewards import Reward
from convnets.search.spaces import Decision, Space, space
from convnets.search.strategies import Controller, How, Random
from convnets.search.trials import Trial, Trials
from convnets.search.worker import Search
from tests.children import in_child, start, wait
from tests.runs.tiny import CPU
from tests.search.small import EVOLUTION, IMAGES, LENETS, go, outcomes, study

WANTED = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """What the trials of each strategy come to when nobody disturbs them."""
    found = {}
    for how in (EVOLUTION, Controller()):
        out = tmp_path_factory.mktemp(how.kind)
        assert in_child(lambda out=out, how=how: go(out, WANTED, study(how)) and None)[0] == 0
        found[how.kind] = outcomes(out)
    return found


def killed(out: Path, how: How, fault: str) -> int:
    """Work on the study in a child that dies at a point of a write; its exit code."""

    def work() -> None:
        os.environ["CONVNETS_FAULT"] = fault
        go(out, WANTED, study(how))

    return wait(start(work))


@pytest.mark.fault("A11")
@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (EVOLUTION, "pre-open:1"),
        (EVOLUTION, "pre-rename:3"),
        (EVOLUTION, "write:9"),
        (Controller(), "post-rename:12"),
    ],
)
def test_a_killed_study_goes_on_with_the_trials_it_would_have_had(
    tmp_path: Path, whole: dict[str, list[tuple[object, ...]]], how: How, fault: str
) -> None:
    assert killed(tmp_path, how, fault) == -signal.SIGKILL
    assert killed(tmp_path, how, "") == 0
    assert outcomes(tmp_path) == whole[how.kind]
    assert not list(tmp_path.rglob(".tmp.*"))
    assert sum(trial.attempts - 1 for trial in Trials(tmp_path).read()) <= 1


@pytest.mark.fault("A11")
def test_two_workers_make_each_trial_once(tmp_path: Path) -> None:
    children = [start(lambda: go(tmp_path, WANTED, study(Random())) and None) for _ in range(2)]
    assert [wait(child) for child in children] == [0, 0]
    found = Trials(tmp_path).read()
    assert [trial.number for trial in found] == list(range(WANTED))
    assert {(trial.state, trial.attempts) for trial in found} == {("complete", 1)}
    models = {trial.model for trial in found}
    assert len(read_results(tmp_path / "runs")) == len(models)
    # Random search asks what it asks, whoever asks.
    alone = [LENETS.network(choice) for choice in (trial.choice for trial in found)]
    assert [trial.model for trial in found] == alone


class Hangs(Observer):
    """Says that it has begun a trial, and never ends it."""

    def __init__(self, began: Path) -> None:
        self.began = began

    def trial_begins(self, trial: Trial, trials: int) -> None:
        self.began.touch()
        time.sleep(60)


def until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.fault("A11")
def test_the_trial_of_a_killed_worker_is_made_by_the_other(tmp_path: Path) -> None:
    out, began = tmp_path / "study", tmp_path / "began"
    hanging = start(lambda: go(out, WANTED, observer=Hangs(began)) and None)
    until(began.exists)
    other = start(lambda: go(out, WANTED) and None)
    until(
        lambda: (
            len(Trials(out).read()) == WANTED and all(t.finished for t in Trials(out).read()[1:])
        )
    )
    assert Trials(out).read()[0].state == "running", "the other waits for it"
    os.kill(hanging, signal.SIGKILL)
    assert wait(hanging) == -signal.SIGKILL
    assert wait(other) == 0
    found = Trials(out).read()
    assert [(t.state, t.attempts) for t in found] == [("complete", 2)] + [("complete", 1)] * (
        WANTED - 1
    )


@pytest.mark.fault("A11")
def test_a_trial_that_kills_its_process_twice_has_failed(tmp_path: Path) -> None:
    class Dies(Observer):
        def trial_begins(self, trial: Trial, trials: int) -> None:
            if trial.number == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    codes = [wait(start(lambda: go(tmp_path, 3, observer=Dies()) and None)) for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    found = Trials(tmp_path).read()
    assert [trial.state for trial in found] == ["complete", "failed", "complete"]
    assert found[1].reason == "its process died 2 times"
    assert found[1].reward == 0.0


def test_a_signal_stops_it_and_is_no_attempt(
    tmp_path: Path, whole: dict[str, list[tuple[object, ...]]]
) -> None:
    class Signals(Observer):
        def __init__(self, number: int) -> None:
            self.number = number

        def started(self, plan: object, step: int, total_steps: int) -> None:
            if (tmp_path / "trial-002.json").exists():
                os.kill(os.getpid(), self.number)

    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        observer = Signals(number)
        found, told = in_child(lambda o=observer: go(tmp_path, WANTED, observer=o) and None)
        assert found == code
        assert "the same command goes on" in told
        third = Trials(tmp_path).read()[2]
        assert (third.state, third.attempts) == ("queued", 0)
    assert in_child(lambda: go(tmp_path, WANTED) and None)[0] == 0
    assert outcomes(tmp_path) == whole["evolution"]


def test_a_network_that_diverges_is_a_trial_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(model: str, *arguments: object, **more: object) -> object:
        if "rectified" in model:
            raise NonFinite("step 1: loss nan")
        return train(model, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(together, "train", spoilt)
    found = go(tmp_path)
    states = {("rectified" in trial.model, trial.state) for trial in found}
    assert states == {(True, "failed"), (False, "complete")}
    for trial in found:
        if trial.state == "failed":
            assert (trial.reward, trial.reason) == (0.0, "step 1: loss nan")


def test_what_is_no_network_is_drawn_again_and_counted(tmp_path: Path) -> None:
    # A map of 4 channels cannot be squeezed to an eighth.
    def squeezed(*options: int) -> Space:
        decisions = [Decision("squeeze", options), Decision("shortcut", ("A", "B"))]
        return space("squeezed", "resnet20@blocks=1,width=4", decisions)

    found = go(tmp_path / "some", 2, study(Random(), squeezed(0, 8, 16), seed=7))
    assert not any("squeeze" in trial.model for trial in found)
    assert sum(trial.refused for trial in found) > 0
    with pytest.raises(UsageError, match=r"100 candidates in a row.*squeeze is (8|16)"):
        go(tmp_path / "none", 1, study(Random(), squeezed(8, 16)))
    assert not outcomes(tmp_path / "none")


def test_test_images_are_never_looked_at(tmp_path: Path) -> None:
    other = ImageArrays(np.zeros_like(IMAGES.test.images), IMAGES.test.labels)  # type: ignore[union-attr]
    blind = replace(IMAGES, test=other)
    for name, images in (("one", IMAGES), ("other", blind)):
        Search(study(), images, tmp_path / name, CPU, Observer()).go(2)
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "other")
    for result in read_results(tmp_path / "one" / "runs"):
        assert (result.data.train_images, result.data.test_images) == (80, 20)


def test_the_cost_counts_in_the_reward(tmp_path: Path) -> None:
    reward = Reward(kind="soft", cost="params", target=10_000)
    for trial in go(tmp_path, 2, study(reward=reward)):
        assert trial.params is not None
        assert trial.accuracy is not None
        by_hand = trial.accuracy * (trial.params / 10_000) ** -0.07
        assert trial.reward == pytest.approx(by_hand)
    slow = Reward(kind="hard", cost="latency", target=1e-9)
    (trial,) = go(tmp_path / "slow", 1, study(reward=slow))
    assert trial.latency is not None
    assert trial.reward == pytest.approx((trial.accuracy or 0.0) * 1e-9 / trial.latency)


def test_a_changed_study_is_refused_with_what_differs(tmp_path: Path) -> None:
    go(tmp_path, 1)
    for changed, key in (
        (study(seed=1), "seed"),
        (study(validation=0.3), "validation"),
        (study(Random()), "how.kind"),
        (study(searched=replace(LENETS, base="lenet5_modern@side=5,maps=2-2")), "space.base"),
        (study(reward=Reward(kind="hard", target=1.0)), "reward.kind"),
    ):
        with pytest.raises(PlanChanged, match=key) as caught:
            go(tmp_path, 1, changed)
        assert caught.value.exit_code == 2
    longer = replace(study(), recipe=study().recipe.model_copy(update={"epochs": 2}))
    with pytest.raises(PlanChanged, match=r"recipe\.epochs"):
        go(tmp_path, 1, longer)
    assert go(tmp_path, 2)[0] == Trials(tmp_path).read()[0], "more trials are the same study"


def test_a_damaged_trial_is_named(tmp_path: Path) -> None:
    go(tmp_path, 1)
    path = tmp_path / "trial-000.json"
    content = json.loads(path.read_text())
    for spoilt, reason in (
        ({**content, "number": 3}, "trial 3"),
        ({**content, "extra": 1}, "extra"),
    ):
        path.write_text(json.dumps(spoilt))
        with pytest.raises(trials.BadInput, match=reason):
            go(tmp_path, 1)


def test_late_news_of_an_early_trial_starts_the_strategy_anew() -> None:
    told: list[tuple[int, ...]] = []

    class Listens:
        def __init__(self) -> None:
            self.heard: list[int] = []

        def ask(self, number: int, turn: int = 0) -> tuple[int, ...]:
            told.append(tuple(self.heard))
            return (0,)

        def tell(self, choice: tuple[int, ...], reward: float) -> None:
            self.heard.append(choice[0])

    def trial(number: int, state: str) -> Trial:
        return Trial.model_validate(
            {"number": number, "state": state, "choice": [number], "text": "", "model": ""}
            | {"reward": 0.5}
        )

    learner = worker.Learner(Listens, lambda trial: None)
    for states in ("crc", "ccc", "cccq", "cccfc"):
        names = {"c": "complete", "r": "running", "q": "queued", "f": "failed"}
        seen = [trial(number, names[state]) for number, state in enumerate(states)]
        learner.after(seen).ask(len(seen))
    assert told == [(0, 2), (0, 1, 2), (0, 1, 2), (0, 1, 2, 3, 4)]
