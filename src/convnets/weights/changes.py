"""What was changed of a registered network's structure: fewer channels, layers in factors.

A file names changes by modules and bounded numbers. The network is rebuilt from its row and these,
without a weight being read; a changed network never needs more than three times its row's memory.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.layers.conv import Convolution, SameConvolution
from convnets.layers.meta import on_meta
from convnets.layers.network import ConvNet, stack
from convnets.layers.shapes import QuickShapes
from convnets.records import Record

CONVOLUTIONS: tuple[type[nn.Conv2d], ...] = (nn.Conv2d, Convolution, SameConvolution)
"""What computes a convolution as ``nn.Conv2d`` has it; other subclasses may not."""
Size = Annotated[int, Field(ge=1, le=1 << 24)]
Path = Annotated[str, Field(max_length=400)]
Index = slice | Tensor


class Width(Record):
    """Channels or features that a layer has left; of a batch normalisation both are its own."""

    inputs: Size
    outputs: Size


class LowRank(Record):
    """A linear layer (in, out) as ``first`` (in, rank) and ``second`` (rank, out).

    Denton et al. 2014 (arXiv:1404.0736), Section 3; Girshick 2015 (arXiv:1504.08083), Section 3.1.
    """

    kind: Literal["svd"] = "svd"
    rank: Size


class Tucker(Record):
    """A convolution as 1x1 to ``inputs``, its kernel to ``outputs``, and 1x1 to its own outputs.

    Children ``first``, ``core``, ``last`` (Kim et al. 2015, arXiv:1511.06530, Section 3.1).
    """

    kind: Literal["tucker"] = "tucker"
    inputs: Size
    outputs: Size


class Spatial(Record):
    """A convolution as a column of its kernel to ``rank`` maps, and a row of it to its outputs.

    Children ``vertical``, ``horizontal`` (Jaderberg et al. 2014, arXiv:1405.3866, Scheme 2).
    """

    kind: Literal["spatial"] = "spatial"
    rank: Size


Factors = LowRank | Tucker | Spatial


class Changes(Record):
    """Modules by path in the registered network: first their channels, then their factors."""

    channels: dict[Path, Width] = Field(default={}, max_length=20_000)
    factors: dict[Path, Annotated[Factors, Field(discriminator="kind")]] = Field(
        default={}, max_length=20_000
    )


def change(network: ConvNet, changes: Changes, input_size: int) -> None:
    """Give a network of the registry the changed structure, in place; weights are not kept.

    Raises ``UsageError`` for changes that it cannot have, or with which it does not run.
    """
    modules = dict(network.named_modules())
    for name in (*changes.channels, *changes.factors):
        if name not in modules:
            raise UnknownName("layer", name, modules)
    for name, width in changes.channels.items():
        own = width_of(modules[name])
        if own is None or width.inputs > own.inputs or width.outputs > own.outputs:
            raise UsageError(f"{name} cannot be of {width.inputs} inputs, {width.outputs} outputs")
        narrow(modules[name], slice(0, width.outputs), slice(0, width.inputs))
    for name, form in changes.factors.items():
        network.set_submodule(name, in_factors(name, modules[name], form))
    check_runs(network, input_size)


def check_runs(network: ConvNet, input_size: int) -> None:
    """Raise ``UsageError`` unless the network gives logits for an image; nothing is computed."""
    twin = on_meta(network, hooks=False)
    images = torch.empty(1, network.in_chans, input_size, input_size, device="meta")
    try:
        with torch.no_grad(), QuickShapes():
            shape = tuple(twin.head(twin.features(images)).shape)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"the changed layers do not fit each other: {reason}") from error
    if shape != (1, network.num_classes):
        raise UsageError(f"the changed network gives {shape[1:]}, not {network.num_classes} logits")


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Whether each output channel sees one input channel, its own."""
    return layer.groups == layer.in_channels == layer.out_channels > 1


def width_of(module: nn.Module) -> Width | None:
    """The channels of a layer that can be narrowed; None for any other module."""
    match module:
        case nn.BatchNorm2d():
            return Width(inputs=module.num_features, outputs=module.num_features)
        case nn.Linear() if type(module) is nn.Linear:
            return Width(inputs=module.in_features, outputs=module.out_features)
        case nn.Conv2d() if type(module) in CONVOLUTIONS and (
            module.groups == 1 or is_depthwise(module)
        ):
            return Width(inputs=module.in_channels, outputs=module.out_channels)
    return None


