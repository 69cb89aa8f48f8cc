"""What a plan settles, what its name and hash follow from, and what it refuses."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from convnets.data import ImageArrays, ImageSet, load_data
from convnets.data.augment import Augmentation
from convnets.errors import UnknownName, UsageError
from convnets.files import read_json
from convnets.models import FAMILIES, VARIANTS, find_variant, matching
from convnets.recipes import Recipe, load_recipe, with_changes
from convnets.records import DataRecord, read_result
from convnets.runs.grid import LINEAGE
from convnets.runs.plan import Plan, make_plan, natural_size
from convnets.training.settings import Progressive
from tests.runs.tiny import RECIPE, tiny_set

NOISE = tiny_set()
RESULTS = Path(__file__).parents[2] / "results"
FINISHED = sorted(path.parent for path in RESULTS.glob("*/*/plan.json"))


def named(**changes: object) -> Recipe:
    return RECIPE.model_copy(update=changes)


def name_of(recipe: Recipe = RECIPE, seed: int = 0, model: str = "lenet5") -> str:
    return make_plan(model, NOISE, recipe, seed).run_name


def test_a_runs_name_says_what_it_is() -> None:
    assert re.fullmatch(r"lenet5-noise-tiny-e2-s3-[0-9a-f]{8}", name_of(seed=3))
    odd = tiny_set("Café/../\n" + "x" * 100)
    name = make_plan("lenet5", odd, RECIPE, 0).run_name
    assert re.fullmatch(r"[\w.-]+", name)
    assert "/" not in name
    assert len(name) < 120


@pytest.mark.parametrize(
    "recipe",
    [
        named(epochs=3),
        named(batch_size=8),
        named(optimizer=RECIPE.optimizer.model_copy(update={"lr": 1e-3})),
        named(label_smoothing=0.1),
        named(augmentation=Augmentation(padding=1)),
        named(input_size=33, stem="small"),
        named(name="other"),
    ],
)
def test_the_hash_follows_what_decides_the_result(recipe: Recipe) -> None:
    plan = make_plan("lenet5_modern", NOISE, recipe, 0)
    hashes = {plan.run_name[-8:], name_of(model="lenet5_modern")[-8:], name_of(seed=1)[-8:]}
    assert len(hashes) == 3


def test_the_hash_ignores_prose_and_is_the_same_tomorrow() -> None:
    talkative = named(summary="other words", sources={"epochs": "a book"})
    assert name_of(talkative) == name_of()
    again = tiny_set()
    assert make_plan("lenet5", again, RECIPE, 0).run_name == name_of()
    other = make_plan("lenet5", tiny_set(train=41), RECIPE, 0)
    assert other.run_name != name_of()


def recorded_set(data: DataRecord) -> ImageSet:
    """A set of which a plan says the same: as many images, all black, that take no memory."""
    assert data.image_size is not None

    def split(count: int) -> ImageArrays:
        shape = (count, *data.image_size, data.channels)  # type: ignore[misc]
        return ImageArrays(np.broadcast_to(np.uint8(0), shape), np.zeros(count, np.int64))

    return ImageSet(
        name=data.name,
        classes=data.classes,
        train=split(data.train_images),
        test=split(data.test_images),
        channels=data.channels,
        fingerprint=data.fingerprint,
        licence="",
        source="",
    )


@pytest.mark.parametrize("folder", FINISHED, ids=lambda folder: folder.name)
def test_a_finished_run_keeps_its_name_though_fields_are_added(folder: Path) -> None:
    result = read_result(folder / "result.json")
    stored = Plan.model_validate(result.plan)
    assert stored.content() == read_json(folder / "plan.json")
    words = shlex.split(result.command)
    given = {option: value for option, value in pairwise(words) if option.startswith("--")}
    changes = [value for option, value in pairwise(words) if option == "--set"]
    changes += [
        f"{name}={given[f'--{name}']}" for name in ("epochs", "stem") if f"--{name}" in given
    ]
    recipe = with_changes(load_recipe(result.recipe), changes)
    today = make_plan(result.model, recorded_set(result.data), recipe, result.seed)
    assert stored.run_name == today.run_name == folder.name


def test_what_is_off_leaves_no_trace_in_the_hash() -> None:
    values = RECIPE.values()
    assert {name for name, value in values.items() if value is None} == {
        "clip_norm",
        "ema_decay",
        "input_size",
    }
    explicit = named(swa_start=None, progressive=None, dropout=None)
    assert name_of(explicit) == name_of()
    assert name_of(named(dropout=0.0)) != name_of()


@pytest.mark.parametrize(
    ("name", "flipped"), [("digits", False), ("mnist", False), ("fashion-mnist", True)]
)
def test_digits_are_not_mirrored(name: str, flipped: bool) -> None:
    recipe = named(augmentation=Augmentation(padding=2, flip=True))
    found = make_plan("lenet5", tiny_set(name), recipe, 0).recipe.augmentation
    assert found == Augmentation(padding=2, flip=flipped)


@pytest.mark.parametrize(
    ("side", "expected"), [(8, 32), (28, 32), (32, 32), (48, 48), (64, 64), (65, 224)]
)
def test_the_natural_size_is_the_images_own(side: int, expected: int) -> None:
    few = tiny_set(side=side, train=10, test=10)
    assert natural_size(few) == expected


def test_the_built_in_digits_become_32_pixels() -> None:
    plan = make_plan("lenet5", load_data("digits"), RECIPE, 0)
    assert (plan.input_size, plan.stem, plan.data.channels) == (32, "paper", 1)


@pytest.mark.parametrize(
    ("model", "stem"),
    [("alexnet_owt", "small"), ("zfnet", "small"), ("resnet18", "paper"), ("vgg11", "paper")],
)
def test_the_small_stem_is_chosen_where_the_published_one_does_not_fit(
    model: str, stem: str
) -> None:
    plan = make_plan(model, NOISE, RECIPE, 0)
    assert plan.stem == stem
    assert plan.run_name.startswith(f"{model}-small-" if stem == "small" else f"{model}-noise")


def test_every_network_of_the_lineage_has_a_plan_at_32_pixels() -> None:
    for model in LINEAGE:
        make_plan(model, NOISE, RECIPE, 0)
    families = [find_variant(model)[0] for model in LINEAGE]
    assert len(families) == len(set(map(id, families))) == 9
    assert sorted(families, key=FAMILIES.index) == families, "in order of date"


@pytest.mark.parametrize(
    ("model", "recipe", "says"),
    [
        ("alexnet_owt", named(stem="paper"), "does not take images of 32x32"),
        ("lenet5", named(input_size=40), r"does not take images of 40x40: features\.stage4"),
        ("resnet_18", RECIPE, "did you mean resnet18"),
        ("lenet5", named(auxiliary_weight=0.3), "no auxiliary heads"),
        ("lenet5_modern", named(freeze=("features", "head")), "leaves nothing to train"),
        ("lenet5_modern", named(progressive=Progressive(size_from=0.2)), "of 8x8, which training"),
        ("lenet5_modern", named(weights="nowhere/at/all.pth"), "no such file"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    model: str, recipe: Recipe, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        make_plan(model, NOISE, recipe, 0)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="seed"):
        make_plan("lenet5", NOISE, RECIPE, seed)


def test_names_and_patterns_give_each_network_once_in_the_order_asked() -> None:
    assert matching(["vgg16", "resnet[13]*", "resnet18", "lenet5"]) == [
        "vgg16",
        *(name for name in VARIANTS if re.fullmatch(r"resnet[13].*", name)),
        "lenet5",
    ]
    for wrong in ("resnet", "nothing*", ""):
        with pytest.raises(UnknownName):
            matching(["lenet5", wrong])
