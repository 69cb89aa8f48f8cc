"""What each layer takes in a compressed file: the columns of the paper's Tables 2 to 5."""

from __future__ import annotations

import numpy as np
from torch import nn

from convnets.compress.coding import Dense, Plain, Sparse, coded_size
from convnets.compress.format import Header
from convnets.compress.layers import weighted_layers
from convnets.compress.prune import kept_share
from convnets.records import Record

FLOAT32 = np.dtype(np.float32)


class LayerSize(Record):
    """A layer's weight: bits of a stored element and of its place, before and after Huffman coding.

    ``kept`` is the share of elements that are not zero. ``index_bits`` are None where no places are
    stored, since every element is. ``packed`` and ``coded`` are the weight's bytes before and after
    Huffman coding, the codebook among them.
    """

    name: str
    weights: int
    kept: float
    weight_bits: int
    weight_bits_coded: float
    index_bits: int | None
    index_bits_coded: float | None
    packed: int
    coded: int

    @property
    def rate_packed(self) -> float:
        """Share of the bytes of the layer in float32, before Huffman coding."""
        return self.packed / (FLOAT32.itemsize * self.weights)

    @property
    def rate_coded(self) -> float:
        """Share of the bytes of the layer in float32."""
        return self.coded / (FLOAT32.itemsize * self.weights)


def layer_sizes(header: Header, network: nn.Module) -> tuple[LayerSize, ...]:
    """The sizes of a file's convolutions and linear layers; ``network`` is what it holds."""
    records = {record.name: record for record in header.tensors}
    return tuple(
        _layer_size(name, records[f"{name}.weight"], layer.weight.numel(), kept_share(layer))
        for name, layer in weighted_layers(network).items()
    )


def _layer_size(name: str, record: Plain | Dense | Sparse, weights: int, kept: float) -> LayerSize:
    value_bits = 16 if record.half else 32
    weight_bits, coded, index_bits, index_coded = value_bits, float(value_bits), None, None
    packed = weights * value_bits
    if not isinstance(record, Plain):
        stored = record.kept if isinstance(record, Sparse) else weights
        weight_bits = (record.values - 1).bit_length()
        coded = record.code_bits / stored
        packed = stored * weight_bits + record.values * value_bits
    if isinstance(record, Sparse):
        index_bits = record.span_width
        index_coded = record.span_bits / record.kept
        packed += record.spans * index_bits
    return LayerSize(
        name=name,
        weights=weights,
        kept=kept,
        weight_bits=weight_bits,
        weight_bits_coded=coded,
        index_bits=index_bits,
        index_bits_coded=index_coded,
        packed=(packed + 7) // 8,
        coded=coded_size(record, weights, FLOAT32),
    )