def narrow(module: nn.Module, outputs: Index, inputs: Index) -> None:
    """Keep these outputs and inputs of a layer that ``width_of`` knows, in place."""
    every = slice(None)
    match module:
        case nn.BatchNorm2d():
            for name in ("weight", "bias", "running_mean", "running_var"):
                _cut(module, name, outputs)
            module.num_features = len(_there(module.running_mean))
        case nn.Linear():
            _cut(module, "weight", outputs, inputs)
            _cut(module, "bias", outputs)
            module.out_features, module.in_features = module.weight.shape
        case nn.Conv2d():
            depthwise = is_depthwise(module)
            _cut(module, "weight", outputs, every if depthwise else inputs)
            _cut(module, "bias", outputs)
            module.out_channels, module.in_channels = module.weight.shape[:2]
            if depthwise:
                module.groups = module.in_channels = module.out_channels


def in_factors(name: str, layer: nn.Module, form: Factors) -> nn.Sequential:
    """New layers in the place of one, of random weights; raises ``UsageError``."""
    if isinstance(form, LowRank):
        if type(layer) is not nn.Linear:
            raise UsageError(f"{name}: {type(layer).__name__} is not a linear layer")
        _within(name, form, full_rank(layer, LowRank))
        with layer.weight.device:
            return _low_rank(layer, form).to(layer.weight.dtype).train(layer.training)
    if type(layer) not in CONVOLUTIONS or not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        raise UsageError(f"{name}: {type(layer).__name__} is not a convolution in one group")
    _within(name, form, full_rank(layer, type(form)))
    if isinstance(form, Spatial) and isinstance(layer.padding, str):
        raise UsageError(f"{name}: padding {layer.padding!r} is not numbers")
    with layer.weight.device:
        made = _tucker(layer, form) if isinstance(form, Tucker) else _spatial(layer, form)
        return made.to(layer.weight.dtype).train(layer.training)


def full_rank(layer: nn.Linear | nn.Conv2d, kind: type[Factors]) -> Factors:
    """The smallest form of a layer that loses nothing, whatever its weights."""
    if isinstance(layer, nn.Linear):
        return LowRank(rank=min(layer.in_features, layer.out_features))
    rows, columns = layer.kernel_size
    inputs, outputs, taps = layer.in_channels, layer.out_channels, rows * columns
    if kind is Tucker:
        return Tucker(inputs=min(inputs, outputs * taps), outputs=min(outputs, inputs * taps))
    return Spatial(rank=min(inputs * rows, outputs * columns))


def _low_rank(layer: nn.Linear, form: LowRank) -> nn.Sequential:
    bias = layer.bias is not None
    return stack(
        ("first", nn.Linear(layer.in_features, form.rank, bias=False)),
        ("second", nn.Linear(form.rank, layer.out_features, bias=bias)),
    )


def _tucker(layer: nn.Conv2d, form: Tucker) -> nn.Sequential:
    core = type(layer)(
        form.inputs,
        form.outputs,
        layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        padding_mode=layer.padding_mode,
        bias=False,
    )
    bias = layer.bias is not None
    # Padding with zeros may follow the first 1x1, since that has no bias.
    return stack(
        ("first", nn.Conv2d(layer.in_channels, form.inputs, 1, bias=False)),
        ("core", core),
        ("last", nn.Conv2d(form.outputs, layer.out_channels, 1, bias=bias)),
    )


def _spatial(layer: nn.Conv2d, form: Spatial) -> nn.Sequential:
    def line(inputs: int, outputs: int, axis: int, bias: bool) -> nn.Conv2d:
        def along(pair: tuple[int, ...], across: int) -> tuple[int, int]:
            return (pair[0], across) if axis == 0 else (across, pair[1])

        return type(layer)(
            inputs,
            outputs,
            along(layer.kernel_size, 1),
            stride=along(layer.stride, 1),
            padding=along(layer.padding, 0),  # type: ignore[arg-type]
            dilation=along(layer.dilation, 1),
            padding_mode=layer.padding_mode,
            bias=bias,
        )

    return stack(
        ("vertical", line(layer.in_channels, form.rank, 0, False)),
        ("horizontal", line(form.rank, layer.out_channels, 1, layer.bias is not None)),
    )


def _within(name: str, form: Factors, most: Factors) -> None:
    wrong = [
        f"{field} {size}, at most {getattr(most, field)}"
        for field, size in form.model_dump(exclude={"kind"}).items()
        if size > getattr(most, field)
    ]
    if wrong:
        raise UsageError(f"{name}: {form.kind} of {'; '.join(wrong)}")


def _cut(module: nn.Module, name: str, rows: Index, columns: Index | None = None) -> None:
    value: Tensor | None = getattr(module, name)
    if value is None:
        return
    kept = value.detach()[rows] if columns is None else value.detach()[rows][:, columns]
    kept = kept.clone(memory_format=torch.contiguous_format)
    if isinstance(value, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=value.requires_grad)
    setattr(module, name, kept)


def _there(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
