"""Runs: one (``train``), or a grid of networks and seeds compared (``bench``)."""

from __future__ import annotations

from convnets.bench.grid import LINEAGE, Bench, bench
from convnets.bench.observer import Observer
from convnets.bench.run import train

__all__ = ["LINEAGE", "Bench", "Observer", "bench", "train"]
