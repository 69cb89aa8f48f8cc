"""One pass over every image of a set: all that cannot be read are named at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convnets.data.decode import picture, read_image
from convnets.data.sets import (
    ImageArrays,
    ImageFiles,
    ImageSet,
    OnError,
    Progress,
    Split,
    held_out,
    image_set,
)
from convnets.data.threads import made_ahead
from convnets.errors import BadData, BadImage

JPEG = b"\xff\xd8\xff"
BLOCK = 256
SMALL_BYTES = 8192
"""Images smaller than this decode faster in one thread than in several."""


@dataclass(frozen=True)
class Candidate:
    """An image that a set lists. ``test`` is None where the set has no split of its own;
    ``content`` holds the bytes of an image that has no file of its own."""

    path: Path
    label: int
    test: bool | None = None
    content: bytes | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """A readable image; ``pixels`` are (height, width) or (height, width, 3) uint8."""

    candidate: Candidate
    digest: bytes
    size: tuple[int, int]
    grey: bool
    jpeg: bool
    pixels: np.ndarray | None


def scanned_set(
    name: str,
    classes: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    decoded: bool,
    on_error: OnError,
    progress: Progress | None,
    licence: str,
    source: str,
    jpeg_name: str | None = None,
) -> ImageSet:
    """Read every image once and make the set of them.

    ``decoded`` keeps the pixels if all images share one size. A set without a split of its own
    holds out a fifth of each class. ``jpeg_name`` names a copy that holds JPEG images. Raises
    ``BadData`` that names every unreadable image, or with ``on_error="skip"`` lists them in
    ``skipped``.
    """
    found: list[Found] = []
    bad: list[BadImage] = []
    for result in _examined(candidates, decoded, source, progress):
        if isinstance(result, BadImage):
            bad.append(result)
        else:
            found.append(result)
    if bad and on_error == "fail":
        raise BadData(unreadable(source, bad))
    labels = np.array([one.candidate.label for one in found], dtype=np.int64)
    if found and found[0].candidate.test is None:
        test = held_out(labels, [one.digest for one in found], classes, source)
    else:
        test = np.array([one.candidate.test for one in found], dtype=bool)
    for label in np.setdiff1d(np.arange(len(classes)), labels[~test]):
        raise BadData(f"{source}: class {classes[label]!r} has no readable training image")
    channels = 1 if all(one.grey for one in found) else 3
    sides = [[found[row] for row in np.flatnonzero(mask)] for mask in (~test, test)]
    train, held = (_split(side, channels) for side in sides)
    return image_set(
        jpeg_name if jpeg_name is not None and any(one.jpeg for one in found) else name,
        classes,
        train,
        held,
        licence=licence,
        source=source,
        skipped=[str(error) for error in bad],
    )


def _split(found: Sequence[Found], channels: int) -> Split:
    labels = np.array([one.candidate.label for one in found], dtype=np.int64)
    sizes = {one.size for one in found}
    pixels = [one.pixels for one in found if one.pixels is not None]
    if found and len(pixels) == len(found):
        height, width = found[0].size
        images = np.empty((len(found), height, width, channels), dtype=np.uint8)
        for row, image in zip(images, pixels, strict=True):
            row[:] = image.reshape(height, width, -1)
        return ImageArrays(images, labels)
    contents = [one.candidate.content for one in found if one.candidate.content is not None]
    return ImageFiles(
        paths=tuple(one.candidate.path for one in found),
        labels=labels,
        channels=channels,
        digests=tuple(one.digest for one in found),
        image_size=sizes.pop() if len(sizes) == 1 else None,
        contents=contents or None,
    )


def _examined(
    candidates: Sequence[Candidate], decoded: bool, source: str, progress: Progress | None
) -> Iterator[Found | BadImage]:
    """Read, hash and decode the candidates, in order; pixels are kept while sizes agree."""
    first = candidates[0].content if candidates else None
    small = first is not None and len(first) < SMALL_BYTES
    sizes: set[tuple[int, int]] = set()
    results = map(_examine, candidates) if small else made_ahead(candidates, _examine)
    for done, result in enumerate(results, start=1):
        if isinstance(result, Found):
            sizes.add(result.size)
            if not decoded or len(sizes) > 1:
                result = replace(result, pixels=None)
        yield result
        if progress is not None and (done % BLOCK == 0 or done == len(candidates)):
            progress(f"reading {source}", done, len(candidates))


def _examine(candidate: Candidate) -> Found | BadImage:
    try:
        content = candidate.content
        if content is None:
            content = read_image(candidate.path)
        image = picture(content, name=candidate.path)
    except BadImage as error:
        return error
    return Found(
        candidate=candidate,
        digest=hashlib.sha256(content).digest(),
        size=(image.height, image.width),
        grey=image.mode == "L",
        jpeg=content.startswith(JPEG),
        pixels=np.array(image),
    )


def unreadable(source: str, bad: Sequence[BadImage]) -> str:
    """What to say of a set with images that cannot be read."""
    named = "; ".join(str(error) for error in bad)
    return (
        f"{source}: {len(bad)} unreadable image{'s' * (len(bad) > 1)}: {named}; "
        "mend, remove or skip them (--skip-bad, on_error='skip')"
    )
