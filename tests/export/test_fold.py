"""Folding changes no answer, folds all that may be folded, and leaves the rest."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convnets.catalog import Family
from convnets.export.fold import fold_norms
from convnets.layers.network import ConvNet, stack
from convnets.models import FAMILIES, create_model
from tests.export.pockets import SIZE, pocket, settled

POCKETS = [pytest.param(family, id=family.name) for family in FAMILIES]


@pytest.mark.parametrize("family", POCKETS)
def test_a_folded_network_gives_the_same_logits(family: Family) -> None:
    network = pocket(family).network
    images = torch.randn(2, 3, SIZE, SIZE)
    found = fold_norms(network)
    with torch.inference_mode():
        logits, folded = network(images), found.network(images)
    assert (folded - logits).abs().max() <= 1e-5 * max(1, logits.abs().max())
    left = [name for name, part in found.network.named_modules() if type(part) is nn.BatchNorm2d]
    assert tuple(left) == found.kept
    norms = {name for name, part in network.named_modules() if type(part) is nn.BatchNorm2d}
    assert {*found.folded, *found.kept} == {
        name for name in norms if not name.startswith("auxiliary.")
    }


# Counted by hand from the papers' tables.
@pytest.mark.parametrize(
    ("name", "folded", "kept"),
    [
        # 1 + 2 * (2 + 2 + 2 + 2) convolutions, and the three projections
        ("resnet18", 20, 0),
        ("vgg16", 0, 0),
        # The stem's norm, and of each of 6 + 12 + 24 + 16 layers the one behind its 1x1. Those that
        # see a concatenation stay: one a layer, one in each of 3 transitions, the last.
        ("densenet121", 1 + 58, 58 + 3 + 1),
        # Table 2: 1 + 2 (the first block, without expansion) + 16 * 3 + 1 convolutions
        ("mobilenet_v2", 52, 0),
        # 54 units of two convolutions: the second norm of each sees the first convolution alone. Of
        # the norms before them, and the last, only the first sees a convolution: all others a sum.
        ("preact_resnet110_cifar", 54 + 1, 53 + 1),
    ],
)
def test_counts_are_those_of_the_papers(name: str, folded: int, kept: int) -> None:
    with torch.device("meta"):
        found = fold_norms(create_model(name))
    assert (len(found.folded), len(found.kept)) == (folded, kept)


class Toy(ConvNet):
    """A network of these features and no classifier."""

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__(None, in_chans=3, num_classes=4)
        self.features = features
        self.head = nn.Flatten()


class Both(nn.Module):
    """A convolution whose output a norm sees, and a sum as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.conv(x)
        both: Tensor = seen + self.norm(seen)
        return both


SHARED = nn.Conv2d(3, 3, 1)


@pytest.mark.parametrize(
    ("features", "folded"),
    [
        pytest.param(stack(("both", Both())), (), id="seen by another"),
        pytest.param(
            stack(("a", SHARED), ("norm", nn.BatchNorm2d(3)), ("b", SHARED)), (), id="used twice"
        ),
        pytest.param(
            stack(("norm", nn.BatchNorm2d(3)), ("conv", nn.Conv2d(3, 4, 3, padding=1))),
            (),
            id="norm first",
        ),
        pytest.param(
            stack(("conv", nn.Conv2d(3, 4, 3)), ("act", nn.ReLU()), ("norm", nn.BatchNorm2d(4))),
            (),
            id="activation between",
        ),
        pytest.param(
            stack(
                ("conv", nn.Conv2d(3, 4, 3, groups=1)),
                ("drop", nn.Dropout(0.5)),
                ("norm", nn.BatchNorm2d(4, affine=False)),
            ),
            ("features.norm",),
            id="dropout between",
        ),
        pytest.param(
            stack(
                ("conv", nn.Conv2d(3, 4, 3)),
                ("norm", nn.BatchNorm2d(4, track_running_stats=False)),
            ),
            (),
            id="statistics of the batch",
        ),
    ],
)
def test_only_what_is_legal_is_folded(features: nn.Sequential, folded: tuple[str, ...]) -> None:
    network = Toy(features)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            settled(module)
    network.eval()
    images = torch.randn(2, 3, 8, 8)
    found = fold_norms(network)
    assert found.folded == folded
    torch.testing.assert_close(found.network(images), network(images), atol=1e-5, rtol=1e-5)
