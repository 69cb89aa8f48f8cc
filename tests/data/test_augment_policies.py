"""RandAugment, TrivialAugment and the jitter draw what papers and peers say, image by image.

Distributions are tested at fixed seeds: a p-value below 1e-4 fails.
"""

from __future__ import annotations

import itertools

import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from timm.data.auto_augment import LEVEL_TO_ARG  # type: ignore[import-untyped]
from torch import Tensor
from torchvision.transforms import v2

from convnets.data.augment import Augmentation, ColourJitter, RandAugment
from convnets.data.draws import Draw, Draws
from convnets.data.operations import Operation, operated
from convnets.data.policies import colour_jitter, rand_augment, recoloured, trivial_augment

CERTAIN = 1e-4
DRAWS = Draws(seed=5, epoch=2, samples=torch.arange(28_000))
# torchvision's names of the paper's 14 operations.
NAMES = {
    Operation.IDENTITY: "Identity",
    Operation.SHEAR_X: "ShearX",
    Operation.SHEAR_Y: "ShearY",
    Operation.TRANSLATE_X: "TranslateX",
    Operation.TRANSLATE_Y: "TranslateY",
    Operation.ROTATE: "Rotate",
    Operation.BRIGHTNESS: "Brightness",
    Operation.CONTRAST: "Contrast",
    Operation.COLOUR: "Color",
    Operation.SHARPNESS: "Sharpness",
    Operation.POSTERIZE: "Posterize",
    Operation.SOLARIZE: "Solarize",
    Operation.AUTOCONTRAST: "AutoContrast",
    Operation.EQUALIZE: "Equalize",
}
FACTORS = (Operation.BRIGHTNESS, Operation.CONTRAST, Operation.COLOUR, Operation.SHARPNESS)


def even(counts: Tensor) -> bool:
    return bool(scipy.stats.chisquare(counts.numpy()).pvalue > CERTAIN)


def by_peer(operation: Operation, magnitude: float) -> float:
    """What torchvision does with its magnitude, as our argument."""
    if operation in FACTORS:
        return 1 + magnitude
    return 255 * magnitude if operation == Operation.SOLARIZE else magnitude


@pytest.mark.parametrize("magnitude", [0, 9, 17, 30])
def test_rand_augment_has_torchvision_s_ranges(magnitude: int) -> None:
    rounds = rand_augment(RandAugment(magnitude=magnitude), DRAWS, 32)
    for operation, name in NAMES.items():
        found = rounds.arguments[rounds.operations == operation].unique().tolist()
        values, signed = v2.RandAugment._AUGMENTATION_SPACE[name]
        magnitudes = values(31, 32, 32)
        if magnitudes is None:
            assert found == [0]
            continue
        strength = float(magnitudes[magnitude])
        ends = {-strength, strength} if signed else {strength}
        assert found == pytest.approx(sorted(by_peer(operation, end) for end in ends), abs=1e-4)


def test_trivial_augment_has_torchvision_s_ranges_and_all_31_magnitudes() -> None:
    rounds = trivial_augment(DRAWS)
    assert rounds.operations.shape == (1, 28_000)
    for operation, name in NAMES.items():
        found = rounds.arguments[rounds.operations == operation].unique().tolist()
        values, signed = v2.TrivialAugmentWide._AUGMENTATION_SPACE[name]
        magnitudes = values(31, 32, 32)
        if magnitudes is None:
            assert found == [0]
            continue
        ends = {by_peer(operation, sign * each) for each in magnitudes.tolist() for sign in (-1, 1)}
        if not signed:
            ends = {by_peer(operation, each) for each in magnitudes.tolist()}
        assert found == pytest.approx(sorted(ends), abs=1e-4)


def test_without_increasing_ranges_are_timm_s() -> None:
    policy = RandAugment(magnitude=3, maximum=10, increasing=False)
    rounds = rand_augment(policy, DRAWS, 331)
    for operation, name in NAMES.items():
        found = rounds.arguments[rounds.operations == operation].unique().tolist()
        if operation in FACTORS:
            assert found == pytest.approx(LEVEL_TO_ARG[name](3, {}))
        elif operation == Operation.POSTERIZE:
            assert found == [round(4 + 0.3 * 4)] == [*LEVEL_TO_ARG["PosterizeOriginal"](3, {})]
        elif operation == Operation.SOLARIZE:
            assert found == pytest.approx(LEVEL_TO_ARG[name](3, {}), abs=1)  # 256 there, 255 here
        elif operation == Operation.ROTATE:
            assert found == pytest.approx([-9, 9])
        elif operation == Operation.TRANSLATE_X:
            assert found == pytest.approx([-45, 45])  # AutoAugment's Table 6: 150 of 331 pixels


def test_operations_come_equally_often_and_with_replacement() -> None:
    operations = rand_augment(RandAugment(operations=2), DRAWS, 32).operations
    for drawn in (*operations, trivial_augment(DRAWS).operations[0]):
        assert even(torch.bincount(drawn, minlength=14))
    pairs = torch.bincount(operations[0] * 14 + operations[1], minlength=196)
    assert even(pairs)  # all 196, the 14 equal pairs among them


