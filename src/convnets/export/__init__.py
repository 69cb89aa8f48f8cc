"""Trained networks as files that run without this package, and which of them to ship."""

from __future__ import annotations

from convnets.export.kinds import SUFFIXES, Exported, Kind, exported, extras

__all__ = ["SUFFIXES", "Exported", "Kind", "exported", "extras"]
