"""Batches for training and evaluation: whole sets on the device, or streamed from files.

The order of an epoch and every image's augmentation are functions of (seed, epoch, sample number):
they do not depend on batch composition, threads, ranks or restarts. All kinds give the same batches
bit for bit, but for resized crops of files that are streamed, which are rounded in another way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from convnets.data.ahead import cropped_images, fitted_images
from convnets.data.augment import NONE, Augmentation, cropped, padded, placement
from convnets.data.crops import crops_sources, resampled, resizes, shrunk, windows
from convnets.data.draws import Draws
from convnets.data.erasing import erase
from convnets.data.fit import enlarged, is_enlarged, middle
from convnets.data.lighting import measured_lighting
from convnets.data.measure import normalisation as normalisation
from convnets.data.mixing import mix
from convnets.data.policies import recoloured
from convnets.data.preparation import Epoch, Preparation, Sampling, begun, own_parts
from convnets.data.sets import ImageArrays, ImageFiles, Progress, Split
from convnets.data.threads import made_ahead
from convnets.errors import UsageError

CHUNK = 512
Source = tuple[Tensor, Tensor | None]
"""Images, padded or cropped, and which of them are the batch: None for all, in their order."""


@dataclass(frozen=True, eq=False)
class Batch:
    """``images`` (b, channels, size, size) float32, normalised; ``targets`` and ``indices`` (the
    samples' numbers in their split) (b,) int64; all on the device.

    Where images are mixed, ``partners`` (b,) int64 are the classes mixed in and ``shares`` (b,)
    float32 what is left of the images themselves. ``total`` counts the images of all ranks; 0
    stands for those of this one.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    partners: Tensor | None = None
    shares: Tensor | None = None
    total: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.total or len(self.targets))


