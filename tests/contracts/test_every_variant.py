"""What every row of the zoo promises, row by row, on the meta device: no weights, no arithmetic."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convnets.analysis import profile
from convnets.catalog import Family, Variant
from convnets.errors import InputTooSmall
from convnets.layers.feature_maps import feature_info
from convnets.layers.network import ConvNet, failing_layer
from convnets.layers.shapes import QuickShapes
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import FAMILIES, VARIANTS, create_model

LEAST = [min(family.variants, key=lambda name: family.variants[name].params) for family in FAMILIES]
"""The smallest network of each family."""
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def rows(*, slow: bool) -> pytest.MarkDecorator:
    """Every row; if ``slow``, all but a family's smallest wait for ``-m slow``."""
    waits = {name for name in VARIANTS if slow and name not in LEAST}
    return pytest.mark.parametrize(
        ("name", "variant"),
        [
            pytest.param(name, variant, id=name, marks=[pytest.mark.slow] if name in waits else [])
            for name, (_, variant) in VARIANTS.items()
        ],
    )


every_family = pytest.mark.parametrize(
    ("name", "variant"), [pytest.param(name, VARIANTS[name][1], id=name) for name in LEAST]
)
every_pocket = pytest.mark.parametrize(
    "family", [pytest.param(family, id=family.name) for family in FAMILIES]
)


def build(name: str, **arguments: Any) -> ConvNet:
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


def images(network: ConvNet, size: int) -> torch.Tensor:
    return torch.empty(2, network.in_chans, size, size, device="meta")


def logits(network: ConvNet, size: int) -> torch.Tensor:
    with QuickShapes():
        made: torch.Tensor = network(images(network, size))
    return made


def trainable(network: ConvNet) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@rows(slow=False)
def test_row_is_exact(name: str, variant: Variant) -> None:
    """Parameters, multiply-adds, the children that every tool relies on, and their maps."""
    network = build(name)
    assert trainable(network) == variant.params
    assert trainable(build(name, num_classes=10)) == variant.params_10
    assert network.spec == variant.spec
    children = [child for child, _ in network.named_children()]
    assert children in (["features", "head"], ["features", "head", "auxiliary"])
    stages = [f"features.{child}" for child, _ in network.features.named_children()]
    assert stages[:2] == ["features.stem", "features.stage1"]
    costs = profile(network, variant.input_size, batch_size=2)
    assert costs.macs == 2 * variant.macs
    shapes = {layer.name: layer.output_shape for layer in costs.layers}
    assert shapes["head"] == (2, variant.num_classes)
    # ViT hands on tokens (batch, tokens, channels): its class token has no place in a map.
    axes = 3 if name.startswith("vit_") else 4
    for stage in ("features", *stages):
        assert len(shapes[stage]) == axes
        assert shapes[stage][0] == 2


@rows(slow=True)
def test_multiplies_are_those_that_torch_counts(name: str, variant: Variant) -> None:
    """By torch's own counter, but where a module says what it multiplies."""
    network = build(name)
    states = [name for name, module in network.named_modules() if hasattr(module, "macs")]
    with FlopCounterMode(display=False) as counter:
        maps = network.forward_intermediates(images(network, variant.input_size), states)
    counts = counter.get_flop_counts()
    total = counter.get_total_flops() // 4
    for each in states:
        seen = sum(counts[f"{type(network).__name__}.{each}"].values()) // 4
        total += network.get_submodule(each).macs(*maps[each].shape[-2:]) - seen
    assert total == variant.macs


def printed(figure: str) -> tuple[float, float]:
    """The value of a figure as a paper prints it, and one unit of its last digit."""
    match = re.fullmatch(r"([\d,]+)(?:\.(\d+))?([KMG]?)", figure)
    assert match, f"{figure!r} is not a figure such as 25.6M"
    whole, fraction, unit = match.groups(default="")
    value = float(f"{whole.replace(',', '')}.{fraction}")
    return value * UNITS[unit], UNITS[unit] * 10.0 ** -len(fraction)


@rows(slow=False)
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


@rows(slow=True)
def test_small_stem_takes_32_pixels(name: str, variant: Variant) -> None:
    network = build(name, stem="small", in_chans=1, num_classes=10)
    assert network.spec.stem == "small"
    assert logits(network, 32).shape == (2, 10)


@every_family
def test_takes_any_number_of_channels(name: str, variant: Variant) -> None:
    network = build(name, in_chans=4, num_classes=3)
    assert logits(network, variant.input_size).shape == (2, 3)


