"""Eight bits: by the formulas of the paper, calibrated, and only where they are right enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convnets.data import ImageSet
from convnets.errors import BadData, ExportFailed
from convnets.export import Exported, exported
from convnets.export.measuring import trial
from convnets.training.engine import choose_engine
from convnets.weights import LoadedModel, evaluate_on


@pytest.fixture(scope="module")
def found(loaded: LoadedModel, digits: ImageSet) -> Exported:
    return exported(loaded, "onnx", digits, most=2.0, images=len(digits.test))


def test_accuracy_is_that_of_the_whole_test_split(
    found: Exported, loaded: LoadedModel, digits: ImageSet
) -> None:
    """As torch and onnxruntime find it, apart from what the exporter says."""
    assert found.quantised is not None
    there = evaluate_on(loaded, digits, choose_engine("cpu")).evaluation
    assert found.quantised.images == there.samples == len(digits.test)
    assert found.quantised.float_top1 == pytest.approx(there.top1)
    session = onnx_session(found.files[".onnx"])
    (answers,) = session.run(["probabilities"], {"images": digits.test.images})
    right = float((answers.argmax(1) == digits.test.labels).mean())
    assert found.quantised.top1 == pytest.approx(right)
    assert found.quantised.top1 > 0.5, "or there is nothing to lose"
    assert found.quantised.drop <= 2.0
    assert found.quantised.size == len(found.files[".onnx"]) < found.quantised.float_size
    assert found.quantised.latency > 0


def onnx_session(content: bytes):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(content, settings)


def test_weights_have_a_scale_for_each_channel_of_the_result(
    found: Exported, loaded: LoadedModel
) -> None:
    """w = s q with s = max |w| / 127 over a channel, so that none is off by more than s / 2."""
    model = onnx.load_model_from_string(found.files[".onnx"])
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    weights = {name: each.detach().numpy() for name, each in loaded.network.named_parameters()}
    compared = 0
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or "weight" not in node.input[0]:
            continue
        whole, scale = values[node.input[0]], values[node.input[1]]
        name = node.input[0].removeprefix("network.").removesuffix("_quantized")
        exact = weights[name]
        assert whole.dtype == np.int8
        if exact.ndim == 4:
            assert scale.shape == exact.shape[:1]
            spread = scale.reshape(-1, 1, 1, 1)
            np.testing.assert_allclose(scale, abs(exact).max((1, 2, 3)) / 127, rtol=1e-5)
            assert (abs(whole * spread - exact) <= spread * 0.5001).all()
            compared += 1
    assert compared == sum(weight.ndim == 4 for weight in weights.values())


def test_too_large_a_loss_is_refused_with_figures(found: Exported) -> None:
    assert found.quantised is not None
    worse = replace(found.quantised, top1=0.61, float_top1=0.9275, images=360)
    assert worse.drop == pytest.approx(31.75)
    with pytest.raises(ExportFailed) as told:
        worse.require(1.0)
    assert told.value.exit_code == 4
    message = str(told.value)
    for figure in (
        "31.75 points",
        "92.75%",
        "61.00%",
        "360 test images of digits",
        "max-drop is 1",
    ):
        assert figure in message
    worse.require(32)


def test_other_classes_are_refused(loaded: LoadedModel, digits: ImageSet) -> None:
    other = replace(digits, classes=tuple("abcdefghij"))
    with pytest.raises(BadData, match="a, b, c, d, e"):
        exported(loaded, "onnx", other, most=1.0)


def test_test_images_are_spread_over_the_split(loaded: LoadedModel, digits: ImageSet) -> None:
    few = trial(digits, loaded.description, 3)
    last = len(digits.test) - 1
    assert few.labels.tolist() == digits.test.labels[[0, last // 2, last]].tolist()
    assert few.images.shape == (3, 32, 32, 1)
    assert len(trial(digits, loaded.description, 10**6)) == len(digits.test)


def test_accuracy_and_latency_are_of_what_runs(loaded: LoadedModel, digits: ImageSet) -> None:
    test = trial(digits, loaded.description, 40)
    asked: list[int] = []

    def run(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return np.eye(10)[np.zeros(len(images), int)]

    assert test.top1(test.answers(run)) == pytest.approx((test.labels == 0).mean())
    assert asked == [32, 8]
    assert 0 < test.latency(run, 64) < 1
    assert set(asked[2:]) == {64}
