"""One ONNX file holds everything, agrees with the network, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from convnets.data import ImageSet
from convnets.errors import BadModelFile, ExportFailed
from convnets.export import agreement, exported
from convnets.export.agreement import Agreement
from convnets.export.onnx_file import network_model, onnx_file, read_model
from convnets.weights import LoadedModel, ModelDescription, predict


@pytest.fixture(scope="module")
def content(loaded: LoadedModel, digits: ImageSet) -> bytes:
    found = onnx_file(loaded, digits, images=200)
    assert found.agreement.images == found.agreement.same == 200
    assert found.agreement.largest <= 1e-4
    return found.content


def test_a_file_of_any_size_is_classified_as_by_predict(
    content: bytes, loaded: LoadedModel, digits: ImageSet, tmp_path: Path
) -> None:
    """Images go from their file into onnxruntime as they are, without a line of ours."""
    session = onnxruntime.InferenceSession(content)
    for number, size in enumerate([(8, 8), (28, 28), (32, 32), (90, 61)]):
        path = tmp_path / f"{number}.png"
        pixels = digits.test.image(number)[:, :, 0]
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
        image = np.asarray(Image.open(path))[None, :, :, None]
        probabilities, classes = session.run(["probabilities", "classes"], {"images": image})
        ((name, value),) = predict(loaded, [path], top=1).predictions[0].classes
        assert classes[probabilities[0].argmax()] == name
        assert probabilities[0].max() == pytest.approx(value, abs=1e-4)
        assert probabilities[0].sum() == pytest.approx(1, abs=1e-5)


def test_the_file_says_what_it_is(content: bytes, loaded: LoadedModel) -> None:
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "convnets"
    (described,) = model.metadata_props
    about = ModelDescription.model_validate_json(described.value)
    assert (described.key, about) == ("convnets", loaded.description)
    (images,) = model.graph.input
    sides = [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim]
    assert sides == ["batch", "height", "width", 1]
    assert images.type.tensor_type.elem_type == TensorProto.UINT8
    assert [value.name for value in model.graph.output] == ["probabilities", "classes"]


def test_an_export_that_disagrees_is_refused_with_figures(
    loaded: LoadedModel, digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "TOLERANCE", -1.0)
    with pytest.raises(ExportFailed, match=r"on 64 images of digits .* 64 answers") as told:
        exported(loaded, "program", digits)
    assert told.value.exit_code == 4


def test_answers_are_the_same_only_where_no_class_is_better() -> None:
    expected = np.array([[0.6, 0.4], [0.5, 0.5], [0.3, 0.7]])
    found = np.array([[0.7, 0.3], [0.49999999, 0.50000001], [0.6, 0.4]])
    compared = agreement.compared(found, expected, "these")
    assert (compared.images, compared.same) == (3, 2)
    assert compared.largest == pytest.approx(0.3)
    with pytest.raises(ExportFailed):
        compared.require("it")
    Agreement(3, "these", 1e-4, 3).require("it")


def test_images_of_one_size_make_a_batch_of_one_and_others() -> None:
    images = [np.full(shape, index) for index, shape in enumerate([(2, 2, 1)] * 3 + [(2, 3, 1)])]
    batches = list(agreement.alike(images))
    assert [batch.shape for batch in batches] == [(1, 2, 2, 1), (2, 2, 2, 1), (1, 2, 3, 1)]
    assert [int(image.max()) for batch in batches for image in batch] == [0, 1, 2, 3]


def external(name: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def model_with(tensor: TensorProto, where: str) -> bytes:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    inner = helper.make_graph([constant], "inner", [], [value])
    choice = numpy_helper.from_array(np.array(True), "choice")
    chosen = helper.make_node("If", ["choice"], ["y"], then_branch=inner, else_branch=inner)
    same = helper.make_node("Identity", ["x"], ["y"])
    nodes, initialisers = {
        "initialiser": ([same], [tensor]),
        "constant": ([constant], []),
        "branch": ([chosen], [choice]),
    }[where]
    graph = helper.make_graph(nodes, "outer", [], [value], initialisers)
    return helper.make_model(graph).SerializeToString()


@pytest.mark.parametrize("where", ["initialiser", "constant", "branch"])
def test_a_tensor_in_another_file_is_refused(where: str) -> None:
    with pytest.raises(BadModelFile, match=r"^mine\.onnx: x lies in another file"):
        read_model(model_with(external("x"), where), "mine.onnx")
    inside = numpy_helper.from_array(np.zeros(1, np.float32), "x")
    assert read_model(model_with(inside, where), "mine.onnx").graph.name == "outer"


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a model", b"\x08\x0a\x3a\x00"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(BadModelFile, match=r"^mine\.onnx: not a valid ONNX model"):
        read_model(content, "mine.onnx")


def test_more_weights_than_a_file_holds_are_refused(loaded: LoadedModel) -> None:
    large = nn.Linear(1 << 15, 1 << 14, device="meta")  # 2 GiB in float32
    with pytest.raises(ExportFailed, match=r"2,147,\d+,\d+ bytes of weights"):
        network_model(large, loaded.description)  # type: ignore[arg-type]


def test_a_program_runs_alone_for_any_number_of_images(
    loaded: LoadedModel, digits: ImageSet, tmp_path: Path
) -> None:
    found = exported(loaded, "program", digits)
    path = tmp_path / "network.pt2"
    path.write_bytes(found.files[".pt2"])
    about = {"convnets.json": ""}
    program = torch.export.load(path, extra_files=about).module()
    assert ModelDescription.model_validate(json.loads(about["convnets.json"])) == loaded.description
    split = digits.test
    for batch in (1, 3):
        images = np.stack(
            [np.pad(split.image(row), ((12, 12), (12, 12), (0, 0))) for row in range(batch)]
        )
        scaled = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        mean = torch.tensor(loaded.description.mean).view(-1, 1, 1)
        deviation = torch.tensor(loaded.description.deviation).view(-1, 1, 1)
        with torch.inference_mode():
            expected = loaded.network((scaled - mean) / deviation).softmax(1)
            torch.testing.assert_close(program(torch.from_numpy(images)), expected)
