"""Networks with weights from elsewhere: torchvision's, timm's, a file's, the hub's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convnets.errors import BadModelFile, UsageError
from convnets.layers.network import ConvNet
from convnets.models import create_model, find_variant
from convnets.training.checkpoints import MAGIC
from convnets.weights.hub import fetch_hub, is_repository
from convnets.weights.keys import KEYS
from convnets.weights.model_file import is_model_file, load_model
from convnets.weights.released import fetch_timm, fetch_torchvision
from convnets.weights.torch_file import read_torch_file, state_of


def load_weights(network: ConvNet, name: str, weights: str | Path) -> list[str]:
    """Put weights from elsewhere into a new network of one of our rows; return what was adapted.

    ``weights`` is ``"torchvision"`` or ``"timm"`` (the library's released weights), a path (a run's
    folder, checkpoint or model file of ours, or a state dict of either library, as ``.safetensors``
    or as ``torch.save`` wrote it), or a repository on the hub (``"timm/resnet18.a1_in1k"``).

    Every tensor must find its place. Only where the network was asked for with another number of
    classes does its last layer keep its random start, and with another number of channels is the
    first convolution adapted: for one channel the weights are summed, for others they are repeated
    in turn and scaled by the ratio of the two numbers. Raises ``BadModelFile``, ``UsageError`` or
    ``EnvironmentFailure``.
    """
    path = _located(name, weights)
    try:
        state, notes = _state(network, name, path)
    except UsageError as error:
        raise BadModelFile(f"{path}: not weights of {name}: {error}") from error
    return [*notes, *_place(network, name, state, path)]


def _located(name: str, weights: str | Path) -> Path:
    if weights == "torchvision":
        return fetch_torchvision(name)
    if weights == "timm":
        return fetch_timm(name)
    path = Path(weights)
    if path.exists():
        return path
    if is_repository(path):
        return fetch_hub(str(weights))
    raise UsageError(
        f"weights are {str(weights)!r}: no such file; give a path, 'torchvision', 'timm' or "
        "a repository on the hub"
    )


def _state(network: ConvNet, name: str, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file under our names, and what must be known to use them.

    Which library they come from shows in their names.
    """
    if _is_ours(path):
        loaded = load_model(path)
        if loaded.description.model != name or loaded.description.stem != network.spec.stem:
            raise UsageError(
                f"it holds {loaded.description.model} with the {loaded.description.stem} stem"
            )
        return loaded.network.state_dict(), []
    theirs = _read(path)
    own = network.state_dict()
    if theirs.keys() >= {key for key in own if not key.endswith("num_batches_tracked")}:
        return {key: theirs[key] for key in own if key in theirs}, []
    family, _ = find_variant(name)
    maps = {library: keys[family.name] for library, keys in KEYS.items() if family.name in keys}
    if not maps:
        raise UsageError("neither torchvision nor timm has this family, and the names are not ours")

    def known(library: str) -> int:
        return sum(key in theirs for _, key in maps[library].pairs(network))

    found = maps[max(maps, key=known)]
    return found.convert(network, theirs), [found.note] if found.note else []


def _is_ours(path: Path) -> bool:
    if path.is_dir() or is_model_file(path):
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_torch_file(path)
    try:
        return state_of(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadModelFile(f"{path}: not a safetensors file: {error}") from error


def _place(network: ConvNet, name: str, state: Mapping[str, Tensor], path: Path) -> list[str]:
    own = network.state_dict()
    follows_classes = _that_follow(network, name, "num_classes")
    follows_channels = _that_follow(network, name, "in_chans")
    notes = []
    with torch.no_grad():
        for key, tensor in own.items():
            value = state.get(key)
            if value is None:
                continue  # a count of batches, which old files lack
            if value.shape != tensor.shape and key in follows_classes:
                notes.append(f"{key} starts at random: the weights have {len(value)} classes")
                continue
            if value.shape != tensor.shape and key in follows_channels:
                axis = follows_channels[key]
                notes.append(
                    f"{key} goes from {value.shape[axis]} to {tensor.shape[axis]} channels"
                )
                value = _other_channels(value, axis, tensor.shape[axis])
            if value.shape != tensor.shape:
                raise BadModelFile(
                    f"{path}: not weights of {name}: {key} is {tuple(value.shape)}, the network "
                    f"has {tuple(tensor.shape)}"
                )
            tensor.copy_(value)
    return notes


def _that_follow(network: ConvNet, name: str, argument: str) -> dict[str, int]:
    """The tensors that have another shape with one more class, or channel, and their axis."""
    more = {"num_classes": network.num_classes, "in_chans": network.in_chans}
    more[argument] += 1
    with torch.device("meta"):
        other = create_model(name, stem=network.spec.stem, **more).state_dict()
    follow = {}
    for key, tensor in network.state_dict().items():
        sides = zip(tensor.shape, other[key].shape, strict=True)
        axes = [axis for axis, (own, changed) in enumerate(sides) if own != changed]
        if axes:
            follow[key] = axes[0]
    return follow


def _other_channels(kernel: Tensor, axis: int, wanted: int) -> Tensor:
    """A kernel for another number of channels, of the same sum where they divide evenly."""
    if wanted == 1:
        return kernel.sum(axis, keepdim=True)
    given = kernel.shape[axis]
    return kernel.index_select(axis, torch.arange(wanted) % given) * (given / wanted)
