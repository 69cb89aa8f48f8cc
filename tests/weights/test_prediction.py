"""Predictions are those of a pipeline written by hand; what cannot be read is set aside."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

from convnets.data import ImageArrays
from convnets.data.decode import read_image
from convnets.errors import BadData, BadImage
from convnets.weights import (
    Encoded,
    Prediction,
    evaluate_on,
    load_model,
    predict,
    prediction,
    predictions,
)
from tests.runs.tiny import CPU, tiny_set
from tests.weights.conftest import Trained

RANDOM = np.random.default_rng(3)


def pictures(folder: Path, count: int = 7) -> list[Path]:
    """Grey images of the network's own size."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(RANDOM.integers(0, 256, (32, 32), dtype=np.uint8)).save(path)
    return paths


def by_hand(trained: Trained, paths: list[Path]) -> torch.Tensor:
    """Probabilities (image, class), one image at a time."""
    loaded = load_model(trained.checkpoint)
    (mean,), (deviation,) = loaded.description.mean, loaded.description.deviation
    rows = []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float64)
        image = torch.tensor((pixels / 255 - mean) / deviation, dtype=torch.float32)
        with torch.no_grad():
            rows.append(loaded.network(image[None, None]).softmax(1)[0])
    return torch.stack(rows)


@pytest.mark.parametrize(("batch_size", "top"), [(64, 3), (3, 1), (1, 99)])
def test_predictions_are_those_made_by_hand(
    trained: Trained, tmp_path: Path, batch_size: int, top: int
) -> None:
    paths = pictures(tmp_path)
    told: list[tuple[int, int]] = []
    outcome = predict(
        load_model(trained.run),
        paths,
        CPU,
        top=top,
        batch_size=batch_size,
        progress=lambda done, total: told.append((done, total)),
    )
    expected = by_hand(trained, paths).sort(dim=1, descending=True)
    names = trained.result.data.classes
    assert [one.path for one in outcome.predictions] == paths
    for one, values, indices in zip(
        outcome.predictions, expected.values, expected.indices, strict=True
    ):
        assert [name for name, _ in one.classes] == [names[i] for i in indices[:top]]
        assert [p for _, p in one.classes] == pytest.approx(values[:top].tolist(), rel=1e-4)
    assert outcome.unreadable == ()
    assert told[-1] == (7, 7)


def test_colour_and_size_are_brought_to_the_networks_own(trained: Trained, tmp_path: Path) -> None:
    grey = np.full((32, 32), 90, dtype=np.uint8)
    forms = {
        "grey.png": Image.fromarray(grey),
        "colour.png": Image.fromarray(np.repeat(grey[..., None], 3, axis=2)),
        "large.png": Image.fromarray(np.full((100, 70), 90, dtype=np.uint8)),
    }
    for name, image in forms.items():
        image.save(tmp_path / name)
    outcome = predict(load_model(trained.run), [tmp_path / name for name in forms], CPU)
    first, *others = (prediction.classes for prediction in outcome.predictions)
    assert len(others) == 2
    for classes in others:
        assert classes == first


def test_what_cannot_be_read_is_set_aside_by_name(trained: Trained, tmp_path: Path) -> None:
    good = pictures(tmp_path / "images", 3)
    folder = tmp_path / "images" / "deeper"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"not an image")
    (folder / "dangling.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    outcome = predict(
        load_model(trained.run), [tmp_path / "images", tmp_path / "missing.png"], CPU, batch_size=2
    )
    assert [prediction.path for prediction in outcome.predictions] == good
    assert [Path(str(error.path)).name for error in outcome.unreadable] == [
        "dangling.png",
        "empty.png",
        "text.jpg",
        "missing.png",
    ]
    assert all(error.exit_code == 3 for error in outcome.unreadable)


def test_folders_are_walked_in_order_and_files_kept_as_given(
    trained: Trained, tmp_path: Path
) -> None:
    two, one = pictures(tmp_path / "b", 2), pictures(tmp_path / "a", 1)
    outcome = predict(load_model(trained.run), [two[1], tmp_path], CPU)
    assert [prediction.path for prediction in outcome.predictions] == [two[1], *one, *two]


