"""Canonical Huffman codes of whole arrays of symbols (Huffman 1952; Schwartz and Kallick 1964).

A code is the lengths of its words alone. Words are at most 15 bits long, so that four bits say a
length and a table of 2^15 entries decodes any word.
"""

from __future__ import annotations

import numpy as np

LONGEST = 15
PIECE = 1 << 14


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Bits of each symbol's word in the best code for these counts, uint8; 0 for unused symbols.

    Package-merge (Larmore and Hirschberg 1990), which heeds the limit of 15 bits. A symbol that is
    alone has a word of one bit, which ``encode`` never writes.
    """
    used = np.flatnonzero(counts)
    lengths = np.zeros(len(counts), np.uint8)
    if len(used) < 2:
        lengths[used] = 1
        return lengths
    rising = used[np.argsort(counts[used], kind="stable")]
    leaves = counts[rising].astype(np.int64)
    levels, merged = [np.ones(len(leaves), bool)], leaves
    for _ in range(LONGEST - 1):
        packages = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate((leaves, packages))
        order = np.argsort(both, kind="stable")
        levels.append(order < len(leaves))
        merged = both[order]
    taken = 2 * len(leaves) - 2
    for is_leaf in reversed(levels):
        count = int(is_leaf[:taken].sum())
        lengths[rising[:count]] += 1
        taken = 2 * (taken - count)
    return lengths


def coded_bits(counts: np.ndarray) -> int:
    """Bits that ``encode`` takes for symbols with these counts."""
    if np.count_nonzero(counts) < 2:
        return 0
    return int(counts @ code_lengths(counts).astype(np.int64))


def encode(symbols: np.ndarray, lengths: np.ndarray) -> tuple[bytes, int]:
    """The words of ``symbols`` one after the other, highest bit first, and the number of bits."""
    order = _canonical_order(lengths)
    if len(order) < 2:
        return b"", 0
    spans = 1 << (LONGEST - lengths[order].astype(np.int64))
    words = np.zeros(len(lengths), np.int64)
    words[order] = (np.cumsum(spans) - spans) >> (LONGEST - lengths[order])
    bits = [
        _spelled(words[piece], lengths[piece].astype(np.int64))
        for piece in np.split(symbols, range(PIECE, len(symbols), PIECE))
    ]
    joined = np.concatenate(bits)
    return np.packbits(joined).tobytes(), len(joined)


def _spelled(words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The bits of each word, one a byte."""
    shifts = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(lengths.sum())
    bits: np.ndarray = (np.repeat(words, lengths) >> shifts) & 1
    return bits.astype(np.uint8)


def _canonical_order(lengths: np.ndarray) -> np.ndarray:
    """Used symbols by the length of their words, then by number: the order of their words."""
    order = np.argsort(lengths, kind="stable")
    return order[lengths[order] > 0]


def decode(content: bytes, bits: int, lengths: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` symbols, uint16, that ``encode`` wrote as ``bits`` bits.

    Raises ``ValueError`` for lengths that are no complete code and for another number of symbols.
    """
    order = _canonical_order(lengths)
    if len(order) == 1:
        if bits or lengths[order[0]] != 1:
            raise ValueError("a code of one word has bits")
        return np.full(count, order[0], np.uint16)
    widths = 1 << (LONGEST - lengths[order].astype(np.int64))
    if widths.sum() != 1 << LONGEST:
        kind = "under" if widths.sum() < 1 << LONGEST else "over"
        raise ValueError(f"a Huffman code is {kind}-subscribed")
    if not 0 <= bits <= 8 * len(content):
        raise ValueError(f"{bits} bits of code in {len(content)} bytes")
    table = np.repeat(order.astype(np.uint16), widths)
    steps = lengths[table]
    found: list[np.ndarray] = []
    position, left = 0, count
    for start in range(0, len(content), PIECE):
        windows = _windows(content[start : start + PIECE + 2], min(PIECE, len(content) - start))
        starts, position = _walk(
            steps[windows].tobytes(), position, min(len(windows), bits - 8 * start)
        )
        left -= len(starts)
        if left < 0:
            break
        found.append(table[windows[starts]])
        position -= len(windows)
    if left or position + 8 * len(content) != bits:
        raise ValueError(f"{bits} bits are not {count} words of their code")
    return np.concatenate(found) if found else np.zeros(0, np.uint16)


def _windows(content: bytes, size: int) -> np.ndarray:
    """The 15 bits that follow each bit of the first ``size`` bytes; past the end they are 0."""
    padded = np.zeros(size + 2, np.uint32)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    threes = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = 24 - LONGEST - np.arange(8, dtype=np.uint32)
    return (threes[:, None] >> shifts & ((1 << LONGEST) - 1)).reshape(-1)


def _walk(steps: bytes, position: int, end: int) -> tuple[list[int], int]:
    """Where words begin from ``position`` up to ``end``, and where the next one would."""
    starts = []
    while position < end:
        starts.append(position)
        position += steps[position]
    return starts, position
