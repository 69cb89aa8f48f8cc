"""Each kind of file that ``convnets export`` writes: its content, once it has been compared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from convnets.data import ImageSet
from convnets.errors import EnvironmentFailure
from convnets.export.agreement import COMPARED, Agreement
from convnets.export.measuring import Progress, trial
from convnets.weights.model_file import LoadedModel

if TYPE_CHECKING:
    from convnets.export.int8 import Quantised

Kind = Literal["onnx", "program", "openvino"]
SUFFIXES: dict[Kind, str] = {"onnx": ".onnx", "program": ".pt2", "openvino": ".xml"}


@dataclass(frozen=True, eq=False)
class Exported:
    """Contents of files by suffix, and what was found of them on real images."""

    files: dict[str, bytes]
    agreement: Agreement
    quantised: Quantised | None = None

    def to_dict(self) -> dict[str, Any]:
        """What was found, as JSON; ``agreement`` is that of the form in float."""
        int8 = None if self.quantised is None else asdict(self.quantised)
        return {"agreement": asdict(self.agreement), "int8": int8}


@contextlib.contextmanager
def extras() -> Iterator[None]:
    """Turn the lack of an optional package into ``EnvironmentFailure`` with what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise EnvironmentFailure(
            f"{error.name} is not installed; pip install 'convnets[onnx]', and for OpenVINO "
            "'convnets[onnx,openvino]'"
        ) from error


def exported(
    loaded: LoadedModel,
    kind: Kind,
    image_set: ImageSet,
    *,
    most: float | None = None,
    images: int = 1000,
    progress: Progress | None = None,
) -> Exported:
    """Make the files of a network and compare them with it on test images of ``image_set``.

    With ``most`` the ONNX file is in int8, calibrated on training images and tested on ``images``
    test images, where it may lose that many points of accuracy. Raises ``ExportFailed`` where a
    form is not what the network is, ``BadData`` where the images do not fit, and
    ``EnvironmentFailure`` where a package is missing.
    """
    with extras():
        if kind == "program":
            from convnets.export.program import program_file

            content, found = program_file(loaded, image_set, images=COMPARED)
            return Exported({".pt2": content}, found)
        if kind == "openvino":
            from convnets.export.openvino_file import openvino_files

            xml, weights, found = openvino_files(loaded, image_set, images=COMPARED)
            return Exported({".bin": weights, ".xml": xml}, found)
        from convnets.export.onnx_file import onnx_file

        if most is None:
            plain = onnx_file(loaded, image_set, images=COMPARED)
            return Exported({".onnx": plain.content}, plain.agreement)
        from convnets.export.int8 import int8_file

        description = loaded.description
        test = trial(image_set, description, images)
        plain = onnx_file(loaded, image_set, images=COMPARED)
        content, quantised = int8_file(
            plain, description, image_set, test, most=most, progress=progress
        )
        return Exported({".onnx": content}, plain.agreement, quantised)
