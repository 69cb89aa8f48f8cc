"""One tensor as bytes, without loss, in the smallest of three forms.

``plain`` is its values. A tensor of few distinct values is a codebook and Huffman-coded indices
into it (Han, Mao and Dally 2015, Sections 3 and 4): ``dense`` has an index for every element,
``sparse`` for those that are not zero, with the zeros between them coded too (Section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from convnets.compress.huffman import LONGEST, code_lengths, coded_bits, decode, encode
from convnets.records import Record

MOST_VALUES = 256
WIDEST_SPAN = 8
BLOCK = 1 << 18

Name = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=1 << 40)]
Values = Annotated[int, Field(ge=1, le=MOST_VALUES + 1)]
Read = Callable[[int], bytes]


class Plain(Record):
    """Values one after the other; ``half`` says that they are stored as float16."""

    form: Literal["plain"] = "plain"
    name: Name
    half: bool = False


class Dense(Record):
    """``values`` of a codebook, and ``code_bits`` bits of an index for each element."""

    form: Literal["dense"] = "dense"
    name: Name
    half: bool = False
    values: Values
    code_bits: Count


class Sparse(Record):
    """The ``kept`` elements that are not zero, by their indices and the zeros before each.

    ``spans`` numbers of ``span_width`` bits, before Huffman coding, count the zeros. The largest
    is as many zeros with no element after them, where the paper has a filler element of zero.
    """

    form: Literal["sparse"] = "sparse"
    name: Name
    half: bool = False
    values: Values
    kept: Count
    code_bits: Count
    span_width: int = Field(ge=1, le=WIDEST_SPAN)
    spans: Count
    span_bits: Count


TensorRecord = Annotated[Plain | Dense | Sparse, Field(discriminator="form")]


@dataclass(frozen=True)
class Coded:
    """A tensor's record and its bytes."""

    record: Plain | Dense | Sparse
    content: bytes


def code_tensor(name: str, tensor: np.ndarray, *, span_width: int | None = None) -> Coded:
    """The smallest form of a tensor of float32 or int64; equal bits give equal bytes.

    ``span_width`` None takes the width that gives the fewest bits.
    """
    flat = np.ascontiguousarray(tensor).reshape(-1)
    bits = flat.view(np.uint32 if flat.itemsize == 4 else np.uint64)
    half = _fits_half(flat)
    plain = Coded(Plain(name=name, half=half), _stored(flat, half))
    positions = np.flatnonzero(bits)
    codebook = _few_values(bits[positions])
    if codebook is None:
        return plain
    codes = np.searchsorted(codebook, bits[positions])
    values = codebook.view(flat.dtype)
    zeros = len(flat) - len(positions)
    forms = [plain]
    if zeros and len(positions):
        forms.append(_sparse(name, _stored(values, half), positions, codes, half, span_width))
    counts = np.bincount(codes, minlength=len(codebook))
    if zeros:
        values, counts = np.append(flat.dtype.type(0), values), np.append(zeros, counts)
    stored = _stored(values, half)
    if len(stored) + _stream_size(coded_bits(counts), len(counts)) < min(map(_size, forms)):
        everything = np.zeros(len(flat), np.int64)
        everything[positions] = codes + bool(zeros)
        forms.append(_dense(name, stored, everything, counts, half))
    return min(forms, key=_size)


def _size(coded: Coded) -> int:
    return len(coded.content)


def _few_values(bits: np.ndarray) -> np.ndarray | None:
    """The distinct values, rising, where a codebook can hold them; else None."""
    for part in (bits[:4096], bits):  # most tensors without a codebook show it at once
        found = np.unique(part)
        if len(found) > MOST_VALUES:
            return None
    return found


def _fits_half(flat: np.ndarray) -> bool:
    if flat.dtype != np.float32:
        return False
    with np.errstate(over="ignore"):
        return bool(np.array_equal(flat.astype(np.float16).astype(np.float32), flat))


def _stored(values: np.ndarray, half: bool) -> bytes:
    return values.astype("<f2" if half else values.dtype.newbyteorder("<")).tobytes()


def _dense(name: str, values: bytes, codes: np.ndarray, counts: np.ndarray, half: bool) -> Coded:
    content, bits = _coded(codes, counts)
    record = Dense(name=name, half=half, values=len(counts), code_bits=bits)
    return Coded(record, values + content)


def _sparse(
    name: str,
    values: bytes,
    positions: np.ndarray,
    codes: np.ndarray,
    half: bool,
    span_width: int | None,
) -> Coded:
    gaps = np.diff(positions, prepend=-1) - 1
    width = span_width or min(range(1, WIDEST_SPAN + 1), key=lambda bits: _span_cost(gaps, bits))
    spans = _spans(gaps, width)
    code_content, code_bits = _coded(codes, np.bincount(codes))
    span_content, span_bits = _coded(spans, np.bincount(spans, minlength=1 << width))
    record = Sparse(
        name=name,
        half=half,
        values=int(codes.max()) + 1,
        kept=len(codes),
        code_bits=code_bits,
        span_width=width,
        spans=len(spans),
        span_bits=span_bits,
    )
    return Coded(record, values + code_content + span_content)


