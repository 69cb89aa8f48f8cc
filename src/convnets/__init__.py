"""convnets: build, train, compare and explain convolutional networks, LeNet-5 to ConvNeXt.

Names are loaded on first use, so that ``import convnets`` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnets.api import bench as bench
    from convnets.api import create_model as create_model
    from convnets.api import evaluate_on as evaluate_on
    from convnets.api import list_models as list_models
    from convnets.api import load_data as load_data
    from convnets.api import load_model as load_model
    from convnets.api import load_recipe as load_recipe
    from convnets.api import predict as predict
    from convnets.api import profile as profile
    from convnets.api import save_model as save_model
    from convnets.api import scaled as scaled
    from convnets.api import search_architecture as search_architecture
    from convnets.api import train as train

__version__ = "0.1.0"

_OFFERED = (
    "bench",
    "create_model",
    "evaluate_on",
    "list_models",
    "load_data",
    "load_model",
    "load_recipe",
    "predict",
    "profile",
    "save_model",
    "scaled",
    "search_architecture",
    "train",
)
__all__ = ["__version__", *_OFFERED]


def __getattr__(name: str) -> Any:
    if name in _OFFERED:
        return getattr(importlib.import_module("convnets.api"), name)
    raise AttributeError(f"module 'convnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
