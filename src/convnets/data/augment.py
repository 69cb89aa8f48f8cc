"""How training images are varied: the settings, and crop and flip, drawn for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from convnets.data.draws import Draw, drawn
from convnets.records import Record


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 < ends[0] <= ends[1]:
        raise ValueError("two positive numbers, the smaller one first")
    return ends


def _at_most_one(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[1] > 1:
        raise ValueError("shares of an image's area, at most 1")
    return ends


Ends = Annotated[tuple[float, float], AfterValidator(_ordered)]
Areas = Annotated[Ends, AfterValidator(_at_most_one)]
Probability = Annotated[float, Field(ge=0, le=1)]


class ResizedCrop(Record):
    """A crop that covers a share of the image's area drawn from ``scale``, with an aspect ratio
    (width to height) drawn evenly in its logarithm from ``ratio``, resized to the network's input.

    Szegedy et al. 2015 (GoogLeNet), Section 6.
    """

    scale: Areas = (0.08, 1.0)
    ratio: Ends = (3 / 4, 4 / 3)


class ScaleJitter(Record):
    """The image's shorter side is resized to an evenly drawn multiple of the network's input, of
    which a random crop is taken.

    Simonyan and Zisserman 2015 (VGG), Section 3.1: from 256 to 512 pixels for crops of 224.
    """

    low: float = Field(default=256 / 224, ge=1, le=16)
    high: float = Field(default=512 / 224, ge=1, le=16)

    @model_validator(mode="after")
    def _low_is_low(self) -> Self:
        _ordered((self.low, self.high))
        return self


class ColourJitter(Record):
    """Brightness, contrast and saturation times a factor from 1 - x to 1 + x each, and the hue
    turned by at most that share of a whole turn, in an order drawn for each image.

    Howard 2014, Section 2.2; the order as in torchvision.
    """

    brightness: float = Field(default=0.0, ge=0, le=10)
    contrast: float = Field(default=0.0, ge=0, le=10)
    saturation: float = Field(default=0.0, ge=0, le=10)
    hue: float = Field(default=0.0, ge=0, le=0.5)


class RandAugment(Record):
    """``operations`` of the paper's 14, drawn with replacement, all at one ``magnitude``.

    Cubuk et al. 2019. At ``maximum`` an operation is at its strongest: 30 as in torchvision, 10 as
    in the paper's Section 3 and in timm. ``deviation`` is that of a normal distribution that each
    magnitude is drawn from, and ``probability`` that of each operation to be used (timm's mstd
    and p). ``increasing`` (torchvision's ranges, timm's inc1) lets 0 leave the image as it is;
    without it colour factors rise from 0.1 to 1.9, bits from 4 to 8 and solarize's threshold from
    0 to 255, as in AutoAugment's Table 6.
    """

    operations: int = Field(default=2, ge=1, le=14)
    magnitude: float = Field(default=9.0, ge=0)
    maximum: float = Field(default=30.0, gt=0, le=1000)
    deviation: float | None = Field(default=None, gt=0)
    probability: Probability = 1.0
    increasing: bool = True

    @model_validator(mode="after")
    def _magnitude_is_on_its_scale(self) -> Self:
        if self.magnitude > self.maximum:
            raise ValueError(f"magnitude {self.magnitude:g} is above its maximum {self.maximum:g}")
        return self


class Erasing(Record):
    """With ``probability`` a rectangle of the image is replaced by normal noise, or by the mean.

    Zhong et al. 2017, Algorithm 1 and Section 4: a share of the area from ``area``, an aspect
    ratio (height to width) from ``ratio``, here drawn evenly in its logarithm, so that neither
    direction is preferred. Pixels are replaced after normalisation, so that the noise is of the
    data's own mean and deviation (timm's "pixel").
    """

    probability: Probability = 0.5
    area: Areas = (0.02, 0.4)
    ratio: Ends = (0.3, 1 / 0.3)
    fill: Literal["noise", "mean"] = "noise"


class Augmentation(Record):
    """Settings; None is off. One of ``padding``, ``resized_crop`` and ``scale_jitter`` crops.

    ``padding`` pixels are added on each side before a random crop of the image's size (0: no
    crop), by reflection or with zeros; ``flip`` mirrors left-right half of the time. ``pca`` is
    the deviation of AlexNet's lighting (Krizhevsky et al. 2012, Section 4.1: 0.1; grey images are
    left alone). ``trivial_augment``: one operation of TrivialAugment's wide space (Müller and
    Hutter 2021). ``cutout``: side in pixels of a square of mean (DeVries and Taylor 2017).
    ``mixup`` (Zhang et al. 2018) and ``cutmix`` (Yun et al. 2019) are the alpha of the share's
    Beta distribution; where both are set each image draws one of them. ``mix_probability`` of an
    image to be mixed at all, None: always.
    """

    padding: int = Field(default=0, ge=0, le=64)
    padding_mode: Literal["zero", "reflect"] = "reflect"
    flip: bool = False
    resized_crop: ResizedCrop | None = None
    scale_jitter: ScaleJitter | None = None
    colour_jitter: ColourJitter | None = None
    pca: float | None = Field(default=None, gt=0, le=10)
    rand_augment: RandAugment | None = None
    trivial_augment: Literal[True] | None = None
    erasing: Erasing | None = None
    cutout: int | None = Field(default=None, ge=1, le=4096)
    mixup: float | None = Field(default=None, gt=0, le=100)
    cutmix: float | None = Field(default=None, gt=0, le=100)
    mix_probability: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_of_a_kind(self) -> Self:
        if (
            sum((self.padding > 0, self.resized_crop is not None, self.scale_jitter is not None))
            > 1
        ):
            raise ValueError("choose one of padding, resized_crop and scale_jitter")
        if self.rand_augment is not None and self.trivial_augment is not None:
            raise ValueError("choose one of rand_augment and trivial_augment")
        if self.mix_probability is not None and not self.mixes:
            raise ValueError("mix_probability needs mixup or cutmix")
        return self

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in pairs."""
        return self.mixup is not None or self.cutmix is not None


