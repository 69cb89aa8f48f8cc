"""A model file that is not quite one is refused in one line, whatever its checksums say."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from convnets.errors import BadModelFile
from convnets.weights import load_model
from convnets.weights.tensor_file import HEADER_LIMIT

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


def altered(saved: Path, path: Path, change: Change) -> Path:
    """A copy written by the format's own library, its record changed, its checksums right."""
    tensors = safetensors.torch.load_file(saved)
    with safe_open(saved, "pt") as file:
        record = json.loads(file.metadata()["convnets"])
    change(record, tensors)
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    record["sha256"] = digest.hexdigest()
    text = json.dumps(record)
    own = hashlib.sha256(text.encode()).hexdigest()
    safetensors.torch.save_file(tensors, path, {"convnets": text, "convnets_sha256": own})
    return path


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "lenet6"}, "unknown model 'lenet6'; did you mean lenet5"),
        ({"model": "os.system"}, "unknown model"),
        ({"model": "lenet5_modern"}, "tensors do not fit the network"),
        ({"stem": "auto"}, "stem"),
        ({"classes": ["one", "two"]}, "codes"),
        ({"classes": []}, "classes"),
        ({"classes": [["one"]]}, "classes"),
        ({"in_chans": 3}, "mean and deviation are of another number than 3"),
        ({"in_chans": 2**63}, "in_chans"),
        ({"input_size": 0}, "input_size"),
        ({"mean": [1e300]}, "mean"),
        ({"deviation": [1e-300]}, "deviation"),
        ({"code": "import os"}, "code"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    saved: Path, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    path = altered(saved, tmp_path / "a.safetensors", lambda r, _: r["model"].update(fields))
    with pytest.raises(BadModelFile, match=says) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r, _: r.update(format=2), "its format is 2, this version reads 1; upgrade"),
        (lambda r, _: r.update(format="1.0"), "format"),
        (lambda r, _: r.update(format=True, extra=1), "extra"),
        (lambda r, _: r["origin"].update(top1=1.5), r"origin\.top1"),
        (lambda r, _: r["origin"].update(test_images=0), r"origin\.test_images"),
        (lambda r, _: r.pop("origin"), "origin"),
        (lambda r, _: r.pop("model"), "model"),
        (lambda _, t: t.pop("head.f6.bias"), r"do not fit the network: head\.f6\.bias"),
        (lambda _, t: t.update(a=torch.zeros(1)), "do not fit the network: a"),
        (lambda _, t: t.update({"head.f6.bias": torch.zeros(85)}), r"f6\.bias is \(85,\)"),
        (lambda _, t: t.update({"head.f6.bias": torch.zeros(84).double()}), "float64"),
        (lambda _, t: t.update({"head.f6.bias": torch.full((84,), np.nan)}), "NaN or an inf"),
        (lambda _, t: t["head.f6.bias"].index_fill_(0, torch.tensor(83), np.inf), "NaN or an inf"),
        (lambda _, t: t["head.f6.bias"].index_fill_(0, torch.tensor(0), -np.inf), "NaN or an inf"),
    ],
)
def test_a_record_or_tensor_that_is_wrong_is_refused(
    saved: Path, tmp_path: Path, change: Change, says: str
) -> None:
    with pytest.raises(BadModelFile, match=says):
        load_model(altered(saved, tmp_path / "a.safetensors", change))


def test_what_altered_makes_is_else_a_good_file(saved: Path, tmp_path: Path) -> None:
    loaded = load_model(altered(saved, tmp_path / "a.safetensors", lambda *_: None))
    assert loaded.description == load_model(saved).description


@pytest.mark.parametrize("part", ["description", "tensors"])
def test_a_single_bit_is_noticed(saved: Path, tmp_path: Path, part: str) -> None:
    content = bytearray(saved.read_bytes())
    place = content.index(b"class 7") + 6 if part == "description" else len(content) - 1
    content[place] ^= 1
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadModelFile, match=f"damaged: the SHA-256 of its {part} does not match"):
        load_model(path)


