"""What every method of this room returns: an array that knows its axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convnets.errors import UsageError

Tracker = Callable[[int, int], None]
"""Told how much is done and how much there is, 0 where that is not known."""


@dataclass(frozen=True)
class Picture:
    """Values with a name for each axis, ``("image", "channel", "height", "width")`` for one, and
    what they show."""

    values: NDArray[np.float32]
    axes: tuple[str, ...]
    about: str

    def __post_init__(self) -> None:
        if self.values.ndim != len(self.axes):
            raise UsageError(f"{self.values.ndim} axes are named {', '.join(self.axes)}")

    def axis(self, name: str) -> int:
        """The place of a named axis; raises ``UsageError`` where there is none."""
        if name not in self.axes:
            raise UsageError(f"no axis {name!r}; there are {', '.join(self.axes)}")
        return self.axes.index(name)


def as_array(values: Tensor) -> NDArray[np.float32]:
    """A tensor's values as float32 in NumPy."""
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
