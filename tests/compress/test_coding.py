"""Tensors come back bit for bit, from the form that is smallest."""

from __future__ import annotations

import io

import numpy as np
import pytest

from convnets.compress.coding import Coded, Dense, Plain, Sparse, code_tensor, coded_size
from convnets.compress.coding import decode_tensor as decoded


def back(coded: Coded, like: np.ndarray) -> np.ndarray:
    file = io.BytesIO(coded.content)
    flat = decoded(coded.record, like.size, like.dtype, file.read)
    assert file.read() == b""
    assert len(coded.content) == coded_size(coded.record, like.size, like.dtype)
    return flat


def pruned(size: int, share: float, values: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    codebook = draw.standard_normal(values).astype(np.float32)
    weights = codebook[draw.integers(0, values, size)]
    weights[draw.random(size) >= share] = 0
    return weights


@pytest.mark.parametrize(
    ("tensor", "form"),
    [
        (pruned(100_000, 0.05, 32), Sparse),
        (pruned(100_000, 0.001, 256), Sparse),
        (pruned(100_000, 0.9, 256), Dense),
        (pruned(100_000, 1.0, 2), Dense),
        (np.zeros(1000, np.float32), Dense),
        (np.ones(1000, np.float32), Dense),
        (np.random.default_rng(0).standard_normal(1000).astype(np.float32), Plain),
        (np.array([3.25], np.float32), Plain),
        (np.array([-0.0, 0.0, -0.0, 1e-40, 3e38] * 40, np.float32), Sparse),
        (np.array(12345), Plain),
        (np.arange(169).repeat(10), Dense),
        (np.array([-(2**63), 2**63 - 1, 1]), Plain),
    ],
    ids=lambda value: str(getattr(value, "size", value.__name__ if callable(value) else value)),
)
def test_bits_come_back(tensor: np.ndarray, form: type) -> None:
    coded = code_tensor("weight", tensor)
    assert type(coded.record) is form
    assert back(coded, tensor).tobytes() == tensor.tobytes()


def test_values_of_float16_are_stored_in_two_bytes() -> None:
    exact = np.random.default_rng(0).standard_normal(300).astype(np.float16).astype(np.float32)
    coded = code_tensor("bias", exact)
    assert len(coded.content) == 600
    assert back(coded, exact).tobytes() == exact.tobytes()
    rounded = exact.copy()
    rounded[7] += np.float32(1e-6)
    assert len(code_tensor("bias", rounded).content) == 1200


def test_a_long_gap_is_bridged_by_a_filler() -> None:
    """Fig. 2: values at 1, 4 and 15, spans of 3 bits; one filler is needed."""
    tensor = np.zeros(16, np.float32)
    tensor[[1, 4, 15]] = 3.4, 0.9, 1.7
    coded = code_tensor("weight", np.tile(tensor, 50), span_width=3)
    assert isinstance(coded.record, Sparse)
    assert coded.record.kept == 3 * 50
    assert coded.record.spans == 4 * 50
    assert back(coded, np.tile(tensor, 50)).tolist() == np.tile(tensor, 50).tolist()


@pytest.mark.parametrize("width", range(1, 9))
def test_any_width_of_a_span_gives_the_same_tensor(width: int) -> None:
    tensor = pruned(20_000, 0.03, 16)
    coded = code_tensor("weight", tensor, span_width=width)
    assert isinstance(coded.record, Sparse)
    assert coded.record.span_width == width
    assert back(coded, tensor).tobytes() == tensor.tobytes()
    assert len(code_tensor("weight", tensor).content) <= len(coded.content)


def test_a_code_comes_near_the_entropy_of_what_it_codes() -> None:
    """Within Huffman's one bit a symbol of Shannon's bound on codes and places together."""
    share, values, size = 0.08, 32, 400_000
    tensor = pruned(size, share, values)
    coded = code_tensor("weight", tensor)
    kept = np.count_nonzero(tensor)
    place = -(share * np.log2(share) + (1 - share) * np.log2(1 - share)) / share
    bound = kept * (place + np.log2(values))
    assert bound * 0.99 < 8 * len(coded.content) < bound * 1.02
