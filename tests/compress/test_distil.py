"""Distillation: the paper's gradient, the loss worked out in numpy, and what the teacher sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convnets.compress import Observer
from convnets.compress.distil import Distillation, Distilling, distil, distillation, soft_loss
from convnets.data.augment import Augmentation
from convnets.data.batches import make_batches
from convnets.errors import BadData, PlanChanged, UsageError
from convnets.models import create_model
from convnets.training.loop import steps
from convnets.training.objective import Part, make_objective
from convnets.training.settings import AdamW, Cosine, Optimisation
from convnets.training.state import TrainingState, weights_sha256
from convnets.weights import LoadedModel, evaluate_on, load_model
from tests.compress.networks import described
from tests.runs.tiny import CPU, tiny_set

TRAINING = Optimisation(epochs=2, batch_size=16, optimizer=AdamW(lr=1e-3), schedule=Cosine())
SETTINGS = Distilling(training=TRAINING, augmentation=Augmentation(padding=2, flip=True))
SET = tiny_set()


def a_teacher() -> LoadedModel:
    torch.manual_seed(1)
    network = create_model("lenet5_modern").eval()
    description = described("lenet5_modern").model_copy(update={"classes": SET.classes})
    return LoadedModel(network, description, Path("teacher.safetensors"))


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    raised = np.exp(logits / temperature)
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.5, 20.0])
def test_the_soft_gradient_is_the_papers(temperature: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    teacher = 3 * torch.randn(5, 7, dtype=torch.float64)
    loss = soft_loss(logits, teacher, temperature)
    loss.backward()  # type: ignore[no-untyped-call]
    q = softmax(logits.detach().numpy(), temperature)
    p = softmax(teacher.numpy(), temperature)
    # Hinton et al. 2015, Eq. 2, of a mean over five images.
    np.testing.assert_allclose(logits.grad, (q - p) / temperature / 5, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(loss.item(), (p * np.log(p / q)).sum() / 5, rtol=1e-9)


def test_at_high_temperatures_it_is_matching_logits() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 10, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 10, dtype=torch.float64)
    temperature = 1e4
    (temperature**2 * soft_loss(logits, teacher, temperature)).backward()  # type: ignore[no-untyped-call]
    centred = [values - values.mean(1, keepdim=True) for values in (logits.detach(), teacher)]
    # Eq. 4: (z - v) / (N T^2), for logits of mean zero.
    torch.testing.assert_close(
        logits.grad, (centred[0] - centred[1]) / 10 / 3, rtol=1e-3, atol=1e-6
    )


def test_the_loss_is_the_weighted_sum_of_soft_and_hard() -> None:
    torch.manual_seed(0)
    logits, taught, images = torch.randn(4, 6), torch.randn(4, 6), torch.randn(4, 1, 2, 2)
    targets = torch.tensor([0, 5, 2, 2])
    seen: list[Tensor] = []

    def teacher(shown: Tensor) -> Tensor:
        seen.append(shown)
        return taught

    objective = Distillation(
        criterion=nn.functional.cross_entropy, teacher=teacher, temperature=3.0, soft_share=0.7
    )
    found = objective.loss(logits, {}, Part(images, targets))
    p, q = softmax(taught.numpy(), 3.0), softmax(logits.numpy(), 3.0)
    soft = (p * np.log(p / q)).sum() / 4
    hard = -np.log(softmax(logits.numpy(), 1.0)[range(4), targets]).mean()
    assert float(found) == pytest.approx(9 * 0.7 * soft + 0.3 * hard, rel=1e-5)
    assert len(seen) == 1
    assert seen[0] is images


def test_the_teacher_sees_the_students_images_and_stays_as_it_is() -> None:
    teacher, student = a_teacher(), create_model("lenet5_modern")
    before = weights_sha256(teacher.network)
    made = distillation(student, teacher, SETTINGS, CPU)
    shown: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    student.register_forward_pre_hook(lambda _, images: shown["student"].append(images[0].clone()))

    def watched(images: Tensor) -> Tensor:
        shown["teacher"].append(images.clone())
        said = made.teacher(images)
        assert not said.requires_grad
        return said

    batches = make_batches(
        SET.train,
        size=32,
        batch_size=16,
        mean=(0.5,),
        deviation=(0.25,),
        device=CPU.device,
        seed=0,
        augmentation=Augmentation(padding=2, flip=True),
        training=True,
    )
    state = TrainingState(student, TRAINING, CPU)
    list(steps(state, batches, TRAINING, CPU, replace(made, teacher=watched)))
    assert len(shown["student"]) == batches.steps == 3
    for own, theirs in zip(shown["student"], shown["teacher"], strict=True):
        assert torch.equal(own, theirs)
    assert weights_sha256(teacher.network) == before
    assert not teacher.network.training
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


def test_without_the_teachers_word_it_is_plain_training() -> None:
    torch.manual_seed(0)
    student = create_model("lenet5_modern")
    part = Part(torch.randn(4, 1, 32, 32), torch.tensor([1, 2, 3, 4]))
    alone = SETTINGS.model_copy(update={"soft_share": 0.0})
    logits = student(part.images)
    plain = make_objective(student, TRAINING).loss(logits, {}, part)
    assert torch.equal(distillation(student, a_teacher(), alone, CPU).loss(logits, {}, part), plain)


def test_a_student_is_written_and_a_stopped_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    found = distil("lenet5_modern", a_teacher(), SET, SETTINGS, whole, engine=CPU)
    loaded = load_model(whole)
    assert found.weights_sha256 == weights_sha256(loaded.network)
    assert found.top1 == evaluate_on(loaded, SET, CPU).evaluation.top1 == loaded.origin.top1
    assert found.teacher_top1 == evaluate_on(a_teacher(), SET, CPU).evaluation.top1
    assert found.params == found.teacher_params == 61_706  # counted for LeNet-5 by others

    class Interrupts(Observer):
        def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
            if what == "distillation" and done == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr("convnets.compress.tuning.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        distil("lenet5_modern", a_teacher(), SET, SETTINGS, cut, engine=CPU, observer=Interrupts())
    assert not cut.exists()
    other = SETTINGS.model_copy(update={"temperature": 2.0})
    with pytest.raises(PlanChanged, match="other settings"):
        distil("lenet5_modern", a_teacher(), SET, other, cut, engine=CPU)
    distil("lenet5_modern", a_teacher(), SET, SETTINGS, cut, engine=CPU)
    assert cut.read_bytes() == whole.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [cut.name, whole.name]
    with pytest.raises(UsageError, match="is there already"):
        distil("lenet5_modern", a_teacher(), SET, SETTINGS, cut, engine=CPU)


def test_what_cannot_be_distilled_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(UsageError, match="no logits"):
        distil("lenet5", a_teacher(), SET, SETTINGS, out, engine=CPU)
    with pytest.raises(UsageError, match="does not take the teacher's images of 32x32"):
        distil("alexnet", a_teacher(), SET, SETTINGS, out, engine=CPU, stem="paper")
    with pytest.raises(BadData, match="classes"):
        distil("lenet5_modern", a_teacher(), tiny_set(classes=4), SETTINGS, out, engine=CPU)
    training = TRAINING.model_copy(update={"swa_start": 0.5})
    averaged = SETTINGS.model_copy(update={"training": training})
    with pytest.raises(UsageError, match="swa_start"):
        distil("lenet5_modern", a_teacher(), SET, averaged, out, engine=CPU)
    assert list(tmp_path.iterdir()) == []
