"""Batches depend on (seed, epoch, sample) alone, whatever holds the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnets.data.augment import Augmentation, placement
from convnets.data.batches import (
    Batch,
    Batches,
    DeviceBatches,
    StreamedBatches,
    make_batches,
    normalisation,
)
from convnets.data.draws import Draw, drawn, hashed, permutation
from convnets.data.fit import enlarged, fitted, interpolated, is_enlarged, middle
from convnets.data.sets import ImageArrays, ImageFiles, Split
from convnets.errors import BadImage, UsageError

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(7)
ARRAYS = ImageArrays(
    RANDOM.integers(0, 256, (41, 12, 12, 3), dtype=np.uint8), RANDOM.integers(0, 5, 41)
)
MEAN, DEVIATION = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CROP = Augmentation(padding=2, flip=True)


def batches(
    split: Split = ARRAYS,
    *,
    size: int = 12,
    batch_size: int = 8,
    seed: int = 3,
    augmentation: Augmentation | None = CROP,
    training: bool = True,
    channels_last: bool = False,
    memory_limit: int = 2 << 30,
) -> Batches:
    return make_batches(
        split,
        size=size,
        batch_size=batch_size,
        mean=MEAN[: split.channels],
        deviation=DEVIATION[: split.channels],
        device=CPU,
        seed=seed,
        augmentation=augmentation,
        training=training,
        channels_last=channels_last,
        memory_limit=memory_limit,
    )


def by_sample(epoch: list[Batch]) -> torch.Tensor:
    """All images of an epoch in the order of their sample numbers."""
    order = torch.cat([batch.indices for batch in epoch]).argsort()
    return torch.cat([batch.images for batch in epoch])[order]


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images)
        and torch.equal(a.targets, b.targets)
        and torch.equal(a.indices, b.indices)
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    """Pictures of several sizes, as PNG files."""
    paths = []
    for number in range(19):
        height, width = RANDOM.integers(9, 40, 2)
        pixels = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{number:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    return ImageFiles(tuple(paths), np.arange(19) % 4, channels=3)


def splitmix64(state: int) -> int:
    """One output of the published generator, in Python's own integers."""
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_the_hash_is_splitmix64() -> None:
    # The reference outputs for seed 0 (Vigna's splitmix64.c), then ours against plain integers.
    golden = 0x9E3779B97F4A7C15
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    assert splitmix64(golden) == 0x6E789E6AA1B965F4
    key = 0
    for part in (3, 5, int(Draw.FLIP)):
        key = splitmix64(key + part)
    samples = [0, 1, 2, 49_999]
    expected = [splitmix64(key + sample * golden) for sample in samples]
    ours = hashed(3, 5, Draw.FLIP, torch.tensor(samples)).tolist()
    assert [value % (1 << 64) for value in ours] == expected


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 1000), bound=st.integers(1, 129))
@settings(max_examples=30, deadline=None)
def test_draws_are_uniform_and_in_range(seed: int, epoch: int, bound: int) -> None:
    numbers = drawn(seed, epoch, Draw.TOP, torch.arange(20_000), bound)
    counts = torch.bincount(numbers, minlength=bound).double()
    assert len(counts) == bound
    expected = 20_000 / bound
    chi_square = ((counts - expected).square() / expected).sum().item()
    # mean bound - 1, deviation sqrt(2 (bound - 1)): seven deviations hold for every draw tried
    assert chi_square < bound + 7 * (2 * bound) ** 0.5 + 10


def test_an_epoch_is_a_permutation_of_its_own() -> None:
    orders = [permutation(seed, epoch, 100, CPU) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(100))
    assert len({tuple(order.tolist()) for order in orders}) == 4


