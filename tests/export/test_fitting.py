"""The ONNX graph fits images as torch does, bit for bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from convnets.data.fit import fitted
from convnets.export.fitting import fitting_graph

SIDES = [
    *((32, 32), (31, 32), (28, 28), (28, 31), (27, 28), (28, 33)),  # about the border's limits
    *((1, 1), (8, 8), (3, 40), (40, 3), (33, 33), (64, 48), (100, 101), (257, 300), (500, 500)),
]


def fit(images: np.ndarray, size: int) -> np.ndarray:
    model = fitting_graph(size, images.shape[3], opset=20, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    ready = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    return ready.run(None, {"images": images})[0]


def noise(*shape: int) -> np.ndarray:
    """Bytes at random, and half of them black or white: sums that lie on a half are common."""
    draw = np.random.default_rng(0)
    anything = draw.integers(0, 256, shape)
    extreme = draw.choice([0, 255], shape)
    return np.where(draw.random(shape) < 0.5, anything, extreme).astype(np.uint8)


@pytest.mark.parametrize(("size", "channels"), [(32, 3), (28, 1), (64, 4), (224, 3)])
@pytest.mark.parametrize("sides", SIDES, ids=lambda sides: "x".join(map(str, sides)))
def test_every_size_is_fitted_bit_for_bit(size: int, channels: int, sides: tuple[int, int]) -> None:
    images = noise(2, *sides, channels)
    np.testing.assert_array_equal(fit(images, size), fitted(images, size))


def test_a_resize_is_that_of_pillow() -> None:
    (image,) = noise(1, 120, 90, 3)
    square = Image.fromarray(image).crop((0, 15, 90, 105))
    theirs = np.asarray(square.resize((32, 32), Image.Resampling.BILINEAR))
    assert np.abs(fit(image[None], 32)[0].astype(int) - theirs).max() <= 1


def test_a_border_is_of_zeros_around_the_middle() -> None:
    image = np.full((1, 29, 30, 1), 7, np.uint8)
    assert np.argwhere(fit(image, 32)[0, :, :, 0]).min(0).tolist() == [1, 1]
    assert np.argwhere(fit(image, 32)[0, :, :, 0]).max(0).tolist() == [29, 30]
