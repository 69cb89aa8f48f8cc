"""The forms in which a trained network can be shipped, each built when it is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import safetensors.torch
import torch

from convnets.data import ImageSet
from convnets.export.agreement import COMPARED, Run, answers
from convnets.export.deployed import Deployed
from convnets.export.fold import fold_norms
from convnets.export.onnx_file import OnnxFile, onnx_file, session, whole_model, written
from convnets.layers.network import ConvNet
from convnets.weights.model_file import LoadedModel


@dataclass(frozen=True, eq=False)
class Form:
    """What runs a network, the bytes that it takes as a file, and its files' contents by name."""

    run: Run
    size: int
    files: dict[str, bytes] = field(default_factory=dict)


class Forms:
    """The forms of one network; what several are made from is made once."""

    def __init__(
        self, loaded: LoadedModel, image_set: ImageSet, compressed: LoadedModel | None = None
    ) -> None:
        self.loaded = loaded
        self.description = loaded.description
        self.image_set = image_set
        self.compressed_from = compressed

    def builders(self) -> dict[str, Callable[[], Form]]:
        """What builds each form, by its name, in order of what is gained."""
        known = {
            "eager": self.eager,
            "channels last": self.channels_last,
            "folded": self.folded,
            "compressed": self.compressed,
            "onnxruntime": self.onnxruntime,
            "onnxruntime int8": self.onnxruntime_int8,
            "openvino": self.openvino,
            "openvino bfloat16": self.openvino_bfloat16,
        }
        if self.compressed_from is None:
            del known["compressed"]
        return known

    def eager(self) -> Form:
        """The network as it was trained."""
        return self._eager(self.loaded.network)

    def channels_last(self) -> Form:
        """Its maps and kernels with the channels of a pixel side by side."""
        return self._eager(self.loaded.network, torch.channels_last)

    def folded(self) -> Form:
        """Channels last, and batch norms folded into the convolutions before them."""
        return self._eager(fold_norms(self.loaded.network).network, torch.channels_last)

    def compressed(self) -> Form:
        """Pruned, with shared weights, Huffman-coded in its file; run as ``folded``."""
        assert self.compressed_from is not None
        network = fold_norms(self.compressed_from.network).network
        form = self._eager(network, torch.channels_last)
        return Form(form.run, self.compressed_from.path.stat().st_size)

    def _eager(
        self, network: ConvNet, layout: torch.memory_format = torch.contiguous_format
    ) -> Form:
        state = network.state_dict()
        size = len(safetensors.torch.save({name: state[name].contiguous() for name in state}))
        placed = copy.deepcopy(network).to(memory_format=layout)  # type: ignore[call-overload]
        deployed = Deployed(placed, self.description, layout).eval()
        return Form(lambda images: answers(deployed, images), size)

    @cached_property
    def onnx(self) -> OnnxFile:
        """The float network in ONNX, compared with the network."""
        return onnx_file(self.loaded, self.image_set, images=COMPARED)

    def onnxruntime(self) -> Form:
        """ONNX in float32."""
        content = self.onnx.content
        return Form(session(content), len(content), {"model.onnx": content})

    def onnxruntime_int8(self) -> Form:
        """ONNX with products in eight bits, calibrated on training images."""
        from convnets.export.int8 import calibration, quantised

        images = calibration(self.image_set, self.description.input_size)
        network = quantised(self.onnx.network, images)
        content = written(whole_model(network, self.description), self.description.model)
        return Form(session(content), len(content), {"model-int8.onnx": content})

    @cached_property
    def openvino_files(self) -> tuple[bytes, bytes]:
        """The contents of OpenVINO's .xml and .bin."""
        from convnets.export.openvino_file import converted

        return converted(self.onnx.network, self.description)

    def openvino(self) -> Form:
        """OpenVINO in float32."""
        return self._openvino("f32")

    def openvino_bfloat16(self) -> Form:
        """The same files, computed in bfloat16 where the processor can."""
        return self._openvino("bf16")

    def _openvino(self, precision: str) -> Form:
        from convnets.export.openvino_file import openvino_run

        xml, weights = self.openvino_files
        files = {"model.bin": weights, "model.xml": xml}
        run = openvino_run(xml, weights, precision=precision)
        return Form(run, len(xml) + len(weights), files)
