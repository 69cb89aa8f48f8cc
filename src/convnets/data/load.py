"""One way in: a known name, a folder, a CSV file or Parquet files become an ``ImageSet``."""

from __future__ import annotations

from pathlib import Path

from convnets.data.folders import LICENCE, read_folder
from convnets.data.known import KNOWN, load_known, read_from
from convnets.data.listing import read_listing
from convnets.data.parquet import read_parquet
from convnets.data.sets import ImageSet, OnError, Progress
from convnets.data.shards import are_shards, read_shards
from convnets.errors import BadData, UnknownName, UsageError
from convnets.files import walk


def load_data(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    on_error: OnError = "fail",
    progress: Progress | None = None,
) -> ImageSet:
    """Load a data set by name (one of ``KNOWN``) or by path.

    A known name wins over a folder of the same name (write ``./mnist`` for that). A known set is
    looked for below ``data_dir``, ``$CONVNETS_DATA`` and the user's cache, in every form it is
    distributed in, and downloaded where it is missing. A path is a folder of class folders, a
    folder with a known set's own files, a CSV file, or hub-layout Parquet; what outgrows memory is
    read in place (``read_shards``), from a folder of tar shards or a URL.

    ``on_error`` says what an unreadable image does: "fail" raises ``BadData`` that names all of
    them, "skip" leaves them out and lists them in ``skipped``. Raises ``UnknownName``, ``BadData``
    and, where a download fails, ``EnvironmentFailure``.
    """
    if on_error not in ("fail", "skip"):
        raise UsageError(f"on_error is {on_error!r}; it is 'fail' or 'skip'")
    if name_or_path in KNOWN:
        return load_known(name_or_path, data_dir=data_dir, on_error=on_error, progress=progress)
    if are_shards(name_or_path):
        return read_shards(name_or_path, on_error=on_error, progress=progress)
    path = Path(name_or_path)
    if not path.exists():
        raise UnknownName("data set or path", name_or_path, KNOWN)
    if path.suffix.lower() == ".csv":
        return read_listing(path, on_error=on_error, progress=progress)
    tables = [path] if path.suffix == ".parquet" else []
    if path.is_dir():
        for name in KNOWN:
            found = read_from(name, path, on_error=on_error, progress=progress)
            if found is not None:
                return found
        tables = [each for each in walk(path) if each.suffix == ".parquet"]
    if tables:
        return read_parquet(
            path.stem,
            tables,
            on_error=on_error,
            progress=progress,
            licence=LICENCE,
            source=str(path),
        )
    if not path.is_dir():
        raise BadData(f"{path}: neither a folder, nor a .csv or .parquet file")
    return read_folder(path, on_error=on_error, progress=progress)
