"""Stand-ins for torch's operations against the operations themselves, on real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from convnets.layers.shapes import STAND_INS, QuickShapes

aten = torch.ops.aten
MAP = torch.zeros(2, 6, 9, 8)
GATE = torch.zeros(2, 6, 1, 1)
SCALE = torch.zeros(6, 1, 1)
LAST = MAP.contiguous(memory_format=torch.channels_last)
TURNED = MAP.transpose(1, 2)  # dense, but in no order that the stand-ins know
WHOLE = MAP.long()
KERNEL = torch.zeros(4, 3, 3, 2)
LINE = torch.zeros(6)
NORM = (LINE, LINE, LINE, LINE)
ROWS = torch.zeros(2, 3)

# fmt: off
CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    **{str(each): (each, (MAP,)) for each in (
        aten.gelu.default, aten.hardsigmoid.default, aten.hardswish.default, aten.hardtanh.default,
        aten.relu.default, aten.sigmoid.default, aten.silu.default, aten.tanh.default)},
    **{str(each): (each, (MAP.clone(),)) for each in (
        aten.hardsigmoid_.default, aten.hardswish_.default, aten.hardtanh_.default,
        aten.relu_.default, aten.silu_.default)},
    "gelu, channels last": (aten.gelu.default, (LAST,)),
    "sigmoid, turned": (aten.sigmoid.default, (TURNED,)),
    "hardtanh, with its ends": (aten.hardtanh.default, (MAP, 0, 6)),
    "softmax": (aten._softmax.default, (MAP, -1, False)),
    "softmax, channels last": (aten._softmax.default, (LAST, 1, False)),
    "safe softmax": (aten._safe_softmax.default, (MAP, -1)),
    "add": (aten.add.Tensor, (MAP, MAP)),
    "add, channels last": (aten.add.Tensor, (LAST, LAST)),
    "add, two orders": (aten.add.Tensor, (MAP, LAST)),
    "add, whole numbers": (aten.add.Tensor, (MAP, WHOLE)),
    "add a number": (aten.add.Tensor, (MAP, 2)),
    "multiply by a complex number": (aten.mul.Tensor, (MAP, 2j)),
    "multiply by a gate": (aten.mul.Tensor, (MAP, GATE)),
    "a gate by a map": (aten.mul.Tensor, (GATE, MAP)),
    "multiply by a scale": (aten.mul.Tensor, (SCALE, LAST)),
    "both stretch": (aten.sub.Tensor, (ROWS[:, :1], ROWS[:1])),
    "divide whole numbers": (aten.div.Tensor, (WHOLE, WHOLE + 1)),
    "a gate, channels last": (aten.mul.Tensor, (LAST, GATE)),
    "add in place": (aten.add_.Tensor, (MAP.clone(), SCALE)),
    "multiply in place": (aten.mul_.Tensor, (MAP.clone(), 2)),
    "join": (aten.cat.default, ([MAP, MAP[:, :2].clone()], 1)),
    "join the last axis": (aten.cat.default, ([MAP, MAP], -1)),
    "join, channels last": (aten.cat.default, ([LAST, LAST], 1)),
    "join two number formats": (aten.cat.default, ([MAP, WHOLE],)),
    "join nothing": (aten.cat.default, ([torch.zeros(0), MAP], 1)),
    "batch norm": (aten.native_batch_norm.default, (MAP, *NORM, False, 0.1, 1e-5)),
    "layer norm": (aten.native_layer_norm.default, (MAP, [9, 8], None, None, 1e-5)),
    "convolution": (
        aten.convolution.default, (MAP, KERNEL, None, [2, 1], [1, 0], [1, 2], False, [0, 0], 2)),
    "transposed convolution": (
        aten.convolution.default,
        (MAP, torch.zeros(6, 2, 3, 3), None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1)),
    "convolution, channels last": (
        aten.convolution.default, (LAST, KERNEL, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 2)),
    "max pool": (aten.max_pool2d_with_indices.default, (MAP, [3], [2])),
    "max pool, ceiling": (aten.max_pool2d_with_indices.default, (MAP, [2, 3], [2, 2], 1, 1, True)),
    "max pool, dilated": (aten.max_pool2d_with_indices.default, (MAP, [3], [1], [0], [2])),
    "average pool": (aten.avg_pool2d.default, (MAP, [2, 2])),
    "average pool, ceiling": (aten.avg_pool2d.default, (MAP, [3], [2], [1], True, False)),
    "average pool, channels last": (aten.avg_pool2d.default, (LAST, [3, 3])),
    "mean": (aten.mean.dim, (MAP, [-1, 2])),
    "mean that keeps its axes": (aten.mean.dim, (MAP, [1], True)),
    "mean of all": (aten.mean.dim, (MAP, None)),
    "linear": (aten.addmm.default, (torch.zeros(4), ROWS, torch.zeros(3, 4))),
}
# fmt: on


def looks(value: Any) -> list[tuple[Any, ...]]:
    """What must agree: shapes, number formats, and strides where they mean anything."""
    return [
        (
            tuple(each.shape),
            each.dtype,
            [stride for side, stride in zip(each.shape, each.stride(), strict=True) if side > 1],
        )
        for each in ([value] if isinstance(value, Tensor) else value)
    ]


def without_memory(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        [each.to("meta") for each in value]
        if isinstance(value, list) and isinstance(value[0], Tensor)
        else value.to("meta")
        if isinstance(value, Tensor)
        else value
        for value in arguments
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_stand_in_gives_what_the_operation_gives(name: str) -> None:
    operation, arguments = CALLS[name]
    given = STAND_INS[operation](*without_memory(arguments))
    if given is None:
        assert name in UNKNOWN
        return
    assert name not in UNKNOWN
    made = operation(*arguments)
    if operation is aten.native_batch_norm.default:  # statistics that eval mode leaves out
        given, made = given[0], made[0]
    assert looks(given) == looks(made)


# What the stand-ins leave to torch.
UNKNOWN = {
    "sigmoid, turned",
    "add, two orders",
    "add, whole numbers",
    "multiply by a complex number",
    "both stretch",
    "divide whole numbers",
    "a gate, channels last",
    "join, channels last",
    "join two number formats",
    "join nothing",
    "transposed convolution",
    "convolution, channels last",
    "average pool, channels last",
}


def test_every_stand_in_is_compared() -> None:
    assert {operation for operation, _ in CALLS.values()} == set(STAND_INS)


# fmt: off
WRONG: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "linear": (aten.addmm.default, (torch.zeros(4), ROWS, torch.zeros(2, 4))),
    "add in place": (aten.add_.Tensor, (torch.zeros(3), ROWS)),
    "add": (aten.add.Tensor, (ROWS, torch.zeros(2))),
    "join": (aten.cat.default, ([MAP, MAP[:, :, 1:].clone()], 1)),
    "join along no axis": (aten.cat.default, ([MAP, MAP], 4)),
    "layer norm": (aten.native_layer_norm.default, (MAP, [9, 7], None, None, 1e-5)),
    "convolution": (
        aten.convolution.default, (MAP, KERNEL, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
    "max pool": (aten.max_pool2d_with_indices.default, (MAP, [10])),
    "average pool": (aten.avg_pool2d.default, (MAP, [10])),
}
# fmt: on


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_left_to_torchs_error(name: str) -> None:
    operation, arguments = WRONG[name]
    with pytest.raises((RuntimeError, IndexError)):
        operation(*arguments)
    with pytest.raises((RuntimeError, IndexError, ValueError)), QuickShapes():
        operation(*without_memory(arguments))


@pytest.mark.parametrize("name", ["densenet121", "efficientnet_b0", "convnext_tiny", "swin_t"])
def test_a_network_without_memory_has_the_maps_of_a_real_one(name: str) -> None:
    network = torchvision.models.get_model(name).eval()
    seen: list[torch.Size] = []
    for module in network.modules():
        module.register_forward_hook(lambda *call: seen.append(call[2].shape))
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        network(images)
        real, seen = seen, []
        with QuickShapes():
            network.to("meta")(images.to("meta"))
    assert seen == real
