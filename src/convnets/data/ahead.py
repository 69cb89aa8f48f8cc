"""Images decoded and fitted in threads, a bounded number of batches ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from convnets.data.augment import Augmentation, padded
from convnets.data.crops import cropped_file
from convnets.data.draws import Draws
from convnets.data.fit import fitted
from convnets.data.sets import ImageArrays, Split

Given = TypeVar("Given")
Made = TypeVar("Made")


def made_ahead(wanted: Sequence[Given], make: Callable[[Given], Made]) -> Iterator[Made]:
    """Yield ``make`` of each of ``wanted``, in order.

    Threads work a bounded number of entries ahead: Pillow and torch let go of the interpreter.
    """
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for given in wanted:
                pending.append(pool.submit(make, given))
                if len(pending) > threads + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def fitted_images(split: Split, numbers: np.ndarray, size: int, settings: Augmentation) -> Tensor:
    """Samples fitted to ``size`` pixels and padded: (n, channels, side, side) uint8."""
    if isinstance(split, ImageArrays):
        images = fitted(split.images[numbers], size)
    else:
        images = _joined([fitted(split.image(i)[None], size) for i in numbers], split, size)
    return torch.from_numpy(padded(images, settings)).permute(0, 3, 1, 2)


def cropped_images(
    split: Split, numbers: np.ndarray, size: int, settings: Augmentation, draws: Draws
) -> Tensor:
    """Crops of samples of any size, resized to ``size``: (n, channels, size, size) uint8."""
    images = [
        cropped_file(split.image(number), settings, draws[place : place + 1], size)[None]
        for place, number in enumerate(numbers)
    ]
    return torch.from_numpy(_joined(images, split, size)).permute(0, 3, 1, 2)


def _joined(images: Sequence[np.ndarray], split: Split, size: int) -> np.ndarray:
    """One array of all; of none, where a rank's part of a batch is empty."""
    none = np.empty((0, size, size, split.channels), np.uint8)
    return np.concatenate([none, *images])
