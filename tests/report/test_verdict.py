"""Sentences against rows whose order, margins and costs are chosen by hand."""

from __future__ import annotations

from convnets.records import Result
from convnets.report.leaderboard import leaderboard
from convnets.report.verdict import verdict
from tests.report.synthetic import build, sixteen


def said(results: list[Result]) -> dict[str, str]:
    return dict(sentence.split(": ", 1) for sentence in verdict(leaderboard(results)))


def seeds(name: str, *accuracies: float) -> list[Result]:
    return [build(name, seed=seed, top1=top1) for seed, top1 in enumerate(accuracies)]


def test_a_clear_lead_is_given_in_points_and_deviations() -> None:
    # means 0.81 and 0.71, deviations 0.01 each: 10 points, 0.10 / sqrt(2 * 0.01**2) = 7.07
    sentences = said(seeds("vgg16", 0.80, 0.81, 0.82) + seeds("resnet18", 0.70, 0.71, 0.72))
    assert "vgg16 at 81.00 ± 1.00 % top-1 (3 seeds)" in sentences["Most accurate"]
    assert "leads resnet18 by 10.00 points, 7.1 standard dev" in sentences["Most accurate"]
    assert (
        sentences["Best value"] == "no network that costs fewer MACs comes within a point of vgg16."
    )
    assert sentences["Smallest"].startswith("resnet18 has 11.2 M parameters")
    assert sentences["Fastest"].startswith("resnet18 trains at 1,180 images/s")
    assert sentences["Pareto front"].startswith("resnet18 and vgg16,")
    assert "One seed" not in sentences


def test_a_lead_within_the_spread_says_so() -> None:
    # half a point apart, deviations of a point: within two deviations of the difference
    sentences = said(
        seeds("vgg16", 0.80, 0.81, 0.82)
        + seeds("resnet18", 0.795, 0.805, 0.815)
        + seeds("zfnet", 0.50, 0.51, 0.52)
    )
    assert sentences["Most accurate"].endswith("(two deviations) of resnet18.")
    # 433 M against 37.2 M MACs
    expected = "resnet18 is 0.50 points behind at 37.2 M MACs an image, 11.6 times fewer."
    assert sentences["Best value"] == expected


def test_caveats() -> None:
    sentences = said([build("vgg16", epochs=1), build("resnet18", epochs=1), build("zfnet")])
    assert sentences["One seed"].startswith("every network ran once")
    assert sentences["One epoch"].startswith("vgg16 and resnet18 saw the data once")
    assert sentences["Unequal epochs"] == "12 epochs for zfnet; 1 epoch for the others."
    assert sentences["Unequal stem"] == "small stem for zfnet; paper stem for the others."
    assert "one seed shows no spread" in sentences["Most accurate"]


def test_a_curve_that_still_rises_is_named() -> None:
    flat, rising = build("vgg16"), build("resnet18")
    last = rising.curve[-1]
    for run, gain, expected in ((rising, 0.011, True), (rising, 0.009, False)):
        before = run.curve[-2].model_copy(update={"test_top1": last.test_top1 - gain})
        steep = run.model_copy(update={"curve": (*run.curve[:-2], before, last)})
        sentence = said([flat, steep]).get("Not converged", "")
        assert ("resnet18" in sentence) is expected


def test_a_small_test_set_is_named() -> None:
    run = build("vgg16", top1=0.8)
    small = run.model_copy(update={"data": run.data.model_copy(update={"test_images": 400})})
    # sqrt(0.8 * 0.2 / 400) = 0.02
    assert (
        "400 images leave the best accuracy uncertain by 2.00 points"
        in said([small])["Small test set"]
    )
    assert "Small test set" not in said([run])


def test_data_sets_are_judged_apart_and_one_or_no_row_is_enough() -> None:
    run = build("vgg16")
    other = build("zfnet", data=run.data.model_copy(update={"name": "digits", "fingerprint": "0"}))
    subjects = list(said([run, other]))
    assert "cifar10, most accurate" in subjects
    assert "digits, most accurate" in subjects
    assert list(said([run])) == ["Most accurate", "One seed"]
    assert verdict([]) == []


def test_sixteen_networks_with_equal_settings_differ_in_stem_alone() -> None:
    unequal = [subject for subject in said(sixteen()) if subject.startswith("Unequal")]
    assert unequal == ["Unequal stem"]
