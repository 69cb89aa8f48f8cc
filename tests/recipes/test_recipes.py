"""Every recipe is complete, says where its values come from, and trains a network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from convnets.data.batches import make_batches
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.models import FAMILIES
from convnets.recipes import RECIPES, Recipe, load_recipe, with_changes
from convnets.records import Record
from convnets.runs.start import objective_of, statistics
from convnets.training.loop import steps
from convnets.training.state import TrainingState
from tests.runs.tiny import CPU, tiny_set
from tests.training.pocket import weights

NAMES = [recipe.name for recipe in RECIPES]
POCKETS = {family.name: family for family in FAMILIES}
FAMILY_OF = {
    "lenet": "lenet",
    "alexnet": "alexnet",
    "vgg": "vgg",
    "googlenet": "googlenet",
    "stochastic": "resnet_cifar",
    "wrn": "wide_resnet",
    "densenet": "densenet",
    "mobilenet": "mobilenet_v1",
    "efficientnet": "efficientnet",
    "efficientnetv2": "efficientnet_v2",
    "convnext": "convnext",
    "capsnet": "capsnet",
}
PROSE = ("name", "summary", "year", "sources")


def given(part: Record, prefix: str = "") -> list[str]:
    """Paths of the values that are not the bare default of their field, parts opened up."""
    found = []
    for name, field in type(part).model_fields.items():
        value: Any = getattr(part, name)
        if (not prefix and name in PROSE) or name == "kind":
            continue
        if isinstance(value, Record):
            found += given(value, f"{prefix}{name}.")
        elif field.is_required() or value != field.default:
            found.append(f"{prefix}{name}")
    return found


def groups(path: str) -> list[str]:
    """A path and the groups that it is in."""
    return [path.rsplit(".", cut)[0] for cut in range(path.count(".") + 1)]


def paths(content: dict[str, Any], prefix: str = "") -> set[str]:
    """Every path of a record, groups included."""
    found = set()
    for key, value in content.items():
        found.add(f"{prefix}{key}")
        if isinstance(value, dict):
            found |= paths(value, f"{prefix}{key}.")
    return found


def pocket_of(recipe: Recipe) -> ConvNet:
    family = POCKETS[FAMILY_OF.get(recipe.name.partition("-")[0], "resnet")]
    spec = family.pocket
    if recipe.name.startswith("capsnet"):
        spec = type(spec)(**{**vars(spec), "reconstruct": True})
    network: ConvNet = family.network(spec, in_chans=3, num_classes=4)
    return network


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_every_value_has_a_source_and_every_source_a_value(recipe: Recipe) -> None:
    unsourced = [
        path for path in given(recipe) if not any(group in recipe.sources for group in groups(path))
    ]
    assert not unsourced
    content = recipe.model_dump()
    assert recipe.sources.keys() <= paths(content)
    assert all(source.strip() for source in recipe.sources.values())
    assert recipe.summary


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_every_recipe_takes_two_steps(recipe: Recipe) -> None:
    size = 28 if recipe.name.startswith("capsnet") else 32
    plan = with_changes(recipe, ["epochs=1", f"input_size={size}", "batch_size=8"])
    image_set = tiny_set(channels=3, classes=4, train=16, test=4)
    mean, deviation = statistics(image_set, plan, None)
    batches = make_batches(
        image_set.train,
        size=size,
        batch_size=plan.batch_size,
        mean=mean,
        deviation=deviation,
        device=CPU.device,
        seed=0,
        augmentation=plan.augmentation,
        training=True,
        sampling=plan.sampling,
    )
    torch.manual_seed(0)
    state = TrainingState(pocket_of(plan), plan, CPU)
    before = weights(state.model)
    objective = objective_of(state.model, plan, image_set, CPU)
    reports = list(steps(state, batches, plan, CPU, objective))
    assert [report.step for report in reports] == [1, 2]
    assert all(math.isfinite(report.loss) for report in reports)
    after = weights(state.model)
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    trained = {name for name, p in state.model.named_parameters() if p.requires_grad}
    assert len(moved & trained) > len(trained) / 2, trained - moved
    if recipe.freeze is not None:
        assert moved == trained


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-small")])
def test_a_small_form_has_a_large_one_of_the_same_year(name: str) -> None:
    small, large = load_recipe(name), load_recipe(name.removesuffix("-small"))
    assert small.year == large.year
    assert small.input_size is None
    assert (large.input_size or 0) >= 160
    assert type(small.optimizer) is type(large.optimizer)
    assert type(small.schedule) is type(large.schedule)


# Each pair keeps rate / batch (Goyal et al. 2017, Section 2.1), or for LAMB and Adam the rate over
# the batch's root (You et al. 2020, Section 4; Malladi et al. 2022).
@pytest.mark.parametrize(
    ("name", "power"),
    [
        ("alexnet-2012", 1),
        ("vgg-2014", 1),
        ("googlenet-2014", 1),
        ("mobilenet-2017", 1),
        ("efficientnet-2019", 1),
        ("efficientnetv2-2021", 1),
        ("rsb-a3", 0.5),
        ("convnext-2022", 0.5),
    ],
)
def test_rates_are_rescaled_with_the_batch(name: str, power: float) -> None:
    large, small = load_recipe(name), load_recipe(f"{name}-small")
    scaled = large.optimizer.lr * (small.batch_size / large.batch_size) ** power
    assert small.optimizer.lr == pytest.approx(scaled, rel=0.02)


def test_values_printed_in_the_papers() -> None:
    """A sample, read in the papers, of what a slip of the finger would spoil."""
    imagenet = 1_281_167
    steps_of = {r.name: r.epochs * imagenet / r.batch_size for r in RECIPES}
    assert steps_of["resnet-2015"] == pytest.approx(60e4, rel=0.01)  # Section 3.4
    assert steps_of["vgg-2014"] == pytest.approx(370e3, rel=0.01)  # Section 3.1
    assert steps_of["googlenet-2014"] == pytest.approx(10e6, rel=0.01)  # solver.prototxt
    assert load_recipe("resnet-cifar").epochs * 391 == pytest.approx(64e3, rel=0.01)  # Section 4.2
    a1, a2, a3 = (load_recipe(f"rsb-a{number}") for number in (1, 2, 3))
    assert [r.epochs for r in (a1, a2, a3)] == [600, 300, 100]  # Table 2, row by row
    assert [r.optimizer.lr for r in (a1, a2, a3)] == [5e-3, 5e-3, 8e-3]
    assert [r.optimizer.weight_decay for r in (a1, a2, a3)] == [0.01, 0.02, 0.02]
    assert [r.schedule.warmup * r.epochs for r in (a1, a2, a3)] == pytest.approx([5, 5, 5])
    assert [r.augmentation.mixup for r in (a1, a2, a3)] == [0.2, 0.1, 0.1]
    assert [r.stochastic_depth for r in (a1, a2, a3)] == [0.05, 0.05, None]


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("optimizer.kind=lamb", "optimizer.kind", "lamb"),
        ("progressive.stages=3", "progressive.stages", 3),
        ("augmentation.rand_augment.magnitude=5", "augmentation.rand_augment.magnitude", 5),
        ("augmentation.erasing={probability = 0.25}", "augmentation.erasing.probability", 0.25),
        ("weights=timm", "weights", "timm"),
        ('freeze=["features.*", "head.fc"]', "freeze", ("features.*", "head.fc")),
        ("normalise=unit", "normalise", "unit"),
        ("clip_norm=none", "clip_norm", None),
    ],
)
def test_one_value_can_be_changed(change: str, path: str, value: object) -> None:
    found: Any = with_changes(load_recipe("baseline"), [change]).model_dump()
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("progressive.stage=3", "did you mean stages"),
        ("progresive.stages=3", "did you mean progressive"),
        ("ema_decay.half=3", "ema_decay"),
        ("optimizer.learning_rate=1", "unknown recipe field"),
        ("sampling=random", "sampling"),
        ("freeze=3", "freeze"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        with_changes(load_recipe("baseline"), [change])


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean rsb-a"):
        load_recipe("rsb-a4")
