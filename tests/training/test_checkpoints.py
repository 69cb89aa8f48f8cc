"""Checkpoints: what is damaged is noticed before it is used, and what is good is kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from convnets.errors import BadModelFile, DiskFull, NonFinite
from convnets.models import create_model
from convnets.training import checkpoints as module
from convnets.training.checkpoints import (
    HEADER,
    checkpoint_path,
    checkpoints,
    commit,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from convnets.training.settings import AdamW
from convnets.training.state import TrainingState, capture, restore
from convnets.weights import ModelDescription, load_model
from tests.training.pocket import CPU, equal, settings, signed

TENSORS = {
    "model.weight": torch.arange(2000, dtype=torch.float32).reshape(50, 40),
    "model.bias": torch.randn(40, generator=torch.Generator().manual_seed(0)),
    "model.count": torch.tensor(7),
    "random.cpu": torch.arange(256, dtype=torch.uint8),
}
STATE = {"progress": {"step": 4, "epoch_losses": [0.1, 1e-300]}, "name": "é\udce9"}
DESCRIPTION = ModelDescription(
    model="lenet5",
    stem="paper",
    classes=("yes", "no"),
    in_chans=1,
    input_size=32,
    mean=(0.5,),
    deviation=(0.25,),
    data="noise",
)


def saved(folder: Path, *steps: int) -> list[Path]:
    for step in steps:
        save_checkpoint(checkpoint_path(folder, step), TENSORS, {**STATE, "step": step})
    return [checkpoint_path(folder, step) for step in steps]


def test_tensors_and_state_come_back_as_they_were(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 4)
    tensors, state = load_checkpoint(path)
    assert equal(tensors, TENSORS)
    assert {name: value.dtype for name, value in tensors.items()} == {
        name: value.dtype for name, value in TENSORS.items()
    }
    assert state == {**STATE, "step": 4}
    assert os.listdir(tmp_path) == ["step-00000004.ckpt"]


def test_the_file_is_what_the_format_says(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 4)
    content = path.read_bytes()
    assert content[:8] == b"CONVNET1"
    assert content[8:40] == hashlib.sha256(content[40:]).digest()
    assert int.from_bytes(content[40:48], "little") == len(content) - 48
    assert equal(safetensors.torch.load(content[48:]), TENSORS)


def test_equal_runs_write_equal_bytes(tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    assert saved(once, 4)[0].read_bytes() == saved(again, 4)[0].read_bytes()


def damages() -> dict[str, Callable[[Path], object]]:
    """250 ways in which a file may be damaged, by name."""
    draw = random.Random(1998)
    size = len(signed(safetensors.torch.save(TENSORS, {"state": json.dumps(STATE)})))

    def truncated(length: int) -> Callable[[Path], object]:
        return lambda path: os.truncate(path, length)

    def flipped(bit: int) -> Callable[[Path], object]:
        def damage(path: Path) -> None:
            content = bytearray(path.read_bytes())
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)

        return damage

    def made_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    cases: dict[str, Callable[[Path], object]] = {"folder": made_folder, "empty": truncated(0)}
    cases |= {f"cut at {n}": truncated(n) for n in draw.sample(range(1, size), 48)}
    cases |= {f"bit {bit}": flipped(bit) for bit in draw.sample(range(8 * size), 200)}
    return cases


@pytest.mark.fault("A5")
def test_any_damage_is_noticed_and_the_checkpoint_before_is_used(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    noticed = 0
    for number, (name, damage) in enumerate(damages().items()):
        folder = tmp_path / str(number)
        _, newest = saved(folder, 2, 4)
        damage(newest)
        with pytest.raises(BadModelFile, match=r"step-00000004\.ckpt"):
            load_checkpoint(newest)
        found = newest_checkpoint(folder)
        assert found is not None, name
        tensors, state, (skipped,) = found
        assert state["step"] == 2
        assert equal(tensors, TENSORS)
        assert str(newest) in skipped
        noticed += 1
    record_property("trials", (noticed, 250))
    assert noticed == 250


def test_no_good_checkpoint_is_an_error_and_none_at_all_is_a_start(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for path in saved(tmp_path, 2, 4):
        os.truncate(path, 100)
    with pytest.raises(BadModelFile, match=r"no checkpoint is readable.*00000004.*00000002"):
        newest_checkpoint(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(checkpoint_path(tmp_path, 4))
    with pytest.raises(BadModelFile, match="not a regular file"):
        load_checkpoint(checkpoint_path(tmp_path, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_value_that_is_not_finite_is_neither_saved_nor_loaded(
    tmp_path: Path, value: float, dtype: torch.dtype
) -> None:
    path = checkpoint_path(tmp_path, 4)
    tensors = {**TENSORS, "average.weight": torch.tensor([1.0, value], dtype=dtype)}
    with pytest.raises(NonFinite, match=r"average\.weight") as caught:
        save_checkpoint(path, tensors, STATE)
    assert caught.value.exit_code == 4
    assert not path.exists()
    path.write_bytes(signed(safetensors.torch.save(tensors, {"state": "{}"})))
    with pytest.raises(BadModelFile, match=r"average\.weight"):
        load_checkpoint(path)


def test_state_that_is_not_json_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(checkpoint_path(tmp_path, 4), TENSORS, {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def test_newest_is_by_step_not_by_time_or_length_of_name(tmp_path: Path) -> None:
    paths = saved(tmp_path, 9, 10, 100_000_000, 99_999_999)
    for age, path in enumerate(sorted(paths)):
        os.utime(path, (2_000_000_000 - age, 2_000_000_000 - age))
    for name in ("step-5.ckpt", "step-00000011.ckpt.damaged", "best.ckpt", ".tmp.1.ab"):
        (tmp_path / name).write_bytes(b"")
    assert [step for step, _ in checkpoints(tmp_path)] == [100_000_000, 99_999_999, 10, 9]
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 100_000_000
    assert found[2] == []


def test_commit_keeps_the_newest_two(tmp_path: Path) -> None:
    for step in range(1, 6):
        path = commit(tmp_path, step, TENSORS, {"step": step})
        assert path == checkpoint_path(tmp_path, step)
        os.utime(path, (2_000_000_000 - step, 2_000_000_000 - step))  # the clock runs backwards
        assert [s for s, _ in checkpoints(tmp_path)] == list(range(step, max(step - 2, 0), -1))


def test_commit_drops_nothing_before_the_new_one_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        commit(tmp_path, step, TENSORS, STATE)
    write = module.atomic_write

    def damaged_on_the_way(path: Path, content: list[bytes]) -> None:
        write(path, [*content[:-1], content[-1][:-1] + b"?"])

    monkeypatch.setattr(module, "atomic_write", damaged_on_the_way)
    with pytest.raises(BadModelFile, match="damaged"):
        commit(tmp_path, 3, TENSORS, STATE)
    assert [step for step, _ in checkpoints(tmp_path)] == [3, 2, 1]

    def refused(path: Path, content: list[bytes]) -> None:
        raise DiskFull(f"{path}: no space")

    monkeypatch.setattr(module, "atomic_write", refused)
    with pytest.raises(DiskFull):
        commit(tmp_path, 4, TENSORS, STATE)
    assert [step for step, _ in checkpoints(tmp_path)] == [3, 2, 1]


# --- a checksum that is right over content that is wrong -------------------------------------


def lenet(count: int = 2) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a run of LeNet-5 saves after ``count`` steps."""
    state = fresh()
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for _ in range(count):
        state.optimizer.step()
    state.progress.step = count
    tensors, numbers = capture(state)
    return tensors, {"progress": numbers, "model": DESCRIPTION.model_dump(mode="json")}


