"""What all tests share: the peers' import shim, one torch thread, and the optional data folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

# torchvision's compiled operators are absent beside a CPU build of torch from elsewhere; its
# import needs their names alone.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    _OPERATORS.define(_schema)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real MNIST and CIFAR-10, where it lies beside the checkout."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("CONVNETS_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}; set CONVNETS_SHARED")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _openvino_in_children_alone() -> None:
    """A process in which OpenVINO's threads run cannot be forked safely, and tests fork."""
    sys.modules.setdefault("openvino", None)  # type: ignore[arg-type]  # what import refuses


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
