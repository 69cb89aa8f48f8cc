"""What ``import convnets`` offers: the rooms' functions, which here also take plain names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import torch
from torch import nn

from convnets import analysis, models, runs
from convnets.analysis import Profile
from convnets.data import ImageSet, load_data
from convnets.layers.feature_maps import FeatureMaps
from convnets.layers.network import ConvNet
from convnets.models import find_variant, list_models, matching
from convnets.recipes import Recipe, load_recipe, with_changes
from convnets.records import Result
from convnets.runs import Bench, Observer
from convnets.runs.run import Conduct
from convnets.search.built_in import find_space
from convnets.search.dimensions import scaled
from convnets.search.final import Found, retrained
from convnets.search.observer import Observer as SearchObserver
from convnets.search.rewards import ACCURACY, Reward
from convnets.search.spaces import Space
from convnets.search.strategies import Evolution, How
from convnets.search.study import Study
from convnets.search.together import Setting
from convnets.search.worker import Search
from convnets.training.engine import Engine, choose_engine
from convnets.weights import evaluate_on, load_model, predict, save_model
from convnets.weights.pretrained import load_weights

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
    "save_model",
    "scaled",
    "search_architecture",
    "train",
]


@overload
def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    stem: Literal["paper", "small", "auto"] = "paper",
    input_size: int | None = None,
    weights: str | Path | None = None,
    features_only: Literal[False] = False,
) -> ConvNet: ...


@overload
def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    stem: Literal["paper", "small", "auto"] = "paper",
    input_size: int | None = None,
    weights: str | Path | None = None,
    features_only: Literal[True],
    stages: Sequence[str] | None = None,
) -> FeatureMaps: ...


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    stem: Literal["paper", "small", "auto"] = "paper",
    input_size: int | None = None,
    weights: str | Path | None = None,
    features_only: bool = False,
    stages: Sequence[str] | None = None,
) -> ConvNet | FeatureMaps:
    """Build a network by name; see ``convnets.models.create_model`` for its form.

    ``weights`` is ``"torchvision"``, ``"timm"``, a file's path or a repository on the hub; see
    ``convnets.weights.pretrained.load_weights``. With ``features_only`` the network gives a list of
    maps, one for each stride or one for each of ``stages``, and has ``feature_info``.
    """
    network = models.create_model(
        name, num_classes=num_classes, in_chans=in_chans, stem=stem, input_size=input_size
    )
    if weights is not None:
        for note in load_weights(network, name, weights):
            warnings.warn(note, stacklevel=2)
    return FeatureMaps(network, stages) if features_only else network


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
            module = models.create_model(module_or_name, in_chans=in_chans)
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


def search_architecture(
    space: Space | str = "residual",
    data: ImageSet | str = "digits",
    recipe: Recipe | str = "baseline",
    *,
    how: How | None = None,
    reward: Reward = ACCURACY,
    trials: int = 20,
    epochs: int | None = None,
    final: int = 1,
    final_epochs: int | None = None,
    seed: int = 0,
    out: Path | str = "study",
    engine: Engine | None = None,
) -> Found:
    """Search for an architecture, then train the best ``final`` anew and test them once.

    ``space`` is one of ours by name or of your own (``convnets.search.spaces.space``); ``how`` None
    is regularised evolution. See ``convnets.search.worker`` and ``convnets.search.final``.
    """
    image_set, settings = _resolved(data, recipe, epochs)
    _, last = _resolved(image_set, recipe, final_epochs)
    study = Study(
        space=find_space(space) if isinstance(space, str) else space,
        how=Evolution() if how is None else how,
        recipe=settings,
        reward=reward,
        seed=seed,
    )
    engine, observer = engine or choose_engine(), SearchObserver()
    begun = Search(study, image_set, Path(out), engine, observer)
    finished = begun.go(trials)
    setting = Setting(image_set, last, seed, Path(out) / "final", engine, Conduct(), observer)
    return retrained(study, finished, begun.shared_seconds, final, setting)


def _resolved(
    data: ImageSet | str, recipe: Recipe | str, epochs: int | None
) -> tuple[ImageSet, Recipe]:
    settings = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None:
        settings = with_changes(settings, [f"epochs={epochs}"])
    return load_data(data) if isinstance(data, str) else data, settings
