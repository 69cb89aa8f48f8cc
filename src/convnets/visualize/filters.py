"""What a layer's filters are: the first one's kernels, their frequencies, and which are dead.

Zeiler and Fergus (2013, Section 4.1) found AlexNet's first filters to be "a mix of extremely high
and low frequency information, with little coverage of the mid frequencies", aliasing in the second
layer from the first one's stride of 4, and filters that are dead. Here these are numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from operator import length_hint

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.visualize.arrays import Picture, Tracker, as_array
from convnets.visualize.layers import SomeImages, images_of, layer_maps

BANDS = ("low", "middle", "high")
# Thirds of the way to the highest frequency that a row of pixels can hold, half a cycle a pixel.
EDGES = (1 / 6, 1 / 3)
FREQUENCIES = 128


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions of a network by path, in order of definition."""
    found = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise UsageError(f"{type(network).__name__} has no convolution")
    return found


def first_convolutions(network: nn.Module, count: int = 2) -> list[str]:
    """The paths of the first convolutions that look at more than one pixel, or if none does of the
    first of all."""
    found = convolutions(network)
    wide = [name for name, each in found.items() if max(each.kernel_size) > 1]
    return (wide or list(found))[:count]


def first_filters(network: nn.Module) -> Picture:
    """The kernels of the first convolution, as they are.

    The axes are unit, channel, height, width; the channels are the image's, or one where
    the first convolution is depthwise.
    """
    name, convolution = next(iter(convolutions(network).items()))
    axes = ("unit", "channel", "height", "width")
    return Picture(as_array(convolution.weight), axes, f"filters of {name}")


@dataclass(frozen=True, eq=False)
class FrequencyContent:
    """Where in frequency the energy of each filter of a convolution lies.

    ``shares`` (filters, 3) of the energy lie in the low, middle and high band, as distances from
    frequency 0 with edges at 1/6 and 1/3 cycles a pixel. ``centroid`` (filters,) is the mean
    distance, in cycles a pixel. ``aliased`` (filters,) is the share that the convolution's own
    stride cannot hold, above 1/(2 stride) along either axis: what it passes on is aliasing.
    All are NaN for a kernel of zeros. A kernel of white noise has shares of 0.087, 0.262 and
    0.651, its centroid at 0.383, and 1 - 1/stride^2 aliased.
    """

    layer: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    shares: NDArray[np.float64]
    centroid: NDArray[np.float64]
    aliased: NDArray[np.float64]


def frequency_content(network: nn.Module, layer: str) -> FrequencyContent:
    """The spectral energy of a convolution's filters, by 2-D FFT of the kernels padded with zeros.

    A filter's energy is the sum over its input channels, in their own grid: for the second
    convolution, cycles a pixel are of the first one's maps. ``layer`` is a path, of the
    convolution or of a block whose first it is. Raises ``UnknownName`` and ``UsageError``.
    """
    convolution = _convolution(network, layer)
    rows, columns = stride = convolution.stride[0], convolution.stride[1]
    frequency = torch.fft.fftfreq(FREQUENCIES, dtype=torch.float64).abs()
    vertical, horizontal = frequency[:, None], frequency[None, :]
    distance = torch.hypot(vertical, horizontal)
    band = torch.bucketize(distance, torch.tensor(EDGES, dtype=torch.float64))
    too_fine = (vertical > 0.5 / rows) | (horizontal > 0.5 / columns)
    measures = torch.stack([band == 0, band == 1, band == 2, distance, too_fine])
    found = torch.stack([(measures * each).sum((1, 2)) for each in spectral_energy(convolution)])
    found /= found[:, :3].sum(1, keepdim=True)
    low, middle, high, centroid, aliased = found.numpy().T
    shares = np.stack((low, middle, high), axis=1)
    kernel = convolution.kernel_size[0], convolution.kernel_size[1]
    return FrequencyContent(layer, kernel, stride, shares, centroid, aliased)


