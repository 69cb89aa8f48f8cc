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


class RmsProp(Record):
    """RMSProp as TensorFlow has it: ``eps`` inside the root, the squares' average from 1 on.

    Hinton 2012 (Coursera, lecture 6e) with momentum; decay joins the gradient. ``decay`` is that
    of the squares' average.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    lr: float = Field(gt=0)
    decay: Decay = 0.9
    momentum: Decay = 0.9
    eps: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    decay_vectors: bool = False


class Lamb(Record):
    """Adam's step, rescaled tensor by tensor to the weights' norm (You et al. 2020, Algorithm 2).

    What is not decayed is not rescaled either, as in the authors' code.
    """

    kind: Literal["lamb"] = "lamb"
    lr: float = Field(gt=0)
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: float = Field(default=1e-6, gt=0)
    weight_decay: float = Field(default=0.01, gt=0)
    decay_vectors: bool = False


class Lars(Record):
    """SGD whose rate is scaled tensor by tensor (You, Gitman and Ginsburg 2017, Algorithm 1).

    ``trust`` is the paper's eta. Vectors are neither decayed nor scaled.
    """

    kind: Literal["lars"] = "lars"
    lr: float = Field(gt=0)
    momentum: Decay = 0.9
    trust: float = Field(default=1e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    decay_vectors: Literal[False] = False


OptimizerSetting = Annotated[Sgd | AdamW | RmsProp | Lamb | Lars, Field(discriminator="kind")]


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
    """The rate times ``factor`` at each milestone, given as a share of the run.

    ``rates`` instead gives the share of the full rate from each milestone on.
    """

    kind: Literal["steps"] = "steps"
    warmup: Share = 0.0
    milestones: tuple[Share, ...] = (0.5, 0.75)
    factor: Share = 0.1
    rates: tuple[Share, ...] | None = None

    @model_validator(mode="after")
    def _one_rate_a_milestone(self) -> Self:
        if self.rates is not None and len(self.rates) != len(self.milestones):
            raise ValueError(f"{len(self.rates)} rates for {len(self.milestones)} milestones")
        return self


class Exponential(Record):
    """The rate times ``factor`` after each ``every``, a share of the run."""

    kind: Literal["exponential"] = "exponential"
    warmup: Share = 0.0
    factor: Annotated[float, Field(gt=0, le=1)] = 0.97
    every: Annotated[float, Field(gt=0, le=1)] = 0.01


class Plateau(Record):
    """The rate times ``factor`` when the training loss has not fallen for ``patience`` epochs.

    The training loss, not the test accuracy: nothing of a run is chosen on its test images.
    """

    kind: Literal["plateau"] = "plateau"
    warmup: Share = 0.0
    factor: Share = 0.1
    patience: int = Field(default=5, ge=0)
    threshold: Share = 1e-3


ScheduleSetting = Annotated[
    Constant | Cosine | Steps | Exponential | Plateau, Field(discriminator="kind")
]


class Progressive(Record):
    """Training that grows (Tan and Le 2021, EfficientNetV2, Section 4, Algorithm 1).

    The run is cut into ``stages`` of equal length. Image size (as a share of the full one),
    dropout, and the strength of augmentation (of RandAugment's magnitude and mixup's alpha) go in
    equal steps from the first value to the last, which are those of the recipe.
    """

    stages: int = Field(default=4, ge=2, le=100)
    size_from: Annotated[float, Field(gt=0, le=1)] = 0.43
    strength_from: Share = 0.33
    dropout_from: Share | None = None


class Optimisation(Record):
    """How weights are found: all that the loop reads.

    ``accumulation`` splits a batch into that many pieces whose gradients add up to the batch's.
    ``clip_norm`` bounds the norm of the whole gradient. ``ema_decay`` keeps a moving average of
    the weights, which is then what is tested and saved; ``swa_start`` an equal one, of the weights
    after each epoch from that share of the run on (Izmailov et al. 2018), whose normalisation
    statistics are measured anew before it is tested.

    ``loss`` "binary" asks a yes-or-no question for each class, of targets above
    ``binary_threshold``. ``auxiliary_weight`` is the weight of each auxiliary head's loss.
    ``class_weights`` "balanced" weighs each class by the inverse of its count. ``dropout`` is set
    on every dropout layer, ``stochastic_depth`` is the last block's probability to be dropped and
    falls linearly to the first. ``layer_decay`` multiplies the learning rate once more for each
    stage away from the head. ``freeze`` are patterns of the parameters that are not trained.

    None is off: a plan leaves such fields out, so that it keeps its name when fields are added.
    """

    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=1_000_000)
    optimizer: OptimizerSetting
    schedule: ScheduleSetting
    label_smoothing: Decay = 0.0
    clip_norm: float | None = Field(default=None, gt=0)
    accumulation: int = Field(default=1, ge=1)
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    swa_start: Annotated[float, Field(ge=0, lt=1)] | None = None
    loss: Literal["binary"] | None = None
    binary_threshold: Annotated[float, Field(ge=0, lt=1)] | None = None
    auxiliary_weight: Annotated[float, Field(gt=0, le=100)] | None = None
    class_weights: Literal["balanced"] | None = None
    dropout: Decay | None = None
    stochastic_depth: Decay | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    freeze: tuple[str, ...] | None = None
    progressive: Progressive | None = None

    @model_validator(mode="after")
    def _what_is_set_has_an_effect(self) -> Self:
        if self.ema_decay is not None and self.swa_start is not None:
            raise ValueError("ema_decay and swa_start are both set; a run keeps one average")
        if self.binary_threshold is not None and self.loss != "binary":
            raise ValueError("binary_threshold is set and loss is not binary")
        growing = self.progressive is not None and self.progressive.dropout_from is not None
        if growing and self.dropout is None:
            raise ValueError("progressive.dropout_from is set and dropout, where it ends, is not")
        return self
