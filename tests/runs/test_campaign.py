"""A campaign goes on in pieces, keeps what is finished, and says what it shortened or left."""

from __future__ import annotations

from pathlib import Path

import pytest

from convnets.recipes import RECIPES
from convnets.recipes.campaign import CAMPAIGNS, LECTURE_CAMPAIGN, Campaign, Row
from convnets.records import Result
from convnets.report.campaign import Cell, campaign_markdown, compute_to, place
from convnets.runs import campaign as campaigns
from convnets.runs.campaign import carry_on, peaks_of, recipe_of, results_of
from convnets.runs.observer import Observer
from convnets.runs.plan import Plan, make_plan
from tests.runs.tiny import CPU, tiny_set

DATA = tiny_set(train=40, test=20)
SMALL = ("batch_size=20",)


def row(model: str, **changes: object) -> Row:
    plain = Row(
        protocol="plain", model=model, stem="auto", size=32, recipe="baseline", epochs=3,
        changes=SMALL, printed=50.0,
    )  # fmt: skip
    return Row.model_validate({**dict(plain), **changes})


PAIR = Campaign(
    name="pair", summary="two", data="noise", source="made here",
    rows=(row("lenet5"), row("resnet20", seeds=2), row("alexnet", stem="paper")),
)  # fmt: skip


