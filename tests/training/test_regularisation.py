"""Dropout, stochastic depth and freezing reach the layers they name; growth follows its table."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.errors import UsageError
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model, van
from convnets.training.regularisation import (
    freeze,
    prepare,
    progressive_stage,
    set_dropout,
    set_stochastic_depth,
)
from convnets.training.settings import Progressive
from convnets.training.state import TrainingState
from tests.training.pocket import CPU, Normed, equal, run, settings, weights


def survivals(model: nn.Module) -> dict[str, float]:
    found = model.named_modules()
    return {name: part.survival for name, part in found if isinstance(part, StochasticDepth)}


def meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, num_classes=10)


def test_stochastic_depth_falls_linearly_to_the_last_block() -> None:
    model = meta("resnet110")
    set_stochastic_depth(model, 0.5)
    # Huang et al. 2016, Eq. 4 with L = 54 blocks: 1 - l / L (1 - p_L).
    assert list(survivals(model).values()) == pytest.approx([1 - b / 108 for b in range(1, 55)])


def test_the_recipes_stochastic_depth_is_that_of_the_networks_own_row() -> None:
    plain, drawn = meta("resnet110"), meta("resnet110_stochastic_depth")
    set_stochastic_depth(plain, 0.5)
    assert survivals(plain) == survivals(drawn)


def test_both_branches_of_a_block_have_one_probability() -> None:
    model = van.FAMILY.network(van.Spec((3, 3, 5, 2), (4, 4, 4, 4), 0.0, stem="small"))
    set_stochastic_depth(model, 0.2)
    found = survivals(model)
    blocks = sorted({name.rpartition(".")[0].rpartition(".")[0] for name in found})
    assert len(found) == 2 * len(blocks) == 26
    for number, block in enumerate(blocks, start=1):
        expected = pytest.approx(1 - number / 13 * 0.2)
        assert found[f"{block}.attend.drop"] == found[f"{block}.feed.drop"] == expected


def test_networks_without_such_layers_stay_as_they_are() -> None:
    model = meta("lenet5")
    set_stochastic_depth(model, 0.5)
    set_dropout(model, 0.5)
    assert not survivals(model)


def test_a_branch_that_is_joined_and_not_added_is_never_dropped() -> None:
    model = meta("shufflenet_v1_g3")
    set_stochastic_depth(model, 0.5)
    assert not any(name.endswith("block1.drop") for name in survivals(model))
    assert len(survivals(model)) == 3 + 7 + 3, "Table 1: units of stride 1"


def test_dropout_is_set_on_every_layer() -> None:
    model = meta("vgg16")
    set_dropout(model, 0.25)
    rates = [part.p for part in model.modules() if isinstance(part, nn.Dropout)]
    assert rates == [0.25, 0.25]


@pytest.mark.parametrize(
    ("patterns", "trained"),
    [
        (("features",), "head."),
        (("features*",), "head."),
        (("features.stem", "features.stage1.*", "features.stage2", "features.stage3"), "head."),
        (("all-but-last",), "head.fc"),
        (("features.*.weight", "features.*.bias", "head.fc.bias"), "head.fc.weight"),
    ],
)
def test_what_a_pattern_names_is_not_trained(patterns: tuple[str, ...], trained: str) -> None:
    model = meta("resnet20")
    freeze(model, patterns)
    left = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert left
    assert all(name.startswith(trained) for name in left)


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        (("features.stage9",), "layer to freeze 'features.stage9'; did you mean features.stage"),
        (("features", "head"), "leaves nothing to train"),
        (("*",), "leaves nothing to train"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(patterns: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says.replace(".", r"\.")):
        freeze(meta("resnet20"), patterns)


def test_the_last_layer_is_the_classifier_in_every_family() -> None:
    for name in ("lenet5_modern", "alexnet", "squeezenet1_1", "convnext_tiny", "swin_t", "vgg16"):
        model = meta(name)
        freeze(model, ("all-but-last",))
        left = [p for p in model.parameters() if p.requires_grad]
        assert [p.shape[0] for p in left] == [10, 10], name


def test_a_frozen_network_is_the_same_function_after_training() -> None:
    plan = settings(freeze=("0", "2"))  # a convolution, and the batch norm behind it
    state = TrainingState(Normed(), plan, CPU)
    before = weights(state.model)
    run(state, plan, 7)
    after = weights(state.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"5.weight", "5.bias"}, "neither frozen weights nor frozen statistics"


def test_what_is_not_frozen_keeps_its_statistics_in_motion() -> None:
    plan = settings(freeze=("0",))
    state = TrainingState(Normed(), plan, CPU)
    before = weights(state.model)
    run(state, plan, 1)
    after = weights(state.model)
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["2.running_mean"], after["2.running_mean"])


def test_settings_that_are_off_change_nothing() -> None:
    model = Normed()
    before = weights(model)
    prepare(model, settings())
    assert equal(weights(model), before)
    assert model[3].p == 0.5
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_growth_is_table_6_of_the_paper() -> None:
    """EfficientNetV2-S: 128 to 300 pixels, RandAugment 5 to 15, dropout 0.1 to 0.3, 4 stages."""
    setting = Progressive(stages=4, size_from=128 / 300, strength_from=5 / 15, dropout_from=0.1)
    epochs = range(0, 350, 88)
    found = [progressive_stage(setting, epoch, 350, 300, 0.3) for epoch in epochs]
    # 128, 185, 243 and 300 in equal steps (Algorithm 1), each to the nearest multiple of 32.
    assert [stage.size for stage in found] == [128, 192, 256, 300]
    magnitudes = [15 * stage.strength for stage in found]
    assert magnitudes == pytest.approx([5, 5 + 10 / 3, 5 + 20 / 3, 15])
    assert [stage.dropout for stage in found] == pytest.approx([0.1, 1 / 6, 7 / 30, 0.3])


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 30, 350])
@pytest.mark.parametrize("stages", [2, 4, 7])
def test_growth_only_grows_and_ends_at_the_full_size(epochs: int, stages: int) -> None:
    setting = Progressive(stages=stages, size_from=0.4)
    found = [progressive_stage(setting, epoch, epochs, 32, None) for epoch in range(epochs)]
    sizes = [stage.size for stage in found]
    assert sizes == sorted(sizes)
    assert found[-1].size == 32
    assert found[-1].strength == 1
    assert all(size % 4 == 0 for size in sizes)
    assert {stage.dropout for stage in found} == {None}
    lengths = [[s.strength for s in found].count(value) for value in {s.strength for s in found}]
    assert max(lengths) - min(lengths) <= 1, "stages of equal length"