def with_header(text: str, body: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + body


BIAS = "head.f6.bias"
Entry = dict[str, Any]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data_offsets": [0, 336]}, "lies at"),
        ({"data_offsets": [-1, 335]}, "head.f6.bias.data_offsets.0"),
        ({"data_offsets": [336, 0]}, "head.f6.bias lies at [336, 0]; it should at"),
        ({"data_offsets": [2**31, 2**31 + 336]}, "lies at"),
        ({"data_offsets": [0, 2**63]}, "head.f6.bias.data_offsets.1"),
        ({"data_offsets": [0]}, "data_offsets"),
        ({"data_offsets": [0, 336, 336]}, "data_offsets"),
        ({"shape": [2**47, 2**47]}, "lies at"),
        ({"shape": [-84]}, "shape.0"),
        ({"shape": [84.0]}, "shape.0"),
        ({"shape": ["84"]}, "shape.0"),
        ({"shape": [1] * 9}, "shape"),
        ({"dtype": "F4"}, "dtype"),
        ({"dtype": "F64"}, "lies at"),
        ({"code": "1"}, "code"),
    ],
)
def test_a_header_that_lies_is_refused(
    saved: Path, tmp_path: Path, fields: Entry, says: str
) -> None:
    content = saved.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    header[BIAS].update(fields)
    path = tmp_path / "a.safetensors"
    path.write_bytes(with_header(json.dumps(header), content[8 + size :]))
    with pytest.raises(BadModelFile, match=re.escape(says)):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: '{"a": ' * 100_000, "its header is not JSON"),
        (lambda text: text.replace('"shape": [84]', '"shape": [NaN]'), "NaN is not JSON"),
        (lambda text: text.replace('"shape": [84]', f'"shape": [{"9" * 9999}]'), "not JSON"),
        (lambda text: text.replace('"shape": [84]', '"shape": [84], "shape": [84]'), "given twice"),
        (lambda text: f'{text[:-1]}, "{BIAS}": {{}}}}', "a key is given twice"),
        (lambda text: "{}", "bytes of tensors, 0 declared"),
        (lambda text: '{"__metadata__": []}', "its header is wrong"),
        (lambda text: '{"__metadata__": {"convnets": 1}}', "its header is wrong: convnets"),
        (lambda text: text.replace("convnets_sha256", "sha256"), "SHA-256 of its description"),
        (lambda text: f"[{text}]", "neither a checkpoint nor a model file"),
    ],
)
def test_a_header_of_another_form_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[str], str], says: str
) -> None:
    content = saved.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    text = content[8 : 8 + size].decode().rstrip()
    assert change(text) != text
    path = tmp_path / "a.safetensors"
    path.write_bytes(with_header(change(text), content[8 + size :]))
    with pytest.raises(BadModelFile, match=says):
        load_model(path)


def test_a_header_larger_than_the_limit_is_not_read(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    text = b"{" + b" " * HEADER_LIMIT
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(BadModelFile, match=f"a header of {len(text)} bytes; the limit"):
        load_model(path)
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(BadModelFile, match="the limit"):
        load_model(path)


def test_a_file_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    path = tmp_path / "a.safetensors"
    for kept in {*range(20), *np.linspace(20, len(content) - 1, 60).astype(int).tolist()}:
        path.write_bytes(content[:kept])
        with pytest.raises(BadModelFile):
            load_model(path)


def test_what_is_no_model_file_is_told(tmp_path: Path, saved: Path) -> None:
    plain = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, plain)
    with pytest.raises(BadModelFile, match="a safetensors file, but not a model file of ours"):
        load_model(plain)
    with pytest.raises(BadModelFile, match="No such file"):
        load_model(tmp_path / "missing.safetensors")
    with pytest.raises(BadModelFile, match="File name too long"):
        load_model("x" * 300)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(BadModelFile, match="not a regular file"):
        load_model(tmp_path / "pipe.safetensors")
    renamed = tmp_path / "model.ckpt"
    renamed.write_bytes(saved.read_bytes())
    assert load_model(renamed).description.model == "lenet5"
