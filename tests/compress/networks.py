"""A compressed network without training, its file taken apart, and files with a right checksum."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from convnets.compress import save_compressed
from convnets.compress.format import LENGTHS, MAGIC, START
from convnets.compress.layers import settle, weighted_layers
from convnets.compress.prune import prune
from convnets.compress.share import share_weights
from convnets.layers.network import ConvNet
from convnets.models import create_model, find_variant
from convnets.weights import ModelDescription


@dataclass(frozen=True)
class Parts:
    """A file's header as text, and its payload."""

    header: str
    payload: bytes

    @property
    def record(self) -> dict[str, Any]:
        """The header as JSON, to be changed."""
        return json.loads(self.header)  # type: ignore[no-any-return]

    def tensor(self, form: str) -> str:
        """The name of the first tensor of a form."""
        return next(t["name"] for t in self.record["tensors"] if t["form"] == form)


def described(model: str, classes: int | None = None) -> ModelDescription:
    """A description of a row as published, its classes numbered."""
    _, variant = find_variant(model)
    return ModelDescription(
        model=model,
        stem="paper",
        classes=tuple(f"class {number}" for number in range(classes or variant.num_classes)),
        in_chans=variant.in_chans,
        input_size=variant.input_size,
        mean=(0.5,) * variant.in_chans,
        deviation=(0.25,) * variant.in_chans,
        data="noise",
    )


def made(model: str, *, keep: float, bits: int, classes: int | None = None) -> ConvNet:
    """A network with random weights, pruned and shared alike in all layers."""
    torch.manual_seed(0)
    network = create_model(model, num_classes=classes)
    layers = weighted_layers(network)
    prune(network, dict.fromkeys(layers, keep))
    settle(network)
    share_weights(network, dict.fromkeys(layers, bits))
    settle(network)
    return network.eval()


def lenet_file(folder: Path) -> Path:
    """LeNet-5 of 1998, which has tensors of every form and type."""
    network = made("lenet5", keep=0.2, bits=4)
    path = folder / "lenet5.cnz"
    save_compressed(path, network, described("lenet5"))
    return path


def parts(content: bytes) -> Parts:
    """Take a good file apart, by the layout as documented."""
    header_length, _ = LENGTHS.unpack_from(content, START)
    begin = START + LENGTHS.size
    packed = content[begin : begin + header_length]
    return Parts(zlib.decompress(packed).decode(), content[begin + header_length :])


def signed(header: str | bytes, payload: bytes) -> bytes:
    """A file whose lengths and checksum are right, whatever it holds; bytes are not packed."""
    packed = zlib.compress(header.encode()) if isinstance(header, str) else header
    body = struct.pack("<IQ", len(packed), len(payload)) + packed + payload
    return MAGIC + hashlib.sha256(body).digest() + body
