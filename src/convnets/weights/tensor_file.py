"""Safetensors files: written in one order, and read with nothing taken on trust.

The format (github.com/huggingface/safetensors, "Format"): the header's length in 8 bytes, little
endian; the header, a JSON object of tensors by name and ``__metadata__``, a map from text to text;
the tensors' bytes, end to end. Its own library maps a file into memory, where a file cut off
meanwhile ends the process, and writes metadata in any order. Here equal content gives equal bytes,
and memory is taken only for a file whose every byte the header accounts for.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from convnets.errors import UsageError, first_problem
from convnets.files import parse_json, to_json
from convnets.records import Record

LENGTH = struct.Struct("<Q")
HEADER_LIMIT = 4 << 20
"""Bytes: more than the 21,841 classes of ImageNet-21k and 10,000 tensors need together."""
ALIGNMENT = 8
METADATA = "__metadata__"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CODES: dict[torch.dtype, Any] = {dtype: code for code, dtype in DTYPES.items()}

Form = tuple[tuple[int, ...], torch.dtype]
"""A tensor's shape and type."""
Whole = Annotated[int, Field(ge=0, lt=2**48)]


class Entry(Record):
    """What a header says of one tensor; offsets count from the end of the header."""

    dtype: Literal["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"]
    shape: list[Whole] = Field(max_length=8)
    data_offsets: list[Whole] = Field(min_length=2, max_length=2)

    @property
    def form(self) -> Form:
        return tuple(self.shape), DTYPES[self.dtype]

    @property
    def size(self) -> int:
        """Bytes that shape and type come to."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


OBJECT = TypeAdapter(dict[str, Any])
ENTRIES = TypeAdapter(dict[str, Entry])
TEXTS = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class Header:
    """A file's metadata, and its tensors in the order of their bytes, which have no gap."""

    metadata: dict[str, str]
    entries: dict[str, Entry]

    @property
    def forms(self) -> dict[str, Form]:
        return {name: entry.form for name, entry in self.entries.items()}


def pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """Yield a file's content, each tensor by itself; raises ``UsageError`` for a large header.

    Wide types come first, which aligns every tensor, and names in order among equals.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, Any] = {METADATA: dict(metadata)}
    place = 0
    for name, value in ordered:
        end = place + value.numel() * value.element_size()
        header[name] = Entry(
            dtype=CODES[value.dtype], shape=list(value.shape), data_offsets=[place, end]
        ).model_dump()
        place = end
    text = to_json(header, indent=None).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > HEADER_LIMIT:
        raise UsageError(f"names take a header of {len(text)} bytes; the limit is {HEADER_LIMIT}")
    yield LENGTH.pack(len(text)) + text
    for _, value in ordered:
        plain = value.detach().to("cpu").contiguous()
        yield plain.reshape(-1).view(torch.uint8).numpy().tobytes()


def read_header(file: BufferedReader) -> Header:
    """Read the header of a file and leave it at the first tensor.

    Raises ``ValueError`` unless it is whole, and describes exactly the bytes that follow.
    """
    (length,) = LENGTH.unpack(_exactly(file, LENGTH.size))
    if length > HEADER_LIMIT:
        raise ValueError(f"a header of {length} bytes; the limit is {HEADER_LIMIT}")
    text = _exactly(file, length)
    try:
        found = parse_json(text.decode())
    except ValueError as error:
        raise ValueError(f"its header is not JSON: {error}") from error
    try:
        content = OBJECT.validate_python(found, strict=True)
        metadata = TEXTS.validate_python(content.pop(METADATA, {}), strict=True)
        entries = ENTRIES.validate_python(content, strict=True)
    except ValidationError as error:
        raise ValueError(f"its header is wrong: {first_problem(error.errors())}") from error
    ordered = dict(sorted(entries.items(), key=lambda item: item[1].data_offsets))
    place = 0
    for name, entry in ordered.items():
        expected = [place, place + entry.size]
        if entry.data_offsets != expected:
            raise ValueError(f"{name} lies at {entry.data_offsets}; it should at {expected}")
        place += entry.size
    held = os.fstat(file.fileno()).st_size - file.tell()
    if held != place:
        raise ValueError(f"{held} bytes of tensors, {place} declared; cut off?")
    return Header(metadata, ordered)


def read_tensors(file: BufferedReader, header: Header) -> dict[str, Tensor]:
    """Read the tensors behind a header; raises ``ValueError`` for a NaN or an infinity in one."""
    tensors = {}
    for name, entry in header.entries.items():
        shape, dtype = entry.form
        value = torch.empty(shape, dtype=dtype)
        room = value.reshape(-1).view(torch.uint8).numpy()
        if file.readinto(room.data) != entry.size:
            raise ValueError("cut off while it was read")
        if value.is_floating_point() and value.numel() and not _finite(value):
            raise ValueError(f"{name} holds a NaN or an infinity")
        tensors[name] = value
    return tensors


def _finite(value: Tensor) -> bool:
    """Whether every value is; a NaN anywhere is both the least and the greatest."""
    return all(math.isfinite(extreme) for extreme in torch.aminmax(value))


def _exactly(file: BufferedReader, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes where {size} are declared; cut off?")
    return content
