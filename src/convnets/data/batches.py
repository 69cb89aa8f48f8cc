"""Batches for training and evaluation: whole sets on the device, or streamed from files.

The order of an epoch and every image's augmentation are functions of (seed, epoch, sample number):
they do not depend on batch composition, threads or restarts, and both kinds give the same batches
bit for bit.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnets.data.augment import NONE, Augmentation, cropped, padded, placement
from convnets.data.draws import permutation
from convnets.data.fit import fitted
from convnets.data.sets import ImageArrays, Progress, Split
from convnets.errors import UsageError

CHUNK = 512
SAMPLED_FILES = 4096


@dataclass(frozen=True, eq=False)
class Batch:
    """``images`` (b, channels, size, size) float32, normalised; ``targets`` and ``indices`` (the
    samples' numbers in their split) (b,) int64; all on the device."""

    images: Tensor
    targets: Tensor
    indices: Tensor
    partners: Tensor | None = None
    shares: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """What a split's batches are to be; see ``make_batches``."""

    size: int
    batch_size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    device: torch.device
    seed: int
    augmentation: Augmentation
    training: bool
    channels_last: bool


class Batches(ABC):
    """``steps`` batches of ``samples`` images an epoch.

    In training the order is drawn anew each epoch and no image is dropped: the last batch may be
    smaller, and where it would hold one image alone (which batch normalisation refuses) that image
    joins the batch before it. In evaluation the order is the split's own.
    """

    def __init__(self, split: Split, plan: Preparation) -> None:
        self.plan = plan
        self.samples = len(split)
        self.labels = torch.from_numpy(split.labels.astype(np.int64)).to(plan.device)
        starts = list(range(0, self.samples, plan.batch_size))
        if plan.training and len(starts) > 1 and self.samples - starts[-1] == 1:
            starts.pop()
        self.parts = [
            slice(*ends) for ends in zip(starts, [*starts[1:], self.samples], strict=True)
        ]
        self.steps = len(self.parts)
        deviation = torch.tensor(plan.deviation, device=plan.device, dtype=torch.float64)
        mean = torch.tensor(plan.mean, device=plan.device, dtype=torch.float64)
        self.scale = (1 / (255 * deviation)).float().view(-1, 1, 1)
        self.shift = (-mean / deviation).float().view(-1, 1, 1)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``start`` on; raises ``BadImage``."""
        plan = self.plan
        if plan.training:
            order = permutation(plan.seed, epoch, self.samples, plan.device)
        else:
            order = torch.arange(self.samples, device=plan.device)
        where = placement(plan.augmentation, plan.seed, epoch, order)
        targets = self.labels[order]
        parts = self.parts[start:]
        for part, (images, rows) in zip(parts, self._sources(order, parts), strict=True):
            pixels = cropped(images, rows, plan.size, where[part])
            normalised = pixels.to(torch.float32).mul_(self.scale).add_(self.shift)
            layout = torch.channels_last if plan.channels_last else torch.contiguous_format
            yield Batch(normalised.contiguous(memory_format=layout), targets[part], order[part])

    @abstractmethod
    def _sources(self, order: Tensor, parts: Sequence[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each part of ``order``: padded uint8 images, and which of them are the batch."""


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
        for chunk, pixels in zip(chunks, _prepared(split, plan, chunks), strict=True):
            self.images[done : done + len(chunk)] = pixels.to(plan.device)
            done += len(chunk)
            if progress is not None:
                progress("decoding", done, self.samples)

    def _sources(self, order: Tensor, parts: Sequence[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        for part in parts:
            yield self.images, order[part]


class StreamedBatches(Batches):
    """A split that is decoded as it is needed, in threads, a few batches ahead."""

    def __init__(self, split: Split, plan: Preparation) -> None:
        super().__init__(split, plan)
        self.split = split

    def _sources(self, order: Tensor, parts: Sequence[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        numbers = order.cpu().numpy()
        for pixels in _prepared(self.split, self.plan, [numbers[part] for part in parts]):
            images = pixels.to(self.plan.device).contiguous()
            yield images, torch.arange(len(images), device=self.plan.device)


def _prepared(split: Split, plan: Preparation, wanted: Sequence[np.ndarray]) -> Iterator[Tensor]:
    """Decode, fit and pad the images of each entry of ``wanted``: (n, channels, side, side) uint8.

    Threads work a bounded number of entries ahead: Pillow and torch let go of the interpreter.
    """

    def prepare(numbers: np.ndarray) -> Tensor:
        if isinstance(split, ImageArrays):
            images = fitted(split.images[numbers], plan.size)
        else:
            images = np.concatenate([fitted(split.image(i)[None], plan.size) for i in numbers])
        return torch.from_numpy(padded(images, plan.augmentation)).permute(0, 3, 1, 2)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Tensor]] = deque()
        try:
            for numbers in wanted:
                pending.append(pool.submit(prepare, numbers))
                if len(pending) > threads + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


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
) -> Batches:
    """Make the batches of a split as squares of ``size`` pixels.

    ``mean`` and ``deviation`` are per channel, in units where white is 1; see ``normalisation``.
    ``augmentation`` counts in training alone. A split that takes at most ``memory_limit`` bytes as
    padded uint8 lies on the device (``DeviceBatches``; ``progress`` follows its decoding), a larger
    one is streamed (``StreamedBatches``).
    """
    for name, value in (("size", size), ("batch_size", batch_size)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be a positive whole number")
    if not len(mean) == len(deviation) == split.channels:
        raise UsageError(
            f"images have {split.channels} channels, mean {len(mean)}, deviation {len(deviation)}"
        )
    settings = augmentation if augmentation is not None and training else NONE
    if settings.padding_mode == "reflect" and settings.padding >= size:
        raise UsageError(
            f"padding {settings.padding} by reflection needs images larger than {size}"
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
    )
    if len(split) * (size + 2 * settings.padding) ** 2 * split.channels <= memory_limit:
        return DeviceBatches(split, plan, progress)
    return StreamedBatches(split, plan)


def normalisation(
    split: Split, progress: Progress | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel over a split, in units where white is 1.

    Every image weighs the same. Of more than 4,096 files, 4,096 spread evenly are read.
    """
    if isinstance(split, ImageArrays):
        pieces = (split.images[i : i + CHUNK] for i in range(0, len(split), CHUNK))
        counts = np.stack([_histogram(piece) for piece in pieces]).sum(axis=0)
    else:
        rows = np.unique(np.linspace(0, len(split) - 1, SAMPLED_FILES).astype(np.int64))
        counts = np.zeros((split.channels, 256))
        with ThreadPoolExecutor() as pool:
            for done, pixels in enumerate(pool.map(split.image, rows), start=1):
                counts += _histogram(pixels) / pixels[..., 0].size
                if progress is not None:
                    progress("measuring", done, len(rows))
    shares = counts / counts[0].sum()
    levels = np.arange(256) / 255
    mean = shares @ levels
    deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    # A constant channel has no deviation to divide by; one grey level stands in.
    return tuple(mean.tolist()), tuple(np.maximum(deviation, 1 / 255).tolist())


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """How often each channel (the last axis) takes each value, (channels, 256)."""
    channels = pixels.reshape(-1, pixels.shape[-1]).T
    return np.stack([np.bincount(channel, minlength=256) for channel in channels])
