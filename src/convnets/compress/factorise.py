"""Layers in factors of low rank: fewer weights and multiply-adds, nearly the same function.

Each weight is projected onto the leading singular vectors of its unfoldings, which is the best that
a rank can do for one matrix (Eckart and Young 1936) and nearly so for a Tucker decomposition
(De Lathauwer et al. 2000). Grouped and depthwise convolutions stay as they are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from convnets.compress.layers import Layer, weighted_layers
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.weights.changes import (
    CONVOLUTIONS,
    Factors,
    LowRank,
    Spatial,
    Tucker,
    full_rank,
    in_factors,
)

Kind = Literal["svd", "tucker", "spatial"]
FORMS: Mapping[Kind, type[Factors]] = {"svd": LowRank, "tucker": Tucker, "spatial": Spatial}


def factorise(network: ConvNet, forms: Mapping[str, Factors]) -> tuple[ConvNet, dict[str, float]]:
    """A copy of a network with the named layers in factors, and the relative error of each weight.

    The error is that of the Frobenius norm. Raises ``UsageError`` for a layer that the form is not
    for, or a rank above its own.
    """
    changed = copy.deepcopy(network)
    layers = weighted_layers(changed)
    errors = {}
    for name, form in forms.items():
        if name not in layers:
            raise UnknownName("layer", name, layers)
        parts, errors[name] = factorised(layers[name], form, name)
        changed.set_submodule(name, parts)
    return changed, errors


@torch.no_grad()
def factorised(layer: Layer, form: Factors, name: str = "layer") -> tuple[nn.Sequential, float]:
    """One layer in factors, and the relative error of its weight."""
    parts = in_factors(name, layer, form)
    weight = layer.weight.detach().double()
    match form:
        case LowRank():
            left, right, error = project(weight, form.rank)
            weights = {"first": right, "second": left}
            last = "second"
        case Tucker():
            weights, error = _tucker(weight, form)
            last = "last"
        case Spatial():
            columns, rows, error = project(_in_lines(weight), form.rank)
            outputs, inputs, height, width = weight.shape
            weights = {
                "vertical": rows.view(form.rank, inputs, height, 1),
                "horizontal": columns.view(outputs, width, 1, form.rank).permute(0, 3, 2, 1),
            }
            last = "horizontal"
    for part, value in weights.items():
        parts.get_parameter(f"{part}.weight").copy_(value)
    if layer.bias is not None:
        parts.get_parameter(f"{last}.bias").copy_(layer.bias)
    parts.requires_grad_(layer.weight.requires_grad)
    return parts, error


def project(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """``matrix`` (m, n) as (m, rank) times (rank, n), the nearest of that rank; relative error.

    The first has orthonormal columns where m is at most n, else the second orthonormal rows.
    """
    if matrix.shape[0] > matrix.shape[1]:
        first, second, error = project(matrix.T, rank)
        return second.T, first.T, error
    vectors = spectrum(matrix)[1][:, :rank]
    second = vectors.T @ matrix
    return vectors, second, _relative(vectors @ second, matrix)


def spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values (k,), falling, and the left singular vectors (m, k) of (m, n).

    Of the product with its transpose, which is the smaller problem where m is at most n.
    """
    wide = matrix.double()
    energies, vectors = torch.linalg.eigh(wide @ wide.T)
    return energies.flip(0).clamp(min=0), vectors.flip(1)


def _tucker(weight: Tensor, form: Tucker) -> tuple[dict[str, Tensor], float]:
    """Higher-order SVD along outputs and inputs (Tucker-2; Kim et al. 2015, Section 3.1)."""
    of_outputs, of_inputs = (
        spectrum(weight.movedim(mode, 0).flatten(1))[1][:, :rank]
        for mode, rank in ((0, form.outputs), (1, form.inputs))
    )
    core = torch.einsum("oiyx,or,is->rsyx", weight, of_outputs, of_inputs)
    near = torch.einsum("rsyx,or,is->oiyx", core, of_outputs, of_inputs)
    weights = {
        "first": of_inputs.T[..., None, None],
        "core": core,
        "last": of_outputs[..., None, None],
    }
    return weights, _relative(near, weight)


