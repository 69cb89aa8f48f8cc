"""A network for OpenVINO: an .xml file that describes it and a .bin file of its weights."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import openvino
import torch
from onnx import ModelProto

from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.export.agreement import Agreement, Run, agreement
from convnets.export.deployed import Deployed, folded
from convnets.export.onnx_file import DESCRIPTION, network_model
from convnets.files import to_json
from convnets.weights.model_file import LoadedModel, ModelDescription


def openvino_files(
    loaded: LoadedModel, image_set: ImageSet, *, images: int
) -> tuple[bytes, bytes, Agreement]:
    """Return the contents of the .xml and the .bin file, and how they agree with the network.

    They take images (batch, size, size, channels) uint8 of the network's size, and give
    probabilities (batch, classes). Raises ``ExportFailed`` where the two do not agree.
    """
    description = loaded.description
    xml, weights = converted(network_model(folded(loaded), description), description)
    run = openvino_run(xml, weights)
    found = agreement(
        lambda batch: run(fitted(batch, description.input_size)),
        Deployed(loaded.network, description).eval(),
        description,
        image_set,
        images,
    )
    found.require("OpenVINO")
    return xml, weights, found


def converted(network: ModelProto, description: ModelDescription) -> tuple[bytes, bytes]:
    """The contents of the two files of a network in ONNX."""
    model = openvino.Core().read_model(io.BytesIO(network.SerializeToString()))
    model.set_rt_info(to_json(description.model_dump(mode="json"), indent=None), DESCRIPTION)
    with tempfile.TemporaryDirectory(prefix="convnets-") as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def openvino_run(xml: bytes, weights: bytes, *, precision: str = "f32") -> Run:
    """What OpenVINO computes of the two files on the processor, in ``f32`` or ``bf16``."""
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    ready = core.compile_model(core.read_model(xml, weights), "CPU", settings)

    def run(images: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = ready(images)[0]
        return probabilities

    return run
