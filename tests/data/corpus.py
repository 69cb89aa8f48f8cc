"""Images that a person's folder may hold: what must decode, with the exact pixels, and what must
be refused. Everything is made here, from a seed."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 24
_RANDOM = np.random.default_rng(1998)
# Smooth, so that a lossy format changes little; no symmetry, so that a wrong turn shows.
_RAMP = np.add.outer(np.arange(SIDE) * 6, np.arange(SIDE) * 4).astype(np.uint8)
RGB = np.stack([_RAMP, 255 - _RAMP, _RAMP // 2], axis=2)
GREY = _RAMP
ALPHA = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))


@dataclass(frozen=True)
class Good:
    """An encoded image, the (h, w, 3) pixels it must give, and by how much they may differ."""

    content: bytes
    expected: np.ndarray
    tolerance: int = 0


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None] / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


def png(width: int, height: int, depth: int, kind: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand: the header, any extra chunks, and scan lines with filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + data + chunk(b"IEND")


def chunk(name: bytes, content: bytes = b"") -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def lines(pixels: np.ndarray) -> bytes:
    """Scan lines of a PNG without filter; 16-bit values big-endian."""
    rows = pixels.reshape(len(pixels), -1)
    rows = rows.astype(">u2") if rows.dtype == np.uint16 else rows
    return b"".join(b"\0" + row.tobytes() for row in rows)


def empty_png(side: int) -> bytes:
    """A grey PNG of ``side`` x ``side`` zeros at one bit a pixel: tiny, and huge when decoded."""
    return png(side, side, 1, 0, bytes((side // 8 + 1 + (side % 8 > 0)) * side))


def turned(orientation: int) -> bytes:
    """``RGB`` stored as EXIF orientation says a viewer must turn it back."""
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(np.ascontiguousarray(undo(RGB))), "PNG", exif=exif)


def good() -> dict[str, Good]:
    """Every image that must work, by name."""
    colour, grey = Image.fromarray(RGB), Image.fromarray(GREY)
    clear = Image.fromarray(np.dstack([RGB, ALPHA]))
    wide = (GREY.astype(np.uint16) << 8) | 0x5A
    wide_rgb = (RGB.astype(np.uint16) << 8) | 0xA5
    bits = np.where(GREY > 100, 255, 0).astype(np.uint8)
    palette = colour.quantize(16)
    flat = np.asarray(palette.convert("RGB"))
    holes = np.asarray(palette) == 3
    cmyk = np.dstack([RGB, GREY // 2])
    ink = cmyk.astype(int)
    dry = np.rint((255 - ink[:, :, :3]) * (255 - ink[:, :, 3:]) / 255).astype(np.uint8)
    frames = [colour, Image.fromarray(255 - RGB)]
    jpeg = encoded(colour, "JPEG", quality=100, subsampling=0)
    cases = {
        "grey": Good(encoded(grey, "PNG"), as_rgb(GREY)),
        "rgb": Good(encoded(colour, "PNG"), RGB),
        "bmp": Good(encoded(colour, "BMP"), RGB),
        "webp": Good(encoded(colour, "WEBP", lossless=True), RGB),
        "grey with alpha": Good(
            encoded(Image.merge("LA", [grey, Image.fromarray(ALPHA)]), "PNG"),
            on_white(as_rgb(GREY), ALPHA),
            1,
        ),
        "rgb with alpha": Good(encoded(clear, "PNG"), on_white(RGB, ALPHA), 1),
        "palette": Good(encoded(palette, "PNG"), flat),
        "palette with a transparent entry": Good(
            encoded(palette, "PNG", transparency=3),
            np.where(holes[:, :, None], np.uint8(255), flat),
        ),
        "rgb with a transparent colour": Good(
            encoded(colour, "PNG", transparency=tuple(RGB[0, 0].tolist())),
            np.where((RGB[0, 0] == RGB).all(2, keepdims=True), np.uint8(255), RGB),
        ),
        "one bit": Good(encoded(Image.fromarray(bits).convert("1"), "PNG"), as_rgb(bits)),
        "16-bit grey": Good(png(SIDE, SIDE, 16, 0, lines(wide)), as_rgb(GREY)),
        "16-bit rgb": Good(png(SIDE, SIDE, 16, 2, lines(wide_rgb)), RGB),
        "jpeg": Good(jpeg, RGB, 4),
        "progressive jpeg": Good(
            encoded(colour, "JPEG", quality=100, subsampling=0, progressive=True), RGB, 4
        ),
        "grey jpeg": Good(encoded(grey, "JPEG", quality=100), as_rgb(GREY), 4),
        # Pillow writes CMYK as Adobe does, inverted.
        "cmyk jpeg": Good(
            encoded(Image.fromarray(cmyk, mode="CMYK"), "JPEG", quality=100, subsampling=0), dry, 4
        ),
        "icc profile": Good(encoded(colour, "PNG", icc_profile=b"not a profile"), RGB),
        "1x1": Good(encoded(Image.fromarray(RGB[:1, :1]), "PNG"), RGB[:1, :1]),
        "1x5000": Good(encoded(Image.new("RGB", (1, 5000), "red"), "PNG"), _red(5000, 1)),
        "5000x1": Good(encoded(Image.new("RGB", (5000, 1), "red"), "PNG"), _red(1, 5000)),
    }
    for form, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        expected = np.asarray(
            Image.open(io.BytesIO(encoded(colour, form, **options))).convert("RGB")
        )
        cases[f"animated {form}"] = Good(content, expected)
    for orientation in range(1, 9):
        cases[f"orientation {orientation}"] = Good(turned(orientation), RGB)
    return cases


def _red(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), (255, 0, 0), dtype=np.uint8)


def bad() -> dict[str, bytes]:
    """Every image that must be refused, by name."""
    noise = Image.fromarray(_RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole_png, whole_jpeg = encoded(noise, "PNG"), encoded(noise, "JPEG", quality=95)
    broken = bytearray(whole_png)
    broken[60] ^= 0xFF  # inside the first IDAT chunk
    text = zlib.compress(bytes(50_000_000), 9)
    bomb = chunk(b"zTXt", b"Comment\0\0" + text)
    gif = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    cases = {
        "empty": b"",
        "one byte": b"\xff",
        "text": b"this is not an image\n" * 20,
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(64),
        "fits": b"SIMPLE  =                    T".ljust(2880),
        "tiff": encoded(Image.fromarray(RGB), "TIFF"),
        "png with a bad checksum": bytes(broken),
        "12000x12000 png": empty_png(12_000),
        "30000x30000 png": empty_png(30_000),
        "compressed text bomb": png(8, 8, 8, 0, bytes(72), bomb),
        "gif bomb": bytes(gif),
    }
    for part in range(20):
        for name, content in (("png", whole_png), ("jpeg", whole_jpeg)):
            cut = 1 + part * (len(content) - 24) // 20
            cases[f"{name} cut at {cut}"] = content[:cut]
    return cases