def _in_lines(weight: Tensor) -> Tensor:
    """A kernel (o, i, y, x) as the matrix (o x, i y) whose rank its columns and rows share."""
    return weight.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)


def _relative(near: Tensor, weight: Tensor) -> float:
    norm = float(weight.norm())
    return float((near - weight).norm()) / norm if norm else 0.0


def forms_by_share(layers: Mapping[str, Layer], kind: Kind, share: float) -> dict[str, Factors]:
    """The largest ranks with which each layer has at most ``share`` of its weights.

    A Tucker decomposition keeps one share of inputs and of outputs. Layers that the kind is not
    for, or for which one rank is too many already, are left out.
    """
    return _smaller(layers, kind, share, lambda layer: _by_share(layer, kind, share))


def forms_by_energy(layers: Mapping[str, Layer], kind: Kind, energy: float) -> dict[str, Factors]:
    """The smallest ranks that keep ``energy``, a share of each weight's squared norm.

    Of a Tucker decomposition in each unfolding. Layers that would not be smaller are left out.
    """
    return _smaller(layers, kind, energy, lambda layer: _by_energy(layer, kind, energy))


def _smaller(
    layers: Mapping[str, Layer], kind: Kind, share: float, chosen: Callable[[Layer], Factors]
) -> dict[str, Factors]:
    if not 0 < share <= 1:
        raise UsageError(f"the share to keep is {share}; it is above 0 and at most 1")
    forms = {name: chosen(layer) for name, layer in layers.items() if is_for(kind, layer)}
    return {
        name: form
        for name, form in forms.items()
        if weights_of(layers[name], form) < layers[name].weight.numel()
    }


def is_for(kind: Kind, layer: Layer) -> bool:
    """Whether a kind of factors is for a layer: it has something to take apart."""
    if kind == "svd":
        return type(layer) is nn.Linear
    if type(layer) not in CONVOLUTIONS or not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        return False
    rows, columns = layer.kernel_size
    if kind == "tucker":
        return rows * columns > 1
    return rows > 1 and columns > 1 and not isinstance(layer.padding, str)


def weights_of(layer: Layer, form: Factors) -> int:
    """Weights of a layer in factors, its bias left out."""
    outputs, inputs, *kernel = layer.weight.shape
    match form:
        case LowRank():
            return form.rank * (inputs + outputs)
        case Tucker():
            core: int = form.inputs * form.outputs * math.prod(kernel)
            return inputs * form.inputs + core + form.outputs * outputs
        case Spatial():
            return form.rank * (inputs * kernel[0] + outputs * kernel[1])


def _by_share(layer: Layer, kind: Kind, share: float) -> Factors:
    outputs, inputs = layer.weight.shape[:2]
    most, budget = full_rank(layer, FORMS[kind]), share * layer.weight.numel()
    if isinstance(most, Tucker):
        # The part p of both: p^2 (core) + p (inputs^2 + outputs^2) = budget.
        core, sides = layer.weight.numel(), inputs**2 + outputs**2
        part = (math.sqrt(sides**2 + 4 * core * budget) - sides) / (2 * core)
        return Tucker(
            inputs=min(max(1, int(part * inputs)), most.inputs),
            outputs=min(max(1, int(part * outputs)), most.outputs),
        )
    cost = weights_of(layer, type(most)(rank=1))
    return type(most)(rank=min(max(1, int(budget / cost)), most.rank))


@torch.no_grad()
def _by_energy(layer: Layer, kind: Kind, energy: float) -> Factors:
    weight = layer.weight.detach()
    match kind:
        case "svd":
            return LowRank(rank=_rank(weight, energy))
        case "tucker":
            outputs, inputs = (_rank(weight.movedim(mode, 0).flatten(1), energy) for mode in (0, 1))
            return Tucker(inputs=inputs, outputs=outputs)
        case "spatial":
            return Spatial(rank=_rank(_in_lines(weight), energy))


def _rank(matrix: Tensor, energy: float) -> int:
    """The smallest rank that keeps a share of a matrix's squared norm."""
    energies = spectrum(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T)[0]
    kept = energies.cumsum(0) / energies.sum()
    short = int((kept < energy - 1e-12).sum())
    return min(short + 1, matrix.shape[0], matrix.shape[1])
