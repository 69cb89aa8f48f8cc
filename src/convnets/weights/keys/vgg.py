"""VGG's tensors as torchvision and timm name them: layers of all kinds are numbered through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from convnets.layers.network import ConvNet
from convnets.weights.keymap import KeyMap, Rule

NAMES = {
    name: name
    for name in (
        *("vgg11", "vgg11_bn", "vgg13", "vgg13_bn"),
        *("vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    )
}
TORCHVISION_HEAD: tuple[Rule, ...] = (
    ("head.fc1", "classifier.0"),
    ("head.fc2", "classifier.3"),
    ("head.fc3", "classifier.6"),
)
TIMM_HEAD: tuple[Rule, ...] = (
    ("head.fc1", "pre_logits.fc1"),
    ("head.fc2", "pre_logits.fc2"),
    ("head.fc3", "head.fc"),
)


def numbered(network: ConvNet) -> Iterator[Rule]:
    """Convolution, normalisation and activation count one each, and so does a stage's pooling."""
    number = 0
    for stage, layers in network.features.named_children():
        parts = [
            f"features.{stage}.{layer}.{part}"
            for layer, parts in layers.named_children()
            for part, _ in parts.named_children()
        ]
        for part in parts:
            yield part, f"features.{number}"
            number += 1
        number += 1


class ConvolutionalHead(KeyMap):
    """A key map to a library whose first hidden layer is a convolution of the whole map."""

    def convert(self, network: ConvNet, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As ``KeyMap.convert``, with the kernels of that layer laid out as rows."""
        name = "pre_logits.fc1.weight"
        flat = {name: theirs[name].flatten(1)} if name in theirs else {}
        return super().convert(network, {**theirs, **flat})


TORCHVISION = KeyMap(names=NAMES, rules=lambda network: (*numbered(network), *TORCHVISION_HEAD))
TIMM = ConvolutionalHead(names=NAMES, rules=lambda network: (*numbered(network), *TIMM_HEAD))
