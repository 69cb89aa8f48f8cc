"""What a candidate is worth: its accuracy, or accuracy and cost in one figure."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from convnets.records import Record

CostKind = Literal["macs", "params", "latency"]
EXPONENTS: dict[str, tuple[float, float]] = {"soft": (-0.07, -0.07), "hard": (0.0, -1.0)}
"""Alpha, where the cost is within the target, and beta, where it is not (Tan et al. 2018)."""


class Reward(Record):
    """Accuracy on validation images, or with it the cost's share of a target.

    MnasNet's (Tan et al. 2018, Section 3, Eq. 2 and 3): accuracy x (cost / target)^w. ``soft`` has
    w = -0.07 on both sides of the target, so that twice the cost is worth 5 % of accuracy; ``hard``
    takes nothing off below the target and divides by the excess above it. ``cost`` is multiply-adds
    of an image, parameters, or seconds of one forward pass of one image measured here.
    """

    kind: Literal["accuracy", "soft", "hard"] = "accuracy"
    cost: CostKind = "macs"
    target: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _a_target_where_it_counts(self) -> Self:
        if (self.target is None) != (self.kind == "accuracy"):
            raise ValueError("a target goes with the rewards soft and hard, and they with a target")
        return self

    def of(self, accuracy: float, cost: float) -> float:
        """The reward of a candidate; ``accuracy`` is a share of 1."""
        if self.target is None:
            return accuracy
        within, beyond = EXPONENTS[self.kind]
        share = cost / self.target
        return float(accuracy * share ** (within if share <= 1 else beyond))


ACCURACY = Reward()
