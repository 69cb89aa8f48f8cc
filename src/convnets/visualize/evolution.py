"""What units respond to in the course of training, as in Figure 4 of Zeiler and Fergus (2013)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import length_hint

from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.visualize.arrays import Tracker
from convnets.visualize.top_patches import TopPatches, top_patches


@dataclass(frozen=True)
class Evolution:
    """For each of ``names``, those of checkpoints, the strongest activation of some units."""

    names: tuple[str, ...]
    tops: tuple[TopPatches, ...]


def evolution(
    network: nn.Module,
    checkpoints: Iterable[tuple[str, Mapping[str, Tensor]]],
    batches: Callable[[], Iterable[Tensor]],
    layer: str,
    units: Sequence[int],
    *,
    progress: Tracker | None = None,
) -> Evolution:
    """Follow the strongest activations of ``units`` of a layer, and what they saw.

    ``checkpoints`` are pairs of a name and a state dict of ``network``, taken one at a time: with
    a generator, memory holds one of them. ``batches`` gives the images anew for each, since the
    strongest is looked for anew: it may jump from one image to another, as in the paper. The rest
    is as for ``top_patches``. Raises ``UsageError`` for a state that does not fit the network.
    """
    twin = copy.deepcopy(network)
    names, tops = [], []
    total = length_hint(checkpoints)
    for name, state in checkpoints:
        try:
            twin.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"{name} does not fit the network: {reason}") from error
        names.append(name)
        tops.append(top_patches(twin, batches(), layer, units, k=1))
        if progress is not None:
            progress(len(names), total)
    if not names:
        raise UsageError("there are no checkpoints")
    return Evolution(tuple(names), tuple(tops))
