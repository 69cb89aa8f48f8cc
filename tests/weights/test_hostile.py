"""Pickles offered as checkpoints and as model files: refused, and nothing in them is run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import convnets
from convnets.errors import BadModelFile
from convnets.training.checkpoints import HEADER
from convnets.weights import load_model, save_model
from tests.children import in_child
from tests.training.pocket import signed
from tests.weights.conftest import Trained

WATCHED = (
    *("pickle.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename"),
    *("subprocess.", "ctypes.", "socket.", "exec", "compile", "import", "shutil."),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.canary}'",)


def pickles(canary: Path) -> dict[str, bytes]:
    """Files of every kind that torch.load has read, each of which would run code."""
    harmful = Harmful(canary)
    found = {
        f"pickle protocol {n}": pickle.dumps(harmful, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)
    }
    found["nested pickle"] = pickle.dumps({"state": [harmful], "model.weight": 1})
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"model": harmful}, zipped)
    torch.save({"model": harmful}, legacy, _use_new_zipfile_serialization=False)
    found["torch zip"], found["torch legacy"] = zipped.getvalue(), legacy.getvalue()
    archive, tape = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(harmful))
    with tarfile.open(fileobj=tape, mode="w") as file:
        content = pickle.dumps(harmful)
        entry = tarfile.TarInfo("pickle")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    found["zip"], found["tar"] = archive.getvalue(), tape.getvalue()
    return found


def in_checkpoints(canary: Path, good: bytes) -> dict[str, bytes]:
    """Checkpoints, signed where that could help, with a pickle in them."""
    content = pickle.dumps(Harmful(canary))
    state = {"state": pickle.dumps(Harmful(canary), 0).decode("latin-1")}
    return {
        "after a good checkpoint": good + content,
        "signed": signed(content),
        "signed, after a good payload": signed(good[HEADER.size :] + content),
        "signed, in the state": signed(safetensors.torch.save({"a": torch.zeros(1)}, state)),
    }


def in_model_files(canary: Path, good: bytes) -> dict[str, bytes]:
    """Model files, signed where that could help, with a pickle in them."""
    content = pickle.dumps(Harmful(canary))
    text = pickle.dumps(Harmful(canary), 0).decode("latin-1")
    size = int.from_bytes(good[:8], "little")
    tensors = safetensors.torch.load(good)
    metadata = json.loads(good[8 : 8 + size])["__metadata__"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    name = next(iter(tensors))
    padding = bytes(-len(content) % 4)
    disguised = torch.frombuffer(bytearray(content + padding), dtype=torch.uint8)
    return {
        "after a good model file": good + content,
        "between header and tensors": good[: 8 + size] + content + good[8 + size :],
        "in place of the tensors": good[: 8 + size] + content,
        "as a tensor": safetensors.torch.save({**tensors, name: disguised}, metadata),
        "one tensor more": safetensors.torch.save({**tensors, "a.pickle": disguised}, metadata),
        "signed, in its record": safetensors.torch.save(
            tensors, {**metadata, "convnets": text, "convnets_sha256": digest}
        ),
    }


def watched(work: Callable[[], object]) -> list[str]:
    """Audit events, within ``work``, that running foreign code or writing a file would raise."""
    events: list[str] = []

    def note(name: str, details: tuple[Any, ...]) -> None:
        if name.startswith(WATCHED):
            events.append(name)
        if name == "open" and isinstance(details[2], int) and details[2] & WRITING:
            events.append(f"open {details[0]!s}")

    sys.addaudithook(note)
    work()
    return events


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder with the hash of its content."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def test_a_pickle_runs_nothing_wherever_it_is_offered(trained: Trained, tmp_path: Path) -> None:
    canary, good = tmp_path / "canary", tmp_path / "good.safetensors"
    save_model(trained.run, good)
    offered = {
        **pickles(canary),
        **in_checkpoints(canary, trained.checkpoint.read_bytes()),
        **in_model_files(canary, good.read_bytes()),
    }
    paths: list[Path] = []
    for number, content in enumerate(offered.values()):
        run = tmp_path / f"run{number}"
        run.mkdir()
        names = (f"{number}.safetensors", f"{number}.pt")
        for path in (*(tmp_path / name for name in names), run / "step-00000004.ckpt"):
            path.write_bytes(content)
            paths.append(path)
        paths.append(run)
    before = tree(tmp_path)

    def offer(path: Path) -> None:
        with pytest.raises(BadModelFile):
            load_model(path)
        if path.suffix == ".safetensors":
            with pytest.raises(BadModelFile):
                convnets.create_model("lenet5", weights=path)

    def offer_all() -> None:
        for path in paths:
            offer(path)

    def work() -> list[str]:
        load_model(good)
        offer(paths[0])  # what is imported on first use is imported now
        return watched(offer_all)

    assert len(offered) >= 20
    assert in_child(work) == (0, [])
    assert tree(tmp_path) == before


def test_the_watch_sees_a_pickle_that_is_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps(Harmful(canary))
    code, events = in_child(lambda: watched(lambda: pickle.loads(content)))
    assert code == 0
    assert {"pickle.find_class", "os.system"} <= set(events)
    assert canary.exists()


def test_the_watch_sees_a_file_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "written"
    code, events = in_child(lambda: watched(lambda: path.write_bytes(b"a")))
    assert (code, events) == (0, [f"open {path}"])
