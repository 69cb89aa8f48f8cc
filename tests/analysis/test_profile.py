"""Costs against torch's own counter, torchvision and timm, real memory, and counts by hand."""

from __future__ import annotations

import json

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convnets.analysis import profile
from convnets.errors import UsageError
from convnets.models.resnet import FAMILY, ResNet

TORCHVISION = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "densenet121", "convnext_base")
TIMM = (
    "swin_tiny_patch4_window7_224",
    "vit_small_patch16_224",
    "convnextv2_atto",
    "seresnet50",
    "regnety_004",
    "mixer_b16_224",
    "coatnet_0_rw_224",
    "nfnet_f0",
    "xcit_nano_12_p16_224",
    "efficientnet_b0",
)
# fmt: off
KEPT = (
    "alexnet", "squeezenet1_1", "resnet18", "resnet50", "densenet121", "mobilenet_v2", "mnasnet1_0",
    "mobilenet_v3_small", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf", "swin_t",
)
# fmt: on


def peer(name: str) -> nn.Module:
    """A network of torchvision, or of timm for names that begin with ``timm/``, without memory."""
    with torch.device("meta"):
        if name.startswith("timm/"):
            network: nn.Module = timm.create_model(name[5:])
        elif name == "googlenet":
            network = torchvision.models.googlenet(init_weights=False)
        else:
            network = torchvision.models.get_model(name)
    return network.eval()


@pytest.mark.parametrize("name", [*TORCHVISION, "googlenet", *(f"timm/{name}" for name in TIMM)])
def test_macs_are_half_of_what_torch_counts(name: str) -> None:
    network = peer(name)
    costs = profile(network, 224)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224))
    assert 2 * costs.macs == counter.get_total_flops()
    assert costs.params == sum(parameter.numel() for parameter in network.parameters())
    assert costs.uncounted == ()


@pytest.mark.parametrize("name", FAMILY.variants)
def test_our_rows(name: str) -> None:
    row = FAMILY.variants[name]
    with torch.device("meta"):
        network = ResNet(row.spec)
    costs = profile(network, row.input_size)
    assert (costs.params, costs.macs) == (row.params, row.macs)


def kept_in_reality(network: nn.Module, images: Tensor) -> int:
    """Bytes that autograd holds after a forward pass on the CPU, weights left out."""
    state = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(images)
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in state)


@pytest.mark.parametrize("name", KEPT)
def test_kept_bytes_are_what_autograd_saves(name: str) -> None:
    network = torchvision.models.get_model(name).eval()
    costs = profile(network, 64, batch_size=2)
    assert costs.kept_bytes == kept_in_reality(network, torch.zeros(2, 3, 64, 64))


