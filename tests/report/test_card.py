"""A card says what file and run hold, in Markdown that no name can break."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from convnets.analysis import Profile, profile
from convnets.models import create_model
from convnets.records import Result
from convnets.report.card import card, wilson
from tests.report.synthetic import CIFAR, build

SHA256 = "ab" * 32


def cost() -> Profile:
    with torch.device("meta"):
        return profile(create_model("resnet18", num_classes=10), 32)


def record(result: Result | None, **changed: Any) -> dict[str, Any]:
    """What a model file says of itself, as JSON."""
    origin = {
        "run": result.run if result else None,
        "recipe": result.recipe if result else None,
        "plan": "0123abcd" if result else None,
        "top1": result.top1 if result else None,
        "test_images": result.data.test_images if result else None,
        "licence": "CC-BY-4.0",
    }
    model = {
        "model": "resnet18",
        "stem": "paper",
        "classes": list(CIFAR),
        "in_chans": 3,
        "input_size": 32,
        "mean": [0.4914, 0.4822, 0.4465],
        "deviation": [0.247, 0.2435, 0.2616],
        "data": "cifar10",
    }
    fields = {"origin": origin, "model": model}
    for part, values in changed.items():
        fields[part].update(values)
    return {"format": 1, "convnets": "0.1.0", **fields, "sha256": SHA256}


def written(result: Result | None, **changed: Any) -> str:
    return card(
        record(result, **changed), cost(), size=44_800_000, source="m.safetensors", result=result
    )


def section(text: str, title: str) -> str:
    found = re.search(rf"## {title}\n\n(.*?)(?=\n\n## |\Z)", text, re.DOTALL)
    assert found is not None, title
    return found[1]


def test_the_interval_is_wilsons() -> None:
    for right, images in ((0, 10), (36, 360), (7, 9), (9935, 10_000), (5, 5)):
        expected = stats.binomtest(right, images).proportion_ci(0.95, "wilson")
        assert wilson(right / images, images) == pytest.approx(tuple(expected), abs=1e-6)


def test_figures_are_those_of_the_run() -> None:
    result = build("resnet18")
    text = written(result)
    accuracy = section(text, "Accuracy")
    assert f"**{result.top1 * 100:.2f} % top-1** ({result.top5 * 100:.2f} % top-5)" in accuracy
    assert f"the {result.data.test_images:,} test images of cifar10" in accuracy
    assert result.run in accuracy
    training = section(text, "Training")
    for fact in ("50,000 training images", "12 epochs", "seed 0", "`0123abcd`", '"lr": 0.1'):
        assert fact in training
    assert result.command in training
    # He et al. 2015: 11,181,642 parameters with ten classes (torchvision's count).
    assert "| Parameters | 11,181,642 |" in section(text, "Cost")
    assert "| File | 42.7 MiB |" in section(text, "Cost")
    assert "(0.4914, 0.4822, 0.4465)" in section(text, "Images")
    assert "convnets predict m.safetensors" in section(text, "How to use it")
    assert "CC-BY-4.0" in section(text, "Licence")
    assert SHA256 in section(text, "Checksum")


def test_best_and_worst_classes_and_commonest_mistakes() -> None:
    """Class i of ten has 100 images, of which 10 i are called right; the rest are called 0."""
    confusion = np.zeros((10, 10), dtype=int)
    for label in range(10):
        confusion[label, label] += 10 * label
        confusion[label, (label + 1) % 10] += 100 - 10 * label
    result = build("resnet18", confusion=tuple(tuple(row) for row in confusion.tolist()))
    accuracy = section(written(result), "Accuracy")
    assert re.findall(r"^\| (\w+) \| 100 \| ([\d.]+) \|$", accuracy, re.MULTILINE) == [
        ("truck", "90.00"),
        ("ship", "80.00"),
        ("horse", "70.00"),
        ("bird", "20.00"),
        ("automobile", "10.00"),
        ("airplane", "0.00"),
    ]
    assert re.findall(r"^\| (\w+) \| (\w+) \| (\d+) \|$", accuracy, re.MULTILINE) == [
        ("airplane", "automobile", "100"),
        ("automobile", "bird", "90"),
        ("bird", "cat", "80"),
    ]
    weak = section(written(result), "Intended use and limits").splitlines()[-1]
    assert weak.endswith("right: airplane, automobile, bird, cat, deer.")


def test_what_is_not_known_is_said() -> None:
    text = written(None, origin={"licence": "unknown"})
    assert section(text, "Accuracy") == "Not measured."
    assert section(text, "Licence") == "Not known: none was given."
    assert "how is not known" in section(text, "Training")
    told = written(None, origin={"top1": 0.5, "test_images": 100, "run": "r", "recipe": "quick"})
    assert "50.00 % top-1" in section(told, "Accuracy")
    assert "40.38 to 59.62 %" in section(told, "Accuracy")  # by hand: Wilson 1927
    assert "recipe `quick`, run `r`" in section(told, "Training")


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("unknown", {"license": "unknown"}),
        ("Ours: ask first\n---", {"license": "other", "license_name": "Ours: ask first\n---"}),
    ],
)
def test_the_hub_can_read_its_front(licence: str, fields: dict[str, str]) -> None:
    _, front, rest = written(None, origin={"licence": licence}).split("---\n", 2)
    expected = {**fields, "library_name": "convnets", "pipeline_tag": "image-classification"}
    assert yaml.safe_load(front) == expected
    assert rest.startswith("\n# resnet18, trained on cifar10\n")


def test_no_name_breaks_the_page() -> None:
    names = ("a|b", "<script>", "*bold*", "new\nline", "`code`", *CIFAR[5:])
    result = build("resnet18", classes=names)
    text = written(result, model={"classes": list(names), "data": "## Licence"})
    odd = {"run": "`<b>`", "recipe": "a`b", "plan": "c", "top1": 0.5, "test_images": 2}
    assert "recipe `a'b`, plan `c`, run `'<b>'`" in written(None, origin=odd)
    assert "<script>" not in text.replace(r"\<script\>", "")
    assert "\n## Licence\n\nCC" in text
    assert text.count("## Licence") - text.count(r"\## Licence") <= 1
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for line in tables:
        assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4)
