"""What ``import convnets`` offers: the rooms' functions, which here also take plain names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from convnets import analysis, runs
from convnets.analysis import Profile
from convnets.data import ImageSet, load_data
from convnets.models import create_model, find_variant, list_models
from convnets.recipes import Recipe, load_recipe, with_changes
from convnets.records import Result
from convnets.runs import Bench, Observer
from convnets.runs.grid import matching
from convnets.training.engine import Engine
from convnets.weights import evaluate_on, load_model, predict

__all__ = [
    "bench",
    "create_model",
    "evaluate_on",
    "list_models",
    "load_data",
    "load_model",
    "load_recipe",
    "predict",
    "profile",
    "train",
]


def profile(
    module_or_name: nn.Module | str,
    input_size: int | tuple[int, ...] | None = None,
    *,
    in_chans: int | None = None,
    batch_size: int = 1,
) -> Profile:
    """What one forward pass costs, by layer; see ``convnets.analysis.profile``.

    A name stands for the network as published, at its own input size unless one is given.
    """
    if isinstance(module_or_name, nn.Module):
        module, size = module_or_name, 224 if input_size is None else input_size
    else:
        _, variant = find_variant(module_or_name)
        size = variant.input_size if input_size is None else input_size
        with torch.device("meta"):
            module = create_model(module_or_name, in_chans=in_chans)
        in_chans = module.in_chans
    return analysis.profile(module, size, in_chans=in_chans, batch_size=batch_size)


def train(
    model: str,
    data: ImageSet | str = "digits",
    recipe: Recipe | str = "baseline",
    *,
    epochs: int | None = None,
    seed: int = 0,
    out: Path | str = "runs",
    engine: Engine | None = None,
    observer: Observer | None = None,
) -> Result:
    """Train and test one network; see ``convnets.runs.run.train``."""
    image_set, settings = _resolved(data, recipe, epochs)
    return runs.train(
        model, image_set, settings, seed=seed, out=out, engine=engine, observer=observer
    )


def bench(
    models: Sequence[str] = runs.LINEAGE,
    data: ImageSet | str = "digits",
    recipe: Recipe | str = "baseline",
    *,
    epochs: int | None = None,
    seeds: Sequence[int] = (0,),
    out: Path | str = "runs",
    engine: Engine | None = None,
    observer: Observer | None = None,
) -> Bench:
    """Compare networks, by name or pattern; see ``convnets.runs.grid.bench``."""
    image_set, settings = _resolved(data, recipe, epochs)
    return runs.bench(
        matching(models),
        image_set,
        settings,
        seeds=seeds,
        out=out,
        engine=engine,
        observer=observer,
    )


def _resolved(
    data: ImageSet | str, recipe: Recipe | str, epochs: int | None
) -> tuple[ImageSet, Recipe]:
    settings = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None:
        settings = with_changes(settings, [f"epochs={epochs}"])
    return load_data(data) if isinstance(data, str) else data, settings
