"""Checkpoints: one file, one rename, a checksum before anything is believed.

Layout: magic (8 bytes), SHA-256 of the rest (32), length of the payload (8, little endian), and
the payload: safetensors bytes whose metadata holds the run's numbers as JSON. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from convnets.errors import BadModelFile, NonFinite
from convnets.files import atomic_write, remove, to_json

MAGIC = b"CONVNET1"
HEADER = struct.Struct("<8s32sQ")
NAME = re.compile(r"step-(\d{8,})\.ckpt")
KEPT = 2


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
    """Write one checkpoint; raises ``NonFinite`` rather than save a NaN or an infinity."""
    if spoilt := _not_finite(tensors):
        raise NonFinite(f"{path}: not saved: {spoilt} holds a NaN or an infinity")
    plain = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    payload = safetensors.torch.save(plain, {"state": to_json(state, indent=None)})
    length = struct.pack("<Q", len(payload))
    digest = hashlib.sha256(length)
    digest.update(payload)
    atomic_write(path, [HEADER.pack(MAGIC, digest.digest(), len(payload)), payload])


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read one checkpoint back; raises ``BadModelFile`` with what is wrong, before any use."""
    payload = _verified(path)
    try:
        tensors = safetensors.torch.load(bytes(payload))
        header_length = struct.unpack_from("<Q", payload)[0]
        header = json.loads(bytes(payload[8 : 8 + header_length]))
        state = json.loads(header["__metadata__"]["state"])
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        struct.error,
    ) as error:
        raise BadModelFile(f"{path}: not a readable checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise BadModelFile(f"{path}: its state is not a record")
    if spoilt := _not_finite(tensors):
        raise BadModelFile(f"{path}: {spoilt} holds a NaN or an infinity")
    return tensors, state


def _not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor with a NaN or an infinity in it."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return None


def _verified(path: Path) -> memoryview:
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise BadModelFile(f"{path}: not a regular file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error
    if len(content) < HEADER.size:
        raise BadModelFile(f"{path}: {len(content)} bytes, shorter than a checkpoint's header")
    magic, expected, length = HEADER.unpack_from(content)
    if magic != MAGIC:
        raise BadModelFile(f"{path}: not a convnets checkpoint")
    body = memoryview(content)[40:]
    if len(body) - 8 != length:
        raise BadModelFile(f"{path}: {len(body) - 8} bytes of payload, {length} declared; cut off?")
    if hashlib.sha256(body).digest() != expected:
        raise BadModelFile(f"{path}: damaged: its SHA-256 does not match")
    return body[8:]


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Steps and paths of a run's checkpoints, newest first, by the step in the name."""
    found = []
    for path in Path(folder).glob("step-*.ckpt"):
        if match := NAME.fullmatch(path.name):
            found.append((int(match[1]), path))
    return sorted(found, reverse=True)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return Path(folder) / f"step-{step:08d}.ckpt"


def newest_checkpoint(
    folder: Path,
) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
    """Tensors and state of the newest checkpoint that verifies, and what was skipped and why.

    None where there is no checkpoint. Raises ``BadModelFile`` where there are some and none is
    good: a run never starts over in silence.
    """
    skipped: list[str] = []
    found = checkpoints(folder)
    for _, path in found:
        try:
            return *load_checkpoint(path), skipped
        except BadModelFile as error:
            skipped.append(str(error))
    if found:
        raise BadModelFile(f"no checkpoint is readable: {'; '.join(skipped)}; remove to start over")
    return None


def commit(folder: Path, step: int, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> Path:
    """Save the checkpoint of ``step``, read it back, and only then drop all but the newest two."""
    path = checkpoint_path(folder, step)
    save_checkpoint(path, tensors, state)
    _verified(path)
    for _, old in checkpoints(folder)[KEPT:]:
        remove(old)
    return path
