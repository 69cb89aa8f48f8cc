"""Images as the command line names them: files, folders, a list of paths, standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from convnets.data.decode import MAX_BYTES
from convnets.errors import BadInput, UsageError
from convnets.weights import Encoded
from convnets.weights.prediction import images_in

STANDARD = Path("-")


def images(paths: list[Path], listed: Path | None) -> list[Path | Encoded]:
    """The files named, those in folders, those on the list, and last the one on standard input.

    Names alone are held, and the bytes from standard input. Raises ``UsageError`` where nothing is
    named, ``BadData`` where there is no file, ``BadInput`` for a list that cannot be read.
    """
    files = [path for path in paths if path != STANDARD]
    on_standard_input = len(paths) - len(files)
    if on_standard_input + (listed == STANDARD) > 1:
        raise UsageError("standard input can be read once")
    if listed is not None:
        files += _names(listed)
    if not files and not on_standard_input:
        raise UsageError("give images, folders, - for an image on standard input, or --list FILE")
    found: list[Path | Encoded] = [*images_in(files)] if files else []
    if on_standard_input:
        found.append(Encoded(STANDARD, sys.stdin.buffer.read(MAX_BYTES + 1)))
    return found


def _names(listed: Path) -> list[Path]:
    """Paths on lines, or between NULs, as ``find -print0`` writes them."""
    try:
        content = sys.stdin.buffer.read() if listed == STANDARD else listed.read_bytes()
    except OSError as error:
        raise BadInput(f"{listed}: cannot read: {error.strerror}") from error
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    names = [Path(os.fsdecode(line)) for line in lines if line]
    if not names:
        raise BadInput(f"{listed}: no path in it")
    return names
