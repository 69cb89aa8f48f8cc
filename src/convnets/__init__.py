"""convnets: build, train, compare and explain convolutional networks, LeNet-5 to ConvNeXt.

Names are loaded on first use, so that ``import convnets`` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnets.models import create_model as create_model
    from convnets.models import list_models as list_models

__version__ = "0.1.0"

_HOMES = {
    "create_model": "convnets.models",
    "list_models": "convnets.models",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'convnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