NONE = Augmentation()


def without_mirroring(settings: Augmentation) -> Augmentation:
    """The same without what mirrors an image: ``flip`` alone, for no other setting does."""
    return settings.model_copy(update={"flip": False})


def weakened(settings: Augmentation, strength: float) -> Augmentation:
    """The same with RandAugment's magnitude times ``strength`` (Tan and Le 2021, Table 6).

    Mixup's alpha, which may be scaled to 0, is scaled where its share is drawn.
    """
    policy = settings.rand_augment
    if policy is None or strength == 1:
        return settings
    weaker = policy.model_copy(update={"magnitude": policy.magnitude * strength})
    return settings.model_copy(update={"rand_augment": weaker})


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each of some images is cropped, and whether it is mirrored: (n,) tensors."""

    top: Tensor
    left: Tensor
    flip: Tensor | None

    def __getitem__(self, part: slice) -> Placement:
        flip = None if self.flip is None else self.flip[part]
        return Placement(self.top[part], self.left[part], flip)


def placement(settings: Augmentation, seed: int, epoch: int, samples: Tensor) -> Placement:
    """Draw the placement of each of ``samples`` (numbers in the split, int64) in one epoch."""
    positions = 2 * settings.padding + 1
    return Placement(
        top=drawn(seed, epoch, Draw.TOP, samples, positions),
        left=drawn(seed, epoch, Draw.LEFT, samples, positions),
        flip=drawn(seed, epoch, Draw.FLIP, samples, 2).bool() if settings.flip else None,
    )


def padded(images: Tensor, settings: Augmentation) -> Tensor:
    """Pad images (n, channels, size, size) on all four sides."""
    size, padding = images.shape[-1], settings.padding
    if not padding:
        return images
    if settings.padding_mode == "zero":
        return torch.nn.functional.pad(images, [padding] * 4)
    places = torch.arange(-padding, size + padding, device=images.device).abs()
    places = (size - 1) - ((size - 1) - places).abs()
    return images.index_select(2, places).index_select(3, places)


def cropped(images: Tensor, rows: Tensor | None, size: int, where: Placement) -> Tensor:
    """Crop and flip ``images[rows]``, or all of them, each at its own place.

    ``images`` are padded, (n, channels, height, width) uint8; the result is
    (len(rows), channels, size, size) uint8.
    """
    if images.shape[2:] == (size, size):
        chosen = images if rows is None else images.index_select(0, rows)
    else:
        # A view of every possible crop, (n, top, left, channels, size, size): nothing is copied
        # but the one crop of each row.
        crops = images.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)
        rows = torch.arange(len(images), device=images.device) if rows is None else rows
        chosen = crops[rows, where.top, where.left]
    if where.flip is None:
        return chosen
    return torch.where(where.flip[:, None, None, None], chosen.flip(3), chosen)
