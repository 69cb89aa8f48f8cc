"""What every row of the zoo promises, row by row, on the meta device: no weights, no arithmetic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convnets.catalog import Family, Variant
from convnets.errors import InputTooSmall
from convnets.layers.network import ConvNet, smallest_input
from convnets.models import FAMILIES, VARIANTS, create_model

ROWS = [pytest.param(name, variant, id=name) for name, (_, variant) in VARIANTS.items()]
POCKETS = [pytest.param(family, id=family.name) for family in FAMILIES]
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}

every_row = pytest.mark.parametrize(("name", "variant"), ROWS)
every_pocket = pytest.mark.parametrize("family", POCKETS)


def build(name: str, **arguments: Any) -> ConvNet:
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


def images(network: ConvNet, size: int) -> torch.Tensor:
    return torch.empty(2, network.in_chans, size, size, device="meta")


def trainable(network: ConvNet) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def multiply_adds(network: ConvNet, size: int) -> int:
    """Count one image by torch's own counter, but where a module says what it multiplies."""
    states = [name for name, module in network.named_modules() if hasattr(module, "macs")]
    with FlopCounterMode(display=False) as counter:
        maps = network.forward_intermediates(images(network, size)[:1], states)
    total = counter.get_total_flops() // 2
    counts = counter.get_flop_counts()
    for name in states:
        counted = sum(counts[f"{type(network).__name__}.{name}"].values()) // 2
        total += network.get_submodule(name).macs(*maps[name].shape[-2:]) - counted
    return total


@every_row
def test_parameters_are_exact(name: str, variant: Variant) -> None:
    assert trainable(build(name)) == variant.params
    assert trainable(build(name, num_classes=10)) == variant.params_10


@every_row
def test_multiply_adds_are_exact(name: str, variant: Variant) -> None:
    assert multiply_adds(build(name), variant.input_size) == variant.macs


def printed(figure: str) -> tuple[float, float]:
    """The value of a figure as a paper prints it, and one unit of its last digit."""
    match = re.fullmatch(r"([\d,]+)(?:\.(\d+))?([KMG]?)", figure)
    assert match, f"{figure!r} is not a figure such as 25.6M"
    whole, fraction, unit = match.groups(default="")
    value = float(f"{whole.replace(',', '')}.{fraction}")
    return value * UNITS[unit], UNITS[unit] * 10.0 ** -len(fraction)


@every_row
def test_published_figures_are_of_this_network(name: str, variant: Variant) -> None:
    published = variant.published
    if published is None:
        return
    assert published.source
    for figure, exact in ((published.params, variant.params), (published.macs, variant.macs)):
        if figure is not None:
            value, unit = printed(figure)
            assert abs(exact - value) <= unit
    for error in (published.top1_error, published.top5_error):
        assert error is None or 0 < printed(error)[0] < 100


@every_row
def test_children_and_output_shape(name: str, variant: Variant) -> None:
    network = build(name)
    names = [child for child, _ in network.named_children()]
    assert names in (["features", "head"], ["features", "head", "auxiliary"])
    stages = [child for child, _ in network.features.named_children()]
    assert stages[:2] == ["stem", "stage1"]
    assert network.spec == variant.spec
    wanted = [*(f"features.{stage}" for stage in stages), "features", "head"]
    maps = network.forward_intermediates(images(network, variant.input_size), wanted)
    assert list(maps) == wanted
    assert maps.pop("head").shape == (2, variant.num_classes)
    # ViT hands on tokens (batch, tokens, channels): its class token has no place in a map.
    axes = 3 if name.startswith("vit_") else 4
    assert all(each.ndim == axes and len(each) == 2 for each in maps.values())


@every_row
@pytest.mark.parametrize("in_chans", [1, 4])
def test_takes_any_number_of_channels(name: str, variant: Variant, in_chans: int) -> None:
    network = build(name, in_chans=in_chans, num_classes=3)
    assert network(images(network, variant.input_size)).shape == (2, 3)


@every_row
def test_small_stem_takes_32_pixels(name: str, variant: Variant) -> None:
    network = build(name, stem="small", num_classes=10)
    assert network.spec.stem == "small"
    assert network(images(network, 32)).shape == (2, 10)


@every_row
def test_auto_takes_the_published_stem_at_the_published_size(name: str, variant: Variant) -> None:
    network = build(name, stem="auto", input_size=variant.input_size)
    assert network.spec == variant.spec


@every_row
def test_an_image_too_small_is_told_the_layer_and_the_least_size(
    name: str, variant: Variant
) -> None:
    network = build(name)
    smallest = smallest_input(network)
    assert network(images(network, smallest)).shape == (2, variant.num_classes)
    if smallest == 1:
        return
    with pytest.raises(InputTooSmall, match=f"the smallest input is {smallest}x{smallest}") as told:
        network(images(network, smallest - 1))
    layer = str(told.value).split()[0]
    assert layer in dict(network.named_modules())
    assert told.value.exit_code == 2


# Where a row is not the reference's on purpose, and the test that derives it.
DECIDED = {
    ("nasnet_a_mobile", "macs"): "test_nasnet.py: the peer computes pixels that it cuts off",
    ("capsnet_mnist", "macs"): "test_capsnet.py: the decoder, an auxiliary head, is not run",
}


@every_row
def test_figures_are_those_of_the_reference(name: str, variant: Variant, shared: Path) -> None:
    families = json.loads((shared / "reference" / "models.json").read_text())
    rows = {key: row for family in families.values() for key, row in family.items()}
    row = rows.get(name)
    if row is None:
        pytest.skip(f"the reference has no row {name}")
    for field, value in (
        ("params", variant.params),
        ("params_10", variant.params_10),
        ("macs", variant.macs),
        ("input", variant.input_size),
        ("channels", variant.in_chans),
        ("num_classes", variant.num_classes),
    ):
        if (name, field) not in DECIDED:
            assert row.get(field, value) == value, field


def pocket(family: Family) -> tuple[ConvNet, torch.Tensor]:
    network = family.network(family.pocket, in_chans=3, num_classes=10)
    return network, torch.randn(4, 3, 32, 32)


@every_pocket
def test_pocket_learns(family: Family) -> None:
    network, batch = pocket(family)
    logits, auxiliary = network.forward_auxiliary(batch)
    loss = F.cross_entropy(logits, torch.tensor([0, 1, 2, 3]))
    loss = loss + sum(each.mean() for each in auxiliary.values())
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), f"{name} has no influence"


@every_pocket
def test_pocket_survives_a_file(family: Family) -> None:
    network, batch = pocket(family)
    network(batch)  # moves the running statistics off their start
    again = family.network(family.pocket, in_chans=3, num_classes=10)
    again.load_state_dict(load(save(network.state_dict())))
    assert torch.equal(network.eval()(batch), again.eval()(batch))


@every_pocket
def test_pocket_exports(family: Family) -> None:
    network, batch = pocket(family)
    network.eval()
    program = torch.export.export(network, (batch,))
    torch.testing.assert_close(program.module()(batch), network(batch))
