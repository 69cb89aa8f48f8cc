"""OpenVINO's files compute what the network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.export import exported
from convnets.export.ship import ship
from convnets.weights import LoadedModel, ModelDescription, predict
from tests.children import with_openvino


def test_the_two_files_are_the_network(
    loaded: LoadedModel, digits: ImageSet, tmp_path: Path
) -> None:
    image = digits.test.image(0)
    path = tmp_path / "image.png"
    Image.fromarray(image[:, :, 0]).save(path)
    ((name, value),) = predict(loaded, [path], top=1).predictions[0].classes

    def work() -> dict[str, object]:
        import openvino

        found = exported(loaded, "openvino", digits)
        for suffix, content in found.files.items():
            (tmp_path / f"network{suffix}").write_bytes(content)
        core = openvino.Core()
        model = core.read_model(tmp_path / "network.xml")
        ready = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        images = fitted(image[None], 32)
        return {
            "largest": found.agreement.largest,
            "about": model.get_rt_info("convnets").astype(str),
            "of one": ready(images)[0].tolist(),
            "of four": ready(np.repeat(images, 4, axis=0))[0].tolist(),
        }

    found = with_openvino(work)
    assert found["largest"] <= 1e-4
    assert ModelDescription.model_validate_json(found["about"]) == loaded.description
    for batch, answers in ((1, found["of one"]), (4, found["of four"])):
        probabilities = np.array(answers)
        assert probabilities.shape == (batch, 10)
        assert loaded.description.classes[probabilities[-1].argmax()] == name
        assert probabilities[-1].max() == pytest.approx(value, abs=1e-4)


def test_a_shipment_has_its_forms(loaded: LoadedModel, digits: ImageSet, tmp_path: Path) -> None:
    def work() -> dict[str, list[float]]:
        shipment = ship(loaded, digits, tmp_path, images=100, most=100.0)
        assert shipment.missing == ()
        return {form.form: [form.top1, form.agreement, form.latency] for form in shipment.forms}

    forms = with_openvino(work)
    top1, agreement, latency = forms["openvino"]
    assert (top1, agreement) == (forms["eager"][0], 1)
    assert latency > 0
    assert forms["openvino bfloat16"][1] > 0.95
