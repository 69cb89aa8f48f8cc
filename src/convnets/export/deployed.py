"""A network as it is used: from images in bytes to probabilities, traced by ``torch.export``."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from convnets.export.fold import fold_norms
from convnets.layers.network import ConvNet
from convnets.weights.model_file import LoadedModel, ModelDescription

_DIVISOR = 6  # the place of avg_pool2d's own divisor among its arguments


class Deployed(nn.Module):
    """What every exported form of a network computes.

    Takes images (batch, size, size, channels) uint8, as ``data.fit.fitted`` makes them, and returns
    probabilities (batch, classes). ``layout`` is how the network's maps lie in memory.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: ConvNet,
        description: ModelDescription,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.network = network
        self.layout = layout
        deviation = torch.tensor(description.deviation, dtype=torch.float64)
        mean = torch.tensor(description.mean, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * deviation)).float().view(-1, 1, 1))
        self.register_buffer("shift", (-mean / deviation).float().view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout)
        logits: Tensor = self.network(pixels * self.scale + self.shift)
        return logits.softmax(1)


def folded(loaded: LoadedModel) -> Deployed:
    """The network of a file with its batch norms folded, in eval mode."""
    return Deployed(fold_norms(loaded.network).network, loaded.description).eval()


def traced(deployed: Deployed, description: ModelDescription) -> ExportedProgram:
    """The network as one graph, for any number of images of the network's size."""
    size = description.input_size
    images = torch.zeros((2, size, size, description.in_chans), dtype=torch.uint8)
    # The strides of attention are those of its plain form, of which other tools know.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        program = torch.export.export(
            deployed, (images,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False
        )
    _spell_out_divisors(program)
    return program


def _spell_out_divisors(program: ExportedProgram) -> None:
    """Write averages with a divisor of their own as a mean times a number.

    The exporter to ONNX leaves the divisor out without a word.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.avg_pool2d.default or len(node.args) <= _DIVISOR:
            continue
        kernel, divisor = cast(list[int], node.args[1]), cast(int, node.args[_DIVISOR])
        places = math.prod(kernel) if len(kernel) > 1 else kernel[0] ** 2
        with graph.inserting_after(node):
            times = graph.call_function(torch.ops.aten.mul.Tensor, (node, places / divisor))
        times.meta = dict(node.meta)
        node.replace_all_uses_with(times, lambda user, times=times: user is not times)
        node.args = node.args[:_DIVISOR]
    program.graph_module.recompile()
