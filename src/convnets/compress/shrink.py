"""A trained network with fewer channels or with layers in factors, tuned, tested and written."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from convnets.analysis import Profile
from convnets.compress.channels import Measure, kept_channels, kept_scales, prune_channels
from convnets.compress.factorise import factorise, forms_by_energy, forms_by_share
from convnets.compress.layers import weighted_layers
from convnets.compress.observer import Observer
from convnets.compress.spaces import free_spaces
from convnets.compress.tuning import Tuning, clear, refuse_whole_runs, tune
from convnets.data import ImageSet
from convnets.data.augment import Augmentation
from convnets.errors import UnknownName, UsageError
from convnets.files import short_hash
from convnets.layers.network import ConvNet
from convnets.records import Record
from convnets.training.engine import Engine
from convnets.training.settings import Optimisation
from convnets.training.state import weights_sha256
from convnets.weights import LoadedModel, evaluate_on, load_model, save_model
from convnets.weights.changes import Changes, Factors, Width, check_runs
from convnets.weights.model_file import Origin
from convnets.weights.save import cost_of

Share = Annotated[float, Field(gt=0, le=1)]


class Shrinking(Record):
    """How a network is to be made smaller.

    ``keep`` is the share of a layer's weights, or of its channels. ``energy`` in its place is the
    share of a weight's squared norm that the ranks are to keep. ``layers`` are patterns of the
    layers' names. ``measure`` ranks channels: by their filters' L1 norm in each layer, or by their
    scales in normalisation over all of them. ``training`` follows; None does not train.
    """

    how: Literal["svd", "tucker", "spatial", "channels"]
    keep: Share = 0.5
    energy: Share | None = None
    layers: tuple[str, ...] = ("*",)
    measure: Measure = "filters"
    training: Optimisation | None = None
    augmentation: Augmentation = Augmentation()
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _what_ranks_channels_and_layers(self) -> Self:
        if self.how == "channels" and self.energy is not None:
            raise ValueError("energy is of factors; channels are kept by a share")
        if self.how != "channels" and self.measure != "filters":
            raise ValueError("measure is of channels; factors are kept by a share or by energy")
        return self


class LayerChange(Record):
    """One layer before and after; ``error`` is that of its weight in factors, a share of its norm.

    Parameters are with the bias; multiply-adds are those of one image.
    """

    name: str
    width: Width | None
    factors: Annotated[Factors, Field(discriminator="kind")] | None
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    error: float | None


class Shrunk(Record):
    """A smaller network: its cost before and after, and top-1 as shares of the test images.

    ``top1_untuned`` is that of the changed network before any training.
    """

    schema_version: int = 1
    model: str
    stem: str
    data: str
    layers: tuple[LayerChange, ...]
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    test_images: int
    top1_before: float
    top1_untuned: float
    top1_after: float
    file_bytes: int
    seconds: float
    settings: Shrinking
    engine: str
    weights_sha256: str


def smaller(loaded: LoadedModel, settings: Shrinking) -> tuple[LoadedModel, dict[str, float]]:
    """The network with its structure changed and its weights carried over, untrained.

    With it, the relative error of each weight in factors. ``loaded`` stays as it is. Raises
    ``UsageError`` where nothing can be made smaller so.
    """
    description, before = loaded.description, loaded.description.changes or Changes()
    errors: dict[str, float] = {}
    if settings.how == "channels":
        if before.factors:
            raise UsageError("its layers are in factors; take channels out first, then factorise")
        network, widths = _narrower(loaded.network, settings)
        changes = Changes(channels=before.channels | widths)
    else:
        network, forms, errors = _in_factors(loaded.network, settings, before)
        changes = Changes(channels=before.channels, factors=before.factors | forms)
    check_runs(network, description.input_size)
    described = description.model_copy(update={"changes": changes})
    origin = Origin(licence=loaded.origin.licence)
    return LoadedModel(network, described, loaded.path, loaded.notes, origin), errors


def _narrower(network: ConvNet, settings: Shrinking) -> tuple[ConvNet, dict[str, Width]]:
    spaces = free_spaces(network)
    if not spaces:
        raise UsageError("this network has no channels that can be taken out by themselves")
    chosen = {name: spaces[name] for name in _matching(settings.layers, spaces)}
    if settings.measure == "filters":
        kept = kept_channels(network, dict.fromkeys(chosen, settings.keep), chosen)
    else:
        kept = kept_scales(network, settings.keep, chosen)
    pruned, widths = prune_channels(network, kept, spaces)
    if not widths:
        raise UsageError(f"--keep {settings.keep} takes out no channel of any layer")
    return pruned, widths


def _in_factors(
    network: ConvNet, settings: Shrinking, before: Changes
) -> tuple[ConvNet, dict[str, Factors], dict[str, float]]:
    assert settings.how != "channels"
    layers = {
        name: layer
        for name, layer in weighted_layers(network).items()
        if name.rpartition(".")[0] not in before.factors
    }
    chosen = {name: layers[name] for name in _matching(settings.layers, layers)}
    if settings.energy is None:
        forms = forms_by_share(chosen, settings.how, settings.keep)
    else:
        forms = forms_by_energy(chosen, settings.how, settings.energy)
    if not forms:
        raise UsageError(f"{settings.how} makes no layer smaller; keep less, or another way")
    changed, errors = factorise(network, forms)
    return changed, forms, errors


def _matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that match a pattern; raises ``UnknownName`` for one that matches none."""
    names = list(names)
    found: set[str] = set()
    for pattern in patterns if names else ():
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise UnknownName("layer", pattern, names)
        found.update(matching)
    return [name for name in names if name in found]


