"""OpenVINO's files compute what the network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.export import exported
from convnets.weights import LoadedModel, ModelDescription, predict

pytest.importorskip("openvino", reason="OpenVINO is an extra: pip install 'convnets[openvino]'")


def test_the_two_files_are_the_network(
    loaded: LoadedModel, digits: ImageSet, tmp_path: Path
) -> None:
    import openvino
    from PIL import Image

    found = exported(loaded, "openvino", digits)
    assert found.agreement.largest <= 1e-4
    for suffix, content in found.files.items():
        (tmp_path / f"network{suffix}").write_bytes(content)
    core = openvino.Core()
    model = core.read_model(tmp_path / "network.xml")
    about = ModelDescription.model_validate_json(model.get_rt_info("convnets").astype(str))
    assert about == loaded.description
    ready = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = digits.test.image(0)
    path = tmp_path / "image.png"
    Image.fromarray(image[:, :, 0]).save(path)
    ((name, value),) = predict(loaded, [path], top=1).predictions[0].classes
    for batch in (1, 4):
        probabilities = ready(np.repeat(fitted(image[None], 32), batch, axis=0))[0]
        assert probabilities.shape == (batch, 10)
        assert loaded.description.classes[probabilities[-1].argmax()] == name
        assert probabilities[-1].max() == pytest.approx(value, abs=1e-4)
