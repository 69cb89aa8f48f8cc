"""Layers in factors: torch's SVD, the paper's figure and the layer's own outputs are the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from convnets.analysis import profile
from convnets.compress.factorise import (
    FORMS,
    Kind,
    factorise,
    factorised,
    forms_by_energy,
    forms_by_share,
)
from convnets.compress.layers import weighted_layers
from convnets.compress.shrink import Shrinking, smaller
from convnets.errors import BadModelFile, UsageError
from convnets.layers.conv import Convolution, SameConvolution
from convnets.models import create_model
from convnets.weights import LoadedModel, load_model, save_model
from convnets.weights.changes import LowRank, Spatial, Tucker, full_rank
from tests.compress.networks import described


def a_layer(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer.eval()


LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(12, 7), (12,)),
    (nn.Linear(5, 9, bias=False), (5,)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 9, 8)),
    (nn.Conv2d(20, 2, (3, 5), padding=(1, 2), padding_mode="reflect"), (20, 9, 9)),
    (nn.Conv2d(3, 8, 3, dilation=2, bias=False), (3, 9, 9)),
    (Convolution(6, 5, 7, padding=3), (6, 2, 5)),
    (SameConvolution(4, 5, 3, stride=2), (4, 8, 7)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda each: str(each)[:60])
def test_full_rank_gives_the_same_outputs(layer: nn.Module, shape: tuple[int, ...]) -> None:
    a_layer(layer)
    images = torch.randn(2, *shape)
    kinds: list[Kind] = ["svd"] if isinstance(layer, nn.Linear) else ["tucker", "spatial"]
    for kind in kinds:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        parts, error = factorised(layer, full_rank(layer, FORMS[kind]))
        assert error < 1e-12
        torch.testing.assert_close(parts(images), layer(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 30), (30, 9)])
def test_a_truncated_linear_layer_is_the_best_of_its_rank(shape: tuple[int, int]) -> None:
    layer = a_layer(nn.Linear(*shape))
    assert isinstance(layer, nn.Linear)
    values = torch.linalg.svdvals(layer.weight.detach().double())
    for rank in (1, 4, 8):
        parts, error = factorised(layer, LowRank(rank=rank))
        best = float(values[rank:].norm() / values.norm())  # Eckart and Young 1936
        assert error == pytest.approx(best, rel=1e-6)
        product = parts.get_parameter("second.weight") @ parts.get_parameter("first.weight")
        left = float(((product - layer.weight).norm() / layer.weight.norm()).detach())
        assert left == pytest.approx(best, rel=1e-4)
    forms = forms_by_energy({"fc": layer}, "svd", 0.7)
    kept = (values**2).cumsum(0) / (values**2).sum()
    first = next(rank for rank, share in enumerate(kept, start=1) if share >= 0.7)
    assert forms == ({"fc": LowRank(rank=first)} if first * 39 < 270 else {})


def test_a_kernel_of_low_rank_is_found_whole() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 5, padding=2).requires_grad_(False)
    # Of rank 1 as a matrix of (outputs, columns) and (inputs, rows).
    layer.weight.copy_(torch.einsum("ox,iy->oiyx", torch.randn(6, 5), torch.randn(4, 5)))
    assert factorised(layer, Spatial(rank=1))[1] < 1e-6
    core, outputs, inputs = torch.randn(2, 3, 5, 5), torch.randn(6, 2), torch.randn(4, 3)
    layer.weight.copy_(torch.einsum("rsyx,or,is->oiyx", core, outputs, inputs))
    assert forms_by_energy({"c": layer}, "tucker", 1 - 1e-9) == {"c": Tucker(inputs=3, outputs=2)}
    assert factorised(layer, Tucker(inputs=3, outputs=2))[1] < 1e-6
    values = torch.linalg.svdvals(layer.weight.movedim(1, 0).flatten(1).double())
    lost = float(values[2:].norm() / values.norm())
    assert factorised(layer, Tucker(inputs=2, outputs=2))[1] == pytest.approx(lost, rel=1e-4)


def test_alexnets_linear_layers_have_the_ranks_that_a_share_pays_for() -> None:
    with torch.device("meta"):
        layers = weighted_layers(create_model("alexnet"))
    linear = {name: each for name, each in layers.items() if isinstance(each, nn.Linear)}
    # 0.2 m n / (m + n): a rank of an m x n matrix costs m + n weights.
    assert forms_by_share(linear, "svd", 0.2) == {
        "head.fc1": LowRank(rank=567),  # 9216 x 4096
        "head.fc2": LowRank(rank=409),  # 4096 x 4096
        "head.fc3": LowRank(rank=160),  # 4096 x 1000
    }


def test_shares_are_kept_and_grouped_layers_are_left_alone() -> None:
    network = create_model("mobilenet_v2", stem="small", num_classes=10)
    layers = weighted_layers(network)
    # All kernels but the first are 1x1 or depthwise.
    assert set(forms_by_share(layers, "spatial", 0.5)) <= {"features.stem.conv"}
    assert set(forms_by_share(layers, "tucker", 0.5)) <= {"features.stem.conv"}
    vgg = weighted_layers(create_model("resnet20"))
    for kind in ("tucker", "spatial"):
        forms = forms_by_share(vgg, kind, 0.5)
        assert len(forms) == 19
        for name, form in forms.items():
            outputs, inputs = vgg[name].weight.shape[:2]
            left = (
                form.inputs * inputs + form.outputs * outputs + 9 * form.inputs * form.outputs
                if isinstance(form, Tucker)
                else 3 * form.rank * (inputs + outputs)  # type: ignore[union-attr]
            )
            assert left <= 0.5 * 9 * inputs * outputs


def test_costs_of_a_network_in_factors_are_those_worked_out_by_hand() -> None:
    network = create_model("resnet20").eval()
    name = "features.stage2.block2.conv1.conv"  # 32 to 32 maps of 16x16
    changed, _ = factorise(
        network, {name: Tucker(inputs=10, outputs=12), "head.fc": LowRank(rank=4)}
    )
    before, after = profile(network, 32), profile(changed, 32)
    conv = 32 * 10 + 9 * 10 * 12 + 12 * 32
    assert after.params == 269_722 - (9 * 32 * 32 - conv) - (640 - 4 * 74)
    assert after.macs == before.macs - 256 * (9 * 32 * 32 - conv) - (640 - 4 * 74)
    images = torch.randn(2, 3, 32, 32)
    full = {
        each: full_rank(layer, LowRank if isinstance(layer, nn.Linear) else Tucker)
        for each, layer in weighted_layers(network).items()
        if isinstance(layer, nn.Linear) or layer.kernel_size == (3, 3)
    }
    same, _ = factorise(network, full)
    torch.testing.assert_close(same(images), network(images), rtol=1e-5, atol=1e-5)


def test_a_network_in_factors_is_read_back(tmp_path: Path) -> None:
    network = create_model("lenet_wide").eval()
    loaded = LoadedModel(network, described("lenet_wide"), tmp_path)
    made, errors = smaller(loaded, Shrinking(how="svd", keep=0.3))
    made, more = smaller(made, Shrinking(how="tucker", keep=0.3))
    assert all(0 < error < 1 for error in (errors | more).values())
    save_model(made, tmp_path / "small.safetensors")
    again = load_model(tmp_path / "small.safetensors")
    images = torch.randn(2, network.in_chans, 32, 32)
    assert torch.equal(again.network(images), made.network(images))
    assert again.description == made.description
    assert again.description.changes is not None
    # A layer in factors is not taken apart again.
    with pytest.raises(UsageError, match="makes no layer smaller"):
        smaller(made, Shrinking(how="svd", keep=0.3))
    with pytest.raises(UsageError, match="take channels out first"):
        smaller(made, Shrinking(how="channels"))


@pytest.mark.parametrize(
    ("layer", "form", "says"),
    [
        ("head.fc", LowRank(rank=11), "rank 11, at most 10"),
        ("head.fc", Tucker(inputs=1, outputs=1), "Linear is not a convolution"),
        ("features.stem.conv.conv", LowRank(rank=1), "not a linear layer"),
        ("features.stem.conv.conv", Tucker(inputs=4, outputs=1), "inputs 4, at most 3"),
        ("features.stem.conv.conv", Spatial(rank=10), "rank 10, at most 9"),
        ("features.fc", LowRank(rank=1), "unknown layer 'features.fc'"),
    ],
)
def test_forms_that_a_layer_cannot_have_are_refused(
    layer: str, form: LowRank | Tucker | Spatial, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        factorise(create_model("resnet20"), {layer: form})


def test_a_file_whose_changes_do_not_fit_is_refused(tmp_path: Path) -> None:
    network = create_model("resnet20").eval()
    loaded = LoadedModel(network, described("resnet20"), tmp_path)
    made, _ = smaller(loaded, Shrinking(how="svd", keep=0.3))
    changes = made.description.changes
    assert changes is not None
    for wrong in (
        {"factors": {"head.fc": LowRank(rank=11)}},
        {"factors": {"head": LowRank(rank=1)}},
        {"factors": {}},
        {"channels": {"head.fc": {"inputs": 64, "outputs": 9}}},
        {"channels": {"features.stage1.block1.conv1.norm": {"inputs": 8, "outputs": 8}}},
        {"channels": {"features.stage1.block1.conv1.conv": {"inputs": 99, "outputs": 8}}},
    ):
        content = {**changes.model_dump(), **wrong}
        other = made.description.model_copy(update={"changes": type(changes)(**content)})
        path = tmp_path / "wrong.safetensors"
        save_model(LoadedModel(made.network, other, tmp_path), path)
        with pytest.raises(BadModelFile, match=r"wrong\.safetensors: ") as caught:
            load_model(path)
        assert "\n" not in str(caught.value)