def test_signs_and_magnitudes_are_even_and_of_each_image() -> None:
    trivial = trivial_augment(DRAWS)
    turned = trivial.arguments[trivial.operations == Operation.ROTATE]
    levels = (turned.abs() / 135 * 30).round().long()
    assert even(torch.bincount(levels, minlength=31))
    assert even(torch.bincount((turned[levels > 0] > 0).long(), minlength=2))
    first, second = rand_augment(RandAugment(), DRAWS, 32).arguments.sign().long()
    table = torch.bincount((first + 1) * 3 + second + 1, minlength=9).view(3, 3).numpy()
    assert scipy.stats.chi2_contingency(table[[0, 2]]).pvalue > CERTAIN


def test_deviation_and_probability_are_timm_s() -> None:
    policy = RandAugment(magnitude=9, maximum=10, deviation=0.5, probability=0.5)
    rounds = rand_augment(policy, DRAWS, 32)
    turned = rounds.arguments[rounds.operations == Operation.ROTATE]
    magnitudes = turned.abs() / 3
    # timm draws from a normal distribution and cuts it off at 0 and at the maximum.
    assert magnitudes.max() == 10
    inside = magnitudes[magnitudes < 10].numpy()
    expected = scipy.stats.truncnorm(-18, 2, 9, 0.5)
    assert scipy.stats.kstest(inside, expected.cdf).pvalue > CERTAIN
    cut_off = scipy.stats.norm.sf(2)
    assert 1 - len(inside) / len(turned) == pytest.approx(cut_off, abs=5 * (0.02 / 2000) ** 0.5)
    counts = torch.bincount(rounds.operations.flatten(), minlength=14).double()
    share = counts[0] / counts.sum()
    assert share == pytest.approx(0.5 + 0.5 / 14, abs=5 * (0.25 / 56_000) ** 0.5)
    assert even(counts[1:])


def test_jitter_draws_factors_evenly_and_in_every_order() -> None:
    jitter = ColourJitter(brightness=0.4, contrast=0.3, saturation=1.5, hue=0.1)
    rounds = colour_jitter(jitter, DRAWS)
    ranges = {  # torchvision's: no factor below 0
        Operation.BRIGHTNESS: (0.6, 1.4),
        Operation.CONTRAST: (0.7, 1.3),
        Operation.COLOUR: (0.0, 2.5),
        Operation.HUE: (-0.1, 0.1),
    }
    for operation, (low, high) in ranges.items():
        found = rounds.arguments[rounds.operations == operation].numpy()
        assert len(found) == 28_000
        expected = scipy.stats.uniform(low, high - low)
        assert scipy.stats.kstest(found, expected.cdf).pvalue > CERTAIN
    orders = list(itertools.permutations(int(operation) for operation in ranges))
    numbers = [orders.index(tuple(order)) for order in rounds.operations.T.tolist()]
    assert even(torch.bincount(torch.tensor(numbers), minlength=24))
    some = colour_jitter(ColourJitter(contrast=0.2), DRAWS)
    assert some.operations.unique().tolist() == [Operation.CONTRAST]


def test_every_round_is_applied_to_every_image() -> None:
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    draws, fill = Draws(1, 3, torch.arange(100, 140)), torch.tensor([9.0, 8.0, 7.0])
    settings = Augmentation(
        rand_augment=RandAugment(operations=3), colour_jitter=ColourJitter(brightness=0.5, hue=0.2)
    )
    assert settings.rand_augment is not None
    assert settings.colour_jitter is not None
    together = recoloured(images, settings, draws, fill)
    for place in range(40):
        alone = draws[place : place + 1]
        image = images[place : place + 1]
        for rounds in (
            rand_augment(settings.rand_augment, alone, 16),
            colour_jitter(settings.colour_jitter, alone),
        ):
            for operation, argument in zip(rounds.operations, rounds.arguments, strict=True):
                image = operated(image, operation, argument, fill)
        assert torch.equal(image[0], together[place])
    other = recoloured(images, settings, Draws(1, 4, draws.samples), fill)
    assert not torch.equal(other, together)


def test_random_numbers_are_of_their_distributions() -> None:
    uniform = DRAWS.uniform(Draw.SCALE).numpy()
    assert scipy.stats.kstest(uniform, "uniform").pvalue > CERTAIN
    parts = DRAWS.normal(Draw.LIGHTING, 3)
    for part in parts:
        assert scipy.stats.kstest(part.numpy(), "norm").pvalue > CERTAIN
    assert torch.corrcoef(parts).sub(torch.eye(3)).abs().max() < 5 / 28_000**0.5
    alone = Draws(5, 2, torch.tensor([17, 3])).normal(Draw.LIGHTING, 3)
    assert torch.equal(alone, parts[:, [17, 3]])