def fresh() -> TrainingState:
    network = create_model("lenet5", num_classes=2, in_chans=1)
    return TrainingState(network, settings(optimizer=AdamW(lr=0.01), ema_decay=0.9), CPU)


NUMBERS = [0, -1, 1, 2**31, 2**63, 10**400, 0.5, 1e308, "1", None, [], {}, True, ["lenet5"]]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) within a JSON value."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        return [(value, key) for key in keys] + [p for key in keys for p in places(value[key])]
    return []


def mutated(payload: bytes, draw: random.Random) -> bytes:
    """One change: of a value in a header, of some bytes, or of the length."""
    size = int.from_bytes(payload[:8], "little")
    header, rest = json.loads(payload[8 : 8 + size]), payload[8 + size :]
    kind = draw.choice(["state", "tensors", "bytes", "start", "cut", "splice", "length"])
    if kind in ("state", "tensors"):
        record = json.loads(header["__metadata__"]["state"])
        target = record if kind == "state" else {k: v for k, v in header.items() if k[0] != "_"}
        container, key = draw.choice(places(target))
        if draw.random() < 0.2 and isinstance(container, dict):
            container[draw.choice(["model.extra", "step", "__proto__"])] = container.pop(key)
        else:
            container[key] = draw.choice(NUMBERS)
        header = {"__metadata__": {"state": json.dumps(record)}} | (
            target if kind == "tensors" else {k: v for k, v in header.items() if k[0] != "_"}
        )
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + rest
    content = bytearray(payload)
    if kind == "length":
        content[:8] = struct.pack("<Q", draw.choice([0, 1, size - 1, size + 1, 2**31, 2**63]))
    elif kind == "cut":
        del content[draw.randrange(len(content)) :]
    elif kind == "splice":
        start = draw.randrange(len(content))
        content[start:start] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
    else:
        end = 8 + size if kind == "start" else len(content)
        for _ in range(draw.randrange(1, 5)):
            content[draw.randrange(end)] = draw.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("mutations", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_content_that_is_wrong_under_a_right_checksum_is_refused_as_such(
    tmp_path: Path, mutations: int
) -> None:
    tensors, state = lenet()
    path = checkpoint_path(tmp_path, 2)
    save_checkpoint(path, tensors, state)
    payload = path.read_bytes()[HEADER.size :]
    assert load_model(path).description == DESCRIPTION
    draw = random.Random(5)
    refused = 0
    for _ in range(mutations):
        path.write_bytes(signed(mutated(payload, draw)))
        begun = time.monotonic()
        accepted = 0
        for use in (load_and_restore, load_model):
            with contextlib.suppress(BadModelFile):
                use(path)
                accepted += 1
        refused += accepted < 2
        assert time.monotonic() - begun < 2
    assert refused > mutations / 2  # the rest changed numbers that may be anything


def load_and_restore(path: Path) -> None:
    tensors, state = load_checkpoint(path)
    for value in tensors.values():
        assert not value.is_floating_point() or bool(torch.isfinite(value).all())
    restore(fresh(), tensors, state.get("progress"))
