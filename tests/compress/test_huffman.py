"""Huffman codes against the textbook's algorithm, an exhaustive search, and RFC 1951's example."""

from __future__ import annotations

import heapq
import itertools
from fractions import Fraction

import numpy as np
import pytest

from convnets.compress import huffman
from convnets.compress.huffman import LONGEST, code_lengths, coded_bits, decode, encode


def textbook_bits(counts: list[int]) -> int:
    """Bits of the message under Huffman's code: the sum of all nodes that merging makes."""
    heap = [count for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        node = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, node)
        total += node
    return total


def kraft(lengths: np.ndarray) -> Fraction:
    return sum((Fraction(1, 2 ** int(length)) for length in lengths if length), Fraction(0))


@pytest.mark.parametrize("size", [2, 3, 16, 32, 256, 257])
def test_codes_are_as_short_as_huffmans(size: int) -> None:
    draw = np.random.default_rng(size)
    for counts in (
        draw.integers(0, 1000, size),
        draw.geometric(0.1, size),
        np.full(size, 7),
        np.append(draw.integers(1, 3, size - 1), 10_000),
    ):
        if np.count_nonzero(counts) < 2:
            continue
        lengths = code_lengths(counts)
        assert kraft(lengths) == 1
        assert lengths.max() <= LONGEST
        assert (lengths > 0).tolist() == (counts > 0).tolist()
        assert coded_bits(counts) == textbook_bits(counts.tolist())


def test_the_limit_costs_no_more_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every assignment of lengths that Kraft's inequality allows."""
    monkeypatch.setattr(huffman, "LONGEST", 4)
    draw = np.random.default_rng(0)
    for size in (3, 5, 6):
        counts = np.sort(draw.geometric(0.02, size) ** 2)[::-1]
        allowed = [
            lengths
            for lengths in itertools.combinations_with_replacement(range(1, 5), size)
            if sum(Fraction(1, 2**length) for length in lengths) <= 1
        ]
        best = min(int(counts @ np.array(lengths)) for lengths in allowed)
        assert int(counts @ code_lengths(counts)) == best


def test_a_word_is_never_longer_than_fifteen_bits() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(np.array(fibonacci))
    assert lengths.max() == LONGEST
    assert kraft(lengths) == 1


def test_words_are_those_of_the_standard() -> None:
    """RFC 1951, Section 3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) for the letters A to H."""
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8)
    content, bits = encode(np.arange(8), lengths)
    words = ["010", "011", "100", "101", "110", "00", "1110", "1111"]
    expected = "".join(words)
    assert bits == len(expected)
    assert "".join(f"{byte:08b}" for byte in content)[:bits] == expected
    assert decode(content, bits, lengths, 8).tolist() == list(range(8))


@pytest.mark.parametrize("count", [1, 7, 1000, 400_000])
def test_symbols_come_back(count: int) -> None:
    draw = np.random.default_rng(count)
    symbols = np.minimum(draw.geometric(0.2, count), 256)
    lengths = code_lengths(np.bincount(symbols, minlength=257))
    content, bits = encode(symbols, lengths)
    assert len(content) == (bits + 7) // 8
    assert np.array_equal(decode(content, bits, lengths, count), symbols)


def test_a_symbol_alone_takes_no_bits() -> None:
    lengths = code_lengths(np.array([0, 0, 50]))
    assert encode(np.full(50, 2), lengths) == (b"", 0)
    assert decode(b"", 0, lengths, 50).tolist() == [2] * 50
    with pytest.raises(ValueError, match="one word"):
        decode(b"\0", 8, lengths, 50)


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        ([1, 1, 1], "over-subscribed"),
        ([1, 2], "under-subscribed"),
        ([0, 0], "under-subscribed"),
        ([2], "one word"),
        ([15] * 257, "under-subscribed"),
        ([1] * 257, "over-subscribed"),
    ],
)
def test_lengths_that_are_no_code_are_refused(lengths: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(b"\0" * 8, 64, np.array(lengths, np.uint8), 10)


@pytest.mark.parametrize(("bits", "count"), [(8, 7), (8, 9), (7, 8), (0, 8), (9, 9), (-1, 8)])
def test_another_number_of_words_is_refused(bits: int, count: int) -> None:
    with pytest.raises(ValueError, match="bits"):
        decode(b"\x5a", bits, np.array([1, 1], np.uint8), count)
