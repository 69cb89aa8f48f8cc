"""Trained networks made small: Deep Compression and its parts."""

from __future__ import annotations

from convnets.compress.format import load_any, load_compressed, save_compressed
from convnets.compress.observer import Observer
from convnets.compress.pipeline import Compressed, compress
from convnets.compress.prune import sensitivity, share_above
from convnets.compress.settings import Settings
from convnets.compress.sizes import LayerSize, layer_sizes

__all__ = [
    "Compressed",
    "LayerSize",
    "Observer",
    "Settings",
    "compress",
    "layer_sizes",
    "load_any",
    "load_compressed",
    "save_compressed",
    "sensitivity",
    "share_above",
]