def _spans(gaps: np.ndarray, width: int) -> np.ndarray:
    """Each gap as fillers of ``2^width - 1`` zeros and a rest that ends at an element."""
    filler = (1 << width) - 1
    ends = np.cumsum(gaps // filler + 1)
    spans = np.full(ends[-1], filler)
    spans[ends - 1] = gaps % filler
    return spans


def _span_cost(gaps: np.ndarray, width: int) -> int:
    """Bytes that ``_spans`` take."""
    filler = (1 << width) - 1
    counts = np.bincount(gaps % filler, minlength=filler + 1)
    counts[filler] = (gaps // filler).sum()
    return _stream_size(coded_bits(counts), len(counts))


def _coded(symbols: np.ndarray, counts: np.ndarray) -> tuple[bytes, int]:
    """The code's lengths, four bits each, and then its words; the bits of the words."""
    lengths = code_lengths(counts)
    words, bits = encode(symbols, lengths)
    pairs = np.append(lengths, np.zeros(len(lengths) % 2, np.uint8)).reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes() + words, bits


def _stream_size(bits: int, alphabet: int) -> int:
    """Bytes of a code's lengths and words."""
    return (alphabet + 1) // 2 + (bits + 7) // 8


def coded_size(record: Plain | Dense | Sparse, elements: int, dtype: np.dtype) -> int:
    """Bytes of a tensor of ``elements``; raises ``ValueError`` for a record it cannot have."""
    if record.half and dtype != np.float32:
        raise ValueError(f"float16 for values of {dtype}")
    item = 2 if record.half else dtype.itemsize
    match record:
        case Plain():
            return elements * item
        case Dense():
            streams = [(elements, record.code_bits, record.values)]
        case Sparse():
            if not record.kept <= record.spans <= elements:
                raise ValueError(f"{record.kept} of {elements} elements in {record.spans} spans")
            streams = [
                (record.kept, record.code_bits, record.values),
                (record.spans, record.span_bits, 1 << record.span_width),
            ]
    for symbols, bits, _ in streams:
        if bits > symbols * LONGEST:
            raise ValueError(f"{bits} bits for {symbols} symbols")
    return item * record.values + sum(_stream_size(bits, size) for _, bits, size in streams)


def decode_tensor(
    record: Plain | Dense | Sparse, elements: int, dtype: np.dtype, read: Read
) -> np.ndarray:
    """The flat tensor of a record; ``read`` hands out its bytes in order.

    ``coded_size`` must have passed. Raises ``ValueError`` for content that is damaged.
    """

    def values(count: int) -> np.ndarray:
        stored = np.dtype("<f2") if record.half else dtype.newbyteorder("<")
        found = np.frombuffer(read(count * stored.itemsize), stored).astype(dtype)
        if dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError("it holds a NaN or an infinity")
        return found

    match record:
        case Plain():
            return values(elements)
        case Dense():
            codebook = values(record.values)
            codes = _symbols(read, elements, record.values, record.code_bits)
            flat = np.empty(elements, dtype)
            for start in range(0, elements, BLOCK):  # numpy indexes with eight bytes an element
                flat[start : start + BLOCK] = codebook[codes[start : start + BLOCK]]
            return flat
        case Sparse():
            codebook = values(record.values)
            codes = _symbols(read, record.kept, record.values, record.code_bits)
            spans = _symbols(read, record.spans, 1 << record.span_width, record.span_bits)
            return _placed(codebook, codes, spans, (1 << record.span_width) - 1, elements)


def _symbols(read: Read, count: int, alphabet: int, bits: int) -> np.ndarray:
    pairs = np.frombuffer(read((alphabet + 1) // 2), np.uint8)
    lengths = np.stack((pairs >> 4, pairs & 15), axis=1).reshape(-1)
    if lengths[alphabet:].any():
        raise ValueError("a word for a symbol past the last")
    return decode(read((bits + 7) // 8), bits, lengths[:alphabet], count)


def _placed(
    codebook: np.ndarray, codes: np.ndarray, spans: np.ndarray, filler: int, elements: int
) -> np.ndarray:
    """Zeros with the coded elements in their places, a block of spans at a time."""
    flat = np.zeros(elements, codebook.dtype)
    end, used = 0, 0
    for start in range(0, len(spans), BLOCK):
        block = spans[start : start + BLOCK]
        ends_at_element = block != filler
        ends = end + np.cumsum(block + ends_at_element, dtype=np.int64)
        end = int(ends[-1])
        places = ends[ends_at_element] - 1
        if end > elements or used + len(places) > len(codes):
            break
        flat[places] = codebook[codes[used : used + len(places)]]
        used += len(places)
    if end > elements or used != len(codes):
        raise ValueError(f"its spans do not place {len(codes)} of {elements} elements")
    return flat
