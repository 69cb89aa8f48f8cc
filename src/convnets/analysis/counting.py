"""What one tensor operation costs: multiply-adds, and floating-point operations beside them.

A multiply-add of a convolution or matrix product is two FLOPs. Beside those, by convention:

- one FLOP for each output element of an elementwise function, whatever the function, and of an
  added bias;
- kernel-size FLOPs for each output of a pooling, one for each input of a sum, mean, maximum;
- for each element: 2 for batch normalisation (scale and shift; its statistics are constants in
  eval mode), 5 for layer and group normalisation (mean, difference, square, sum, divide) and one
  each for their scale and shift, 5 for softmax (maximum, difference, exponential, sum, divide),
  4 for a variance, 2 for a norm;
- nothing for views, copies, concatenation, padding, indexing and creation of tensors.

Operations outside these rules are not guessed: ``operation_cost`` returns None for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

# fmt: off
MOVES = frozenset({
    "_to_copy", "_unsafe_view", "arange", "as_strided", "cat", "clone", "constant_pad_nd", "copy",
    "detach", "embedding", "empty", "empty_like", "empty_strided", "expand", "eye", "fill", "flip",
    "full", "full_like", "gather", "im2col", "index", "index_copy", "index_put", "index_select",
    "lift_fresh", "linspace", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_zeros",
    "ones", "ones_like", "pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d",
    "repeat", "replication_pad1d", "replication_pad2d", "roll", "scalar_tensor", "select_scatter",
    "slice_scatter", "stack", "tril", "triu", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "zero", "zeros", "zeros_like",
})
PRODUCTS = frozenset({
    "addbmm", "addmm", "addmv", "baddbmm", "bmm", "convolution", "dot", "linear", "mm", "mv",
    "_scaled_dot_product_attention_math", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
})
PER_INPUT = {
    "_adaptive_avg_pool2d": 1, "_adaptive_avg_pool3d": 1, "_log_softmax": 5, "_safe_softmax": 5,
    "_softmax": 5, "adaptive_max_pool2d": 1, "adaptive_max_pool3d": 1, "all": 1, "amax": 1,
    "amin": 1, "any": 1, "argmax": 1, "argmin": 1, "cumsum": 1, "linalg_vector_norm": 2,
    "logsumexp": 4, "max": 1, "mean": 1, "min": 1, "native_batch_norm": 2, "prod": 1, "std": 5,
    "sum": 1, "var": 4, "var_mean": 4, "_native_batch_norm_legit_no_training": 2,
}
POOLS = frozenset({
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Operation:
    """What is true of an aten operation at every call.

    ``name`` is its plain name: that of ``aten.relu_.default`` is ``relu``. One that shares memory
    returns another look at its input's.
    """

    name: str
    shares_memory: bool
    moves: bool
    elementwise: bool


@cache
def known(operation: Any) -> Operation:
    """What is true of an overload of an aten operation."""
    name: str = operation.overloadpacket.__name__
    plain = name if name.startswith("__") else name.rstrip("_")
    return Operation(
        plain,
        shares_memory=operation.is_view or plain == "_unsafe_view",
        moves=operation.is_view or plain in MOVES,
        elementwise=torch.Tag.pointwise in operation.tags,
    )


def operation_cost(
    operation: Operation, args: tuple[Any, ...], output: Any
) -> tuple[int, int] | None:
    """Multiply-adds and FLOPs of one aten operation, or None where no rule covers it."""
    if operation.moves:
        return 0, 0
    name = operation.name
    if name in PRODUCTS:
        macs, biased = product_cost(name, args, output)
        return macs, 2 * macs + biased
    result = output[0] if isinstance(output, tuple | list) else output
    if name in POOLS:
        return 0, result.numel() * prod(pair(args[1], result.ndim - 2))
    if name in PER_INPUT:
        return 0, PER_INPUT[name] * args[0].numel()
    if name in ("native_layer_norm", "native_group_norm"):
        scale, shift = args[2:4] if name == "native_layer_norm" else args[1:3]
        return 0, (5 + (scale is not None) + (shift is not None)) * args[0].numel()
    if operation.elementwise and isinstance(result, Tensor):
        return 0, result.numel()
    return None


def product_cost(name: str, args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    """Multiply-adds of a convolution or matrix product, and the additions of its bias."""
    if name == "convolution":
        images, weight, bias, *_, transposed, _, _ = args
        # A transposed convolution spreads each input over the kernel; the other gathers outputs.
        places = images if transposed else output
        macs = places.numel() * prod(weight.shape[1:])
        return macs, output.numel() if bias is not None else 0
    if name.startswith("_scaled_dot_product"):
        query, key, value = args[:3]
        scores = query.numel() // query.shape[-1] * key.shape[-2]
        return scores * (query.shape[-1] + value.shape[-1]), 0
    if name == "linear":
        biased = len(args) > 2 and args[2] is not None
        return output.numel() * args[1].shape[-1], output.numel() if biased else 0
    left = args[1] if name in ("addbmm", "addmm", "addmv", "baddbmm") else args[0]
    macs = output.numel() * left.shape[-1] * (left.shape[0] if name == "addbmm" else 1)
    return macs, output.numel() if left is not args[0] else 0


def pair(value: Any, axes: int) -> tuple[int, ...]:
    """A kernel, stride or padding as one number for each of ``axes`` spatial axes."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values
