"""Thousands of damaged and hostile model files, as they are and with every checksum made right:
only ``BadModelFile``, in bounded time and memory, and never a NaN or an infinity."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from convnets.errors import BadModelFile
from convnets.memory import memory_in_use, peak_memory, reset_peak_memory, return_freed_memory
from convnets.models import VARIANTS
from convnets.weights import LoadedModel, load_model
from tests.children import in_child
from tests.fuzz import json_mutations, mutations

CPU = torch.device("cpu")
EACH = 150
SECONDS = 2.0
ROOM = 8 << 20
"""Bytes for a header of thousands of digits or brackets and for what Python keeps."""
LARGEST_NETWORK = 128 << 20
"""Bytes for thousands of modules without tensors: a file may name a network of 1,202 layers, whose
weights take 78 MB."""
TYPES = {"F32": "torch.float32", "F64": "torch.float64", "I64": "torch.int64"}


@dataclass(frozen=True)
class Parts:
    """A model file taken apart: the header's text, the record in it, and the tensors' bytes."""

    header: str
    record: str
    body: bytes

    @classmethod
    def of(cls, content: bytes) -> Parts:
        (size,) = struct.unpack_from("<Q", content)
        header = content[8 : 8 + size].decode()
        record = json.loads(header)["__metadata__"]["convnets"]
        return cls(header.rstrip(" "), record, content[8 + size :])

    def with_right_checksums(self, header: str, record: str, body: bytes) -> bytes:
        """A file of these parts, ours or changed, whose length and digests are right."""
        ours = json.loads(self.record)["sha256"]
        record = record.replace(ours, _digest(header, body) or ours)
        header = header.replace(_sha256(self.record), _sha256(record))
        header = header.replace(json.dumps(self.record), json.dumps(record))
        text = header.encode()
        return struct.pack("<Q", len(text)) + text + body


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(header: str, body: bytes) -> str | None:
    """The digest of the tensors that a header declares, None where it makes no sense."""
    digest = hashlib.sha256()
    try:
        for name, entry in sorted(json.loads(header).items()):
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                shape = tuple(entry["shape"])
                digest.update(f"{name} {TYPES[entry['dtype']]} {shape}\n".encode())
                digest.update(body[start:end])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return digest.hexdigest()


def re_signed(seed: int, parts: Parts) -> Iterator[bytes]:
    """Changed headers, records and tensors, and other networks' names, behind right checksums."""
    draw = random.Random(seed)
    headers = json_mutations(seed, parts.header)
    records = json_mutations(seed, parts.record)
    bodies = mutations(seed, parts.body)
    name = json.dumps(json.loads(parts.record)["model"]["model"])
    while True:
        header, record, body = parts.header, parts.record, parts.body
        part = draw.random()
        if part < 0.4:
            header = next(headers)
        elif part < 0.7:
            record = next(records)
        elif part < 0.9:
            body = next(bodies)
        else:
            record = record.replace(name, json.dumps(draw.choice(list(VARIANTS))))
        yield parts.with_right_checksums(header, record, body)


@dataclass(frozen=True)
class Found:
    """What went wrong, how many files were read without complaint, the longest processor time of
    one, and the bytes by which the process grew at most."""

    wrong: list[str]
    accepted: int
    seconds: float
    growth: int


def read_all(contents: Iterator[bytes], path: Path, good: Path) -> Found:
    """Offer ``EACH`` of the contents to the reader, in a child."""
    code, found = in_child(lambda: _outcomes(contents, path, load_model(good)))
    assert code == 0, found
    return Found(*found)


def _outcomes(
    contents: Iterator[bytes], path: Path, good: LoadedModel
) -> tuple[list[str], int, float, int]:
    wrong: list[str] = []
    accepted, longest = 0, 0.0
    return_freed_memory()
    reset_peak_memory(CPU)
    before = memory_in_use(CPU)
    for number, content in enumerate(itertools.islice(contents, EACH)):
        path.write_bytes(content)
        begun = time.process_time()
        try:
            loaded = load_model(path)
        except BadModelFile as error:
            if "\n" in str(error) or str(path) not in str(error) or len(str(error)) > 1000:
                wrong.append(f"{number}: not one short line with the path")
        except Exception as error:
            wrong.append(f"{number}: {type(error).__name__}: {error}"[:300])
        else:
            accepted += 1
            wrong += [f"{number}: {problem}" for problem in problems(loaded, good)]
        longest = max(longest, time.process_time() - begun)
    return wrong, accepted, longest, peak_memory(CPU) - before


def problems(loaded: LoadedModel, good: LoadedModel) -> Iterator[str]:
    """What no accepted file may have, whatever its checksums say."""
    ours = {name: (v.shape, v.dtype) for name, v in good.network.state_dict().items()}
    for name, value in loaded.network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            yield f"{name} is not finite"
        if loaded.description.model == good.description.model and (
            loaded.description.classes == good.description.classes
            and ours[name] != (value.shape, value.dtype)
        ):
            yield f"{name} is {tuple(value.shape)} {value.dtype}"
    about = loaded.description
    scales = (*about.mean, *about.deviation, *(1 / value for value in about.deviation))
    if not all(math.isfinite(scale) for scale in scales):
        yield "its preprocessing is not finite"


SEEDS = pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(1), id=f"{EACH}"),
        pytest.param(range(1, 34), id=f"{33 * EACH}", marks=pytest.mark.slow),
    ],
)


@SEEDS
def test_no_damage_passes(saved: Path, tmp_path: Path, seeds: Sequence[int]) -> None:
    content = saved.read_bytes()
    for seed in seeds:
        found = read_all(mutations(seed, content), tmp_path / "damaged.safetensors", saved)
        assert (found.wrong, found.accepted) == ([], 0), f"seed {seed}"
        assert found.seconds < SECONDS, f"seed {seed}"
        assert found.growth < 3 * len(content) + ROOM, f"seed {seed}"


@SEEDS
def test_right_checksums_do_not_help(saved: Path, tmp_path: Path, seeds: Sequence[int]) -> None:
    """Another mean or class name makes a legitimate file: some are read, and then are whole."""
    parts = Parts.of(saved.read_bytes())
    for seed in seeds:
        found = read_all(re_signed(seed, parts), tmp_path / "hostile.safetensors", saved)
        assert found.wrong == [], f"seed {seed}"
        assert 0 < found.accepted < EACH / 2, f"seed {seed}"
        assert found.seconds < SECONDS, f"seed {seed}"
        assert found.growth < 3 * len(parts.body) + ROOM + LARGEST_NETWORK, f"seed {seed}"


def test_the_checksums_made_right_are_right(saved: Path, tmp_path: Path) -> None:
    """Else every file would be refused for its checksum, and the parser not be tested."""
    parts = Parts.of(saved.read_bytes())
    body = bytearray(parts.body)
    body[-1] ^= 1  # a sign or an exponent of the last float's last byte
    path = tmp_path / "changed.safetensors"
    renamed = parts.record.replace("class 3", "cat")
    path.write_bytes(parts.with_right_checksums(parts.header, renamed, bytes(body)))
    assert load_model(path).description.classes[3] == "cat"
