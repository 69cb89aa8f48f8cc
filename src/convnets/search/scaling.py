"""Compound scaling (Tan and Le 2019, arXiv:1905.11946): depth, width and resolution together.

One number, phi, says how much more a network may cost; constants say how that is divided (Eq. 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch

from convnets.analysis import profile
from convnets.errors import UsageError
from convnets.models import create_model, find_variant, fitting_stem
from convnets.search.dimensions import resolved, scaled

TOLERANCE = 0.1
"""How far alpha * beta^2 * gamma^2 may be from 2; the paper's own constants give 1.92."""

LARGEST_PHI = 30
PHIS = range(1, 8)  # as many as there are EfficientNets above B0


@dataclass(frozen=True)
class Multipliers:
    """How many times the depth, the width and the side of the image a network has."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise UsageError(f"{field.name} is multiplied by {value:g}; give a number above 0")


def growth(alpha: float, beta: float, gamma: float) -> float:
    """alpha * beta^2 * gamma^2, by which the multiply-adds grow with each step of phi."""
    return alpha * beta**2 * gamma**2


def near_two(alpha: float, beta: float, gamma: float) -> bool:
    """Whether that is 2 within ``TOLERANCE`` (Eq. 3)."""
    return abs(growth(alpha, beta, gamma) - 2) <= TOLERANCE + 1e-9


@dataclass(frozen=True)
class Coefficients:
    """The constants of Eq. 3, those of EfficientNet (Section 4, step 1) unless given.

    Raises ``UsageError`` where one is below 1, or their product is further than ``TOLERANCE`` from
    2: then the multiply-adds would not grow as 2^phi.
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 1 <= value < math.inf:
                raise UsageError(f"{field.name} is {value:g}; each constant is at least 1")
        if not near_two(self.alpha, self.beta, self.gamma):
            raise UsageError(
                f"alpha * beta^2 * gamma^2 is {self.product:.4g} with {self}; it is to be "
                f"{2 - TOLERANCE:g} to {2 + TOLERANCE:g}"
            )

    def __str__(self) -> str:
        return f"{self.alpha:g}, {self.beta:g}, {self.gamma:g}"

    @property
    def product(self) -> float:
        """What the multiply-adds grow by with each step of phi."""
        return growth(self.alpha, self.beta, self.gamma)

    def at(self, phi: float) -> Multipliers:
        """alpha^phi, beta^phi and gamma^phi (Eq. 3)."""
        if not 0 <= phi <= LARGEST_PHI:
            raise UsageError(f"phi is {phi:g}; it is 0, for the network itself, to {LARGEST_PHI}")
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)


@dataclass(frozen=True)
class Base:
    """The network that is scaled and the images it takes, its stem settled for all sizes."""

    model: str
    input_size: int
    stem: Literal["paper", "small"]
    num_classes: int
    in_chans: int


def base_of(
    model: str,
    *,
    size: int | None = None,
    stem: Literal["paper", "small", "auto"] = "paper",
    num_classes: int | None = None,
    in_chans: int | None = None,
) -> Base:
    """The network as it is, at the size, classes and channels of its row unless given."""
    model = scaled(model, 1, 1)
    family, row = find_variant(model)
    size, classes = size or row.input_size, num_classes or row.num_classes
    in_chans = in_chans or row.in_chans
    if stem == "auto":
        stem = fitting_stem(family, row, in_chans, classes, size)
    return Base(model, size, stem, classes, in_chans)


@dataclass(frozen=True)
class Scaled:
    """A scaled network: its name and side, and what it costs for one image.

    ``times`` is its multiply-adds over those of the base. ``phi`` is None for explicit multipliers.
    """

    phi: float | None
    depth: float
    width: float
    resolution: float
    input_size: int
    params: int
    macs: int
    kept_bytes: int
    times: float
    model: str


def scaled_networks(base: Base, asked: Sequence[tuple[float | None, Multipliers]]) -> list[Scaled]:
    """The base itself, and then a network for each (phi or None, multipliers)."""
    own = _counted(base, 0.0, Multipliers())
    return [own, *(_counted(base, phi, by, own.macs) for phi, by in asked)]


def compound(base: Base, constants: Coefficients, phis: Sequence[float]) -> list[Scaled]:
    """The base itself, and then a network for each phi that is not 0 (Eq. 3)."""
    return scaled_networks(base, [(phi, constants.at(phi)) for phi in phis if phi != 0])


def series(base: Base, constants: Coefficients) -> list[Scaled]:
    """The base and phi 1, 2, ... 7, as far as a network's name may go (``models.variations``)."""
    found = compound(base, constants, ())
    for phi in PHIS:
        try:
            found.append(_counted(base, phi, constants.at(phi), found[0].macs))
        except UsageError:
            break
    return found


def fitting(base: Base, constants: Coefficients, macs: float) -> Scaled:
    """The network of the largest phi, in hundredths, that takes at most ``macs`` multiply-adds.

    More depth, width or resolution never takes fewer, so phi is found by halving. What is too large
    for a name is too large here. Raises ``UsageError`` where the base itself takes more.
    """
    own = _counted(base, 0.0, Multipliers())
    if own.macs > macs:
        raise UsageError(f"{base.model} itself takes {own.macs:,} multiply-adds, over {macs:,.0f}")

    def at(hundredths: int) -> Scaled | None:
        phi = hundredths / 100
        try:
            tried = _counted(base, phi, constants.at(phi), own.macs)
        except UsageError:
            return None
        return tried if tried.macs <= macs else None

    least, found, most = 0, own, 100 * (1 + math.ceil(math.log2(macs / own.macs)))
    while (more := at(most)) is not None:
        least, found, most = most, more, most + 100
    while most - least > 1:
        middle = (least + most) // 2
        tried = at(middle)
        if tried is None:
            most = middle
        else:
            least, found = middle, tried
    return found


def _counted(base: Base, phi: float | None, by: Multipliers, macs: int | None = None) -> Scaled:
    """One network, counted on the meta device; ``macs`` are those of the base."""
    model, size = scaled(base.model, by.depth, by.width), resolved(base.input_size, by.resolution)
    with torch.device("meta"):
        network = create_model(
            model, num_classes=base.num_classes, in_chans=base.in_chans, stem=base.stem
        )
    cost = profile(network, size, in_chans=base.in_chans)
    return Scaled(
        phi=phi,
        depth=by.depth,
        width=by.width,
        resolution=by.resolution,
        input_size=size,
        params=cost.params,
        macs=cost.macs,
        kept_bytes=cost.kept_bytes,
        times=cost.macs / (macs or cost.macs),
        model=model,
    )
