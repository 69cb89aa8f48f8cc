"""The page as a browser would read it: balanced, closed to the outside, complete, harmless."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from convnets.records import Result
from convnets.report.leaderboard import leaderboard
from convnets.report.matrices import confused_pairs, confusion, shares
from convnets.report.page import page
from tests.report.synthetic import CIFAR, NETWORKS, build, sixteen

PROSE = {"src", "data-tip", "aria-label", "data-key"}
VOID = {"img", "input", "meta"}
HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


class Reader(HTMLParser):
    """Keeps every element with its attributes, all text, and checks that tags pair up."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(document)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        assert len(attributes) == len(dict(attributes)), f"{tag} repeats an attribute"
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def cases() -> dict[str, list[Result]]:
    many = [f"class {index} of two hundred" for index in range(200)]
    long = "a_network_whose_name_does_not_end_" * 4
    return {
        "sixteen": sixteen(),
        "one run, one epoch, two classes": [build("resnet18", epochs=1, classes=("cat", "dog"))],
        "200 classes": [build(name, classes=many) for name in ("vgg16", "resnet18")],
        "long names": [build("vgg16", model=long, classes=[f"{long}{i}" for i in range(20)])],
        "all right": [build("vgg16", top1=1.0, confusion=((5, 0), (0, 5)), classes=("a", "b"))],
        "nothing right": [build("vgg16", top1=0.0, confusion=((0, 5), (5, 0)), classes=("a", "b"))],
        "no test image of a class": [
            build("vgg16", confusion=((0, 0), (2, 5)), classes=("a", "b"))
        ],
        "none": [],
    }


@pytest.mark.parametrize(("name", "results"), cases().items(), ids=cases())
def test_page_is_balanced_complete_and_asks_for_nothing(name: str, results: list[Result]) -> None:
    document = page(results, title=name)
    reader = Reader(document)
    assert reader.text.count(name) >= 2  # title and heading
    assert "://" not in document
    numbers = [value for _, a in reader.elements for key, value in a.items() if key not in PROSE]
    assert not any(re.search(r"\bnan\b|\binf\b", value) for value in numbers)
    for _, attributes in reader.elements:
        assert not set(attributes) & {"href", "action", "srcset", "background"}
        assert attributes.get("src", "data:image/png").startswith("data:image/png")
    assert {"link", "iframe", "object", "form", "base"}.isdisjoint(
        tag for tag, _ in reader.elements
    )
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for run in results:
        assert f"{run.run}, seed {run.seed}" in reader.text
        assert run.command in reader.text
        assert run.weights_sha256 in reader.text


def test_policy_forbids_every_request() -> None:
    [policy] = [
        meta["content"]
        for meta in Reader(page(sixteen(seeds=(0,)), title="x")).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )


@pytest.mark.parametrize("classes", [2, 30])
def test_hostile_text_stays_text(classes: int) -> None:
    names = [HOSTILE + str(index) for index in range(classes)]
    run = build(
        "vgg16",
        model=HOSTILE,
        classes=names,
        recipe=HOSTILE,
        stem=HOSTILE,
        run=HOSTILE,
        command=HOSTILE,
        plan={HOSTILE: HOSTILE},
        skipped_files=(HOSTILE, "tab\tand\x00control"),
    )
    run = run.model_copy(update={"data": run.data.model_copy(update={"name": HOSTILE})})
    reader = Reader(page([run, build("zfnet", classes=names)], title=HOSTILE))
    assert len(reader.all("script")) == 1
    assert not any("onerror" in attributes for _, attributes in reader.elements)
    assert all("src" not in a or a["src"].startswith("data:") for a in reader.all("img"))
    assert HOSTILE in reader.text
    assert "\x00" not in reader.text


def test_sort_keys_are_the_exact_numbers() -> None:
    results = sixteen()
    reader = Reader(page(results, title="x"))
    numbers = [
        float(cell["data-value"])
        for cell in reader.all("td")
        if cell.get("class") == "number" and "data-value" in cell
    ]
    rows = leaderboard(results)
    assert numbers == [
        value
        for row in rows
        for value in (
            row.year,
            row.top1,
            row.top5,
            row.params,
            row.macs,
            row.training_macs,
            row.seconds,
            row.images_per_second,
            row.peak_memory_bytes,
        )
    ]
    sorted_by = [heading for heading in reader.all("th") if "aria-sort" in heading]
    assert [heading["aria-sort"] for heading in sorted_by] == ["descending"]


def test_every_choice_has_its_panel() -> None:
    reader = Reader(page(sixteen(seeds=(0,)), title="x"))
    ids = {attributes.get("id") for _, attributes in reader.elements}
    values = [a["value"] for kind in ("option", "input") for a in reader.all(kind)]
    assert len(values) == len(NETWORKS) + 3
    assert set(values) <= ids


def test_data_sets_are_compared_apart() -> None:
    run = build("vgg16")
    data = run.data.model_copy(update={"name": "pets", "fingerprint": "0"})
    other = build("vgg16", run="pets-run", classes=("cat", "dog"))
    other = other.model_copy(
        update={"data": data.model_copy(update={"classes": ("cat", "dog")}), "curve": run.curve}
    )
    assert len(Reader(page([run, other], title="x")).all("article")) == 2


def test_confusion_is_summed_over_seeds_and_shared_by_true_class() -> None:
    first = build("vgg16", classes=("a", "b"), confusion=((3, 1), (0, 4)))
    second = build("vgg16", seed=1, classes=("a", "b"), confusion=((2, 2), (1, 3)))
    matrix = confusion([first, second])
    assert matrix.tolist() == [[5, 3], [1, 7]]
    assert shares(matrix).tolist() == [[5 / 8, 3 / 8], [1 / 8, 7 / 8]]
    assert confused_pairs(matrix, 8) == [(0, 1, 3, 3 / 8), (1, 0, 1, 1 / 8)]


def test_the_picture_of_many_classes_carries_the_counts() -> None:
    run = build("vgg16", classes=[str(index) for index in range(200)])
    reader = Reader(page([run], title="x"))
    [picture] = [image for image in reader.all("img") if image.get("class") == "matrix"]
    counts = np.zeros((200, 200), dtype=int)
    for true, cells in enumerate(json.loads(picture["data-cells"])):
        counts[true, cells[::2]] = cells[1::2]
    assert counts.tolist() == [list(row) for row in run.confusion]
    encoded = picture["src"].removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert image.size == (200, 200)
        alpha = np.asarray(image)[..., 3]
    assert ((alpha > 0) == (counts > 0)).all()
    [classes] = [a["data-classes"] for a in reader.all("div") if "data-classes" in a]
    assert json.loads(classes) == [str(index) for index in range(200)]


def test_cells_name_class_and_count() -> None:
    run = build("vgg16")
    tips = [
        cell["data-tip"] for cell in Reader(page([run], title="x")).all("td") if "data-tip" in cell
    ]
    total = sum(run.confusion[3])
    share = run.confusion[3][5] / total
    assert f"cat called dog: {run.confusion[3][5]} of {total} ({share * 100:.1f} %)" in tips
    assert sum(" called " in tip for tip in tips) == len(CIFAR) ** 2