@every_family
def test_auto_takes_the_published_stem_at_the_published_size(name: str, variant: Variant) -> None:
    network = build(name, stem="auto", input_size=variant.input_size)
    assert network.spec == variant.spec


@every_family
def test_an_image_too_small_is_told_the_layer_and_the_least_size(
    name: str, variant: Variant
) -> None:
    network = build(name)
    if failing_layer(network, 1, 1) is None:
        assert network(images(network, 1)).shape == (2, variant.num_classes)
        return
    with pytest.raises(InputTooSmall, match="the smallest input is") as told:
        network(images(network, 1))
    assert str(told.value).split()[0] in dict(network.named_modules())
    assert told.value.exit_code == 2
    smallest = int(str(told.value).rpartition("x")[2])
    assert logits(network, smallest).shape == (2, variant.num_classes)
    with pytest.raises(RuntimeError):
        network.features(images(network, smallest - 1))


@every_family
def test_every_stage_says_its_channels_and_stride(name: str, variant: Variant) -> None:
    network = build(name)
    found = feature_info(network)
    stages = [f"features.{stage}" for stage, _ in network.features.named_children()]
    assert [info.name for info in found] == stages
    maps = network.forward_intermediates(images(network, variant.input_size), stages)
    for info in found:
        each = maps[info.name]
        if each.ndim == 4:
            assert each.shape[1] == info.channels
            assert abs(variant.input_size / info.stride - each.shape[-1]) <= 8, "but for its edges"


# Where a row is not the reference's on purpose, and the test that derives it.
DECIDED = {
    ("nasnet_a_mobile", "macs"): "test_nasnet.py: the peer computes pixels that it cuts off",
    ("capsnet_mnist", "macs"): "test_capsnet.py: the decoder, an auxiliary head, is not run",
}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, dict[str, Any]]:
    """The reference's rows by our names."""
    families = json.loads((shared / "reference" / "models.json").read_text())
    rows = {}
    for family, members in families.items():
        for name, row in members.items():
            if not name.startswith("_") and not family.startswith("_"):
                rows[LADDERS[family] + name if family in LADDERS else name] = row
    return rows


# The reference names a ladder's steps by themselves; its first two are one network, its last Swin.
LADDERS = {"convnext_ladder_resnet50": "ladder_t_", "convnext_ladder_resnet200": "ladder_b_"}
NOT_STEPS = re.compile(r"ladder_._(01|17)_\w+")


def test_every_row_of_the_reference_is_here(reference: dict[str, dict[str, Any]]) -> None:
    missing = [name for name in reference if name not in VARIANTS and not NOT_STEPS.match(name)]
    assert missing == []
    assert len(reference) == 248


def test_figures_are_those_of_the_reference(reference: dict[str, dict[str, Any]]) -> None:
    compared = 0
    for name, (_, variant) in VARIANTS.items():
        row = reference.get(name, {})
        for field, value in (
            ("params", variant.params),
            ("params_10", variant.params_10),
            ("macs", variant.macs),
            ("input", variant.input_size),
            ("channels", variant.in_chans),
            ("num_classes", variant.num_classes),
        ):
            if row.get(field) is not None and (name, field) not in DECIDED:
                assert row[field] == value, (name, field)
                compared += 1
    assert compared > 4 * 200


RESIDUAL = [
    pytest.param(family, id=family.name)
    for family in FAMILIES
    if hasattr(family.pocket, "stochastic_depth")
]


@pytest.mark.parametrize("family", RESIDUAL)
def test_stochastic_depth_and_squeeze_join_a_residual_family(family: Family) -> None:
    def built(**changes: Any) -> ConvNet:
        spec = replace(family.pocket, **changes)
        network: ConvNet = family.network(spec, in_chans=3, num_classes=10)
        return network

    plain, dropping = built(stochastic_depth=0.0), built(stochastic_depth=0.5)
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    survivals = [
        module.survival
        for module in dropping.modules()
        if isinstance(module, StochasticDepth) and module.survival < 1
    ]
    assert survivals
    assert sorted(survivals, reverse=True) == survivals, "deeper blocks are dropped more often"
    if hasattr(family.pocket, "squeeze"):
        squeezed, without = built(squeeze=2), built(squeeze=0)
        assert any(isinstance(module, SqueezeExcite) for module in squeezed.modules())
        assert trainable(squeezed) > trainable(without)
        assert squeezed(torch.randn(2, 3, 32, 32)).shape == (2, 10)


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
