"""Varied batches: the same on any rank, in any batch, from any step, from memory or from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as peer

from convnets.data.augment import (
    Augmentation,
    ColourJitter,
    Erasing,
    RandAugment,
    ResizedCrop,
    ScaleJitter,
)
from convnets.data.batches import (
    Batch,
    Batches,
    DeviceBatches,
    EnlargedBatches,
    StreamedBatches,
    make_batches,
)
from convnets.data.crops import resized_boxes
from convnets.data.draws import Draw, Draws, drawn
from convnets.data.lighting import measured_lighting
from convnets.data.policies import recoloured
from convnets.data.sets import ImageArrays, ImageFiles, Split
from convnets.errors import UsageError

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(7)
ARRAYS = ImageArrays(
    RANDOM.integers(0, 256, (41, 12, 12, 3), dtype=np.uint8), RANDOM.integers(0, 5, 41)
)
MEAN, DEVIATION = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SHARED = {
    "flip": True,
    "colour_jitter": ColourJitter(brightness=0.4, contrast=0.2, saturation=0.3, hue=0.1),
    "pca": 0.1,
    "erasing": Erasing(),
    "cutout": 3,
    "mixup": 0.2,
    "cutmix": 1.0,
    "mix_probability": 0.8,
}
EVERYTHING = {
    "inception": Augmentation(
        resized_crop=ResizedCrop(), rand_augment=RandAugment(deviation=0.5), **SHARED
    ),
    "vgg": Augmentation(scale_jitter=ScaleJitter(), trivial_augment=True, **SHARED),
    "padding": Augmentation(padding=2, rand_augment=RandAugment(magnitude=20), **SHARED),
}


def batches(
    augmentation: Augmentation | None,
    split: Split = ARRAYS,
    *,
    size: int = 12,
    batch_size: int = 8,
    **options: object,
) -> Batches:
    settings = {"device": CPU, "seed": 3, "training": True, **options}
    return make_batches(
        split,
        size=size,
        batch_size=batch_size,
        mean=MEAN[: split.channels],
        deviation=DEVIATION[: split.channels],
        augmentation=augmentation,
        **settings,
    )


def joined(parts: list[Batch]) -> dict[str, Tensor]:
    """All that is known of each image of some batches, one after the other."""
    names = ("images", "targets", "indices", "partners", "shares")
    columns = {name: [getattr(batch, name) for batch in parts] for name in names}
    return {name: torch.cat(found) for name, found in columns.items() if found[0] is not None}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("memory_limit", [2 << 30, 0])
@pytest.mark.parametrize("name", EVERYTHING)
def test_ranks_share_the_batch_of_one(name: str, memory_limit: int) -> None:
    settings = EVERYTHING[name]
    whole = list(batches(settings, memory_limit=memory_limit).epoch(1))
    for world in (2, 3):
        ranks = [
            list(batches(settings, rank=rank, world=world, memory_limit=memory_limit).epoch(1))
            for rank in range(world)
        ]
        for batch, parts in zip(whole, zip(*ranks, strict=True), strict=True):
            assert equal(joined(list(parts)), joined([batch]))
            sizes = [len(part.targets) for part in parts]
            assert max(sizes) - min(sizes) <= 2
            assert {part.total for part in parts} == {batch.total} == {len(batch.targets)}


@pytest.mark.parametrize("name", EVERYTHING)
def test_nothing_depends_on_the_batch_or_on_where_an_epoch_is_taken_up(name: str) -> None:
    settings = EVERYTHING[name]
    whole = joined(list(batches(settings, batch_size=42).epoch(1)))
    assert whole["images"].shape == (41, 3, 12, 12)
    for batch_size in (2, 6, 20):
        assert equal(joined(list(batches(settings, batch_size=batch_size).epoch(1))), whole)
    made = batches(settings)
    everything = list(made.epoch(1))
    assert equal(joined(list(made.epoch(1, 3))), joined(everything[3:]))
    for other in (made.epoch(2), batches(settings, seed=4).epoch(1)):
        assert not equal(joined(list(other)), whole)


@pytest.mark.parametrize("size", [12, 16, 29])
@pytest.mark.parametrize("name", EVERYTHING)
def test_streaming_equals_memory(name: str, size: int) -> None:
    held, streamed = (
        batches(EVERYTHING[name], size=size, memory_limit=limit) for limit in (2 << 30, 0)
    )
    assert isinstance(held, DeviceBatches)
    assert isinstance(streamed, StreamedBatches)
    for stage in (size, size - 3):
        held.stage(stage)
        streamed.stage(stage)
        assert equal(joined(list(held.epoch(1))), joined(list(streamed.epoch(1))))


@pytest.mark.parametrize("name", EVERYTHING)
def test_enlarging_on_the_device_equals_memory(name: str) -> None:
    limit = ARRAYS.images.nbytes
    held, small = (batches(EVERYTHING[name], size=29, memory_limit=m) for m in (2 << 30, limit))
    assert isinstance(held, DeviceBatches)
    assert isinstance(small, EnlargedBatches)
    for stage in (29, 26):
        held.stage(stage)
        small.stage(stage)
        assert equal(joined(list(held.epoch(1))), joined(list(small.epoch(1))))


def test_larger_files_are_cropped_before_they_are_resized(tmp_path: Path) -> None:
    pixels = [RANDOM.integers(0, 256, (30 + i, 44 - i, 3), dtype=np.uint8) for i in range(6)]
    paths = tuple(tmp_path / f"{number}.png" for number in range(6))
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    split = ImageFiles(paths, np.arange(6) % 2, channels=3)
    made = batches(Augmentation(resized_crop=ResizedCrop(), flip=True), split, batch_size=4)
    assert isinstance(made, StreamedBatches)
    for size in (12, 9):
        made.stage(size)
        found = joined(list(made.epoch(1)))
        for image, number in zip(found["images"], found["indices"].tolist(), strict=True):
            alone = torch.tensor([number])
            source = torch.from_numpy(pixels[number]).permute(2, 0, 1)
            box = resized_boxes(ResizedCrop(), Draws(3, 1, alone), *source.shape[1:])
            place = [int(side) for side in (box.top, box.left, box.height, box.width)]
            expected = peer.resized_crop(source, *place, [size, size], antialias=True)
            if drawn(3, 1, Draw.FLIP, alone, 2):
                expected = expected.flip(2)
            normalised = peer.normalize(expected / 255, MEAN, DEVIATION)
            assert (image - normalised).abs().max() < 1e-5
    assert isinstance(batches(Augmentation(flip=True), split), DeviceBatches)


def test_operations_and_lighting_come_between_crop_and_normalisation() -> None:
    settings = Augmentation(pca=0.2, rand_augment=RandAugment())
    lighting = measured_lighting(ARRAYS)
    assert lighting is not None
    for batch in batches(settings).epoch(1):
        draws = Draws(3, 1, batch.indices)
        pixels = torch.from_numpy(ARRAYS.images[batch.indices.numpy()]).permute(0, 3, 1, 2)
        fill = torch.tensor([102.0, 128.0, 153.0])  # the mean, in grey levels
        varied = recoloured(pixels.contiguous(), settings, draws, fill) / 255
        alphas = draws.normal(Draw.LIGHTING, 3).T.numpy() * 0.2
        lit = varied + torch.from_numpy(alphas @ lighting.components)[..., None, None]
        assert (batch.images - peer.normalize(lit, MEAN, DEVIATION)).abs().max() < 1e-5


def test_partners_are_neighbours_in_the_order() -> None:
    found = joined(list(batches(Augmentation(mixup=1.0), batch_size=10).epoch(1)))
    targets = found["targets"]
    assert torch.equal(found["partners"][:40], targets[:40].view(-1, 2).flip(1).flatten())
    assert (int(found["partners"][40]), float(found["shares"][40])) == (int(targets[40]), 1.0)
    plain = next(batches(Augmentation(flip=True)).epoch(0))
    assert plain.partners is plain.shares is None


def test_grey_images_go_through_everything() -> None:
    split = ImageArrays(ARRAYS.images[..., :1], ARRAYS.labels)
    for settings in EVERYTHING.values():
        found = joined(list(batches(settings, split).epoch(0)))
        assert found["images"].shape == (41, 1, 12, 12)
        assert bool(found["images"].isfinite().all())


def test_a_stage_has_smaller_images_and_weaker_augmentation() -> None:
    full = Augmentation(padding=2, flip=True, rand_augment=RandAugment(), mixup=0.8, cutmix=1.0)
    half = full.model_copy(update={"rand_augment": RandAugment(magnitude=4.5), "mixup": 0.4})
    made, weaker = batches(full), batches(half)
    before = joined(list(made.epoch(1)))
    made.stage(strength=0.5)
    assert equal(joined(list(made.epoch(1))), joined(list(weaker.epoch(1))))
    made.stage(8, 0.5)
    weaker.stage(8)
    small = joined(list(made.epoch(1)))
    assert small["images"].shape == (41, 3, 8, 8)
    assert equal(small, joined(list(weaker.epoch(1))))
    made.stage()
    assert equal(joined(list(made.epoch(1))), before)
    plain = batches(Augmentation(flip=True))
    plain.stage(7)
    for batch in plain.epoch(0):
        pixels = torch.from_numpy(ARRAYS.images[batch.indices.numpy()]).permute(0, 3, 1, 2)
        turned = drawn(3, 0, Draw.FLIP, batch.indices, 2).bool()[:, None, None, None]
        source = torch.where(turned, pixels.flip(3), pixels).float()
        expected = peer.normalize(
            peer.resize(source, [7, 7], antialias=True) / 255, MEAN, DEVIATION
        )
        assert (batch.images - expected).abs().max() < 1.01 / 255 / min(DEVIATION)
    for wrong in ({"size": 13}, {"size": 0}, {"strength": 1.1}, {"strength": -0.1}):
        with pytest.raises(UsageError, match="a stage of"):
            made.stage(**wrong)


def test_balanced_sampling_draws_every_class_equally_often() -> None:
    labels = np.repeat([0, 2, 3], [3000, 150, 850])  # no sample of class 1
    split = ImageArrays(np.zeros((4000, 2, 2, 1), np.uint8), labels)
    split.images[:] = RANDOM.integers(0, 256, split.images.shape)
    made = batches(Augmentation(flip=True), split, size=2, sampling="balanced", batch_size=500)
    orders = [joined(list(made.epoch(epoch)))["indices"] for epoch in range(3)]
    for order in orders:
        counts = torch.bincount(torch.from_numpy(labels)[order], minlength=4)
        assert int(counts[1]) == 0
        assert scipy.stats.chisquare(counts[[0, 2, 3]].numpy()).pvalue > 1e-4
        members = torch.bincount(order, minlength=4000)[3000:3150]
        assert scipy.stats.chisquare(members.numpy()).pvalue > 1e-4
    assert not torch.equal(orders[0], orders[1])
    found = joined(list(made.epoch(0)))
    twice = found["indices"] == found["indices"].mode().values
    assert len(found["images"][twice].unique(dim=0)) == 2  # as it is, and mirrored
    ranks = [
        list(
            batches(
                Augmentation(flip=True), split, size=2, sampling="balanced", rank=rank, world=2
            ).epoch(0)
        )
        for rank in (0, 1)
    ]
    parts = [batch for both in zip(*ranks, strict=True) for batch in both]
    assert equal(joined(parts), found)
    evaluated = batches(None, split, size=2, sampling="balanced", training=False)
    assert torch.equal(joined(list(evaluated.epoch(0)))["indices"], torch.arange(4000))


def test_repeated_augmentation_shows_a_third_of_the_images_thrice_in_a_batch() -> None:
    split = ImageArrays(RANDOM.integers(0, 256, (400, 9, 9, 1), dtype=np.uint8), np.arange(400) % 4)
    jittered = Augmentation(padding=4, padding_mode="zero", mixup=0.2)
    made = batches(jittered, split, size=9, sampling="repeated", batch_size=60)
    epochs = [list(made.epoch(epoch)) for epoch in range(3)]
    for epoch in epochs:
        assert [len(batch.indices) for batch in epoch] == [60] * 6 + [40]
        for batch in epoch[:-1]:
            assert torch.bincount(batch.indices, minlength=400).unique().tolist() == [0, 3]
            neighbours = batch.indices.view(-1, 2)
            assert bool((neighbours[:, 0] != neighbours[:, 1]).all())
        # no image is in two batches, and so a third of all are shown
        assert sum(len(batch.indices.unique()) for batch in epoch) == 6 * 20 + 20
        assert len(joined(epoch)["indices"].unique()) == 140
    assert not torch.equal(epochs[0][0].indices, epochs[1][0].indices)
    plain = batches(Augmentation(padding=4, padding_mode="zero"), split, size=9, batch_size=60,
                    sampling="repeated")  # fmt: skip
    first = next(plain.epoch(0)).images
    assert len(first.unique(dim=0)) > 50  # of 20 images, each in one of 81 places
    ranks = [
        list(batches(jittered, split, size=9, sampling="repeated", batch_size=60, rank=rank,
                     world=2).epoch(0))
        for rank in (0, 1)
    ]  # fmt: skip
    parts = [batch for both in zip(*ranks, strict=True) for batch in both]
    assert equal(joined(parts), joined(epochs[0]))


@pytest.mark.parametrize("memory_limit", [2 << 30, 0])
@pytest.mark.parametrize("samples", [1, 7, 33, 34, 35, 41])
def test_ranks_evaluate_each_image_once(samples: int, memory_limit: int) -> None:
    split = ImageArrays(ARRAYS.images[:samples], ARRAYS.labels[:samples])
    options = {"training": False, "world": 3, "memory_limit": memory_limit}
    ranks = [list(batches(None, split, rank=rank, **options).epoch(0)) for rank in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    parts = [batch for each in zip(*ranks, strict=True) for batch in each]
    found = joined(parts)
    assert found["indices"].tolist() == list(range(samples))
    whole = joined(list(batches(None, split, training=False).epoch(0)))
    assert equal(found, whole)
    assert samples < 3 or min(len(part.targets) for part in parts) > 0


def test_a_rank_without_an_image_gets_an_empty_batch() -> None:
    split = ImageArrays(ARRAYS.images[:3], ARRAYS.labels[:3])
    for limit in (2 << 30, 0):
        for settings in EVERYTHING.values():
            ranks = [
                next(batches(settings, split, rank=rank, world=5, memory_limit=limit).epoch(0))
                for rank in range(5)
            ]
            assert sorted(len(part.targets) for part in ranks) == [0, 0, 0, 1, 2]
            assert {part.images.shape[1:] for part in ranks} == {(3, 12, 12)}
            assert {part.total for part in ranks} == {3}
            whole = next(batches(settings, split).epoch(0))
            assert equal(joined(ranks), joined([whole]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 7}, "needs an even one"),
        ({"rank": 2, "world": 2}, "rank is 2"),
        ({"rank": -1}, "rank is -1"),
        ({"world": 0}, "world is 0"),
        ({"sampling": "even"}, "sampling is 'even'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        batches(Augmentation(mixup=1.0), **options)


@pytest.mark.gpu
@pytest.mark.parametrize("name", EVERYTHING)
def test_a_gpu_gives_nearly_the_same_batches(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    one, other = (
        joined(list(batches(EVERYTHING[name], device=torch.device(device)).epoch(1)))
        for device in ("cpu", "cuda")
    )
    for key in ("targets", "indices", "partners"):
        assert torch.equal(one[key], other[key].cpu())
    # Sines and bilinear sums may round to the next grey level, which equalize spreads.
    differ = (one["images"] - other["images"].cpu()).abs() > 1e-4
    assert differ.float().mean() < 0.02