class Batches(ABC):
    """``steps`` batches of ``samples`` images an epoch, each cut into one part for each rank.

    In training the order is drawn anew each epoch and no image is dropped: the last batch may be
    smaller, and where it would hold one image alone (which batch normalisation refuses) that image
    joins the batch before it. In evaluation the order is the split's own, and a last batch of
    fewer images than ranks joins the one before it. A rank's part is empty only where a batch has
    fewer images, or pairs of them to be mixed, than there are ranks.
    """

    def __init__(self, split: Split, plan: Preparation) -> None:
        self.plan = plan
        self.samples = len(split)
        self.labels = torch.from_numpy(split.labels.astype(np.int64)).to(plan.device)
        self.parts, self.totals = own_parts(plan, self.samples)
        self.steps = len(self.parts)
        self.stage()
        deviation = torch.tensor(plan.deviation, device=plan.device, dtype=torch.float64)
        mean = torch.tensor(plan.mean, device=plan.device, dtype=torch.float64)
        self.scale = (1 / (255 * deviation)).float().view(-1, 1, 1)
        self.shift = (-mean / deviation).float().view(-1, 1, 1)
        self.fill = (255 * mean).round().float()

    def stage(self, size: int | None = None, strength: float = 1.0) -> None:
        """Set the images' size and the augmentation's strength for the epochs that follow.

        Progressive learning (Tan and Le 2021, Section 4). Crops that are resized anyway are cut
        to ``size`` pixels at once, others are shrunk after the crop, both with antialias; what
        follows sees the smaller image. ``strength``, from 0 to 1, scales RandAugment's magnitude
        and mixup's alpha. Raises ``UsageError``.
        """
        size = self.plan.size if size is None else size
        if not 1 <= size <= self.plan.size:
            raise UsageError(f"a stage of {size} pixels; it is from 1 to {self.plan.size}")
        if not 0 <= strength <= 1:
            raise UsageError(f"a stage of strength {strength}; it is from 0 to 1")
        self.size, self.strength = size, strength

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``start`` on; raises ``BadImage``."""
        plan, strength = self.plan, self.strength
        made = begun(plan, self.labels, epoch, self.size, strength)
        size = made.size if resizes(made.settings) else plan.size
        where = placement(made.settings, plan.seed, epoch, made.draws.samples)
        targets = self.labels[made.order]
        parts = self.parts[start:]
        sources = zip(parts, self.totals[start:], self._sources(made, parts), strict=True)
        for part, total, (images, rows) in sources:
            pixels = cropped(images, rows, size, where[part])
            varied = self._varied(pixels, made, made.draws[part])
            classes, partners, shares = targets[part], None, None
            if made.settings.mixes:
                mixed = mix(varied, classes, made.settings, made.draws[part], strength)
                varied, partners, shares = mixed.images, mixed.partners, mixed.shares
            layout = torch.channels_last if plan.channels_last else torch.contiguous_format
            laid = varied.contiguous(memory_format=layout)
            yield Batch(laid, classes, made.order[part], partners, shares, total)

    def _varied(self, pixels: Tensor, made: Epoch, draws: Draws) -> Tensor:
        """All that follows the crop but mixing: uint8 to normalised float32."""
        settings = made.settings
        if pixels.shape[-1] != made.size:
            pixels = shrunk(pixels, made.size)
        pixels = recoloured(pixels, settings, draws, self.fill)
        shift = self.shift
        if settings.pca is not None and self.plan.lighting is not None:
            lights = self.plan.lighting.shifts(settings.pca, draws)
            shift = shift + lights[..., None, None] * (self.scale * 255)
        images = pixels.to(torch.float32).mul_(self.scale).add_(shift)
        erase(images, settings, draws, self.plan.size)
        return images

    def _crops(self, images: Tensor, made: Epoch, part: slice) -> Source:
        """Resized crops of fitted images, as ``_sources`` yields them."""
        where = windows(made.settings, made.draws[part], made.size, images.shape[-1])
        return resampled(images, *where, made.size), None

    @abstractmethod
    def _sources(self, made: Epoch, parts: Sequence[slice]) -> Iterator[Source]:
        """For each part of the order, uint8 images."""


class DeviceBatches(Batches):
    """A split that is one padded uint8 tensor on the device."""

    def __init__(self, split: Split, plan: Preparation, progress: Progress | None = None) -> None:
        super().__init__(split, plan)
        side = plan.size + 2 * plan.augmentation.padding
        self.images = torch.empty(
            (self.samples, split.channels, side, side), dtype=torch.uint8, device=plan.device
        )
        done = 0
        everything = np.arange(self.samples)
        chunks = [everything[i : i + CHUNK] for i in range(0, self.samples, CHUNK)]
        fitted = made_ahead(
            chunks, lambda numbers: fitted_images(split, numbers, plan.size, plan.augmentation)
        )
        for chunk, pixels in zip(chunks, fitted, strict=True):
            self.images[done : done + len(chunk)] = pixels.to(plan.device)
            done += len(chunk)
            if progress is not None:
                progress("decoding", done, self.samples)

    def _sources(self, made: Epoch, parts: Sequence[slice]) -> Iterator[Source]:
        for part in parts:
            if resizes(made.settings):
                yield self._crops(self.images.index_select(0, made.order[part]), made, part)
            else:
                yield self.images, made.order[part]


class EnlargedBatches(Batches):
    """A split of small images that lies on the device as it is, each batch enlarged there."""

    def __init__(self, split: ImageArrays, plan: Preparation) -> None:
        super().__init__(split, plan)
        squares = torch.from_numpy(np.ascontiguousarray(middle(split.images)))
        self.images = squares.to(plan.device).permute(0, 3, 1, 2).contiguous()

    def _sources(self, made: Epoch, parts: Sequence[slice]) -> Iterator[Source]:
        for part in parts:
            images = enlarged(self.images.index_select(0, made.order[part]), self.plan.size)
            if resizes(made.settings):
                yield self._crops(images, made, part)
            else:
                yield padded(images, made.settings), None


class StreamedBatches(Batches):
    """A split that is decoded as it is needed, in threads, a few batches ahead."""

    def __init__(self, split: Split, plan: Preparation) -> None:
        super().__init__(split, plan)
        self.split = split

    def _sources(self, made: Epoch, parts: Sequence[slice]) -> Iterator[Source]:
        plan, split, settings = self.plan, self.split, made.settings
        numbers, samples = made.order.cpu().numpy(), made.draws.samples.cpu()
        early = crops_sources(split, settings, plan.size) or (
            isinstance(split, ImageFiles) and resizes(settings)
        )

        def make(part: slice) -> Tensor:
            if early:
                draws = Draws(plan.seed, made.draws.epoch, samples[part])
                return cropped_images(split, numbers[part], made.size, settings, draws)
            return fitted_images(split, numbers[part], plan.size, settings)

        for part, pixels in zip(parts, made_ahead(parts, make), strict=True):
            images = pixels.to(plan.device).contiguous()
            if resizes(settings) and not early:
                yield self._crops(images, made, part)
            else:
                yield images, None


def make_batches(
    split: Split,
    *,
    size: int,
    batch_size: int,
    mean: tuple[float, ...],
    deviation: tuple[float, ...],
    device: torch.device,
    seed: int,
    augmentation: Augmentation | None,
    training: bool,
    channels_last: bool = False,
    memory_limit: int = 2 << 30,
    progress: Progress | None = None,
    rank: int = 0,
    world: int = 1,
    sampling: Sampling | None = None,
) -> Batches:
    """Make the batches of a split as squares of ``size`` pixels.

    ``mean`` and ``deviation`` are per channel, in units where white is 1; see ``normalisation``.
    ``augmentation`` and ``sampling`` count in training alone. A split that takes at most
    ``memory_limit`` bytes as padded uint8 lies on the device (``DeviceBatches``; ``progress``
    follows its decoding), or so do its images before they are enlarged (``EnlargedBatches``). A
    larger one is streamed (``StreamedBatches``), and so is one whose crops are to be taken of
    larger sources (``crops_sources``).

    Of each batch of ``batch_size`` images this is the part of ``rank``; the parts of all ``world``
    ranks make up the batch of one. ``sampling`` "balanced" draws every class equally often,
    "repeated" shows a third of the samples three times each.
    Raises ``UsageError``.
    """
    for name, value in (("size", size), ("batch_size", batch_size), ("world", world)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be a positive whole number")
    if not 0 <= rank < world:
        raise UsageError(f"rank is {rank}; it must be from 0 to {world - 1}")
    if sampling not in (None, *get_args(Sampling)):
        raise UsageError(f"sampling is {sampling!r}; it is 'balanced', 'repeated' or None")
    if not len(mean) == len(deviation) == split.channels:
        raise UsageError(
            f"images have {split.channels} channels, mean {len(mean)}, deviation {len(deviation)}"
        )
    settings = augmentation if augmentation is not None and training else NONE
    if settings.padding_mode == "reflect" and settings.padding >= size:
        raise UsageError(
            f"padding {settings.padding} by reflection needs images larger than {size}"
        )
    if settings.mixes and batch_size % 2:
        raise UsageError(
            f"batch_size is {batch_size}; images are mixed in pairs, which needs an even one"
        )
    plan = Preparation(
        size=size,
        batch_size=batch_size,
        mean=mean,
        deviation=deviation,
        device=device,
        seed=seed,
        augmentation=settings,
        training=training,
        channels_last=channels_last,
        rank=rank,
        world=world,
        sampling=sampling if training else None,
        lighting=measured_lighting(split, progress) if settings.pca is not None else None,
    )
    if crops_sources(split, settings, size):
        return StreamedBatches(split, plan)
    if len(split) * (size + 2 * settings.padding) ** 2 * split.channels <= memory_limit:
        return DeviceBatches(split, plan, progress)
    if isinstance(split, ImageArrays) and split.images.nbytes <= memory_limit:
        _, height, width, _ = split.images.shape
        if is_enlarged(height, width, size):
            return EnlargedBatches(split, plan)
    return StreamedBatches(split, plan)