def spectral_energy(convolution: nn.Conv2d) -> Iterator[Tensor]:
    """For each filter the squared magnitude of its spectrum, summed over its input channels.

    (FREQUENCIES, FREQUENCIES), in the order of ``torch.fft.fftfreq`` along both axes. A dilated
    kernel is taken with its holes.
    """
    weight = convolution.weight.detach().double().cpu()
    filters, _, height, width = weight.shape
    down, right = convolution.dilation[0], convolution.dilation[1]
    rows, columns = (2 * height - 1) * down, (2 * width - 1) * right
    if max(rows, columns) > FREQUENCIES:
        raise UsageError(f"a kernel reaches over more than {FREQUENCIES // 2} pixels")
    # The spectrum of a kernel's autocorrelation is its energy, and one transform then serves all
    # channels. Where the autocorrelation lies in the grid changes the phase alone.
    padding = (height - 1, width - 1)
    overlaps = F.conv2d(weight.flatten(0, 1)[None], weight, padding=padding, groups=filters)[0]
    for overlap in overlaps:
        grid = torch.zeros(FREQUENCIES, FREQUENCIES, dtype=torch.float64)
        grid[:rows:down, :columns:right] = overlap
        yield torch.fft.fft2(grid).abs()


def _convolution(network: nn.Module, layer: str) -> nn.Conv2d:
    """The convolution at a path, or the first of the block there."""
    modules = {name: module for name, module in network.named_modules() if name}
    if layer not in modules:
        raise UnknownName("layer", layer, modules)
    for module in modules[layer].modules():
        if isinstance(module, nn.Conv2d):
            return module
    raise UsageError(f"{layer} has no convolution")


def rectifier_of(network: nn.Module, layer: str) -> str | None:
    """The path of the ReLU that a convolution's output passes next; None where there is none.

    It is sought in order of definition: right after the convolution, or after a normalisation of
    as many channels.
    """
    convolution = _convolution(network, layer)
    modules: dict[str, nn.Module] = dict(network.named_modules())
    leaves = {name: each for name, each in modules.items() if not list(each.children())}
    after = dropwhile(lambda name: leaves[name] is not convolution, leaves)
    for name in islice(after, 1, None):
        module = leaves[name]
        if isinstance(module, nn.ReLU | nn.ReLU6):
            return name
        normalises = isinstance(module, nn.BatchNorm2d)
        if not normalises or module.num_features != convolution.out_channels:
            return None
    return None


@dataclass(frozen=True, eq=False)
class DeadFilters:
    """The channels of a layer that ``images`` images leave at or below ``threshold``.

    ``strongest`` (channels,) is each channel's largest output over all images and positions.
    """

    layer: str
    images: int
    threshold: float
    strongest: NDArray[np.float32]

    @property
    def dead(self) -> tuple[int, ...]:
        """The channels that never respond."""
        return tuple(np.flatnonzero(self.strongest <= self.threshold).tolist())

    @property
    def counts(self) -> tuple[int, int]:
        """How many channels are dead, and how many there are."""
        return len(self.dead), len(self.strongest)


@torch.no_grad()
def dead_filters(
    network: nn.Module,
    batches: Iterable[SomeImages],
    layer: str,
    threshold: float = 0.0,
    *,
    progress: Tracker | None = None,
) -> DeadFilters:
    """Look for channels of a layer that no image of a data set makes respond.

    A channel responds where its output exceeds ``threshold``. At 0 that is what passes a ReLU,
    whether ``layer`` is the ReLU or what comes just before it; for another activation choose the
    threshold by its shape. ``batches`` are taken one at a time.
    """
    strongest: Tensor | None = None
    images = 0
    total = length_hint(batches)
    for done, batch in enumerate(batches, start=1):
        maps = layer_maps(network, images_of(batch, network), layer)
        largest = maps.amax((0, 2, 3))
        strongest = largest if strongest is None else torch.maximum(strongest, largest)
        images += len(maps)
        if progress is not None:
            progress(done, total)
    if strongest is None:
        raise UsageError("there are no images")
    return DeadFilters(layer, images, threshold, as_array(strongest))


@dataclass(frozen=True, eq=False)
class NegligibleFilters:
    """The filters of a convolution whose kernel is below ``share`` of the largest one's norm.

    ``norms`` (filters,) are Euclidean, without the bias.
    """

    layer: str
    share: float
    norms: NDArray[np.float32]

    @property
    def negligible(self) -> tuple[int, ...]:
        """The filters that hardly depend on what they see."""
        return tuple(np.flatnonzero(self.norms <= self.share * self.norms.max()).tolist())

    @property
    def counts(self) -> tuple[int, int]:
        """How many filters are negligible, and how many there are."""
        return len(self.negligible), len(self.norms)


def negligible_filters(network: nn.Module, layer: str, share: float = 0.01) -> NegligibleFilters:
    """Measure a convolution's kernels; a following normalisation may make up for a small one."""
    norms = _convolution(network, layer).weight.flatten(1).norm(dim=1)
    return NegligibleFilters(layer, share, as_array(norms))
