"""CapsNet (Sabour, Frosst and Hinton 2017, arXiv:1710.09829).

A capsule is a vector: its length says whether a thing is there, its direction how. Each capsule
predicts those of the layer above and is routed to where predictions agree. The logits here are the
lengths of the class capsules, in [0, 1): they are what is compared, not what a softmax takes, and
``CapsNet.criterion`` is the paper's margin loss on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.network import ConvNet, stack

# Eq. 4 and Section 4.1.
PRESENT, ABSENT, ABSENT_WEIGHT = 0.9, 0.1, 0.5
RECONSTRUCTION_WEIGHT = 0.0005

GRID = 6  # pixels along a side of the primary capsules' map, for images of SIDE
SIDE = 28
DECODER_WIDTHS = (512, 1024)


@dataclass(frozen=True)
class Spec:
    """What varies: maps of conv1, kinds of primary capsule, and whether there is a decoder.

    ``primary_length`` and ``class_length`` are the numbers of values in a capsule.
    """

    reconstruct: bool
    maps: int = 256
    primary: int = 32
    primary_length: int = 8
    class_length: int = 16
    iterations: int = 3
    stem: Stem = "paper"


def squash(vectors: Tensor, dim: int = -1) -> Tensor:
    """Shrink each vector along ``dim`` from length n to n^2 / (1 + n^2) (Eq. 1)."""
    length = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    shorter: Tensor = vectors * (length / (1 + length.square()))
    return shorter


def route(predictions: Tensor, iterations: int) -> Tensor:
    """Routing by agreement (Procedure 1).

    ``predictions`` (batch, upper, lower, length) are what each lower capsule predicts of each
    upper one; returns the upper capsules (batch, upper, length).
    """
    logits = predictions.new_zeros(predictions.shape[:3])
    for _ in range(iterations - 1):
        capsules = combine(predictions, logits)
        logits = logits + (predictions @ capsules.unsqueeze(-1)).squeeze(-1)
    return combine(predictions, logits)


def combine(predictions: Tensor, logits: Tensor) -> Tensor:
    """The predictions of each upper capsule, weighted by how much comes to it (Eq. 2 and 3)."""
    coupling = logits.softmax(1).unsqueeze(2)
    return squash((coupling @ predictions).squeeze(2))


class Squash(nn.Module):
    """Takes a map (batch, capsules * length, height, width), and squashes each capsule in it."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        capsules = x.reshape(batch, -1, self.length, height, width)
        return squash(capsules, dim=2).flatten(1, 2)