def naive(sample: int, epoch: int, settings_: Augmentation) -> np.ndarray:
    """One augmented, normalised image by plain numpy: pad, crop, flip, normalise."""
    where = placement(settings_, 3, epoch, torch.tensor([sample]))
    pad = settings_.padding
    mode = "constant" if settings_.padding_mode == "zero" else "reflect"
    image = np.pad(ARRAYS.images[sample], ((pad, pad), (pad, pad), (0, 0)), mode=mode)
    top, left = int(where.top), int(where.left)
    image = image[top : top + 12, left : left + 12]
    if where.flip is not None and bool(where.flip):
        image = image[:, ::-1]
    return ((image / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "augmentation",
    [
        None,
        Augmentation(flip=True),
        Augmentation(padding=3),
        CROP,
        Augmentation(padding=4, padding_mode="zero", flip=True),
    ],
)
def test_batches_equal_a_loop_over_images(
    augmentation: Augmentation | None, channels_last: bool
) -> None:
    made = batches(augmentation=augmentation, channels_last=channels_last)
    seen = []
    for batch in made.epoch(2):
        columns = (batch.images, batch.targets, batch.indices)
        for image, target, sample in zip(*columns, strict=True):
            expected = naive(int(sample), 2, augmentation or Augmentation())
            assert np.abs(image.numpy() - expected).max() < 1e-5
            assert target == ARRAYS.labels[sample]
            seen.append(int(sample))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert batch.images.is_contiguous(memory_format=layout)
        assert batch.images.dtype == torch.float32
    assert sorted(seen) == list(range(41))


def test_crops_and_flips_take_every_value() -> None:
    where = placement(CROP, 0, 0, torch.arange(2000))
    assert where.top.unique().tolist() == where.left.unique().tolist() == [0, 1, 2, 3, 4]
    assert where.flip is not None
    assert 0.45 < where.flip.double().mean() < 0.55


def test_augmentation_does_not_depend_on_the_batch() -> None:
    whole = by_sample(list(batches(batch_size=41).epoch(1)))
    assert torch.equal(whole, by_sample(list(batches(batch_size=5).epoch(1))))
    assert not torch.equal(whole, by_sample(list(batches(batch_size=5).epoch(2))))
    assert not torch.equal(whole, by_sample(list(batches(batch_size=5, seed=4).epoch(1))))


@pytest.mark.parametrize("memory_limit", [2 << 30, 0])
@pytest.mark.parametrize("start", [0, 1, 3, 5])
def test_an_epoch_goes_on_from_any_step(start: int, memory_limit: int) -> None:
    made = batches(memory_limit=memory_limit)
    assert equal(list(made.epoch(1, start)), list(made.epoch(1))[start:])


def test_evaluation_is_plain_and_in_order() -> None:
    for epoch in (0, 1):
        epochs = list(batches(training=False).epoch(epoch))
        assert torch.cat([batch.indices for batch in epochs]).tolist() == list(range(41))
        expected = ((ARRAYS.images / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
        assert np.abs(by_sample(epochs).numpy() - expected).max() < 1e-5


@given(samples=st.integers(1, 41), batch_size=st.integers(1, 50), training=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_sample_once_and_no_training_batch_of_one(
    samples: int, batch_size: int, training: bool
) -> None:
    split = ImageArrays(ARRAYS.images[:samples], ARRAYS.labels[:samples])
    made = batches(split, batch_size=batch_size, training=training)
    sizes = [len(batch.indices) for batch in made.epoch(0)]
    assert made.samples == sum(sizes) == samples
    assert made.steps == len(sizes)
    assert all(size == batch_size for size in sizes[:-1])
    if training and batch_size > 1 and samples > 1:
        assert min(sizes) > 1
    assert max(sizes) <= batch_size + 1


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_streaming_equals_memory(files: ImageFiles, training: bool, channels_last: bool) -> None:
    for split, size in ((files, 16), (ARRAYS, 16), (ARRAYS, 29)):
        options = {"size": size, "training": training, "channels_last": channels_last}
        held = batches(split, **options)
        streamed = batches(split, memory_limit=0, **options)
        assert isinstance(held, DeviceBatches)
        assert isinstance(streamed, StreamedBatches)
        assert equal(list(held.epoch(1)), list(streamed.epoch(1)))


def test_a_file_that_breaks_is_named(files: ImageFiles) -> None:
    streamed = batches(files, memory_limit=0)
    files.paths[11].write_bytes(b"gone")
    with pytest.raises(BadImage, match=r"11\.png"):
        list(streamed.epoch(0))
    with pytest.raises(BadImage, match=r"11\.png"):
        batches(files)


def test_a_stream_may_be_left_early(files: ImageFiles) -> None:
    stream = batches(files, memory_limit=0, batch_size=2).epoch(0)
    first = next(stream)
    stream.close()
    assert len(first.indices) == 2


def test_grey_images_in_both_layouts() -> None:
    split = ImageArrays(ARRAYS.images[..., :1], ARRAYS.labels)
    one, other = batches(split), batches(split, channels_last=True)
    assert torch.equal(by_sample(list(one.epoch(0))), by_sample(list(other.epoch(0))))


def test_small_digits_get_a_border_and_others_are_resized_as_pillow_does() -> None:
    digit = RANDOM.integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    bordered = fitted(digit, 32)
    assert bordered.shape == (2, 32, 32, 1)
    assert np.array_equal(bordered[:, 2:30, 2:30], digit)
    assert bordered.sum(dtype=int) == digit.sum(dtype=int)
    assert np.array_equal(fitted(digit, 28), digit)
    for height, width, size in ((50, 37, 16), (20, 90, 20), (8, 8, 32), (300, 200, 64), (1, 5, 3)):
        image = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(image[top : top + side, left : left + side])
        expected = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(fitted(image[None], size)[0] - expected).max() <= 1


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (8, 8), (31, 31), (32, 32), (20, 90), (28, 33)])
@pytest.mark.parametrize("size", [37, 64, 224])
def test_images_are_enlarged_alike_on_every_device(sides: tuple[int, int], size: int) -> None:
    anything = RANDOM.integers(0, 256, (3, *sides, 2))
    extreme = RANDOM.choice([0, 255], anything.shape)  # sums that lie on a half are common
    images = np.where(RANDOM.random(anything.shape) < 0.5, anything, extreme).astype(np.uint8)
    assert is_enlarged(*sides, size)
    expected = torch.from_numpy(fitted(images, size)).permute(0, 3, 1, 2)
    squares = torch.from_numpy(middle(images).copy()).permute(0, 3, 1, 2)
    for way in (enlarged, interpolated):
        assert torch.equal(way(squares, size), expected)


def test_normalisation_equals_numpy(files: ImageFiles) -> None:
    mean, deviation = normalisation(ARRAYS)
    assert mean == pytest.approx((ARRAYS.images / 255).mean((0, 1, 2)), abs=1e-12)
    assert deviation == pytest.approx((ARRAYS.images / 255).std((0, 1, 2)), abs=1e-12)
    each = [np.asarray(Image.open(path)).reshape(-1, 3) / 255 for path in files.paths]
    mean, deviation = normalisation(files)
    first = np.mean([pixels.mean(0) for pixels in each], axis=0)
    second = np.mean([np.square(pixels).mean(0) for pixels in each], axis=0)
    assert mean == pytest.approx(first, abs=1e-12)
    assert deviation == pytest.approx(np.sqrt(second - first**2), abs=1e-12)


def test_a_constant_channel_stays_finite() -> None:
    flat = ImageArrays(np.full((4, 12, 12, 1), 7, np.uint8), np.zeros(4, np.int64))
    mean, deviation = normalisation(flat)
    assert mean == pytest.approx((7 / 255,))
    assert deviation[0] > 0


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="batch_size is 0"):
        batches(batch_size=0)
    with pytest.raises(UsageError, match="padding 12"):
        batches(augmentation=Augmentation(padding=12))
    with pytest.raises(UsageError, match="3 channels"):
        make_batches(
            ARRAYS,
            size=12,
            batch_size=4,
            mean=(0.5,),
            deviation=(0.5,),
            device=CPU,
            seed=0,
            augmentation=None,
            training=True,
        )


@pytest.mark.gpu
def test_a_gpu_gives_the_same_batches() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for channels_last in (False, True):
        made = [
            make_batches(
                ARRAYS,
                size=12,
                batch_size=8,
                mean=MEAN,
                deviation=DEVIATION,
                device=torch.device(name),
                seed=3,
                augmentation=CROP,
                training=True,
                channels_last=channels_last,
            )
            for name in ("cpu", "cuda")
        ]
        for one, other in zip(made[0].epoch(1), made[1].epoch(1), strict=True):
            assert torch.equal(one.images, other.images.cpu())
            assert torch.equal(one.indices, other.indices.cpu())
