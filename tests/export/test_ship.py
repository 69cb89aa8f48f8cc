"""Forms are measured once, kept with what they depend on, and shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convnets.compress.format import load_compressed, save_compressed
from convnets.data import ImageSet
from convnets.errors import BadInput
from convnets.export import forms, ship
from convnets.export.forms import Form, Forms
from convnets.export.shipment import Shipment, Shipped, read_shipment
from convnets.export.tables import places, shipped_charts, shipped_sheet
from convnets.training.engine import choose_engine
from convnets.weights import LoadedModel, evaluate_on

Again = Callable[..., Shipment]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ship")


@pytest.fixture(scope="module")
def again(out: Path, loaded: LoadedModel, digits: ImageSet) -> Again:
    """Ship into the same folder again."""

    def call(loaded: LoadedModel = loaded, **changes: object) -> Shipment:
        settings = {"images": 10**6, "most": 2.0, **changes}
        return ship.ship(loaded, digits, out, **settings)  # type: ignore[arg-type]

    return call


@pytest.fixture(scope="module")
def shipment(again: Again) -> Shipment:
    return again()


def test_every_form_is_measured(
    shipment: Shipment, out: Path, loaded: LoadedModel, digits: ImageSet
) -> None:
    found = {form.form: form for form in shipment.forms}
    there = evaluate_on(loaded, digits, choose_engine("cpu")).evaluation
    assert shipment.test_images == there.samples
    assert shipment.missing == ("openvino", "openvino bfloat16")  # see test_openvino.py
    names = ["eager", "channels last", "folded", "onnxruntime", "onnxruntime int8"]
    assert list(found) == names
    for name in names:
        form = found[name]
        assert form.latency > 0
        assert form.batch_latency > 0
        exact = "int8" not in name
        assert form.top1 == pytest.approx(there.top1, abs=1e-9 if exact else 0.02)
        assert form.agreement == 1 if exact else form.agreement > 0.95
        if form.files:
            assert form.size == sum((out / file).stat().st_size for file in form.files)
    # 4 bytes a parameter, and a header of less than 4 KiB
    weights = 4 * sum(each.numel() for each in loaded.network.parameters())
    assert weights < found["eager"].size < weights + 4096
    assert read_shipment(out) == shipment


def test_what_is_there_is_not_built_again(
    shipment: Shipment, again: Again, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(_self: Forms) -> Form:
        raise AssertionError("built again")

    for name in ("channels_last", "folded", "onnxruntime", "onnxruntime_int8", "openvino"):
        monkeypatch.setattr(Forms, name, built)
    monkeypatch.setattr(Forms, "eager", built)
    assert again() == shipment
    (out / "model-int8.onnx").unlink()
    with pytest.raises(AssertionError):
        again()
    monkeypatch.undo()
    renewed = again()
    assert (out / "model-int8.onnx").is_file()
    unchanged = [form for form in shipment.forms if form.form != "onnxruntime int8"]
    assert [form for form in renewed.forms if form.form != "onnxruntime int8"] == unchanged


def test_a_form_that_loses_too_much_is_shown_and_not_written(
    loaded: LoadedModel, digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eager_alone(self: Forms) -> dict[str, Callable[[], Form]]:
        def spoilt() -> Form:
            run = self.eager().run
            return Form(lambda images: 1 - run(images), 10, {"spoilt.onnx": b"content"})

        return {"eager": self.eager, "spoilt": spoilt}

    monkeypatch.setattr(forms.Forms, "builders", eager_alone)
    found = ship.ship(loaded, digits, tmp_path, images=50, most=1.0)
    eager, spoilt = found.forms
    lost = 100 * (eager.top1 - spoilt.top1)
    assert lost > 1
    assert spoilt.refused == f"loses {lost:.2f} points, 1 are allowed"
    assert spoilt.files == ()
    assert [path.name for path in tmp_path.iterdir()] == ["ship.json"]
    assert shipped_sheet(found).body[1][-1] == spoilt.refused


def test_a_compressed_network_is_one_more_form(
    shipment: Shipment, again: Again, loaded: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "compressed"
    save_compressed(path, loaded.network, loaded.description)
    forms = again(compressed=load_compressed(path)).forms
    (compressed,) = (form for form in forms if form.form == "compressed")
    assert compressed.size == path.stat().st_size
    assert compressed.agreement == 1
    assert {form.key for form in forms} == {compressed.key, *(f.key for f in shipment.forms)}


def test_a_record_that_is_none_is_told(tmp_path: Path) -> None:
    for content in ("{", json.dumps({"forms": 3})):
        (tmp_path / "ship.json").write_text(content)
        with pytest.raises(BadInput, match=r"ship\.json: "):
            read_shipment(tmp_path)


def form(name: str, size: int, top1: float, milliseconds: float) -> Shipped:
    return Shipped(
        form=name,
        key="0",
        size=size,
        top1=top1,
        agreement=0.9955,
        latency=milliseconds / 1000,
        batch_latency=milliseconds / 100,
        files=(),
    )


SOME = Shipment(
    model="resnet18",
    data="cifar10",
    test_images=1000,
    threads=2,
    forms=(
        form("eager", 44_700_000, 0.913, 20.0),
        form("channels last", 44_700_000, 0.913, 12.5),
        form("int8", 11_200_000, 0.909, 4.0),
    ),
    missing=("openvino",),
)


def test_the_table_is_the_record() -> None:
    sheet = shipped_sheet(SOME)
    row = ("int8", "10.7 MiB", "90.90", "99.55", "4.00", "250", "40.00", "800", "")
    assert tuple(sheet.body[2]) == row
    assert sheet.caption == (
        "resnet18 on 1,000 test images of cifar10, 2 threads; not installed: openvino"
    )


def test_charts_have_a_point_for_each_place() -> None:
    by_size = places(SOME.forms, lambda each: each.size)
    assert [(point.name, point.cost, point.accuracy) for point in by_size] == [
        ("eager, channels last", 44_700_000, 91.3),
        ("int8", 11_200_000, 90.9),
    ]
    charts = shipped_charts(SOME)
    assert set(charts) == {"accuracy-size.png", "accuracy-latency.png"}
    for content in charts.values():
        assert content.startswith(b"\x89PNG")
