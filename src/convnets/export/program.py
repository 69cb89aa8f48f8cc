"""A network as a ``torch.export`` program: torch runs it without this package.

Such files are written here and never read: loading one runs what is in it.
"""

from __future__ import annotations

import io

import numpy as np
import torch

from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.export.agreement import Agreement, agreement
from convnets.export.deployed import Deployed, folded, traced
from convnets.files import to_json
from convnets.weights.model_file import LoadedModel

DESCRIPTION = "convnets.json"


def program_file(
    loaded: LoadedModel, image_set: ImageSet, *, images: int
) -> tuple[bytes, Agreement]:
    """Return the content of a .pt2 file, and how it agrees with the network on test images.

    The program takes images (batch, size, size, channels) uint8 of the network's size and returns
    probabilities (batch, classes). The network's description lies in it as ``convnets.json``.
    Raises ``ExportFailed`` where the two do not agree.
    """
    description = loaded.description
    program = traced(folded(loaded), description)
    run = program.module()

    def answered(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            probabilities: np.ndarray = run(
                torch.from_numpy(fitted(pixels, description.input_size))
            ).numpy()
        return probabilities

    found = agreement(
        answered, Deployed(loaded.network, description).eval(), description, image_set, images
    )
    found.require("program")
    file = io.BytesIO()
    torch.export.save(
        program, file, extra_files={DESCRIPTION: to_json(description.model_dump(mode="json"))}
    )
    return file.getvalue(), found
