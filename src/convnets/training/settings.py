"""The typed parts of a training run. Everything is a share of the run, so that ``epochs`` rescales.

Frozen pydantic records: unknown fields, wrong types and values out of bounds are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from convnets.records import Record

Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class Sgd(Record):
    """Stochastic gradient descent with momentum, as in torch: decay joins the gradient."""

    kind: Literal["sgd"] = "sgd"
    lr: float = Field(gt=0)
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0)
    decay_vectors: bool = True

    @model_validator(mode="after")
    def _nesterov_looks_ahead_along_the_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum above 0")
        return self


class AdamW(Record):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    ``decay_vectors`` False spares biases, norms and every other parameter of one dimension.
    """

    kind: Literal["adamw"] = "adamw"
    lr: float = Field(gt=0)
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    decay_vectors: bool = False


OptimizerSetting = Annotated[Sgd | AdamW, Field(discriminator="kind")]


class Constant(Record):
    """One learning rate, after a linear warmup over a share of the run."""

    kind: Literal["constant"] = "constant"
    warmup: Share = 0.0


class Cosine(Record):
    """Half a cosine from the full rate to ``final`` of it (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    warmup: Share = 0.0
    final: Share = 0.0


class Steps(Record):
    """The rate times ``factor`` at each milestone, given as a share of the run."""

    kind: Literal["steps"] = "steps"
    warmup: Share = 0.0
    milestones: tuple[Share, ...] = (0.5, 0.75)
    factor: Share = 0.1


class Plateau(Record):
    """The rate times ``factor`` when the training loss has not fallen for ``patience`` epochs.

    The training loss, not the test accuracy: nothing of a run is chosen on its test images.
    """

    kind: Literal["plateau"] = "plateau"
    warmup: Share = 0.0
    factor: Share = 0.1
    patience: int = Field(default=5, ge=0)
    threshold: Share = 1e-3


ScheduleSetting = Annotated[Constant | Cosine | Steps | Plateau, Field(discriminator="kind")]


class Optimisation(Record):
    """How weights are found: all that the loop reads.

    ``accumulation`` splits a batch into that many pieces whose gradients add up to the batch's.
    ``clip_norm`` bounds the norm of the whole gradient. ``ema_decay`` keeps a moving average of
    the weights, which is then what is tested and saved.
    """

    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=1_000_000)
    optimizer: OptimizerSetting
    schedule: ScheduleSetting
    label_smoothing: Decay = 0.0
    clip_norm: float | None = Field(default=None, gt=0)
    accumulation: int = Field(default=1, ge=1)
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