class Names(Observer):
    """Who was started, and what was noted."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.notes: list[str] = []

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.begun.append((plan.model, plan.recipe.epochs))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("campaign")
    left = carry_on(PAIR, DATA, out, engine=CPU, epochs=1)
    assert [(each.row.model, each.seed) for each in left] == [("alexnet", 0)]
    assert "does not take images of 32x32" in left[0].reason
    return out


def test_finished_rows_are_not_repeated(done: Path) -> None:
    seen = Names()
    assert len(carry_on(PAIR, DATA, done, engine=CPU, epochs=3, observer=seen)) == 1
    assert seen.begun == []
    found = results_of(PAIR, done)
    assert {key: len(runs) for key, runs in found.items()} == {
        ("plain-32", "lenet5"): 1,
        ("plain-32", "resnet20"): 2,
    }


def test_rows_are_shortened_to_a_piece_or_left_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {"lenet5": 10.0, "resnet20": 1000.0}
    monkeypatch.setattr(campaigns, "measure_epoch", lambda plan, *_: costs[plan.model])
    seen = Names()
    left = carry_on(PAIR, DATA, tmp_path, engine=CPU, seconds=30, observer=seen)
    assert seen.begun == [("lenet5", 2)]  # 0.85 of 30 s hold two epochs of 10 s
    assert seen.notes == ["plain-32 lenet5: 2 of 3 epochs"]
    assert [each.reason for each in left[:2]] == ["one epoch takes 1000 s"] * 2
    costs["resnet20"] = 9.9
    moments = iter([0.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(campaigns.time, "monotonic", lambda: next(moments))
    left = carry_on(PAIR, DATA, tmp_path, engine=CPU, seconds=30)
    assert left[0].reason == "2 epochs did not fit what was left of the piece"
    moments = iter([0.0, 31.0, 31.0, 31.0])
    monkeypatch.delattr(campaigns, "measure_epoch")
    left = carry_on(PAIR, DATA, tmp_path, engine=CPU, seconds=30)
    assert left[0].reason == "the piece's time was over"


def test_quick_rows_get_further_seeds_when_all_have_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (row("lenet5", epochs=1, quick_seeds=2), row("resnet20", epochs=1, quick_seeds=2))
    quick = PAIR.model_copy(update={"rows": rows})
    once = Names()
    assert carry_on(quick, DATA, tmp_path, engine=CPU, epochs=1, observer=once) == []
    assert once.begun == [("lenet5", 1), ("resnet20", 1)]  # a rehearsal has no further seeds
    slowest = max(runs[0].seconds for runs in results_of(quick, tmp_path).values())
    fastest = min(runs[0].seconds for runs in results_of(quick, tmp_path).values())
    assert fastest < slowest
    monkeypatch.setattr(campaigns, "QUICK_SECONDS", slowest)
    seen = Names()
    assert carry_on(quick, DATA, tmp_path, engine=CPU, observer=seen) == []
    assert len(seen.begun) == 1
    assert sorted(len(runs) for runs in results_of(quick, tmp_path).values()) == [1, 2]


def test_an_epoch_is_timed_on_the_networks_own_steps() -> None:
    plan = make_plan("lenet5", DATA, recipe_of(row("lenet5", changes=("batch_size=4",))), 0)
    assert 0 < campaigns.measure_epoch(plan, DATA, CPU) < 60


def test_the_lecture_has_sixteen_networks_twice_twice() -> None:
    rows = LECTURE_CAMPAIGN.rows
    assert len(rows) == 64
    assert {each.group for each in rows} == {"lecture-32", "lecture-224", "ours-32", "ours-224"}
    assert {each.recipe for each in rows} <= {recipe.name for recipe in RECIPES}
    assert CAMPAIGNS["lecture"] is LECTURE_CAMPAIGN
    printed = {(each.model, each.size): each.printed for each in rows}
    # The lecture's table: ResNet18 77.4 and 86.8, MobileNetV2 67.4 and 87.5.
    assert (printed["resnet18", 32], printed["resnet18", 224]) == (77.4, 86.8)
    assert (printed["mobilenet_v2", 32], printed["mobilenet_v2", 224]) == (67.4, 87.5)
    ours = [each for each in rows if each.protocol == "ours"]
    assert {(each.size, each.stem) for each in ours} == {(32, "small"), (224, "paper")}
    assert all(recipe_of(each).epochs == each.epochs for each in rows)


def runs_of(done: Path) -> tuple[Result, ...]:
    return tuple(results_of(PAIR, done)["plain-32", "resnet20"])


def test_the_page_has_every_row(done: Path) -> None:
    runs = runs_of(done)
    cells = [
        Cell("plain-32", "resnet20", 50.0, 3, runs),
        Cell("plain-32", "alexnet", 60.0, 3, (), left="too small"),
    ]
    speed = 0.5 * (runs[0].images_per_second + runs[1].images_per_second)
    peak = 6 * runs[0].macs * speed * 4
    text = campaign_markdown("Pair", "made here", cells, {place(runs[0]): peak})
    line = next(line for line in text.splitlines() if line.startswith("| resnet20"))
    mean = 50 * (runs[0].top1 + runs[1].top1)
    assert f"| 50.0 | {mean:.2f} ± " in line
    assert f"| {mean - 50:+.2f} | 2 | 1 of 3 |" in line
    assert "| 25.0 % |" in line
    assert "- alexnet: too small" in text
    assert runs[0].command in text
    assert "40 training and 20 test images." in text
    assert "| alexnet | – | 60.0 |" in text


def test_compute_to_a_level_is_by_epochs(done: Path) -> None:
    run = runs_of(done)[0]
    curve = tuple(
        run.curve[0].model_copy(update={"epoch": epoch, "test_top1": top1})
        for epoch, top1 in ((1, 0.3), (2, 0.5), (3, 0.6))
    )
    longer = run.model_copy(update={"epochs": 3, "curve": curve, "training_macs": 900})
    assert compute_to(0.5, longer) == 600
    assert compute_to(0.3, longer) == 300
    assert compute_to(0.7, longer) is None


def test_a_peak_is_measured_once_and_kept(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(done)
    (where,) = {place(run) for run in runs}
    peaks = peaks_of(runs, tmp_path, CPU.device)
    assert list(peaks) == [where]
    assert peaks[where] > 6 * runs[0].macs * runs[0].images_per_second
    monkeypatch.setattr(campaigns, "matmul_peak", lambda *_: 0.0)
    assert peaks_of(runs, tmp_path, CPU.device) == peaks
    elsewhere = [run.model_copy(update={"machine": run.machine.model_copy(update={"cores": 99})})
                 for run in runs]  # fmt: skip
    assert peaks_of(elsewhere, tmp_path, CPU.device) == peaks
