"""Trained networks from files: what a file says of itself, and what its network predicts."""

from __future__ import annotations

from convnets.weights.model_file import LoadedModel, ModelDescription, ModelRecord, load_model
from convnets.weights.prediction import (
    Encoded,
    Outcome,
    Prediction,
    predict,
    predictions,
)
from convnets.weights.save import save_model
from convnets.weights.testing import Tested, evaluate_on

__all__ = [
    "Encoded",
    "LoadedModel",
    "ModelDescription",
    "ModelRecord",
    "Outcome",
    "Prediction",
    "Tested",
    "evaluate_on",
    "load_model",
    "predict",
    "predictions",
    "save_model",
]