class ClassCapsules(nn.Module):
    """A capsule (batch, num_classes, length) for each class (DigitCaps in Fig. 1).

    ``weight`` holds a matrix W_ij for each pair of a primary capsule i and a class j (Eq. 2).
    """

    def __init__(self, spec: Spec, num_classes: int) -> None:
        super().__init__()
        self.primary_length = spec.primary_length
        self.iterations = spec.iterations
        lower = spec.primary * GRID**2
        self.weight = nn.Parameter(
            torch.empty(lower, num_classes, spec.class_length, spec.primary_length)
        )
        # The deviation is of the first author's code: the paper gives none.
        nn.init.trunc_normal_(self.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        # (batch, kinds, length, places) to (batch, kinds * places, length)
        kinds = x.reshape(x.shape[0], -1, self.primary_length, GRID**2)
        primary = kinds.transpose(2, 3).flatten(1, 2)
        predictions = torch.einsum("bil,ijkl->bjik", primary, self.weight)
        return route(predictions, self.iterations)

    def macs(self, output_height: int, output_width: int) -> int:
        """Multiply-adds of the predictions; the products of the routing are not counted."""
        return self.weight.numel()


class Lengths(nn.Module):
    """The length of each capsule."""

    def forward(self, x: Tensor) -> Tensor:
        lengths: Tensor = torch.linalg.vector_norm(x, dim=-1)
        return lengths


def decoder(inputs: int, in_chans: int) -> nn.Sequential:
    """Three linear layers that draw an image in [0, 1] from the capsules (Fig. 2)."""
    first, second = DECODER_WIDTHS
    return stack(
        ("fc1", nn.Linear(inputs, first)),
        ("act1", nn.ReLU(inplace=True)),
        ("fc2", nn.Linear(first, second)),
        ("act2", nn.ReLU(inplace=True)),
        ("fc3", nn.Linear(second, in_chans * SIDE**2)),
        ("act3", nn.Sigmoid()),
        ("image", nn.Unflatten(1, (in_chans, SIDE, SIDE))),
    )


class CapsNet(ConvNet):
    """The network of Fig. 1, and with ``reconstruct`` the decoder of Fig. 2 as ``auxiliary``.

    The weights of its convolutions and linear layers are those that torch draws by default: the
    paper gives none.
    """

    head: nn.Sequential

    def __init__(self, spec: Spec, *, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        primary = spec.primary * spec.primary_length
        self.features = stack(
            (
                "stem",
                stack(("conv", nn.Conv2d(in_chans, spec.maps, 9)), ("act", nn.ReLU(inplace=True))),
            ),
            (
                "stage1",
                stack(
                    ("conv", nn.Conv2d(spec.maps, primary, 9, stride=2)),
                    # Each place has matrices of its own, so that the grid is fixed; an image of
                    # the paper's size gives it as it is.
                    ("pool", nn.AdaptiveAvgPool2d(GRID)),
                    ("squash", Squash(spec.primary_length)),
                ),
            ),
        )
        self.head = stack(("capsules", ClassCapsules(spec, num_classes)), ("lengths", Lengths()))
        if spec.reconstruct:
            self.auxiliary = decoder(num_classes * spec.class_length, in_chans)

    def forward_auxiliary(
        self, images: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the lengths, and as ``reconstruction`` what the decoder draws.

        That is (batch, in_chans, 28, 28), drawn from one capsule of each image alone: that of the
        right class where ``targets`` say it (Section 4.1), else the longest.
        """
        capsules_layer, lengths_layer = self.head
        capsules = capsules_layer(self.forward_features(images))
        lengths: Tensor = lengths_layer(capsules)
        if not self.spec.reconstruct:
            return lengths, {}
        classes = lengths.argmax(1) if targets is None else targets
        return lengths, {"reconstruction": self.reconstruct(capsules, classes)}

    def auxiliary_loss(
        self,
        images: Tensor,
        outputs: Mapping[str, Tensor],
        targets: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """How far the drawn images are from ``images``, intensities in [0, 1]."""
        return reconstruction_loss(outputs["reconstruction"].float(), images)

    def reconstruct(self, capsules: Tensor, classes: Tensor) -> Tensor:
        """Draw images from one capsule each, that of ``classes`` (batch,); the others are 0."""
        chosen = F.one_hot(classes, self.num_classes).unsqueeze(-1)
        image: Tensor = self.auxiliary((capsules * chosen).flatten(1))
        return image

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The margin loss."""
        return margin_loss(logits, targets)


def margin_loss(lengths: Tensor, targets: Tensor) -> Tensor:
    """The margin loss of Eq. 4, summed over the classes, mean over the batch.

    ``targets`` are class indices (batch,) or shares of each class (batch, num_classes).
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, lengths.shape[1])
    present = (PRESENT - lengths).relu().square()
    absent = (lengths - ABSENT).relu().square()
    return (targets * present + ABSENT_WEIGHT * (1 - targets) * absent).sum(1).mean()


def reconstruction_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """The sum of squared differences times 0.0005 (Section 4.1), mean over the batch.

    ``images`` hold intensities in [0, 1]; larger ones are pooled to the decoder's size.
    """
    images = F.adaptive_avg_pool2d(images, SIDE)
    return RECONSTRUCTION_WEIGHT * (reconstruction - images).square().flatten(1).sum(1).mean()


# fmt: off
FAMILY = Family(
    name="capsnet", title="CapsNet", year=2017,
    paper="Dynamic Routing Between Capsules", url="https://arxiv.org/abs/1710.09829",
    network=CapsNet, pocket=Spec(reconstruct=False, maps=16, primary=2),
    small_stem="as published: made for 28x28; larger images are pooled to its 6x6 capsules",
    variants={
        "capsnet_mnist": Variant(Spec(reconstruct=True), params=8_215_568, params_10=8_215_568,
            macs=200_871_936, counted_in="derived: Fig. 1 and 2", input_size=28, in_chans=1,
            num_classes=10,
            published=Published(source="Table 1, 3 iterations; error on MNIST", params="8.2M",
                top1_error="0.25"),
            note="multiply-adds without routing, and without the decoder's 1,409,024"),
        "capsnet_mnist_no_recon": Variant(Spec(reconstruct=False), params=6_804_224,
            params_10=6_804_224, macs=200_871_936, counted_in="derived: Fig. 1", input_size=28,
            in_chans=1, num_classes=10,
            published=Published(source="Section 5", params="6.8M"),
            note="without the decoder; multiply-adds without routing"),
    },
)
# fmt: on