def test_vgg16_activations_by_hand() -> None:
    """Convolutions, pools and classifier layer by layer; ReLU is in place.

    The lecture prints "about 24 M" under this column; the column adds up to 15.1 M.
    """
    sides = ((224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3))
    maps = sum(depth * side**2 * width for side, width, depth in sides)
    pools = sum((side // 2) ** 2 * width for side, width, _ in sides)
    adaptive = 512 * 7 * 7  # torchvision's 7x7 to 7x7 pooling copies its input
    costs = profile(peer("vgg16"), 224)
    assert costs.activation_bytes == 4 * (maps + pools + adaptive + 4096 + 4096 + 1000)
    assert costs.params == 138_357_544


def test_alexnet_conv1() -> None:
    costs = profile(nn.Conv2d(3, 96, 11, stride=4), 227)
    assert costs.params == (11 * 11 * 3 + 1) * 96 == 34_944
    assert costs.layers[0].output_shape == (1, 96, 55, 55)
    assert costs.macs == 11 * 11 * 3 * 96 * 55 * 55
    assert costs.flops == 2 * costs.macs + 96 * 55 * 55
    assert costs.activation_bytes == 4 * 96 * 55 * 55
    moved = 4 * (3 * 227 * 227 + 34_944 + 96 * 55 * 55)
    assert costs.layers[0].intensity == costs.flops / moved


def test_googlenet_stem() -> None:
    """Paper, Table 1: 7x7/2, pool, 1x1, 3x3, pool take 224 to 28 pixels.

    The lecture prints 418 MFLOP with 124 K parameters; convolutions and pools come to 481, the same
    digits in another order. Its 7,485 for VGG are the first three stages of VGG-13 (B), not 16.
    """
    stem = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Conv2d(64, 64, 1, bias=False),
        nn.Conv2d(64, 192, 3, padding=1, bias=False),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    )
    costs = profile(stem, 224)
    assert costs.layers[-1].output_shape == (1, 192, 28, 28)
    assert costs.macs == 7 * 7 * 3 * 64 * 112**2 + 64 * 64 * 56**2 + 9 * 64 * 192 * 56**2
    pooling = sum(layer.flops for layer in costs.layers if layer.kind == "MaxPool2d")
    assert round((costs.macs + pooling) / 1e6) == 481
    assert round(costs.params / 1e3) == 124

    vgg13 = torchvision.models.vgg13(init_weights=False).features[:15]
    assert profile(vgg13, 224).layers[-1].output_shape == (1, 256, 28, 28)
    assert round(profile(vgg13, 224).macs / 1e6) == 7485


class Residual(nn.Module):
    """Functional calls around a module that runs twice, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.idle = nn.Linear(7, 5)
        self.weight = nn.Parameter(torch.zeros(10, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.shared(self.shared(x))
        vectors = x.mean((2, 3))
        return F.linear(vectors, self.weight) @ torch.ones(10, 6)


def test_shared_modules_and_functional_calls() -> None:
    costs = profile(Residual(), 8, batch_size=2)
    names = [(layer.name, layer.params, layer.macs) for layer in costs.layers]
    convolution = 9 * 4 * 4 * 8 * 8 * 2
    own = 2 * 4 * 10 + 2 * 10 * 6
    assert names == [("", 40, own), ("shared", 144, convolution), ("shared", 0, convolution)]
    assert costs.params == 144 + 40 + 40
    assert costs.unused_params == 7 * 5 + 5
    maps = 2 * 4 * 8 * 8
    assert costs.layers[0].flops == 2 * own + maps + maps  # the residual sum, and the mean


def test_attention_by_hand() -> None:
    layer = nn.MultiheadAttention(16, 4, batch_first=True)

    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = layer

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            out: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return out

    costs = profile(Attend(), (3, 5), in_chans=16)
    assert costs.macs == 4 * 15 * 16 * 16 + 2 * 15 * 15 * 16
    assert costs.layers[1].output_shape == (1, 15, 16)


def test_what_has_no_rule_is_listed() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sort(-1).values.sort(-2).values

    assert profile(Sorted(), 4, in_chans=3).uncounted == (("sort", 2),)


def test_a_module_states_its_own_multiplies() -> None:
    class Table(nn.Conv2d):
        def macs(self, output_height: int, output_width: int) -> int:
            return 60 * 25 * output_height * output_width

    dense = profile(nn.Conv2d(6, 16, 5), 14, batch_size=3)
    table = profile(Table(6, 16, 5), 14, batch_size=3)
    assert table.macs == 3 * 60 * 25 * 100
    assert dense.flops - table.flops == 2 * (dense.macs - table.macs)


def test_transposed_grouped_and_one_dimensional() -> None:
    assert profile(nn.ConvTranspose2d(8, 4, 3, stride=2), 5).macs == 8 * 25 * 4 * 9
    assert profile(nn.Conv2d(8, 8, 3, groups=8, bias=False), 5).macs == 8 * 9 * 9
    assert profile(nn.Conv1d(2, 3, 3), (10,)).macs == 2 * 3 * 3 * 8
    assert profile(nn.Linear(10, 3), ()).macs == 30


def test_columns_add_up_and_stages_too() -> None:
    costs = profile(peer("resnet50"), 224)
    for column in ("params", "macs", "flops", "activation_bytes", "kept_bytes"):
        total = getattr(costs, column)
        assert sum(getattr(layer, column) for layer in costs.layers) == total
        assert sum(part[column] for part in costs.subtotals(1).values()) == total
    conv1 = costs.subtotals(1)["conv1"]
    assert conv1["macs"] == 7 * 7 * 3 * 64 * 112 * 112
    assert [layer.name for layer in costs.layers[:4]] == ["", "conv1", "bn1", "relu"]
    block = next(layer for layer in costs.layers if layer.name == "layer1.0.conv1")
    assert costs.layers[block.parent or 0].name == "layer1.0"
    assert block.depth == 3


def test_the_module_is_left_as_it_was() -> None:
    network = torchvision.models.resnet18().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pointers = [parameter.data_ptr() for parameter in network.parameters()]
    first = profile(network, 64)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert pointers == [parameter.data_ptr() for parameter in network.parameters()]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert profile(network, 64) == first


def test_large_images_and_other_channels_cost_no_memory() -> None:
    costs = profile(peer("convnext_base"), 1024)
    assert costs.activation_bytes > 3 << 30
    grey = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
    assert profile(grey, (20, 30)).layers[0].output_shape == (1, 8, 18, 28)


def test_json() -> None:
    record = json.loads(json.dumps(profile(nn.Conv2d(3, 8, 3, stride=2), 9).to_dict()))
    assert set(record) >= {"params", "macs", "flops", "activation_bytes", "layers", "uncounted"}
    layer = record["layers"][0]
    assert layer["kind"] == "Conv2d"
    assert layer["output_shape"] == [1, 8, 4, 4]
    assert (layer["receptive_field"], layer["stride"], layer["centre"]) == (3, 2, 1)


MEAN = torch.tensor([0.5, 0.4, 0.3])


class Prepares(nn.Module):
    """Values from outside and from within the forward pass, beside an image without memory."""

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(x.shape[-1]) / torch.tensor(2.0)
        return (x - MEAN[:, None, None]) * steps + torch.zeros(1, dtype=x.dtype).expand(8)


def test_constants_join_an_image_without_memory() -> None:
    costs = profile(Prepares(), 8, in_chans=3)
    assert costs.layers[0].output_shape == (1, 3, 8, 8)
    # arange / 2 on 8 places; then a difference, a product and a sum on 3 x 8 x 8.
    assert costs.flops == 8 + 3 * 3 * 8 * 8


class Looks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


@pytest.mark.parametrize(
    ("network", "size", "in_chans", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 5)), 3, None, "0: cannot be profiled"),
        (nn.Conv2d(3, 4, 5), 9, 2, "Conv2d: cannot be profiled"),
        (nn.Conv2d(3, 4, 5), 0, None, "positive"),
        (nn.ReLU(), 8, None, "in_chans"),
        (Looks(), 8, 3, "item"),
        (nn.LazyConv2d(4, 3), 8, 3, "LazyConv2d"),
    ],
)
def test_errors_say_what_is_wrong(
    network: nn.Module, size: int, in_chans: int | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        profile(network, size, in_chans=in_chans)
