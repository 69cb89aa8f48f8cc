"""A trained network in every form it can be shipped in: bytes, accuracy and speed of each, here."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache, partial
from importlib import metadata, util
from pathlib import Path

import numpy as np
import torch

from convnets.data import ImageSet
from convnets.export.agreement import BATCH
from convnets.export.forms import Form, Forms
from convnets.export.measuring import Progress, Trial, trial
from convnets.export.shipment import NAME, Shipment, Shipped, read_shipment
from convnets.files import atomic_write, short_hash, to_json
from convnets.training.state import weights_sha256
from convnets.weights.model_file import LoadedModel

PACKAGES = ("torch", "onnx", "onnxruntime", "openvino")
Observer = Callable[[str, int, int], None]
"""Told (form, how many images it has answered, how many there are)."""


def ship(
    loaded: LoadedModel,
    image_set: ImageSet,
    out: Path,
    *,
    images: int,
    most: float,
    compressed: LoadedModel | None = None,
    observer: Observer = lambda *_: None,
) -> Shipment:
    """Build and measure every form of a network; write its files and ``ship.json`` into ``out``.

    Forms that are there already, of the same network, images and machine, are not built again. One
    that loses more than ``most`` points of top-1 accuracy is measured and not written. OpenVINO's
    are ``missing`` where it is not installed.
    Raises ``BadData`` where the set's classes are not the network's.
    """
    test = trial(image_set, loaded.description, images)
    forms = Forms(loaded, image_set, compressed)
    builders = forms.builders()
    missing = tuple(name for name in builders if name.startswith(_missing()))
    about = _about(loaded, image_set, len(test), most)
    keys = {name: short_hash([name, *about]) for name in builders if name not in missing}
    if compressed is not None:
        keys["compressed"] = short_hash([*about, weights_sha256(compressed.network)])
    done = {each.form: each for each in _earlier(out) if keys.get(each.form) == each.key}
    expected = cache(lambda: test.answers(forms.eager().run))
    for name, key in keys.items():
        if name not in done:
            form = builders[name]()
            watch = partial(observer, name)
            done[name] = _measured(name, key, form, test, expected(), most, watch)
            for file in done[name].files:
                atomic_write(out / file, form.files[file])
            shipment = Shipment(
                model=loaded.description.model,
                data=image_set.name,
                test_images=len(test),
                threads=torch.get_num_threads(),
                forms=tuple(done[name] for name in keys if name in done),
                missing=missing,
            )
            atomic_write(out / NAME, to_json(shipment.model_dump(mode="json")) + "\n")
    return read_shipment(out)


def _earlier(out: Path) -> list[Shipped]:
    """The forms that an earlier call measured and whose files are all there."""
    if not (out / NAME).exists():
        return []
    forms = read_shipment(out).forms
    return [each for each in forms if all((out / file).is_file() for file in each.files)]


def _missing() -> tuple[str, ...]:
    return () if util.find_spec("openvino") else ("openvino",)


def _about(loaded: LoadedModel, image_set: ImageSet, images: int, most: float) -> list[object]:
    """All that the figures of every form depend on."""
    return [
        loaded.description.model_dump(mode="json"),
        weights_sha256(loaded.network),
        [image_set.fingerprint, images, most],
        [platform.node(), torch.get_num_threads()],
        [metadata.version(name) for name in PACKAGES if util.find_spec(name)],
    ]


def _measured(
    name: str,
    key: str,
    form: Form,
    test: Trial,
    expected: np.ndarray,
    most: float,
    progress: Progress,
) -> Shipped:
    answers = test.answers(form.run, progress)
    lost = 100 * (test.top1(expected) - test.top1(answers))
    refused = f"loses {lost:.2f} points, {most:g} are allowed" if lost > most else None
    return Shipped(
        form=name,
        key=key,
        size=form.size,
        top1=test.top1(answers),
        agreement=float((answers.argmax(1) == expected.argmax(1)).mean()),
        latency=test.latency(form.run, 1),
        batch_latency=test.latency(form.run, BATCH),
        files=() if refused else tuple(form.files),
        refused=refused,
    )
