"""Knowledge distillation: a small network learns what a large one says of each image.

Hinton, Vinyals and Dean 2015 (arXiv:1503.02531): at a temperature above 1 the teacher's softmax
shows which wrong classes are nearly right, and the student is trained to say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.compress.observer import Observer
from convnets.compress.tuning import Tuning, clear, refuse_whole_runs, tune
from convnets.data import ImageSet
from convnets.data.augment import Augmentation
from convnets.errors import UsageError
from convnets.files import short_hash
from convnets.layers.network import failing_layer
from convnets.models import create_model
from convnets.records import Record
from convnets.training.engine import Engine
from convnets.training.objective import Objective, Part, make_objective
from convnets.training.settings import Optimisation
from convnets.training.state import weights_sha256
from convnets.weights import LoadedModel, ModelDescription, evaluate_on, load_model, save_model
from convnets.weights.model_file import Origin, build
from convnets.weights.save import cost_of

AskedStem = Literal["paper", "small", "auto"]


class Distilling(Record):
    """How a student learns.

    ``soft_share`` is the weight of the teacher's word, the rest that of the labels, for which a
    small weight is best (Section 2). Temperatures of 2.5 to 4 suit a small student; to a large one
    all above 8 are alike (Section 3).
    """

    temperature: float = Field(default=4.0, ge=1, le=1000)
    soft_share: float = Field(default=0.9, ge=0, le=1)
    training: Optimisation
    augmentation: Augmentation = Augmentation()
    seed: int = Field(default=0, ge=0, lt=2**31)


class Distilled(Record):
    """A student and its teacher: cost of one image, and top-1 as shares of the test images."""

    schema_version: int = 1
    student: str
    stem: str
    teacher: str
    data: str
    params: int
    teacher_params: int
    macs: int
    teacher_macs: int
    test_images: int
    top1: float
    teacher_top1: float
    seconds: float
    settings: Distilling
    engine: str
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class Distillation(Objective):
    """The student's loss: ``soft_share`` of the soft targets', the rest of the labels' own.

    ``teacher`` gives logits for the very images that the student sees, varied and mixed.
    """

    teacher: Callable[[Tensor], Tensor]
    temperature: float
    soft_share: float

    def loss(self, logits: Tensor, others: dict[str, Tensor], part: Part) -> Tensor:
        """Mean loss of a part (0-d, float32)."""
        hard = super().loss(logits, others, part)
        soft = soft_loss(logits.float(), self.teacher(part.images).float(), self.temperature)
        # Soft gradients fall as 1 / T^2; this keeps the two losses' balance at any T (Section 2).
        return self.soft_share * self.temperature**2 * soft + (1 - self.soft_share) * hard


def soft_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softmax at a temperature from the teacher's, mean (0-d).

    Its gradient is that of the paper's cross-entropy, (q - p) / T for each logit (Eq. 2).
    """
    return F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def distillation(
    student: nn.Module, teacher: LoadedModel, settings: Distilling, engine: Engine
) -> Distillation:
    """The objective of a student; the teacher goes to the engine's device, in eval mode.

    Raises ``UsageError`` for a network with a loss of its own, whose outputs are no logits.
    """
    for network in (student, teacher.network):
        if hasattr(network, "criterion"):
            raise UsageError(
                f"{type(network).__name__} has a loss of its own: its outputs are no logits, and "
                "cannot be softened"
            )
    placed = engine.place(teacher.network).eval()

    @torch.no_grad()
    def says(images: Tensor) -> Tensor:
        with engine.autocast():
            logits: Tensor = placed(images)
        return logits

    plain = make_objective(student, settings.training)
    return Distillation(
        **{field.name: getattr(plain, field.name) for field in fields(plain)},
        teacher=says,
        temperature=settings.temperature,
        soft_share=settings.soft_share,
    )


def distil(
    student: str,
    teacher: LoadedModel,
    image_set: ImageSet,
    settings: Distilling,
    out: Path,
    *,
    engine: Engine,
    stem: AskedStem = "auto",
    observer: Observer | None = None,
) -> Distilled:
    """Train a network of the registry on a teacher's word, and write it as a model file.

    Images come to both as the teacher's file says: size, mean and deviation. The same call goes on
    where a stopped one was. Raises ``UsageError`` where the file is there already, ``BadData`` if
    the teacher's classes are others than the data's.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; remove it or choose another --out")
    refuse_whole_runs(settings.training)
    started = time.monotonic()
    description = described(student, teacher.description, image_set, stem)
    taught_by = evaluate_on(teacher, image_set, engine)
    torch.manual_seed(settings.seed)
    network = build(description)
    tuning = Tuning(
        what="distillation",
        plan=short_hash(
            {
                "settings": settings.model_dump(mode="json"),
                "student": description.model_dump(mode="json"),
                "teacher": weights_sha256(teacher.network),
                "data": image_set.fingerprint,
                "engine": engine.name,
            }
        ),
        folder=out.with_name(f"{out.name}.training"),
        description=description,
        image_set=image_set,
        training=settings.training,
        augmentation=settings.augmentation,
        seed=settings.seed,
        objective=distillation(network, teacher, settings, engine),
    )
    trained = tune(network, tuning, engine, observer or Observer())
    found = evaluate_on(LoadedModel(trained, description, out), image_set, engine)
    measured = found.evaluation
    origin = Origin(top1=measured.top1, test_images=measured.samples)
    record = save_model(LoadedModel(trained, description, out, origin=origin), out)
    load_model(out)
    clear(tuning.folder)
    cost, teacher_cost = cost_of(description), cost_of(teacher.description)
    return Distilled(
        student=student,
        stem=description.stem,
        teacher=teacher.description.model,
        data=image_set.name,
        params=cost.params,
        teacher_params=teacher_cost.params,
        macs=cost.macs,
        teacher_macs=teacher_cost.macs,
        test_images=measured.samples,
        top1=measured.top1,
        teacher_top1=taught_by.evaluation.top1,
        seconds=time.monotonic() - started,
        settings=settings,
        engine=engine.name,
        weights_sha256=record.sha256,
    )


def described(
    student: str, teacher: ModelDescription, image_set: ImageSet, stem: AskedStem
) -> ModelDescription:
    """The student as a file describes it, in the form that takes the teacher's images."""
    size = teacher.input_size
    with torch.device("meta"):
        network = create_model(
            student,
            num_classes=len(teacher.classes),
            in_chans=teacher.in_chans,
            stem=stem,
            input_size=size,
        )
    if layer := failing_layer(network, size, size):
        raise UsageError(
            f"{student} with its {network.spec.stem} stem does not take the teacher's images of "
            f"{size}x{size}: {layer} cannot; choose another stem or student"
        )
    changed = {
        "model": student,
        "stem": network.spec.stem,
        "data": image_set.name,
        "changes": None,
    }
    return teacher.model_copy(update=changed)
