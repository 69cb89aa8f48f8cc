"""Trained networks from files: what a checkpoint says of itself, and what it predicts."""

from __future__ import annotations

from convnets.weights.model_file import LoadedModel, ModelDescription, load_model
from convnets.weights.prediction import Outcome, Prediction, Tested, evaluate_on, predict

__all__ = [
    "LoadedModel",
    "ModelDescription",
    "Outcome",
    "Prediction",
    "Tested",
    "evaluate_on",
    "load_model",
    "predict",
]