def shrink(
    loaded: LoadedModel,
    image_set: ImageSet,
    settings: Shrinking,
    out: Path,
    *,
    engine: Engine,
    observer: Observer | None = None,
) -> Shrunk:
    """Make a network smaller, train it on if asked to, test it, and write it as a model file.

    The same call goes on where training was stopped. Raises ``UsageError`` where the file is there
    already or nothing can be made smaller, ``BadData`` for data of other classes.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; remove it or choose another --out")
    if settings.training is not None:
        refuse_whole_runs(settings.training)
    started = time.monotonic()
    changed, errors = smaller(loaded, settings)
    before, untuned = (evaluate_on(each, image_set, engine) for each in (loaded, changed))
    folder = out.with_name(f"{out.name}.training")
    network = changed.network
    if settings.training is not None:
        content = {
            "settings": settings.model_dump(mode="json"),
            "weights": weights_sha256(loaded.network),
            "data": image_set.fingerprint,
            "engine": engine.name,
        }
        tuning = Tuning(
            what="fine-tuning",
            plan=short_hash(content),
            folder=folder,
            description=changed.description,
            image_set=image_set,
            training=settings.training,
            augmentation=settings.augmentation,
            seed=settings.seed,
        )
        network = tune(network, tuning, engine, observer or Observer())
    made = LoadedModel(network, changed.description, out, origin=changed.origin)
    record = save_model(made, out)
    after = evaluate_on(load_model(out), image_set, engine)
    clear(folder)
    cost, smaller_cost = cost_of(loaded.description), cost_of(changed.description)
    return Shrunk(
        model=loaded.description.model,
        stem=loaded.description.stem,
        data=image_set.name,
        layers=tuple(_rows(loaded, changed, (cost, smaller_cost), errors)),
        params_before=cost.params,
        params_after=smaller_cost.params,
        macs_before=cost.macs,
        macs_after=smaller_cost.macs,
        test_images=after.evaluation.samples,
        top1_before=before.evaluation.top1,
        top1_untuned=untuned.evaluation.top1,
        top1_after=after.evaluation.top1,
        file_bytes=out.stat().st_size,
        seconds=time.monotonic() - started,
        settings=settings,
        engine=engine.name,
        weights_sha256=record.sha256,
    )


def _rows(
    loaded: LoadedModel,
    changed: LoadedModel,
    costs: tuple[Profile, Profile],
    errors: dict[str, float],
) -> Iterable[LayerChange]:
    """The convolutions and linear layers that are now others."""
    changes, old = changed.description.changes, loaded.description.changes or Changes()
    assert changes is not None
    for name in weighted_layers(loaded.network):
        width, factors = changes.channels.get(name), changes.factors.get(name)
        if (width, factors) == (old.channels.get(name), old.factors.get(name)):
            continue
        (params_before, macs_before), (params_after, macs_after) = (_cost(c, name) for c in costs)
        yield LayerChange(
            name=name,
            width=width,
            factors=factors,
            params_before=params_before,
            params_after=params_after,
            macs_before=macs_before,
            macs_after=macs_after,
            error=errors.get(name),
        )


def _cost(profile: Profile, name: str) -> tuple[int, int]:
    """Parameters and multiply-adds of a layer, all of its factors together."""
    rows = [row for row in profile.layers if f"{row.name}.".startswith(f"{name}.")]
    return sum(row.params for row in rows), sum(row.macs for row in rows)
