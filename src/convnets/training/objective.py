"""What training minimises: a loss of logits and targets, mixed, smoothed and weighted as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UsageError
from convnets.training.settings import Optimisation

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (batch, classes) and targets, class indices (batch,) or shares (batch, classes)."""


class WithAuxiliary(nn.Module):
    """A network's forward pass with its auxiliary heads, as one module that can be wrapped."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits, and by name what the auxiliary heads give."""
        forward: Callable[..., tuple[Tensor, dict[str, Tensor]]] = self.network.forward_auxiliary  # type: ignore[assignment]
        found = forward(images, targets)
        return found


@dataclass(frozen=True)
class Part:
    """Some images of a batch, their targets, and where they are mixed, partners and shares."""

    images: Tensor
    targets: Tensor
    partners: Tensor | None = None
    shares: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """The loss of one network under one set of settings."""

    criterion: Criterion
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    auxiliary_loss: Callable[..., Tensor] | None = None

    def outputs(self, forward: Callable[..., Any], part: Part) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and what the auxiliary heads give, if they count."""
        if self.auxiliary_loss is None:
            return forward(part.images), {}
        logits, others = forward(part.images, part.targets)
        return logits, others

    def loss(self, logits: Tensor, others: dict[str, Tensor], part: Part) -> Tensor:
        """Mean loss of a part (0-d, float32)."""
        logits, wanted = logits.float(), part.targets
        if part.partners is not None or self.label_smoothing:
            wanted = soft_targets(part, logits.shape[1], self.label_smoothing)
        loss = self.criterion(logits, wanted)
        if self.auxiliary_loss is not None:
            extra = self.auxiliary_loss(part.images, others, wanted, self.criterion)
            loss = loss + self.auxiliary_weight * extra
        return loss


def make_objective(
    model: nn.Module, settings: Optimisation, class_weights: Tensor | None = None
) -> Objective:
    """The network's own loss if it has one (LeNet-5's Eq. 9), else the settings'.

    ``class_weights`` (classes,) weigh the loss of each class. Raises ``UsageError`` where the
    settings ask for what the network does not have.
    """
    own: Criterion | None = getattr(model, "criterion", None)
    weight = settings.auxiliary_weight
    if weight is not None and not hasattr(model, "auxiliary"):
        raise UsageError(
            "auxiliary_weight is set and this network has no auxiliary heads; "
            "choose a network with them, as googlenet_aux, or --set auxiliary_weight=none"
        )
    if own is None:
        if settings.loss == "binary":
            criterion: Criterion = partial(
                binary_cross_entropy, threshold=settings.binary_threshold, weights=class_weights
            )
        else:
            criterion = partial(F.cross_entropy, weight=class_weights)
    elif class_weights is not None or settings.loss is not None:
        raise UsageError("this network has a loss of its own; class_weights and loss do not apply")
    else:
        criterion = own
    return Objective(
        criterion=criterion,
        label_smoothing=settings.label_smoothing,
        auxiliary_weight=weight or 0.0,
        auxiliary_loss=None if weight is None else model.auxiliary_loss,  # type: ignore[arg-type]
    )


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    threshold: float | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """A yes-or-no question for each class, mean over all (Wightman et al. 2021, Section 3.2).

    Shares above ``threshold`` count as yes, so that both classes of a mixed image are present.
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1])
    wanted = targets.to(logits.dtype) if threshold is None else (targets > threshold).to(logits)
    return F.binary_cross_entropy_with_logits(logits, wanted, weight=weights)


def soft_targets(part: Part, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Class probabilities (batch, classes), float32.

    An image holds its share of its own class and the rest of its partner's (Zhang et al. 2018,
    Eq. 1); then ``smoothing`` is spread evenly over the classes (Szegedy et al. 2015, Eq. 7).
    """
    wanted = F.one_hot(part.targets, num_classes).float()
    if part.partners is not None and part.shares is not None:
        other = F.one_hot(part.partners, num_classes).float()
        wanted = torch.lerp(other, wanted, part.shares[:, None])
    return wanted * (1 - smoothing) + smoothing / num_classes if smoothing else wanted


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weight of each class (classes,), inverse to its count, 1 on average over the samples.

    As scikit-learn's ``balanced``: samples / (classes * count). A class without a sample has 0.
    """
    counts = torch.bincount(labels, minlength=num_classes).float()
    weights = len(labels) / (num_classes * counts)
    return torch.where(counts > 0, weights, torch.zeros(()))
