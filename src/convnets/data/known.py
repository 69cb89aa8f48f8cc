"""The data sets known by name: where they are looked for, how they are read, their origin."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from convnets.data.cifar import read_cifar
from convnets.data.idx import read_idx_split
from convnets.data.parquet import read_parquet
from convnets.data.sets import ImageArrays, ImageSet, OnError, Progress, image_set
from convnets.download import download, user_cache
from convnets.files import walk

IDX = tuple(
    (f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte") for split in ("train", "t10k")
)


@dataclass(frozen=True)
class Remote:
    """A file to download: its exact size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class KnownSet:
    """A set known by name. ``folders`` are the names of the folder it is looked for in;
    ``files`` are fetched from ``url`` (checksums as TensorFlow Datasets publishes them)."""

    title: str
    classes: tuple[str, ...]
    licence: str
    source: str
    layout: Literal["built in", "idx", "cifar"]
    folders: tuple[str, ...] = ()
    url: str = ""
    files: tuple[Remote, ...] = ()


DIGITS = tuple(str(digit) for digit in range(10))

# fmt: off
KNOWN: dict[str, KnownSet] = {
    "digits": KnownSet(
        title="1,797 handwritten digits, 8x8 grey (UCI, 1998)", classes=DIGITS, layout="built in",
        licence="CC BY 4.0", source="https://doi.org/10.24432/C50P49",
    ),
    "mnist": KnownSet(
        title="70,000 handwritten digits, 28x28 grey (LeCun et al., 1998)", classes=DIGITS,
        layout="idx", licence="CC BY-SA 3.0", source="http://yann.lecun.com/exdb/mnist/",
        folders=("mnist", "MNIST"), url="https://storage.googleapis.com/cvdf-datasets/mnist/",
        files=(
            Remote("train-images-idx3-ubyte.gz", 9_912_422,
                   "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            Remote("train-labels-idx1-ubyte.gz", 28_881,
                   "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            Remote("t10k-images-idx3-ubyte.gz", 1_648_877,
                   "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            Remote("t10k-labels-idx1-ubyte.gz", 4_542,
                   "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    "fashion-mnist": KnownSet(
        title="70,000 articles of clothing, 28x28 grey (Zalando, 2017)", layout="idx",
        classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                 "Sneaker", "Bag", "Ankle boot"),
        licence="MIT", source="https://github.com/zalandoresearch/fashion-mnist",
        folders=("fashion-mnist", "fashion_mnist", "FashionMNIST"),
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files=(
            Remote("train-images-idx3-ubyte.gz", 26_421_880,
                   "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            Remote("train-labels-idx1-ubyte.gz", 29_515,
                   "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            Remote("t10k-images-idx3-ubyte.gz", 4_422_102,
                   "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            Remote("t10k-labels-idx1-ubyte.gz", 5_148,
                   "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
    ),
    "cifar10": KnownSet(
        title="60,000 photographs in 10 classes, 32x32 (Krizhevsky, 2009)", layout="cifar",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck"),
        licence="none stated; cite Krizhevsky (2009)",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        folders=("cifar10", "cifar-10", "CIFAR10"), url="https://www.cs.toronto.edu/~kriz/",
        files=(
            Remote("cifar-10-binary.tar.gz", 170_052_171,
                   "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        ),
    ),
    "cifar100": KnownSet(
        title="60,000 photographs in 100 classes, 32x32 (Krizhevsky, 2009)", layout="cifar",
        classes=(),  # the archive names them
        licence="none stated; cite Krizhevsky (2009)",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        folders=("cifar100", "cifar-100", "CIFAR100"), url="https://www.cs.toronto.edu/~kriz/",
        files=(
            Remote("cifar-100-binary.tar.gz", 168_513_733,
                   "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
        ),
    ),
}
# fmt: on


def load_known(
    name: str, *, data_dir: Path | None, on_error: OnError, progress: Progress | None
) -> ImageSet:
    """Load a known set from where it lies, or download it first.

    Raises ``EnvironmentFailure`` where it is missing and cannot be downloaded, ``BadInput`` where
    its files are damaged or are others than those published.
    """
    known = KNOWN[name]
    if known.layout == "built in":
        return _built_in(name, known)
    for root in _roots(data_dir):
        for folder in (*(root / folder for folder in known.folders), root):
            found = read_from(name, folder, on_error=on_error, progress=progress)
            if found is not None:
                return found
    places = [root / name for root in _roots(data_dir)]
    _download(known, places, progress)
    found = read_from(name, places[0], on_error=on_error, progress=progress)
    assert found is not None, places[0]
    return found


def _roots(data_dir: Path | None) -> list[Path]:
    """Where sets are looked for, in order; a download goes to the first."""
    roots = [] if data_dir is None else [Path(data_dir)]
    if os.environ.get("CONVNETS_DATA"):
        roots.append(Path(os.environ["CONVNETS_DATA"]))
    return [*roots, user_cache()]


def read_from(
    name: str, folder: Path, *, on_error: OnError, progress: Progress | None
) -> ImageSet | None:
    """Read a known set from a folder, in any form it is distributed in; None if not there.

    A folder of the set's own name may hold it at any depth; in another one only an archive counts,
    whose name is the set's alone.
    """
    known = KNOWN[name]
    if not folder.is_dir():
        return None
    own = folder.name in known.folders
    files = {path.name: path for path in (walk(folder) if own else folder.glob("*.tar.gz"))}
    if known.layout == "idx":
        pairs = [[files.get(each) or files.get(f"{each}.gz") for each in pair] for pair in IDX]
        if all(path is not None for pair in pairs for path in pair):
            train, test = (read_idx_split(*[path for path in pair if path]) for pair in pairs)
            return _checked(name, known, known.classes, train, test)
    if known.layout == "cifar":
        stem = known.files[0].name.removesuffix("-binary.tar.gz")
        for kind in ("binary", "python"):
            if f"{stem}-{kind}.tar.gz" in files:
                classes, train, test = read_cifar(files[f"{stem}-{kind}.tar.gz"], progress)
                return _checked(name, known, classes, train, test)
    tables = [path for path in files.values() if path.suffix == ".parquet"]
    if not tables:
        return None
    return read_parquet(
        name,
        tables,
        on_error=on_error,
        progress=progress,
        licence=known.licence,
        source=known.source,
        jpeg_name=f"{name}-jpeg",
    )


def _checked(
    name: str, known: KnownSet, classes: Sequence[str], train: ImageArrays, test: ImageArrays
) -> ImageSet:
    return image_set(name, classes, train, test, licence=known.licence, source=known.source)


def _built_in(name: str, known: KnownSet) -> ImageSet:
    with (
        resources.files("convnets.data").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        train, test = (
            ImageArrays(
                arrays[f"{split}_images"][..., None], arrays[f"{split}_labels"].astype(np.int64)
            )
            for split in ("train", "test")
        )
    return _checked(name, known, known.classes, train, test)


def _download(known: KnownSet, places: Sequence[Path], progress: Progress | None) -> None:
    """Fetch a set's files into the first of ``places``."""
    for remote in known.files:
        download(
            known.url + remote.name,
            places[0] / remote.name,
            sha256=remote.sha256,
            size=remote.size,
            hint=f"{remote.name} is in none of {', '.join(map(str, places))}, and ",
            progress=progress,
        )