def test_bytes_are_classified_as_their_file_is(trained: Trained, tmp_path: Path) -> None:
    one, two = pictures(tmp_path, 2)
    loaded = load_model(trained.run)
    images = [Encoded(Path("first"), one.read_bytes()), two, Encoded(Path("none"), b"")]
    first, second, none = predictions(loaded, images, CPU)
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert [p.classes for p in (first, second)] == [
        p.classes for p in predict(loaded, [one, two], CPU).predictions
    ]
    assert (first.path, second.path) == (Path("first"), two)
    assert isinstance(none, BadImage)
    assert str(none) == "none: empty file"


def test_only_a_few_batches_are_read_ahead(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = pictures(tmp_path, 1)
    read: list[Path] = []

    def counted(path: Path) -> bytes:
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(prediction, "read_image", counted)
    found = predictions(load_model(trained.run), [path] * 100, CPU, batch_size=4)
    next(found)
    assert len(read) <= 4 * (prediction.BATCHES_AHEAD + 1)
    found.close()
    time.sleep(0.05)
    assert len(read) <= 4 * (prediction.BATCHES_AHEAD + 1)


def test_a_batch_of_unreadable_images_is_no_obstacle(trained: Trained, tmp_path: Path) -> None:
    (path,) = pictures(tmp_path, 1)
    missing = [*(tmp_path / f"missing{number}.png" for number in range(4)), Path("x" * 300)]
    outcome = predict(load_model(trained.run), [*missing, str(path)], batch_size=2)
    assert [one.path for one in outcome.predictions] == [path]
    assert [error.path for error in outcome.unreadable] == missing


def test_a_network_of_other_channels_has_no_images(trained: Trained, tmp_path: Path) -> None:
    loaded = load_model(trained.run)
    about = loaded.description
    two = about.model_copy(update={"in_chans": 2, "mean": (0.5,) * 2, "deviation": (0.5,) * 2})
    with pytest.raises(BadData, match="takes 2 channels; images have 1 or 3"):
        predict(dataclasses.replace(loaded, description=two), pictures(tmp_path), CPU)


def test_an_empty_folder_is_bad_data(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no file in"):
        predict(load_model(trained.run), [tmp_path], CPU)


def test_a_record_of_a_prediction_is_json(trained: Trained, tmp_path: Path) -> None:
    (path,) = pictures(tmp_path / "new\nline", 1)
    (prediction,) = predict(load_model(trained.run), [path], CPU, top=2).predictions
    record = prediction.to_dict()
    assert record["path"] == str(path).replace("\n", "\\n")
    assert [(g["name"], g["probability"]) for g in record["classes"]] == list(prediction.classes)


def test_testing_again_gives_the_runs_own_figures(trained: Trained) -> None:
    told: list[tuple[int, int]] = []
    tested = evaluate_on(
        load_model(trained.run), tiny_set(), CPU, progress=lambda *done: told.append(done)
    )
    record = tested.to_dict()
    result = trained.result
    assert (record["top1"], record["top5"], record["loss"]) == (
        result.top1,
        result.top5,
        result.test_loss,
    )
    assert record["confusion"] == [list(row) for row in result.confusion]
    assert record["classes"] == list(result.data.classes)
    assert told[-1][0] == told[-1][1]


def test_a_test_agrees_with_predictions_one_by_one(trained: Trained, tmp_path: Path) -> None:
    noise = tiny_set()
    assert isinstance(noise.test, ImageArrays)
    paths = [tmp_path / f"{number:02}.png" for number in range(len(noise.test))]
    for path, image in zip(paths, noise.test.images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    outcome = predict(load_model(trained.run), paths, CPU, top=1)
    called = [noise.classes.index(p.classes[0][0]) for p in outcome.predictions]
    expected = metrics.confusion_matrix(noise.test.labels, called, labels=range(10))
    assert expected.tolist() == [list(row) for row in trained.result.confusion]


def test_other_classes_or_channels_are_refused(trained: Trained) -> None:
    loaded = load_model(trained.run)
    swapped = tiny_set()
    swapped = dataclasses.replace(swapped, classes=swapped.classes[::-1])
    for other, says in (
        (swapped, "has the classes class 9, .* trained on class 0"),
        (tiny_set(classes=3), "has the classes"),
        (tiny_set(channels=3), "has 3 channels; the network takes 1"),
    ):
        with pytest.raises(BadData, match=says) as caught:
            evaluate_on(loaded, other, CPU)
        assert caught.value.exit_code == 3
