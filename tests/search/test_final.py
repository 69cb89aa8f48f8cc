"""What was found: chosen by reward alone, tested once beside the base, and said in words."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from convnets.data import ImageSet
from convnets.errors import NonFinite, TrainingFailed
from convnets.records import read_results
from convnets.runs import train
from convnets.runs.run import Conduct
from convnets.search import together
from convnets.search.final import Final, Found, best, retrained
from convnets.search.findings import finals_sheet, markdown, search_png, sentences, trials_sheet
from convnets.search.observer import Observer
from convnets.search.together import Setting
from convnets.search.trials import Trial
from tests.children import in_child, start, wait
from tests.report.synthetic import build
from tests.runs.tiny import CPU
from tests.search.small import IMAGES, RECIPE, study

BASE = "lenet5_modern"
SMALL = "lenet5_modern@maps=2-4"
WIDE = "lenet5_modern@maps=4-8,hidden=16"


def trial(number: int, model: str, reward: float | None, **more: object) -> Trial:
    complete = {"state": "complete", "accuracy": reward, "params": 100, "macs": 1000 * (number + 1)}
    kept = complete if reward is not None else {"state": "failed", "reason": "nan"}
    fields = {"number": number, "choice": (0, 0, 0), "text": "", "model": model}
    return Trial.model_validate({**fields, **kept, "reward": reward or 0.0, **more})


TRIALS = (
    trial(0, SMALL, 0.5, seconds=10.0, run="a"),
    trial(1, WIDE, 0.7, seconds=20.0, run="b", refused=1),
    trial(2, SMALL, None),
    trial(3, WIDE, 0.7, seconds=20.0, run="b"),
    trial(4, SMALL, 0.6, seconds=10.0, run="c"),
)


def found() -> Found:
    """The small network has the better test, the wide one the higher reward."""
    shown = {SMALL: (0.65, 200, 4000), WIDE: (0.60, 100, 2000), BASE: (0.50, 400, 8000)}
    results = {
        model: build("resnet18", model=model, top1=top1, params=params, macs=macs, seconds=25.0)
        for model, (top1, params, macs) in shown.items()
    }
    tested = {SMALL: TRIALS[4], WIDE: TRIALS[1], BASE: None}
    finals = tuple(Final(tested[model], result) for model, result in results.items())
    return Found(study(), TRIALS, 0.0, finals, ())


def test_the_best_are_the_complete_ones_each_network_once() -> None:
    assert [each.number for each in best(TRIALS)] == [1, 4]
    with pytest.raises(TrainingFailed, match="no trial is complete; the first: nan"):
        best(TRIALS[2:3])


def test_the_winner_is_the_rewards_and_not_the_tests() -> None:
    outcome = found()
    assert outcome.winner is not None
    assert outcome.winner.result.model == WIDE
    assert outcome.base is not None
    assert outcome.base.result.model == BASE
    assert outcome.seconds == 40.0, "the run that two trials share was made once"
    assert outcome.to_dict()["winner"] == WIDE


def test_it_is_said_in_words() -> None:
    outcome = found()
    images = outcome.finals[0].result.data.test_images
    error = 100 * ((0.6 * 0.4 + 0.5 * 0.5) / images) ** 0.5
    text = " ".join(sentences(outcome))
    for words in (
        "5 trials of 2 networks out of 18; 1 failed. 1 sample made no network",
        f"Highest reward: 0.7000 in trial 1, at 70.00 % of the validation images: {WIDE}.",
        f"Tested: 60.00 % against the base's 50.00 % (+10.00 points, beyond two standard errors of "
        f"{error:.2f}), with 0.25 times its parameters and 0.25 times its multiply-adds.",
        "The search took 40.0 s of training, 1.6 times what training the base took (25.0 s).",
    ):
        assert words in text
    page = markdown(outcome, "Title", ["convnets search"])
    assert "| trial 4 | 65.00 | 200 |" in page
    assert "| base | 50.00 | 400 |" in page
    assert [row[0] for row in finals_sheet(outcome).body] == ["trial 4", "trial 1", "base"]
    assert [row[-1] for row in trials_sheet(outcome).body] == [WIDE, SMALL]
    assert search_png(outcome).startswith(b"\x89PNG")


def setting(out: Path, observer: Observer | None = None, images: ImageSet = IMAGES) -> Setting:
    return Setting(images, RECIPE, 0, out, CPU, Conduct(), observer or Observer())


def test_the_best_and_the_base_are_trained_on_all_training_images(tmp_path: Path) -> None:
    outcome = retrained(study(), TRIALS, 0.0, 1, setting(tmp_path))
    assert {f.result.model for f in outcome.finals} == {WIDE, BASE}
    for final in outcome.finals:
        assert final.result == train(final.result.model, IMAGES, RECIPE, out=tmp_path, engine=CPU)
    assert retrained(study(), TRIALS, 0.0, 0, setting(tmp_path / "none")).finals == ()
    assert not (tmp_path / "none").exists()


def test_what_diverges_at_last_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(model: str, *arguments: object, **more: object) -> object:
        if model == WIDE:
            raise NonFinite("step 1: loss nan")
        return train(model, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(together, "train", spoilt)
    outcome = retrained(study(), TRIALS, 0.0, 1, setting(tmp_path))
    assert [(model, str(error)) for model, error in outcome.failures] == [
        (WIDE, "step 1: loss nan")
    ]
    assert outcome.winner is None
    assert outcome.base is not None


def test_two_processes_share_the_last_runs_and_a_signal_stops_them(tmp_path: Path) -> None:
    class Signals(Observer):
        def started(self, plan: object, step: int, total_steps: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def last(observer: Observer | None = None) -> None:
        retrained(study(), TRIALS, 0.0, 2, setting(tmp_path, observer))

    code, told = in_child(lambda: last(Signals()))
    assert code == 143
    assert "the same command goes on" in told
    children = [start(last) for _ in range(2)]
    assert [wait(child) for child in children] == [0, 0]
    assert {result.model for result in read_results(tmp_path)} == {WIDE, SMALL, BASE}
