"""Eight-bit weights and maps (Jacob et al. 2017, arXiv:1712.05877), kept if they are right enough.

Weights have a scale for each channel of the result, maps one scale and a zero point, from the least
and greatest value that they take on training images (static quantisation, QDQ form).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from convnets.data import ImageSet
from convnets.errors import ExportFailed
from convnets.export.agreement import spread
from convnets.export.fitting import FITTED
from convnets.export.measuring import Progress, Trial, in_batches
from convnets.export.onnx_file import OnnxFile, session, whole_model, written
from convnets.files import atomic_write
from convnets.weights.model_file import ModelDescription

CALIBRATION_IMAGES = 256
# What multiplies, and what hands whole maps on; curved functions stay in float.
OPERATIONS = [
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "Concat"),
    *("MaxPool", "AveragePool", "GlobalAveragePool"),
]


@dataclass(frozen=True)
class Quantised:
    """An int8 form beside the float one in ONNX: shares of ``images`` right, sizes, seconds.

    ``latency`` and ``float_latency`` are medians of one image.
    """

    data: str
    images: int
    top1: float
    float_top1: float
    size: int
    float_size: int
    latency: float
    float_latency: float

    @property
    def drop(self) -> float:
        """How many points of top-1 accuracy in percent are lost."""
        return 100 * (self.float_top1 - self.top1)

    def require(self, most: float) -> None:
        """Raise ``ExportFailed`` with the figures where more than ``most`` points are lost."""
        if self.drop > most:
            raise ExportFailed(
                f"int8: not written: top-1 falls by {self.drop:.2f} points, from "
                f"{self.float_top1:.2%} to {self.top1:.2%} on {self.images} test images of "
                f"{self.data}, and --max-drop is {most:g}; keep the float form, or give more"
            )


def int8_file(
    plain: OnnxFile,
    description: ModelDescription,
    image_set: ImageSet,
    test: Trial,
    *,
    most: float,
    progress: Progress | None = None,
) -> tuple[bytes, Quantised]:
    """Return the content of an ONNX file in int8, and how it compares with ``plain``, in float.

    It is calibrated on training images of ``image_set``. Raises ``ExportFailed`` where it loses
    more than ``most`` points of accuracy on ``test``.
    """
    model = quantised(plain.network, calibration(image_set, description.input_size))
    content = written(whole_model(model, description), description.model)
    run, plain_run = session(content), session(plain.content)
    found = Quantised(
        data=image_set.name,
        images=len(test),
        top1=test.top1(test.answers(run, progress)),
        float_top1=test.top1(test.answers(plain_run, progress)),
        size=len(content),
        float_size=len(plain.content),
        latency=test.latency(run, 1),
        float_latency=test.latency(plain_run, 1),
    )
    found.require(most)
    return content, found


def calibration(image_set: ImageSet, size: int) -> Iterable[np.ndarray]:
    """Training images spread evenly over the split, as the network takes them, in batches."""
    return in_batches(image_set.train, spread(image_set.train, CALIBRATION_IMAGES), size)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Batches one by one, as onnxruntime asks for them."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {FITTED: batch}


def quantised(network: ModelProto, images: Iterable[np.ndarray]) -> ModelProto:
    """The network with its products in eight bits, calibrated on batches of ``images``."""
    logger = logging.getLogger()
    level = logger.level
    with tempfile.TemporaryDirectory(prefix="convnets-") as folder:
        float_path, ready_path, int8_path = (Path(folder) / name for name in ("f", "r", "q"))
        atomic_write(float_path, network.SerializeToString())
        try:
            logger.setLevel(logging.ERROR)  # its remarks are advice for other forms
            quant_pre_process(float_path, ready_path, skip_symbolic_shape=True)
            quantize_static(
                ready_path,
                int8_path,
                _Images(images),
                op_types_to_quantize=OPERATIONS,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logger.setLevel(level)
        return onnx.load(int8_path)
