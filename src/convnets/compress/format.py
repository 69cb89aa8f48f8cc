"""A compressed network as one file, read back bit for bit.

Layout: magic (8 bytes), SHA-256 of the rest (32), lengths of header (4) and payload (8), little
endian; the header, JSON in a zlib stream, with the network's description and a record for each
tensor; the tensors' bytes in the records' order. Shapes are not in the file: they are those of the
network it names.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor

from convnets.compress.coding import TensorRecord, code_tensor, coded_size, decode_tensor
from convnets.errors import BadModelFile, NonFinite, UsageError, first_problem
from convnets.files import atomic_write, parse_json
from convnets.layers.network import ConvNet
from convnets.records import Record
from convnets.weights import LoadedModel, ModelDescription, load_model
from convnets.weights.model_file import build

MAGIC = b"CONVNETZ"
LENGTHS = struct.Struct("<IQ")
START = 8 + 32
HEADER_LIMIT = 1 << 20
PIECE = 1 << 20
DTYPES: dict[torch.dtype, np.dtype] = {
    torch.float32: np.dtype(np.float32),
    torch.int64: np.dtype(np.int64),
}


class Header(Record):
    """What a file says before its tensors."""

    model: ModelDescription
    tensors: tuple[TensorRecord, ...] = Field(max_length=20_000)


def save_compressed(path: Path, network: ConvNet, description: ModelDescription) -> Header:
    """Write a network, each tensor in its smallest form; nothing of its values is lost.

    Returns the header; equal networks give equal bytes. Raises ``NonFinite`` rather than save a NaN
    or an infinity.
    """
    coded = []
    for name, value in sorted(network.state_dict().items()):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NonFinite(f"{path}: not saved: {name} holds a NaN or an infinity")
        coded.append(code_tensor(name, value.detach().cpu().numpy()))
    header = Header(model=description, tensors=tuple(each.record for each in coded))
    text = header.model_dump_json().encode()
    if len(text) > HEADER_LIMIT:
        raise UsageError(f"{path}: the names of classes and tensors take {len(text)} bytes")
    packed = zlib.compress(text, 9)
    contents = [each.content for each in coded]
    body = [LENGTHS.pack(len(packed), sum(map(len, contents))), packed, *contents]
    digest = hashlib.sha256()
    for piece in body:
        digest.update(piece)
    atomic_write(path, [MAGIC, digest.digest(), *body])
    return header


def load_compressed(path: str | Path) -> LoadedModel:
    """The network of a compressed file, in eval mode; raises ``BadModelFile`` before any use.

    What is read and made is bounded by what the named network needs.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            header, payload = _checked_header(file)
            network = _described(header.model)
            tensors = network.state_dict()
            _check_records(header, tensors, payload)
            loaded = dict(_decoded(header, tensors, file))
    except OSError as error:
        raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error
    except ValidationError as error:
        raise BadModelFile(f"{path}: {first_problem(error.errors())}") from error
    except (ValueError, zlib.error) as error:
        raise BadModelFile(f"{path}: {error}") from error
    network.load_state_dict(loaded, assign=True)
    return LoadedModel(network.eval(), header.model, path)


def load_any(path: str | Path) -> LoadedModel:
    """The network of a run's folder, of a checkpoint or of a compressed file."""
    return load_compressed(path) if is_compressed(path) else load_model(path)


def is_compressed(path: str | Path) -> bool:
    """Whether a path is a regular file that begins as a compressed network does."""
    path = Path(path)
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("not a regular file")
    return path.open("rb")


def _checked_header(file: BinaryIO) -> tuple[Header, int]:
    """The header, once the whole file's checksum is right, and the bytes of its payload."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(START + LENGTHS.size)
    if len(start) < START + LENGTHS.size or not start.startswith(MAGIC):
        raise ValueError("not a compressed network of ours")
    header_length, payload_length = LENGTHS.unpack_from(start, START)
    if size != len(start) + header_length + payload_length:
        raise ValueError(f"{size} bytes, {header_length} + {payload_length} declared; cut off?")
    if header_length > HEADER_LIMIT:
        raise ValueError(f"its header has {header_length} bytes")
    packed = file.read(header_length)
    digest = hashlib.sha256(start[START:] + packed)
    while piece := file.read(PIECE):
        digest.update(piece)
    if digest.digest() != start[len(MAGIC) : START]:
        raise ValueError("damaged: its SHA-256 does not match")
    file.seek(len(start) + header_length)
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, HEADER_LIMIT)
    if not inflate.eof or inflate.unused_data:
        raise ValueError("its header is not one zlib stream of at most 1 MiB")
    return Header.model_validate(parse_json(text)), payload_length


def _described(description: ModelDescription) -> ConvNet:
    """The network without memory."""
    try:
        with torch.device("meta"):
            return build(description)
    except UsageError as error:
        raise ValueError(f"does not describe a network of ours: {error}") from error


def _check_records(header: Header, tensors: dict[str, Tensor], payload: int) -> None:
    """Each of the network's tensors has one record, and the records account for every byte."""
    names = [record.name for record in header.tensors]
    if len(set(names)) < len(names):
        raise ValueError("a tensor is there twice")
    if wrong := sorted(tensors.keys() ^ set(names)):
        raise ValueError(f"tensors do not fit the network: {', '.join(wrong[:3])}")
    needed = 0
    for record in header.tensors:
        tensor = tensors[record.name]
        try:
            needed += coded_size(record, tensor.numel(), DTYPES[tensor.dtype])
        except ValueError as error:
            raise ValueError(f"{record.name}: {error}") from error
    if needed != payload:
        raise ValueError(f"its tensors take {needed} bytes, it has {payload}")


def _decoded(
    header: Header, tensors: dict[str, Tensor], file: BinaryIO
) -> Iterator[tuple[str, Tensor]]:
    def read(size: int) -> bytes:
        content = file.read(size)
        if len(content) != size:
            raise ValueError("cut off while it was read")
        return content

    for record in header.tensors:
        like = tensors[record.name]
        try:
            flat = decode_tensor(record, like.numel(), DTYPES[like.dtype], read)
        except ValueError as error:
            raise ValueError(f"{record.name}: {error}") from error
        yield record.name, torch.from_numpy(flat).view(like.shape)
