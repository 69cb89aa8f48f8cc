"""Several ranks, each in a forked child with one thread, that meet over gloo on this machine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed.fsdp  # a forked rank must not wait for it

from convnets.training.ranks import Ranks
from tests.children import start, wait

PATIENCE = timedelta(seconds=30)


def together(world: int, work: Callable[[Ranks], Any]) -> list[tuple[int, Any]]:
    """Do ``work`` on ``world`` ranks; return each one's exit code and value, or error's text."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        pipes = [os.pipe() for _ in range(world)]
        children = [
            start(lambda rank=rank: _meet(store, Ranks(rank, world, rank), work), theirs)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        found = []
        for child, (ours, theirs) in zip(children, pipes, strict=True):
            os.close(theirs)
            with os.fdopen(ours, "rb") as pipe:
                content = pipe.read()
            found.append((wait(child), json.loads(content) if content else None))
    return found


def agreed(world: int, work: Callable[[Ranks], Any]) -> Any:
    """What ``work`` comes to on every one of ``world`` ranks alike."""
    found = together(world, work)
    assert [code for code, _ in found] == [0] * world, found
    assert all(value == found[0][1] for _, value in found), found
    return found[0][1]


def _meet(store: str, ranks: Ranks, work: Callable[[Ranks], Any]) -> Any:
    torch.distributed.init_process_group(
        "gloo",
        store=torch.distributed.FileStore(store, ranks.world),
        rank=ranks.rank,
        world_size=ranks.world,
        timeout=PATIENCE,
    )
    value = work(ranks)
    torch.distributed.destroy_process_group()
    return value
