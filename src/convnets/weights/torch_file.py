"""State dicts saved by ``torch.save``, read in a guarded child process.

Such a file is a zip archive with a pickle. ``torch.load(weights_only=True)`` refuses to run what a
pickle asks for; the child bounds what a damaged or hostile one may cost besides: memory, time and
disk. It hands the tensors back as safetensors.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from convnets.errors import BadModelFile

SECONDS = 300
ROOM = 8 << 30  # address space of an idle process with torch, and some
WRAPPERS = ("state_dict", "model", "model_state", "model_ema", "state_dict_ema")


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file; raises ``BadModelFile`` with its path and the reason."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-m", __name__, str(path.absolute()), str(out)]
        try:
            child = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise BadModelFile(f"{path}: not read within {SECONDS} seconds") from error
        if child.returncode:
            said = child.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = said[-1] if said else f"the reader ended with {child.returncode}"
            raise BadModelFile(f"{path}: not a state dict that torch saved: {reason}")
        return load_file(out)


def state_of(content: object) -> dict[str, Tensor]:
    """Find the state dict in what a file holds, which training scripts wrap in others."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            break
        wrapped = next((content[key] for key in WRAPPERS if key in content), None)
        if wrapped is None:
            break
        content = wrapped
    found = content if isinstance(content, Mapping) else {}
    tensors = {
        str(name).removeprefix("module."): value.detach()
        for name, value in found.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError("no named tensors in it")
    return tensors


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


def _convert(path: Path, out: Path) -> None:
    size = path.stat().st_size
    _limit(resource.RLIMIT_AS, ROOM + 4 * size)
    _limit(resource.RLIMIT_CPU, SECONDS)
    _limit(resource.RLIMIT_FSIZE, 2 * size + (1 << 20))
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    # Tensors that share memory, tied weights for one, are copied: a file holds each by itself.
    save_file({name: value.clone().contiguous() for name, value in state_of(content).items()}, out)


if __name__ == "__main__":
    try:
        _convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(text[:300])
