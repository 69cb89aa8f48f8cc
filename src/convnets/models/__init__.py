"""Every architecture by name: ``create_model`` builds one, ``list_models`` finds them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch

from convnets.catalog import Family, Variant
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet, failing_layer
from convnets.models import (
    alexnet,
    amoebanet,
    capsnet,
    convnext,
    convnext_v2,
    densenet,
    densenet_cifar,
    efficientnet,
    efficientnet_v2,
    googlenet,
    inception_resnet,
    inception_v2,
    inception_v3,
    inception_v4,
    ladder,
    lenet,
    mnasnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    nin,
    pnasnet,
    preact_resnet,
    regnet,
    resnet,
    resnet_cifar,
    resnext,
    senet,
    shufflenet_v1,
    shufflenet_v2,
    squeezenet,
    swin,
    van,
    vgg,
    vit,
    wide_resnet,
    xception,
    zfnet,
)
from convnets.models.budget import parse_budget, published_figures
from convnets.models.variations import build_varied, canonical, changed

FAMILIES: tuple[Family, ...] = (
    lenet.FAMILY,
    alexnet.FAMILY,
    zfnet.FAMILY,
    nin.FAMILY,
    vgg.FAMILY,
    googlenet.FAMILY,
    inception_v2.FAMILY,
    inception_v3.FAMILY,
    resnet.FAMILY,
    resnet_cifar.FAMILY,
    inception_v4.FAMILY,
    inception_resnet.FAMILY,
    preact_resnet.FAMILY,
    wide_resnet.FAMILY,
    squeezenet.FAMILY,
    densenet.FAMILY,
    densenet_cifar.FAMILY,
    xception.FAMILY,
    resnext.FAMILY,
    mobilenet_v1.FAMILY,
    shufflenet_v1.FAMILY,
    nasnet.FAMILY,
    senet.FAMILY,
    capsnet.FAMILY,
    pnasnet.FAMILY,
    mobilenet_v2.FAMILY,
    amoebanet.FAMILY,
    shufflenet_v2.FAMILY,
    mnasnet.FAMILY,
    mobilenet_v3.FAMILY,
    efficientnet.FAMILY,
    regnet.FAMILY,
    vit.FAMILY,
    swin.FAMILY,
    efficientnet_v2.FAMILY,
    convnext.FAMILY,
    ladder.FAMILY,
    van.FAMILY,
    convnext_v2.FAMILY,
)
VARIANTS: dict[str, tuple[Family, Variant]] = {
    name: (family, variant) for family in FAMILIES for name, variant in family.variants.items()
}


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern (``"resnet*"``; without a wildcard, that contain it)."""
    if not any(c in pattern for c in "*?["):
        pattern = f"*{pattern}*"
    return [name for name in VARIANTS if fnmatch.fnmatchcase(name, pattern.lower())]


def find_models(
    pattern: str = "*", *, family: str | None = None, budget: str | None = None
) -> dict[str, tuple[Family, Variant]]:
    """Rows by name: those that match ``pattern``, of one family, within a budget.

    ``budget`` is written as ``"params<5M,macs<600M"``. Raises ``UsageError`` where nothing fits.
    """
    families = [each.name for each in FAMILIES]
    if family is not None and family not in families:
        raise UnknownName("family", family, families)
    names = list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, VARIANTS)
    limits = parse_budget(budget) if budget else ()
    rows = {name: VARIANTS[name] for name in names}
    found = {
        name: row
        for name, row in rows.items()
        if family in (None, row[0].name)
        and all(limit.allows(published_figures(*row)) for limit in limits)
    }
    if not found:
        among = f"{pattern!r}" if family is None else f"{pattern!r} of {family}"
        raise UsageError(f"no network among {among} is within the budget {budget}")
    return found


def find_variant(name: str) -> tuple[Family, Variant]:
    """Return the family and the row of a name; raises ``UnknownName`` with the nearest ones.

    The name may go on with changes of the row's spec, as in ``variations``.
    """
    base = name.partition("@")[0]
    if base not in VARIANTS:
        raise UnknownName("model", base, VARIANTS)
    family, variant = VARIANTS[base]
    return family, changed(name, variant)


def matching(patterns: Iterable[str]) -> list[str]:
    """Networks by name or pattern, in the order asked, each once; raises ``UnknownName``.

    What follows ``@`` changes each network that the pattern before it finds.
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        base, at, changes = pattern.partition("@")
        found = list_models(base) if any(c in base for c in "*?[") else [base]
        if not found:
            raise UnknownName("model", base, VARIANTS)
        for name in found:
            _, row = find_variant(name)
            names[canonical(f"{name}{at}{changes}", row)] = None
    return list(names)


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    stem: Literal["paper", "small", "auto"] = "paper",
    input_size: int | None = None,
) -> ConvNet:
    """Build a network by name, with random weights, on torch's default device.

    ``stem="paper"`` is the architecture as published, ``"small"`` the documented form for images
    of about 32 pixels, and ``"auto"`` the published one where an image of ``input_size`` pixels
    fits it, else the small one; the network's ``spec.stem`` says which was built. ``num_classes``
    and ``in_chans`` default to the row's own.
    """
    family, variant = find_variant(name)
    in_chans = variant.in_chans if in_chans is None else in_chans
    num_classes = variant.num_classes if num_classes is None else num_classes
    if stem not in ("paper", "small", "auto"):
        raise UsageError(f"stem is {stem!r}; it is 'paper', 'small' or 'auto'")
    if stem == "auto":
        if input_size is None:
            raise UsageError("stem='auto' needs input_size, the side of an image in pixels")
        stem = fitting_stem(family, variant, in_chans, num_classes, input_size)
    spec = replace(variant.spec, stem=stem)
    if "@" in name:
        return build_varied(name, family, spec, in_chans, num_classes)
    network: ConvNet = family.network(spec, in_chans=in_chans, num_classes=num_classes)
    return network


def fitting_stem(
    family: Family, variant: Variant, in_chans: int, num_classes: int, input_size: int
) -> Literal["paper", "small"]:
    """``paper`` if an image of ``input_size`` pixels passes the published geometry."""
    with torch.device("meta"):
        network = build_varied(family.title, family, variant.spec, in_chans, num_classes)
    return "paper" if failing_layer(network, input_size, input_size) is None else "small"
