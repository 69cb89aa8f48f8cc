"""A row's name and changes of its spec: equal to the row that has them, bounded, or refused."""

from __future__ import annotations

import time

import pytest
import torch

from convnets.errors import UnknownName, UsageError
from convnets.layers.cell import spelt
from convnets.models import VARIANTS, create_model, find_variant, matching
from convnets.models.mobilenet_v2 import Stage
from convnets.models.nasnet import NASNET_A
from convnets.models.variations import varied


def params(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name).parameters())


@pytest.mark.parametrize(
    ("changed", "row"),
    [
        ("resnet50@depths=3-4-23-3", "resnet101"),
        ("resnet50@width=64", "resnet50"),
        ("resnet18@block=bottleneck,depths=3-8-36-3", "resnet152"),
        ("efficientnet_b0@width=1.1,depth=1.2,dropout=0.3", "efficientnet_b2"),
        ("mobilenet_v1@width=0.25", "mobilenet_v1_025"),
        ("convnext_tiny@depths=3-3-27-3", "convnext_small"),
        ("resnet20@blocks=9", "resnet56"),
        ("vgg11@depths=2-2-4-4-4", "vgg19"),
        ("mobilenet_v2@stages=1.16.1.1-6.24.2.2-6.32.3.2-6.64.4.2-6.96.3.1-6.160.3.2-6.320.1.1",
         "mobilenet_v2"),
    ],
)  # fmt: skip
def test_a_changed_row_is_the_row_that_its_paper_prints(changed: str, row: str) -> None:
    # The counts of the rows are their sources': torchvision's, timm's, the papers'.
    assert params(changed) == VARIANTS[row][1].params


def test_nasnets_cells_in_numbers() -> None:
    # Fig. 4's reduction cell: 0 identity, 1 average, 2 max, 3 to 5 separable 3x3, 5x5, 7x7. Its
    # rows take maps 2 and 3; the paper joins the others, the authors' code map 3 as well.
    name = "nasnet_a_cifar@reduction=4.0.5.1-2.0.5.1-1.0.4.1-0.3.1.2-3.2.2.0"
    reduction = find_variant(name)[1].spec.reduction
    assert spelt(reduction).rows == NASNET_A.reduction.rows
    assert spelt(reduction).joined == (4, 5, 6)


def test_one_network_has_one_name() -> None:
    one, other = "resnet50@width=80,depths=3-4-9-3", "resnet50@depths=3-4-9-3,width=80"
    assert matching([one, other, "resnet50@width=64", "resnet50"]) == [other, "resnet50"]
    assert matching(["resnet[13]?@width=32"]) == [
        "resnet18@width=32", "resnet34@width=32", "resnet32@width=32",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"width": 1.1, "depth": 1.0}, "efficientnet_b0@width=1.1,depth=1"),
        ({"eps": 1e-5}, "efficientnet_b0@eps=0.00001"),
        ({"depths": (3, 4, 9, 3)}, "resnet50@depths=3-4-9-3"),
        ({"block": "basic", "width": 8}, "resnet50@block=basic,width=8"),
        ({"stages": (Stage(1, 16, 1, 1), Stage(6, 24, 2, 2))},
         "mobilenet_v2@stages=1.16.1.1-6.24.2.2"),
        ({"stages": ((64, 1), (128, 2))}, "mobilenet_v1@stages=64.1-128.2"),
        ({"isotropic": True}, "convnext_tiny@isotropic=true"),
        ({"stem_width": None}, "nasnet_a_mobile@stem_width=none"),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(changes: dict[str, object], text: str) -> None:
    name = text.partition("@")[0]
    assert varied(name, changes) == text
    spec = find_variant(text)[1].spec
    assert {field: getattr(spec, field) for field in changes} == changes


def test_nothing_is_published_of_a_changed_row() -> None:
    row = find_variant("resnet50@width=80")[1]
    assert (row.params, row.params_10, row.macs, row.published) == (0, 0, 0, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet50@wdth=3", "did you mean width"),
        ("resnet50@", "unknown field"),
        ("resnet50@width", "width=VALUE"),
        ("resnet50@stem=small", "unknown field"),
        ("resnet50@width=1e9", "whole number"),
        ("resnet50@width=-8", "whole number"),
        ("resnet50@width=٣", "whole number"),
        ("resnet50@width=8.5", "whole number"),
        ("resnet50@width=100000", "at most 1024"),
        ("resnet50@width=3,width=4", "once"),
        ("resnet50@block=wide", "basic, bottleneck"),
        ("resnet50@depths=" + "-".join("3" * 65), "64 items"),
        ("resnet50@depths=" + "-".join(["3"] * 120), "200 characters"),
        ("efficientnet_b0@width=nan", "number"),
        ("efficientnet_b0@width=inf", "number"),
        ("mobilenet_v2@stages=1.16.1", "4 whole numbers"),
        ("mobilenet_v2@stages=1.16.1.x", "whole number"),
        ("efficientnet_v2_s@convolution=eval", "cannot be changed"),
        ("nasnet_a_cifar@normal=9.0.4.1", "numbered from 0 to 6"),
        ("nasnet_a_cifar@normal=3.0.4.2", "maps before it"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason), torch.device("meta"):
        create_model(name)


def test_a_network_that_cannot_be_built_says_why() -> None:
    with pytest.raises(UsageError, match="no such network can be built"):
        create_model("resnext50_32x4d@cardinality=0")
    with pytest.raises(UsageError, match="has no weights"):
        create_model("resnet20@width=0")
    with pytest.raises(UsageError, match="no such network can be built"):
        create_model("shufflenet_v1_g3@groups=5", stem="auto", input_size=32)


def test_an_unknown_row_is_named_without_its_changes() -> None:
    with pytest.raises(UnknownName, match="unknown model 'resnet51'; did you mean"):
        find_variant("resnet51@width=8")


@pytest.mark.parametrize("name", ["resnet152", "densenet264"])
def test_the_deepest_name_that_a_file_may_hold_is_built_in_seconds(name: str) -> None:
    depths = VARIANTS[name][1].spec.depths
    begun = time.process_time()
    params(varied(name, {"depths": (16 * max(depths),) * len(depths)}))
    assert time.process_time() - begun < 30
