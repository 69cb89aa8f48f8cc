"""Weights that torchvision and timm have released for our networks, and how they are fetched."""

from __future__ import annotations

from pathlib import Path

from convnets.download import Progress, download, user_cache
from convnets.errors import UsageError
from convnets.models import find_variant
from convnets.weights.hub import fetch_hub
from convnets.weights.released_files import TIMM, TORCHVISION

TORCHVISION_URL = "https://download.pytorch.org/models/"


def released(name: str) -> list[str]:
    """The libraries that offer weights for one of our networks."""
    return [
        library
        for library, files in (("torchvision", TORCHVISION), ("timm", TIMM))
        if name in files
    ]


def fetch_torchvision(name: str, progress: Progress | None = None) -> Path:
    """Download torchvision's weights for a network into the cache, unless they are there.

    The hex digits in a file's name begin its SHA-256. Raises ``UsageError`` where torchvision
    offers none, ``EnvironmentFailure`` where the network does not answer.
    """
    file = _offered("torchvision", TORCHVISION, name)
    path = user_cache() / "weights" / file
    sha256 = file.removesuffix(".pth").rpartition("-")[2]
    download(TORCHVISION_URL + file, path, sha256=sha256, progress=progress)
    return path


def fetch_timm(name: str) -> Path:
    """Download timm's weights for a network from the hub, unless they are in its cache."""
    return fetch_hub(f"timm/{_offered('timm', TIMM, name)}")


def _offered(library: str, files: dict[str, str], name: str) -> str:
    find_variant(name)
    if name not in files:
        others = [other for other in released(name) if other != library]
        hint = f"; {' and '.join(others)} does" if others else ""
        raise UsageError(f"{library} offers no weights for {name}{hint}")
    return files[name]
