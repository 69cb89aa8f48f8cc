"""How one network lies on several ranks: as a replica on each, or cut in shards.

Gradients are those of the whole batch's mean loss: torch averages over the ranks, so each rank's
loss is weighed by its part of the batch, times their number.
"""

from __future__ import annotations

import contextlib
import warnings
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from convnets.training.ranks import Ranks


def shard(model: nn.Module) -> None:
    """Cut every parameter along its first axis, one shard a rank (FSDP2, Zhao et al. 2023).

    Each child of ``features`` is gathered and dropped on its own; the rest of the network with it.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    features = getattr(model, "features", model)
    for child in features.children():
        if any(True for _ in child.parameters()):
            fully_shard(child)
    fully_shard(model)
    if hasattr(model, "forward_auxiliary"):
        register_fsdp_forward_method(model, "forward_auxiliary")


def replicate(module: nn.Module, *, unused: bool) -> nn.Module:
    """A replica whose backward pass averages gradients over the ranks (Li et al. 2020).

    ``unused`` says that some parameters take no part in the loss. Buffers are merged by
    ``RunningStatistics``.
    """
    from torch.nn.parallel import DistributedDataParallel

    with warnings.catch_warnings():  # torch 2.11 does not know the name that 2.13 wants
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            module,
            broadcast_buffers=False,
            find_unused_parameters=unused,
            gradient_as_bucket_view=True,
        )


def reduced(module: nn.Module, now: bool) -> AbstractContextManager[None]:
    """Whether a replica's backward pass is to average gradients, or only to add them up here."""
    if now or not isinstance(module, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()


def whole(value: Tensor) -> Tensor:
    """A tensor put together where it is in shards; all ranks ask for it at once."""
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value


def local(value: Tensor) -> Tensor:
    """This rank's shard, or the whole where there are none; the same memory."""
    if hasattr(value, "to_local"):
        own: Tensor = value.to_local()
        return own
    return value


def cut_like(value: Tensor, model_value: Tensor) -> Tensor:
    """A whole tensor cut as ``model_value`` is, where that is in shards."""
    if not hasattr(model_value, "to_local"):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(model_value, DTensor)
    return distribute_tensor(
        value.to(model_value.device),
        model_value.device_mesh,
        model_value.placements,
        src_data_rank=None,
    )


class RunningStatistics:
    """Batch normalisation's running statistics, as if one process had seen all pieces in order.

    Torch's r <- (1 - m) r + m b, piece after piece, is a weighted sum, to which each rank adds the
    terms of its own pieces. One rank has nothing to add.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self.ranks = ranks
        norms = [
            module
            for module in model.modules()
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.training
        ]
        self.values: list[Tensor] = []
        self.counts: list[Tensor] = []
        kept: list[Tensor] = []
        for norm in norms if ranks.world > 1 else []:
            for value in (norm.running_mean, norm.running_var):
                assert value is not None
                assert norm.momentum is not None
                self.values.append(value)
                kept.append(torch.full_like(value, 1 - norm.momentum))
            assert norm.num_batches_tracked is not None
            self.counts.append(norm.num_batches_tracked)
        self.kept = torch.cat(kept) if kept else torch.empty(0)

    def flat(self) -> Tensor:
        """A copy of all statistics in one row."""
        return torch.cat(self.values) if self.values else torch.empty(0)

    def merge(self, before: Tensor, passes: list[int]) -> None:
        """Merge what the ranks' passes, so many on each, have made of the statistics ``before``."""
        if not self.values:
            return
        own, later = passes[self.ranks.rank], sum(passes[self.ranks.rank + 1 :])
        added = self.kept**later * (self.flat() - self.kept**own * before)
        merged = self.kept ** sum(passes) * before + self.ranks.summed(added)
        pieces = torch.split(merged, [len(value) for value in self.values])
        torch._foreach_copy_(self.values, pieces)
        if self.counts:
            torch._foreach_add_(self.counts, sum(passes) - own)
