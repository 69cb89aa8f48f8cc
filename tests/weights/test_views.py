"""Several views, several networks and calibration are what a computation by hand says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from convnets.data import ImageArrays
from convnets.errors import BadData, UsageError
from convnets.models import create_model
from convnets.weights import load_model
from convnets.weights.calibration import calibration, calibration_error, temperature
from convnets.weights.testing import evaluate_on, scored
from convnets.weights.views import Viewed, larger_size
from tests.runs.tiny import CPU, tiny_set
from tests.weights.conftest import Trained


class Linear(nn.Module):
    """Scores that depend on every pixel's place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(5, 3, 64, 64) / 50)

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", images, self.weight)


def images(side: int) -> Tensor:
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", [64, 72])
def test_crops_are_torchvisions(side: int) -> None:
    network, batch = Linear(), images(side)
    larger = batch if side > 64 else F.pad(batch, (8, 8, 8, 8), mode="reflect")
    for views, crops in (
        ("five-crop", v2.functional.five_crop(larger, [64, 64])),
        ("ten-crop", v2.functional.ten_crop(larger, [64, 64])),
    ):
        expected = torch.stack([network(crop).softmax(1) for crop in crops]).mean(0)
        found = Viewed(network, 64, views)(batch)
        torch.testing.assert_close(found.exp(), expected)


def test_flip_and_scales_are_averaged() -> None:
    network, batch = Linear(), images(64)
    expected = (network(batch).softmax(1) + network(batch.flip(-1)).softmax(1)) / 2
    torch.testing.assert_close(Viewed(network, 64, "flip")(batch).exp(), expected)
    resnet = create_model("resnet20", num_classes=5).eval()
    small = images(32)
    resized = [v2.functional.resize(small, [side, side], antialias=True) for side in (28, 32, 36)]
    with torch.no_grad():
        mean = torch.stack([resnet(each).softmax(1) for each in resized]).mean(0)
        torch.testing.assert_close(Viewed(resnet, 32, "multi-scale")(small).exp(), mean)


def test_sizes_are_the_papers() -> None:
    """256 for 224 (Krizhevsky et al. 2012); small images are bordered."""
    assert larger_size(224, "ten-crop") == 256
    assert larger_size(224, "flip") == 224
    assert larger_size(32, "ten-crop") == 32
    sides = [len(view[0, 0]) for view in Viewed(Linear(), 288, "multi-scale").looks(images(288))]
    assert sides == [256, 288, 320]


def test_what_cannot_be_viewed_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown views"):
        Viewed(Linear(), 64, "twelve")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="64x64 alone"):
        Viewed(Linear(), 64, "multi-scale")(images(64))


def test_a_network_with_itself_is_itself(trained: Trained) -> None:
    loaded, image_set = load_model(trained.run), tiny_set()
    alone = evaluate_on(loaded, image_set, CPU)
    assert alone.evaluation.top1 == trained.result.top1
    twice = evaluate_on([loaded, loaded], image_set, CPU)
    assert torch.equal(twice.evaluation.confusion, alone.evaluation.confusion)
    assert twice.evaluation.loss == pytest.approx(alone.evaluation.loss, rel=1e-6)
    assert twice.to_dict()["model"] == "lenet5 + lenet5"


def test_an_ensemble_averages_probabilities(trained: Trained) -> None:
    image_set, one, other = tiny_set(), load_model(trained.run), load_model(trained.run)
    with torch.no_grad():
        for parameter in other.network.parameters():
            parameter.mul_(0.9)
    both = evaluate_on([one, other], image_set, CPU)
    assert isinstance(image_set.test, ImageArrays)
    (mean,), (deviation,) = one.description.mean, one.description.deviation
    pixels = torch.from_numpy(image_set.test.images).permute(0, 3, 1, 2).double()
    batch = ((pixels / 255 - mean) / deviation).float()
    with torch.no_grad():
        expected = sum(each.network(batch).double().softmax(1) for each in (one, other)) / 2
    labels = torch.from_numpy(image_set.test.labels)
    assert both.evaluation.top1 == (expected.argmax(1) == labels).double().mean().item()
    loss = -expected.gather(1, labels[:, None]).log().mean().item()
    assert both.evaluation.loss == pytest.approx(loss, rel=1e-5)


def test_mirrored_digits_and_other_classes_are_refused(trained: Trained) -> None:
    loaded = load_model(trained.run)
    with pytest.raises(UsageError, match="mirror"):
        evaluate_on(loaded, tiny_set("mnist"), CPU, views="ten-crop")
    with pytest.raises(BadData, match="was trained on"):
        evaluate_on([loaded, loaded], tiny_set(classes=4), CPU)


def overconfident(samples: int = 4000) -> tuple[Tensor, Tensor]:
    """Logits three times too large for the labels that were drawn from them."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, 6, generator=draw, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw).squeeze(1)
    return 3 * logits, labels


def test_the_error_is_eq_3_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.75, 0.25], [0.3, 0.7], [0.45, 0.55]])
    labels = torch.tensor([0, 1, 1, 0])
    # Bins of a half: all four lie in (0.5, 1]: |mean confidence 0.725 - accuracy 0.5|.
    error, bins = calibration_error(probabilities, labels, bins=2)
    assert error == pytest.approx(0.225)
    assert [each.samples for each in bins] == [0, 4]
    # Bins of a fifth: 0.55 in (0.4, 0.6], 0.7 and 0.75 in (0.6, 0.8], 0.9 in (0.8, 1].
    error, bins = calibration_error(probabilities.double(), labels, bins=5)
    assert [each.samples for each in bins] == [0, 0, 1, 2, 1]
    assert error == pytest.approx((abs(0.55 - 0) + 2 * abs(0.725 - 0.5) + abs(0.9 - 1)) / 4)


def test_the_temperature_is_scikit_learns() -> None:
    """With two classes, temperature scaling is a logistic regression without intercept."""
    draw = np.random.default_rng(0)
    margin = draw.normal(size=3000) * 4
    labels = (draw.random(3000) < 1 / (1 + np.exp(-margin / 2.5))).astype(int)
    fitted = LogisticRegression(C=np.inf, fit_intercept=False).fit(margin[:, None], labels)
    logits = torch.tensor(np.stack([np.zeros(3000), margin], 1))
    assert temperature(logits, torch.tensor(labels)) == pytest.approx(
        1 / fitted.coef_[0, 0], rel=1e-3
    )


def test_scaling_mends_overconfidence() -> None:
    found = calibration(*overconfident())
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.error > 0.15
    assert found.error_scaled < 0.03
    assert found.loss_scaled < found.loss


def test_known_logits_are_judged_as_a_networks() -> None:
    logits, labels = overconfident(500)
    found = scored(logits, labels)
    assert found.top1 == (logits.argmax(1) == labels).double().mean().item()
    assert found.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
