"""Files fetched from the network: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from convnets.errors import BadInput, EnvironmentFailure
from convnets.files import atomic_write

TIMEOUT = 30.0
PIECE = 1 << 20
LARGEST = 1 << 34
Progress = Callable[[str, int, int], None]


def user_cache() -> Path:
    """The folder that downloads go to: ``convnets`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "convnets"


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int | None = None,
    hint: str = "",
    progress: Progress | None = None,
) -> None:
    """Fetch ``url`` into ``path``, unless the file is there already.

    ``sha256`` is the file's checksum in hex, or its first digits; ``size`` in bytes where known.
    Raises ``EnvironmentFailure``, with ``hint``, where the network does not answer, and
    ``BadInput`` where what comes is not the published file.
    """
    if path.is_file():
        return
    # The network's errors are OSErrors, as the disk's are: told apart before the write.
    try:
        response = urllib.request.urlopen(url, timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        raise EnvironmentFailure(
            f"{hint}{url} does not answer ({getattr(error, 'reason', error)}); "
            f"fetch it by hand into {path.parent}"
        ) from error
    with response:
        atomic_write(path, _received(response, url, sha256, size, progress))


def _received(
    response: BinaryIO, url: str, sha256: str, size: int | None, progress: Progress | None
) -> Iterator[bytes]:
    """The bytes of a download; ends in an error unless size and checksum are as published."""
    digest = hashlib.sha256()
    done = 0
    limit = LARGEST if size is None else size
    while done <= limit:
        try:
            piece = response.read(PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentFailure(f"{url}: the download broke off: {error}") from error
        if not piece:
            break
        digest.update(piece)
        done += len(piece)
        if progress is not None:
            progress(f"downloading {url.rpartition('/')[2]}", done, max(done, size or done))
        yield piece
    if size not in (None, done) or not digest.hexdigest().startswith(sha256):
        raise BadInput(f"{url}: not the published file: its size or SHA-256 is another")
