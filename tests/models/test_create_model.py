"""Networks by name: what can be asked for, and what a wrong question is answered."""

from __future__ import annotations

import pytest
import torch

from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, VARIANTS, create_model, find_variant, list_models


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown model 'resnet19'") as caught:
        create_model("resnet19")
    assert "resnet18" in caught.value.near
    assert caught.value.exit_code == 2


def test_unknown_keyword_is_an_error() -> None:
    with pytest.raises(TypeError, match="num_klasses"):
        create_model("lenet5", num_klasses=10)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("argument", "value"),
    [("num_classes", 0), ("num_classes", -1), ("num_classes", 10.0), ("in_chans", 0)],
)
def test_counts_must_be_positive_whole_numbers(argument: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{argument} is {value}") as caught:
        create_model("lenet5_modern", **{argument: value})  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


def test_wrong_stem_names_the_three() -> None:
    with pytest.raises(UsageError, match="'paper', 'small' or 'auto'"):
        create_model("resnet18", stem="tiny")  # type: ignore[arg-type]


def test_auto_needs_the_size_of_an_image() -> None:
    with pytest.raises(UsageError, match="input_size"):
        create_model("resnet18", stem="auto")


def test_auto_takes_the_published_stem_where_an_image_passes_it() -> None:
    """AlexNet's published geometry takes 63 pixels and more."""
    with torch.device("meta"):
        stems = [
            create_model("alexnet_owt", stem="auto", input_size=size).spec.stem
            for size in (32, 62, 63, 224)
        ]
    assert stems == ["small", "small", "paper", "paper"]


def test_classes_and_channels_default_to_the_row() -> None:
    with torch.device("meta"):
        assert create_model("lenet5")(torch.empty(1, 1, 32, 32)).shape == (1, 10)
        network = create_model("mobilenet_v1", num_classes=7, in_chans=2)
        assert network(torch.empty(1, 2, 64, 64)).shape == (1, 7)


def test_a_network_is_a_function_of_the_seed() -> None:
    torch.manual_seed(3)
    first = create_model("mobilenet_v1_025").state_dict()
    torch.manual_seed(3)
    second = create_model("mobilenet_v1_025", stem="auto", input_size=224).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_patterns_find_names() -> None:
    assert list_models() == list(VARIANTS)
    assert list_models("resnet1??") == ["resnet101", "resnet152", "resnet110"]
    assert list_models("vgg1?") == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert list_models("NEXT_t") == ["convnext_tiny"]
    assert list_models("[!a-z]*") == []


def test_families_stand_in_order_of_date_and_no_name_is_taken_twice() -> None:
    years = [family.year for family in FAMILIES]
    assert years == sorted(years)
    assert len(VARIANTS) == sum(len(family.variants) for family in FAMILIES)


def test_the_row_of_a_name() -> None:
    family, variant = find_variant("resnet50")
    assert (family.name, variant.spec.depths) == ("resnet", (3, 4, 6, 3))
