"""From bytes to pixels: the one decoder, used to train, to predict and to check.

Formats are decided by content, not by name: JPEG, PNG, WebP, GIF and BMP. Of an animation the
first frame counts. Sixteen-bit images keep their high byte (Pillow itself would clip), EXIF
orientation is applied, transparency is laid on white, CMYK JPEGs are read as Adobe writes them
(inverted; the other viewers do so too).
"""

from __future__ import annotations

import os
import stat
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from convnets.errors import BadImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 64 << 20
MAX_PIXELS = 25_000_000
BACKGROUND = (255, 255, 255, 255)

# What Pillow documents that damaged files raise; any other exception is a bug worth seeing.
_DAMAGE = (
    OSError,
    SyntaxError,
    MemoryError,
    ValueError,
    NotImplementedError,
    OverflowError,
    Image.DecompressionBombError,
    Warning,
)

# Our own cap is lower than the size at which Pillow warns; corrupt EXIF is no reason for noise.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(path: Path) -> bytes:
    """Read an encoded image from a regular file; raises ``BadImage`` for anything else.

    Never blocks: a pipe is recognised before it is read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadImage(path, "not a regular file")
            if found.st_size > MAX_BYTES:
                raise BadImage(path, f"{found.st_size} bytes; the limit is {MAX_BYTES}")
            return file.read(MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise BadImage(path, f"cannot read: {_reason(error)}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def picture(content: bytes, *, name: object) -> Image.Image:
    """Decode to an upright opaque image, mode "L" where the file is grey, else "RGB".

    Raises ``BadImage`` with ``name`` and the reason.
    """
    if not content:
        raise BadImage(name, "empty file")
    if len(content) > MAX_BYTES:
        raise BadImage(name, f"{len(content)} bytes; the limit is {MAX_BYTES}")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadImage(name, f"{width}x{height} pixels; the limit is {MAX_PIXELS}")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _flat(image)
    except _DAMAGE as error:
        raise BadImage(name, _reason(error)) from error


def decode(content: bytes, *, name: object, channels: int = 3) -> np.ndarray:
    """Decode to (height, width, channels) uint8, ``channels`` 1 (luma) or 3 (RGB).

    Raises ``BadImage`` with ``name`` and the reason.
    """
    image = _as_mode(picture(content, name=name), "L" if channels == 1 else "RGB")
    return np.array(image).reshape(image.height, image.width, channels)


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray((wide >> 8).astype(np.uint8))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return _as_mode(image, "L" if grey else "RGB")


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image ({', '.join(FORMATS)} are read)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
