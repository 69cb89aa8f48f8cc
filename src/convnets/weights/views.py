"""Testing with several views of each image, whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import InputTooSmall, UsageError

Views = Literal["one", "flip", "five-crop", "ten-crop", "multi-scale"]
VIEWS: tuple[str, ...] = get_args(Views)
MIRRORED = ("flip", "ten-crop")
SMALL = 64
SCALES = (256 / 288, 1.0, 320 / 288)


def larger_size(size: int, views: Views) -> int:
    """Side of the images from which crops of ``size`` pixels are taken.

    256 for 224, as in Krizhevsky et al. (2012); small images are bordered, see ``Viewed``.
    """
    return round(size * 256 / 224) if views.endswith("crop") and size > SMALL else size


class Viewed(nn.Module):
    """A network that looks at each image several times and gives the log of its mean probability.

    ``flip``: the image and its mirror image. ``five-crop``: corners and centre of the larger image;
    ``ten-crop``: those and their mirror images (Krizhevsky et al. 2012, Section 4.1). Where
    ``size`` is at most 64, the larger image is the image with an eighth of it reflected on each
    side, as it is bordered in training. ``multi-scale``: the whole image at three scales, the
    middle one its own (Simonyan and Zisserman 2015, Section 4.2: Q = 256, 288, 320).
    """

    def __init__(self, network: nn.Module, size: int, views: Views) -> None:
        super().__init__()
        if views not in VIEWS:
            raise UsageError(f"unknown views {views!r}; they are {', '.join(VIEWS)}")
        self.network, self.size, self.views = network, size, views

    def forward(self, images: Tensor) -> Tensor:
        """Log of the mean probability (batch, classes), float32, of images (batch, c, h, w)."""
        try:
            seen = [self.network(view).float().log_softmax(1) for view in self.looks(images)]
        except (InputTooSmall, RuntimeError) as error:
            if self.views != "multi-scale" or isinstance(error, torch.OutOfMemoryError):
                raise
            raise UsageError(
                f"this network takes {self.size}x{self.size} alone, not several scales; "
                "use --views flip or ten-crop"
            ) from error
        return torch.stack(seen).logsumexp(0) - math.log(len(seen))

    def looks(self, images: Tensor) -> Iterator[Tensor]:
        """The views of a batch, one after the other."""
        match self.views:
            case "one":
                yield images
            case "flip":
                yield from (images, images.flip(3))
            case "multi-scale":
                for scale in SCALES:
                    side = round(self.size * scale)
                    yield (
                        images
                        if side == images.shape[2]
                        else F.interpolate(images, (side, side), mode="bilinear", antialias=True)
                    )
            case _:
                for crop in self._crops(images):
                    yield crop
                    if self.views == "ten-crop":
                        yield crop.flip(3)

    def _crops(self, images: Tensor) -> Iterator[Tensor]:
        if images.shape[2] == self.size:
            images = F.pad(images, (self.size // 8,) * 4, mode="reflect")
        far = images.shape[2] - self.size
        for top, left in ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)):
            yield images[:, :, top : top + self.size, left : left + self.size]
