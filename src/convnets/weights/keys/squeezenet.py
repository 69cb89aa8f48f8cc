"""SqueezeNet's tensors as torchvision names them: modules and poolings are numbered through."""

from __future__ import annotations

from convnets.layers.network import ConvNet
from convnets.weights.keymap import KeyMap, Rule

CONV1_AND_ITS_ACTIVATION = 2
ENDS: tuple[Rule, ...] = (
    ("features.stem.conv1.conv", "features.0"),
    ("head.conv", "classifier.1"),
)


def rules(network: ConvNet) -> tuple[Rule, ...]:
    """A number for each pooling and each fire module, in order."""
    modules = [
        f"features.{stage}.{module}"
        for stage, children in network.features.named_children()
        if stage != "stem"
        for module, _ in children.named_children()
    ]
    numbered = [
        (f"{module}.{part}.conv", f"features.{number}.{part}")
        for number, module in enumerate(modules, start=CONV1_AND_ITS_ACTIVATION)
        for part in ("squeeze", "expand1x1", "expand3x3")
    ]
    return (*ENDS, *numbered)


NAMES = {name: name for name in ("squeezenet1_0", "squeezenet1_1")}
TORCHVISION = KeyMap(names=NAMES, rules=rules)
