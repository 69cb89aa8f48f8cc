"""Pictures as the page paints them: one byte a value with its scale, or three a pixel."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from convnets.visualize.sheets import Array, scale_of

LEVELS = 255


def grids(values: Array) -> list[dict[str, Any]]:
    """Pictures (n, height, width) on one scale, a record each.

    A value is ``low`` plus its byte's share of 255 of the way to ``high``; what lies beyond has
    the end's byte. ``signed`` scales are around 0.
    """
    scale = scale_of(values)
    shares = np.clip((values - scale.low) / (scale.high - scale.low), 0, 1)
    levels = np.rint(shares * LEVELS).astype(np.uint8)
    return [
        {**_bytes(each), "low": scale.low, "high": scale.high, "signed": scale.low < 0}
        for each in levels
    ]


def coloured(picture: Array) -> dict[str, Any]:
    """A picture (height, width, 1 or 3) of values from 0 to 1 as colours."""
    shown = np.rint(np.clip(picture, 0, 1) * LEVELS).astype(np.uint8)
    return _bytes(np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown)


def _bytes(levels: np.ndarray) -> dict[str, Any]:
    height, width = levels.shape[:2]
    return {
        "height": height,
        "width": width,
        "channels": levels.shape[2] if levels.ndim == 3 else 1,
        "bytes": base64.b64encode(levels.tobytes()).decode(),
    }


def colours() -> dict[str, str]:
    """The colours of each kind of scale, 256 of them as hex digits one after another."""
    from matplotlib import colormaps

    steps = np.arange(256)
    return {
        kind: (colormaps[name](steps)[:, :3] * 255).round().astype(np.uint8).tobytes().hex()
        for kind, name in (("signed", "RdBu_r"), ("magnitude", "inferno"))
    }
