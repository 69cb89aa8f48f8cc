from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName
from convnets.models import alexnet, resnet_cifar, vgg
from convnets.visualize.rectify import gradient_rule

RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu by name": lambda x: F.relu(input=x),
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": Tensor.relu,
    "Tensor.relu_": Tensor.relu_,
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "clamp": lambda x: torch.clamp(x, 0),
    "clamp_": lambda x: x.clamp_(min=0),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "clip": lambda x: torch.clip(x, min=0),
    "hardtanh without an end": lambda x: F.hardtanh(x, 0.0, float("inf")),
}
UP_TO_6: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu6": F.relu6,
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6 in place": nn.ReLU6(inplace=True),
    "F.hardtanh": lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0),
    "F.hardtanh_": lambda x: F.hardtanh_(x, 0.0, 6.0),
    "clamp": lambda x: x.clamp(0, 6),
}
OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "hardtanh": F.hardtanh,
    "clamp above": lambda x: x.clamp(max=1),
    "clamp at a tensor": lambda x: torch.clamp(x, torch.zeros(8)),
    "clamp elsewhere": lambda x: x.clamp(min=-1, max=1),
}
VALUES = torch.tensor([-3.0, -0.5, 0.0, 0.5, 2.0, 5.0, 7.0, -8.0])
ARRIVING = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, 8.0])


def outcome(
    function: Callable[[Tensor], Tensor], rule: Literal["deconvnet", "guided"] | None
) -> tuple[Tensor, Tensor]:
    leaf = VALUES.clone().requires_grad_()
    x = leaf.clone()
    if rule is None:
        output = function(x)
    else:
        with gradient_rule(rule):
            output = function(x)
    (gradient,) = torch.autograd.grad(output, leaf, ARRIVING)
    return output.detach(), gradient


@pytest.mark.parametrize("name", RELUS)
def test_every_spelling_of_relu_has_the_gradient_of_the_rule(name: str) -> None:
    positive = ARRIVING.clamp(min=0)
    output, gradient = outcome(RELUS[name], "deconvnet")
    assert torch.equal(output, F.relu(VALUES))
    assert torch.equal(gradient, positive)
    output, gradient = outcome(RELUS[name], "guided")
    assert torch.equal(output, F.relu(VALUES))
    assert torch.equal(gradient, positive * (VALUES > 0))


@pytest.mark.parametrize("name", UP_TO_6)
def test_relu6_also_ends_where_it_is_flat_above(name: str) -> None:
    positive = ARRIVING.clamp(min=0)
    output, gradient = outcome(UP_TO_6[name], "deconvnet")
    assert torch.equal(output, F.relu6(VALUES))
    assert torch.equal(gradient, positive)
    _, gradient = outcome(UP_TO_6[name], "guided")
    assert torch.equal(gradient, positive * (VALUES > 0) * (VALUES < 6))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_other_activations_keep_their_own_gradient(
    name: str, rule: Literal["deconvnet", "guided"]
) -> None:
    output, gradient = outcome(OTHERS[name], rule)
    expected_output, expected = outcome(OTHERS[name], None)
    assert torch.equal(output, expected_output)
    assert torch.equal(gradient, expected)


def test_a_result_written_into_another_tensor_is_left_alone() -> None:
    there = torch.empty(8)
    with gradient_rule("guided"), torch.no_grad():
        torch.clamp(VALUES, 0, out=there)
    assert torch.equal(there, F.relu(VALUES))


def test_an_activation_in_place_on_a_part_of_a_tensor_changes_the_tensor() -> None:
    leaf = VALUES.clone().requires_grad_()
    x = leaf.clone()
    with gradient_rule("deconvnet"):
        x[:4].relu_()
    (gradient,) = torch.autograd.grad(x, leaf, ARRIVING)
    assert torch.equal(x.detach(), torch.cat((F.relu(VALUES[:4]), VALUES[4:])))
    assert torch.equal(gradient, torch.cat((ARRIVING[:4].clamp(min=0), ARRIVING[4:])))


def test_the_rule_ends_with_the_block_also_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="stop"), gradient_rule("guided"):
        raise RuntimeError("stop")
    _, gradient = outcome(F.relu, None)
    assert torch.equal(gradient, ARRIVING * (VALUES > 0))


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(UnknownName, match=r"guide.*guided"):
        gradient_rule("guide")  # type: ignore[arg-type]


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "alexnet": alexnet.AlexNet(
            alexnet.Spec((8, 12, 16, 12, 8), hidden=16, stem="small"), num_classes=5
        ),
        "alexnet of 2012": alexnet.AlexNet(
            alexnet.Spec((8, 12, 16, 12, 8), hidden=16, columns=2, stem="small"), num_classes=5
        ),
        "vgg": vgg.VGG(vgg.Spec((1, 2), widths=(8, 12), hidden=16), num_classes=5),
        "resnet": resnet_cifar.FAMILY.network(resnet_cifar.FAMILY.pocket, num_classes=5),
    }


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("rule", "peer"),
    [("guided", captum.attr.GuidedBackprop), ("deconvnet", captum.attr.Deconvolution)],
)
@pytest.mark.parametrize("name", ["alexnet", "alexnet of 2012", "vgg", "resnet"])
def test_it_agrees_with_captum(
    name: str, rule: Literal["deconvnet", "guided"], peer: Callable[[nn.Module], Any]
) -> None:
    network = networks()[name].eval()
    images = torch.randn(3, 3, 32, 32, requires_grad=True)
    targets = torch.tensor([0, 4, 2])
    with gradient_rule(rule):
        logits = network(images)
    chosen = logits.gather(1, targets[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, images)

    theirs = copy.deepcopy(network)
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks cannot work in place
    expected = peer(theirs).attribute(images.detach().clone().requires_grad_(), target=targets)
    scale = expected.abs().max()
    assert scale > 0
    assert (gradient - expected).abs().max() <= 1e-5 * scale
