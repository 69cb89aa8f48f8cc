"""The deconvnet of Zeiler and Fergus written out layer by layer, and networks to try it on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.response_norm import ResponseNorm
from convnets.models import alexnet, lenet, nin, vgg, zfnet
from tests.models.peers import randomise

ALEXNET = alexnet.Spec((6, 8, 8, 8, 6), hidden=16)
ALEXNET_2012 = alexnet.Spec((6, 8, 8, 8, 6), hidden=16, columns=2)
ZFNET = zfnet.Spec((6, 8, 8, 8, 6), hidden=16)
NIN = nin.Spec(
    (
        nin.MlpConv(5, (6, 8), padding=2),
        nin.MlpConv(3, (8, 8), padding=1, pool="max", dropout=0.5),
        nin.MlpConv(3, (8,), padding=1, pool="average"),
    )
)
SEQUENTIAL: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "lenet": (lambda: lenet.build(lenet.Spec("rectified", (4, 6), (16, 12)), in_chans=3), 32),
    "alexnet": (lambda: alexnet.AlexNet(ALEXNET, num_classes=5), 224),
    "alexnet of 2012": (lambda: alexnet.AlexNet(ALEXNET_2012, num_classes=5), 227),
    "zfnet": (lambda: zfnet.ZFNet(ZFNET, num_classes=5), 224),
    "vgg": (lambda: vgg.VGG(vgg.Spec((1, 2, 2), widths=(6, 8, 8), hidden=16), num_classes=5), 56),
    "vgg with batch normalisation": (
        lambda: vgg.VGG(vgg.Spec((1, 2), "batch", widths=(6, 8), hidden=16), num_classes=5),
        28,
    ),
    "vgg with response normalisation": (
        lambda: vgg.VGG(vgg.Spec((1, 2), "response", widths=(6, 8), hidden=16), num_classes=5),
        28,
    ),
    "nin": (lambda: nin.NetworkInNetwork(NIN, num_classes=5), 35),
}


def built(name: str) -> tuple[nn.Module, Tensor]:
    """One of ``SEQUENTIAL`` with random weights and statistics, and two images for it."""
    make, side = SEQUENTIAL[name]
    network = make().eval()
    randomise(network)
    generator = torch.Generator().manual_seed(2)
    return network, torch.randn(2, 3, side, side, generator=generator)


def explicit_deconvnet(
    network: nn.Module, image: Tensor, layer: str, keep: Callable[[Tensor], Tensor]
) -> Tensor:
    """Section 2.1 of the paper, step by step, for networks that are one sequence of modules."""
    back: list[Callable[[Tensor], Tensor]] = []
    x = image
    for name, module in network.named_modules():
        if list(module.children()):
            if name == layer:
                layer = list(module.named_modules())[-1][0].join((f"{name}.", ""))
            continue
        x, undo = up(module, x)
        back.append(undo)
        if name == layer:
            break
    else:
        raise AssertionError(f"no layer {layer}")
    x = keep(x)
    for undo in reversed(back):
        x = undo(x)
    return x


def up(module: nn.Module, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """A layer's output, and what undoes it."""
    shape = x.shape
    if isinstance(module, nn.Conv2d):
        stride, padding = module.stride, module.padding
        out = F.conv2d(x, module.weight, module.bias, stride, padding, groups=module.groups)
        rest = [
            side + 2 * pad - kernel - (length - 1) * step
            for side, pad, kernel, length, step in zip(
                shape[2:], padding, module.kernel_size, out.shape[2:], stride, strict=True
            )
        ]
        return out, lambda y: F.conv_transpose2d(
            y, module.weight, None, stride, padding, rest, module.groups
        )
    if isinstance(module, nn.ReLU):
        return x.clamp(min=0), lambda y: y.clamp(min=0)
    if isinstance(module, nn.MaxPool2d):
        out, switches = F.max_pool2d(
            x, module.kernel_size, module.stride, ceil_mode=module.ceil_mode, return_indices=True
        )
        if module.kernel_size == module.stride:
            size = shape[2:]
            return out, lambda y: F.max_unpool2d(y, switches, 2, output_size=size)
        return out, lambda y: sum_at_switches(y, switches, shape)
    if isinstance(module, nn.BatchNorm2d):
        variance, mean = module.running_var, module.running_mean
        assert variance is not None
        assert mean is not None
        scale = (module.weight / (variance + module.eps).sqrt())[:, None, None]
        out = (x - mean[:, None, None]) * scale + module.bias[:, None, None]
        return out, lambda y: y * scale
    if isinstance(module, ResponseNorm):
        return module(x), lambda y: y
    if isinstance(module, nn.AvgPool2d):
        assert shape[-1] % 2 == 1, "windows of 3, two apart, fit"
        share = torch.full((shape[1], 1, 3, 3), 1 / 9)
        return F.avg_pool2d(x, 3, 2), lambda y: F.conv_transpose2d(
            y, share, stride=2, groups=shape[1]
        )
    if isinstance(module, nn.AdaptiveAvgPool2d):
        if module.output_size == 1:
            return x.mean((2, 3), keepdim=True), lambda y: y.expand(shape) / shape[2:].numel()
        assert shape[-1] == module.output_size
        return x, lambda y: y
    if isinstance(module, nn.Flatten):
        return x.flatten(1), lambda y: y.view(shape)
    if isinstance(module, nn.Linear):
        return x @ module.weight.T + module.bias, lambda y: y @ module.weight
    assert isinstance(module, nn.Dropout | nn.Identity), module
    return x, lambda y: y


def sum_at_switches(values: Tensor, switches: Tensor, shape: torch.Size) -> Tensor:
    out = torch.zeros(shape)
    for image in range(shape[0]):
        for channel in range(shape[1]):
            pairs = zip(
                values[image, channel].flatten().tolist(),
                switches[image, channel].flatten().tolist(),
                strict=True,
            )
            for value, place in pairs:
                out[image, channel, place // shape[3], place % shape[3]] += value
    return out


def strongest_of(unit: int | None) -> Callable[[Tensor], Tensor]:
    """Keep one activation of each image, the first of equals: windows may share a maximum."""
    part = slice(None) if unit is None else slice(unit, unit + 1)

    def keep(maps: Tensor) -> Tensor:
        kept = torch.zeros_like(maps)
        for image, alone in zip(maps[:, part], kept[:, part], strict=True):
            place = np.unravel_index(int(image.argmax()), image.shape)
            alone[place] = image[place]
        return kept

    return keep


def close(values: Tensor, expected: Tensor) -> bool:
    """Whether two projections agree to 1e-5 of the larger one's scale."""
    scale = float(expected.abs().max())
    assert scale > 0, "nothing is compared"
    return float((values - expected).abs().max()) <= 1e-5 * scale
