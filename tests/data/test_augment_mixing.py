"""Mixup, CutMix, erasing, Cutout and lighting: formulas by hand, distributions against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from torch import Tensor

from convnets.data.augment import Augmentation, Erasing
from convnets.data.boxes import drawn_boxes
from convnets.data.draws import Draw, Draws
from convnets.data.erasing import ERASED, erase
from convnets.data.lighting import measured_lighting
from convnets.data.mixing import beta, cut_boxes, lower_half, mix
from convnets.data.sets import ImageArrays, ImageFiles

CERTAIN = 1e-4
CPU = torch.device("cpu")


def draws(count: int, epoch: int = 0) -> Draws:
    return Draws(seed=11, epoch=epoch, samples=torch.arange(count))


def images(count: int, size: int = 8, channels: int = 3) -> Tensor:
    """Every value once: where a pixel comes from can be read off it."""
    return torch.arange(float(count * channels * size**2)).view(count, channels, size, size)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.8, 1.0, 2.0, 32.0])
def test_shares_are_beta_distributed(alpha: float) -> None:
    shares = beta(alpha, draws(40_000)).numpy()
    expected = scipy.stats.beta(alpha, alpha)
    # By halves and without the ends: close to 1 a small alpha's shares are finer than numbers are.
    end = 1e-12
    outside = 2 * expected.cdf(end)
    lower = shares < 0.5
    assert scipy.stats.binomtest(int(lower.sum()), len(shares)).pvalue > CERTAIN
    for half in (shares[lower], 1 - shares[~lower]):
        inside = half[half > end]
        assert scipy.stats.binomtest(len(inside), len(half), 1 - outside).pvalue > CERTAIN
        ranks = (2 * expected.cdf(inside) - outside) / (1 - outside)
        assert scipy.stats.kstest(ranks, "uniform").pvalue > CERTAIN
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)  # the textbook's
    steps = np.linspace(0, 0.5, 9)
    table = lower_half(alpha, CPU).numpy()[:: (1 << 16) // 8]
    assert table == pytest.approx(expected.ppf(steps), abs=1e-5)


def test_mixup_is_the_paper_s_sum() -> None:
    pixels, targets = images(6), torch.tensor([4, 1, 3, 0, 2, 5])
    settings = Augmentation(mixup=0.4)
    mixed = mix(pixels, targets, settings, draws(6), 1.0)
    assert mixed.partners.tolist() == [1, 4, 0, 3, 5, 2]
    assert mixed.shares.dtype == torch.float32
    for place in range(6):
        share, partner = float(mixed.shares[place]), place ^ 1
        expected = share * pixels[place].numpy() + (1 - share) * pixels[partner].numpy()
        assert mixed.images[place].numpy() == pytest.approx(expected, rel=1e-5)
    assert 0 < float(mixed.shares.min()) < float(mixed.shares.max()) < 1
    assert torch.equal(mix(pixels, targets, settings, draws(6), 0.0).images, pixels)


def test_cutmix_pastes_a_box_and_counts_its_pixels() -> None:
    pixels, targets = images(400), torch.arange(400)
    mixed = mix(pixels, targets, Augmentation(cutmix=1.0), draws(400), 1.0)
    own = mixed.images == pixels
    others = mixed.images == pixels[targets ^ 1]
    assert bool((own | others).all())
    assert torch.equal(mixed.shares, own[:, 0].float().mean((1, 2)))
    for mask in others[:, 0]:  # one rectangle, or nothing
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        if len(rows):
            box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert bool(box.all())
            assert int(mask.sum()) == box.numel()


def test_cutmix_s_boxes_are_the_authors() -> None:
    shares = torch.rand(500, dtype=torch.float64)
    boxes = cut_boxes(shares, draws(500), 32)
    centres = [draws(500).whole(purpose, 32).tolist() for purpose in (Draw.CUT_TOP, Draw.CUT_LEFT)]
    for place, share in enumerate(shares.tolist()):
        side = int(32 * np.sqrt(1 - share))  # Algorithm A1 of the paper, as its code rounds
        ends = []
        for centre in (centres[0][place], centres[1][place]):
            ends.append((max(0, centre - side // 2), min(32, centre + side // 2)))
        found = [(boxes.top, boxes.height), (boxes.left, boxes.width)]
        assert [(int(a[place]), int(a[place] + b[place])) for a, b in found] == ends


def test_a_last_image_stays_and_each_image_draws_for_itself() -> None:
    pixels, targets = images(4001, size=4), torch.arange(4001)
    both = Augmentation(mixup=0.8, cutmix=1.0)
    mixed = mix(pixels, targets, both, draws(4001), 1.0)
    assert torch.equal(mixed.images[-1], pixels[-1])
    assert (int(mixed.partners[-1]), float(mixed.shares[-1])) == (4000, 1)
    untouched = (mixed.images == pixels) | (mixed.images == pixels[(targets ^ 1).clamp(max=4000)])
    cut = untouched.flatten(1).all(1)[:-1]  # mixup leaves no pixel as it was
    assert scipy.stats.binomtest(int(cut.sum()), 4000).pvalue > CERTAIN
    pairs = cut.view(-1, 2).long()
    table = torch.bincount(pairs[:, 0] * 2 + pairs[:, 1], minlength=4).numpy()
    assert scipy.stats.chisquare(table).pvalue > CERTAIN
    seldom = Augmentation(mixup=0.8, mix_probability=0.3)
    shares = mix(pixels, targets, seldom, draws(4001), 1.0).shares[:-1]
    assert scipy.stats.binomtest(int((shares < 1).sum()), 4000, 0.3).pvalue > CERTAIN


def test_erased_rectangles_are_normal_noise_and_nothing_else_changes() -> None:
    before = torch.full((3000, 3, 16, 16), 1000.0)
    settings = Augmentation(erasing=Erasing(probability=0.25, area=(0.1, 0.2), ratio=(0.5, 2)))
    after = before.clone()
    erase(after, settings, draws(3000), 16)
    mask = (after != before)[:, 0]
    assert torch.equal(mask[:, None].expand_as(after), after != before)
    erased = mask.flatten(1).any(1)
    assert scipy.stats.binomtest(int(erased.sum()), 3000, 0.25).pvalue > CERTAIN
    tall, wide = mask.any(2).sum(1)[erased], mask.any(1).sum(1)[erased]
    assert torch.equal(mask.flatten(1).sum(1)[erased], tall * wide)
    assert bool((tall * wide / 256 > 0.07).all())
    assert bool((tall * wide / 256 < 0.24).all())  # sides are rounded to whole pixels
    assert bool((tall / wide > 0.35).all())
    assert bool((tall / wide < 2.8).all())
    noise = after[after != before].numpy()
    assert len(noise) > 50_000
    assert scipy.stats.kstest(noise[::7], "norm").pvalue > CERTAIN
    channels = after.permute(1, 0, 2, 3)[:, mask].numpy()
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 5 / channels.shape[1] ** 0.5
    neighbours = (mask[:, :, 1:] & mask[:, :, :-1])[:, None].expand(-1, 3, -1, -1)
    left, right = after[..., :-1][neighbours].numpy(), after[..., 1:][neighbours].numpy()
    assert abs(np.corrcoef(left, right)[0, 1]) < 5 / len(left) ** 0.5
    for place in erased.nonzero()[:5, 0].tolist():
        alone = before[:1].clone()
        erase(alone, settings, draws(3000)[place : place + 1], 16)
        assert torch.equal(alone[0], after[place])


def test_erasing_draws_area_and_shape_evenly_and_may_fill_with_the_mean() -> None:
    boxes, found = drawn_boxes(draws(20_000), ERASED, (0.02, 0.4), (0.3, 1 / 0.3), 1000, 1000)
    assert bool(found.all())
    areas = (boxes.height * boxes.width).numpy() / 1e6
    # A box of 0.3 of the area fits at every ratio: below that nothing is drawn again.
    small = areas[areas < 0.29]
    assert scipy.stats.kstest(small, scipy.stats.uniform(0.02, 0.27).cdf).pvalue > CERTAIN
    shapes = np.log((boxes.height / boxes.width).numpy()[areas < 0.29])
    end = np.log(1 / 0.3)
    assert scipy.stats.kstest(shapes, scipy.stats.uniform(-end, 2 * end).cdf).pvalue > CERTAIN
    pixels = torch.ones(200, 1, 16, 16)
    erase(pixels, Augmentation(erasing=Erasing(probability=1, fill="mean")), draws(200), 16)
    assert sorted(pixels.unique().tolist()) == [0, 1]
    assert bool((pixels.flatten(1).amin(1) == 0).all())


def test_cutout_is_a_square_about_any_pixel_cut_at_the_border() -> None:
    pixels = torch.ones(8000, 1, 10, 10)
    erase(pixels, Augmentation(cutout=4), draws(8000), 10)
    gone = pixels[:, 0] == 0
    tall, wide = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.flatten(1).sum(1), tall * wide)
    # By hand: of 10 centres the first loses two rows, the second and the last lose one.
    for sides in (tall, wide):
        counts = torch.bincount(sides, minlength=5)
        assert int(counts[0]) == int(counts[1]) == 0
        assert scipy.stats.chisquare(counts[2:].numpy(), [800, 1600, 5600]).pvalue > CERTAIN
    half = torch.ones(50, 1, 5, 5)
    erase(half, Augmentation(cutout=4), draws(50), 10)
    assert int((half == 0).flatten(1).sum(1).max()) == 4


def test_lighting_is_alexnet_s_formula_on_the_data_s_own_covariance() -> None:
    random = np.random.default_rng(4)
    mixing = np.array([[0.9, 0.3, 0.1], [0.2, 0.8, 0.2], [0.1, 0.4, 0.7]])
    colours = random.normal(size=(60, 9, 7, 3)) @ mixing * 30 + 128
    split = ImageArrays(colours.clip(0, 255).astype(np.uint8), np.zeros(60, np.int64))
    lighting = measured_lighting(split)
    assert lighting is not None
    pixels = split.images.reshape(-1, 3) / 255
    analysis = PCA().fit(pixels)
    biased = analysis.explained_variance_ * (len(pixels) - 1) / len(pixels)
    for ours, vector, value in zip(
        lighting.components[::-1], analysis.components_, biased, strict=True
    ):
        theirs = vector * np.sign(vector[np.abs(vector).argmax()]) * value
        assert ours == pytest.approx(theirs, abs=1e-9)
    shifts = lighting.shifts(0.1, draws(5)).numpy()
    alphas = draws(5).normal(Draw.LIGHTING, 3).numpy() * 0.1
    assert shifts == pytest.approx(alphas.T @ lighting.components, abs=1e-7)
    assert alphas.std() == pytest.approx(0.1, rel=0.6)


def test_lighting_weighs_every_image_the_same_and_leaves_grey_ones_alone() -> None:
    class Pictures(ImageFiles):
        def image(self, index: int) -> np.ndarray:
            side = (4, 9)[index]
            return np.full((side, side, 3), ((0, 0, 0), (255, 0, 0))[index], np.uint8)

    lighting = measured_lighting(Pictures((), np.zeros(2, np.int64), channels=3))
    assert lighting is not None
    # By hand: red is 0 or 1 with equal weight, variance 1/4; nothing else varies.
    assert lighting.components[-1] == pytest.approx([0.25, 0, 0])
    assert np.abs(lighting.components[:2]).max() == 0
    grey = ImageArrays(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int64))
    assert measured_lighting(grey) is None
