"""Runs: one (``train``), or a grid of networks and seeds compared (``bench``)."""

from __future__ import annotations

from convnets.runs.grid import LINEAGE, Bench, bench
from convnets.runs.observer import Observer
from convnets.runs.run import train

__all__ = ["LINEAGE", "Bench", "Observer", "bench", "train"]
