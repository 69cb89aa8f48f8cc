"""A network as one ONNX file that holds everything: fitting, normalisation, classes and weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper
from torch.nn.attention import SDPBackend, sdpa_kernel

from convnets import __version__
from convnets.data import ImageSet
from convnets.errors import BadModelFile, ExportFailed
from convnets.export.agreement import Agreement, Run, agreement
from convnets.export.deployed import Deployed, folded, traced
from convnets.export.fitting import FITTED, fitting_graph
from convnets.files import to_json
from convnets.weights.model_file import LoadedModel, ModelDescription

LARGEST = 2**31 - 1  # bytes of a protocol buffer
PROBABILITIES, CLASSES, DESCRIPTION = "probabilities", "classes", "convnets"
ABOUT = (
    "images (batch, height, width, channels) uint8, RGB where there are three channels, of any "
    "size, to probabilities (batch, classes); classes are their names in this order"
)


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A file's content, the network alone (see ``network_model``), and how the file agrees."""

    content: bytes
    network: ModelProto
    agreement: Agreement


def onnx_file(loaded: LoadedModel, image_set: ImageSet, *, images: int) -> OnnxFile:
    """Put a network into one ONNX file and compare it with the network on test images.

    Raises ``ExportFailed`` where the two do not agree.
    """
    description = loaded.description
    network = network_model(folded(loaded), description)
    content = written(whole_model(network, description), description.model)
    original = Deployed(loaded.network, description).eval()
    found = agreement(session(content), original, description, image_set, images)
    found.require("ONNX")
    return OnnxFile(content, network, found)


def network_model(deployed: Deployed, description: ModelDescription) -> ModelProto:
    """The network from images (batch, size, size, channels) uint8 to ``probabilities``.

    Raises ``ExportFailed`` for one that does not fit into one file.
    """
    size = sum(value.nbytes for value in deployed.state_dict().values())
    if size > LARGEST:
        raise ExportFailed(
            f"{description.model}: {size:,} bytes of weights; one ONNX file holds {LARGEST:,}"
        )
    program = traced(deployed, description)
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")  # of the exporter's own parts
        exported = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=[FITTED], output_names=[PROBABILITIES]
        )
    assert exported is not None
    model = exported.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def whole_model(network: ModelProto, description: ModelDescription) -> ModelProto:
    """Put the fitting before the network and the names of the classes beside its output."""
    opset = next(each.version for each in network.opset_import if not each.domain)
    fitting = fitting_graph(
        description.input_size, description.in_chans, opset=opset, ir_version=network.ir_version
    )
    compose.add_prefix(fitting, "fit.", rename_inputs=False, rename_outputs=False, inplace=True)
    model = compose.merge_models(
        fitting,
        network,
        io_map=[(FITTED, FITTED)],
        name=description.model,
        producer_name="convnets",
        producer_version=__version__,
    )
    names = numpy_helper.from_array(np.array(description.classes, dtype=object), "names")
    model.graph.initializer.append(names)
    model.graph.node.append(helper.make_node("Identity", ["names"], [CLASSES]))
    model.graph.output.append(
        helper.make_tensor_value_info(CLASSES, TensorProto.STRING, names.dims)
    )
    model.doc_string = ABOUT
    helper.set_model_props(model, {DESCRIPTION: to_json(description.model_dump(mode="json"))})
    return model


def written(model: ModelProto, name: str) -> bytes:
    """The content of a file, checked; raises ``ExportFailed`` where the checker refuses it."""
    content: bytes = model.SerializeToString()
    try:
        read_model(content, name)
    except BadModelFile as error:
        raise ExportFailed(str(error)) from error
    return content


def read_model(content: bytes, name: object) -> ModelProto:
    """Read an ONNX model from the bytes of one file and check it.

    Raises ``BadModelFile`` for one that is damaged, or has tensors in other files: their paths
    would be read wherever they point.
    """
    try:
        model = onnx.load_model_from_string(content)
        outside = [
            each.name for each in _tensors(model) if each.data_location == TensorProto.EXTERNAL
        ]
        if not outside:
            onnx.checker.check_model(model, full_check=True)
    except (
        DecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadModelFile(f"{name}: not a valid ONNX model: {reason}") from error
    if outside:
        raise BadModelFile(f"{name}: {outside[0]} lies in another file; give a model of one file")
    return model


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor of a model: initialisers and attributes, in subgraphs and functions too."""
    yield from _of_graph(model.graph)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for attribute in (each for node in nodes for each in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _of_graph(graph)


def session(content: bytes) -> Run:
    """What onnxruntime computes of a model of ours on the processor."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3  # errors alone: a remark on an unused constant is none
    ready = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    given = ready.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = ready.run([PROBABILITIES], {given: images})[0]
        return probabilities

    return run
