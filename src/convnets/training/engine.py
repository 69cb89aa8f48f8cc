"""Where and in what number format a run computes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from convnets.errors import EnvironmentFailure, UsageError
from convnets.memory import keep_freed_memory
from convnets.training.ranks import SOLO, Ranks

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Engine:
    """Device, number format and memory layout of a run, and the ranks that share it.

    Two runs of one plan give equal bits on one engine and one machine, not across engines.
    ``sharded`` has each rank keep a part of every parameter instead of a replica of all. ``graphs``
    replays each step's passes as one CUDA graph.
    """

    device: torch.device
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    compiled: bool = False
    ranks: Ranks = SOLO
    sharded: bool = False
    graphs: bool = False

    @property
    def name(self) -> str:
        """Device, number format, whether compiled or recorded: on what a run must go on.

        Not the ranks: a run goes on on any number of them. Gradients are then added up in another
        order, which moves a float32 by some units in its last place a step, and dropout is drawn
        anew. Batch normalisation sees the same pieces of a batch where their number stays the
        same: a run begun on two ranks goes on on one with two pieces.
        """
        ways = {"compiled": self.compiled, "graphs": self.graphs}
        return " ".join([self.device.type, self.precision, *(way for way in ways if ways[way])])

    def place(self, model: nn.Module) -> nn.Module:
        """Move a model to the device, and on an accelerator into this layout.

        On a CPU weights stay as they are: torch's fused optimizers copy them to and fro in
        channels_last, and a convolution reorders them for itself anyway. So do those that are to be
        cut in shards, which FSDP2 takes in their usual layout alone.
        """
        if self.channels_last and self.device.type != "cpu" and not self.sharded:
            return model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
        return model.to(self.device)

    def callable(self, model: nn.Module) -> Callable[..., Any]:
        """The model's forward pass, compiled if that was asked for."""
        if not self.compiled:
            return model
        # All networks share one ``forward``, whose count of compilations is limited.
        torch._dynamo.reset()
        return torch.compile(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a forward pass runs."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def choose_engine(
    device: str = "auto",
    precision: Precision = "auto",
    *,
    compiled: bool = False,
    ranks: Ranks = SOLO,
    sharded: bool = False,
    graphs: bool = False,
) -> Engine:
    """Pick the engine: an accelerator with bfloat16 if there is one, else the CPU in float32.

    Each rank of a machine takes the accelerator of its number. One rank alone has nothing to
    shard. Raises ``EnvironmentFailure`` for a device that this machine lacks, ``UsageError`` for
    graphs on a CPU or on several ranks.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and ranks.world > 1:
        device = f"cuda:{ranks.local}"
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; it is 'auto', 'cpu' or 'cuda'")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentFailure(f"device {device!r} is not usable here: {reason}") from error
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"unknown precision {precision!r}; it is auto, float32 or bfloat16")
    if graphs and (place.type != "cuda" or ranks.world > 1):
        raise UsageError("--cuda-graphs needs one process on a CUDA device")
    if precision == "auto":
        # On a CPU bfloat16 speeds up wide convolutions and slows down depthwise ones; one rule
        # for all networks keeps a comparison fair and a repeat equal.
        precision = "bfloat16" if place.type == "cuda" else "float32"
    if place.type == "cuda":
        if place.index is not None:
            torch.cuda.set_device(place)
        make_deterministic()
    else:
        keep_freed_memory()
    return Engine(
        place,
        precision,
        channels_last=True,
        compiled=compiled,
        ranks=ranks,
        sharded=sharded and ranks.world > 1,
        graphs=graphs,
    )


def make_deterministic() -> None:
    """Ask CUDA's libraries for the algorithms that give the same bits each time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
