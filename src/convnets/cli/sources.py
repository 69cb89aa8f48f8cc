"""A network as the command line names it: one of ours, or a user's own callable."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from convnets.analysis.channels import input_channels
from convnets.errors import UsageError
from convnets.layers.network import ConvNet
from convnets.models import create_model, find_variant

USUAL_SIZE = 224


@dataclass(frozen=True)
class Source:
    """How to build a network, what to call it, and the images it is to take."""

    title: str
    build: Callable[[], nn.Module]
    size: int
    in_chans: int


def source(
    model: str | None,
    path: str | None,
    *,
    size: int | None = None,
    stem: Any = None,
    classes: int | None = None,
    channels: int | None = None,
) -> Source:
    """The network of a name or of ``package.module:callable``; exactly one is given."""
    if (model is None) == (path is None):
        raise UsageError("give the name of a network, or your own with --from; not both")
    if path is not None:
        return _from_user(path, size or USUAL_SIZE, channels)
    assert model is not None
    pixels = size or find_variant(model)[1].input_size

    def build() -> ConvNet:
        return create_model(
            model, num_classes=classes, in_chans=channels, stem=stem or "paper", input_size=pixels
        )

    with torch.device("meta"):
        network = build()
    title = f"{model}, {network.spec.stem} stem"
    return Source(title, build, pixels, input_channels(network))


def _from_user(path: str, size: int, channels: int | None) -> Source:
    module_name, _, name = path.partition(":")
    if not name:
        raise UsageError(f"--from {path}: not of the form package.module:callable")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--from {path}: {error}") from error
    finally:
        sys.path.pop(0)
    build = cast(
        Callable[[], nn.Module], (lambda: found) if isinstance(found, nn.Module) else found
    )
    network = build() if callable(build) else None
    if not isinstance(network, nn.Module):
        raise UsageError(f"--from {path}: gives no torch.nn.Module when called without arguments")
    in_chans = input_channels(network) if channels is None else channels
    return Source(f"{path}", build, size, in_chans)
