"""The processes that train one network together, and what they tell each other."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from convnets.errors import (
    ConvnetsError,
    EnvironmentFailure,
    UsageError,
    described,
    repeated,
)
from convnets.files import parse_json, to_json

Thing = TypeVar("Thing")
Failure = TypeVar("Failure", bound=ConvnetsError)
TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others before it gives up."""


@dataclass(frozen=True)
class Ranks:
    """This process, number ``rank`` of ``world``, and number ``local`` on its machine.

    Each method is called by all ranks, in the same order; with one rank it costs nothing. What
    travels is numbers and JSON. Raises ``EnvironmentFailure`` where another rank is gone.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def main(self) -> bool:
        """Whether this is the rank that reads and writes the run's folder, and speaks."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """Add up a tensor over the ranks, in place."""
        if self.world > 1:
            with self.company():
                dist.all_reduce(values)
        return values

    def rows(self, values: Tensor) -> Tensor:
        """The ranks' vectors (n,) below each other: (world, n)."""
        if self.world == 1:
            return values[None]
        found = values.new_empty(self.world, len(values))
        with self.company():
            dist.all_gather(list(found), values)
        return found

    def any(self, flag: bool) -> bool:
        """Whether any rank says so."""
        return bool(self.rows(torch.tensor([flag])).any())

    def united(self, word: int) -> int:
        """The words of all ranks, bit by bit."""
        words: list[int] = self.rows(torch.tensor([word])).flatten().tolist()
        return functools.reduce(operator.or_, words)

    def gathered(self, value: Any) -> list[Any]:
        """What each rank has to say, as JSON holds it."""
        if self.world == 1:
            return [value]
        text = _encoded(value)
        lengths = self.rows(torch.tensor([len(text)])).flatten().tolist()
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(text)] = text
        return [
            _decoded(row[:length]) for row, length in zip(self.rows(padded), lengths, strict=True)
        ]

    def by_main(self, work: Callable[[], Any]) -> Any:
        """Have the main rank do ``work``; return on every rank what it came to, as JSON holds it.

        What it raises is raised on every rank.
        """
        if self.world == 1:
            return work()
        told: dict[str, Any] = {"error": described(EnvironmentFailure("the main rank failed"))}
        try:
            if self.main:
                told = {"value": work()}
        except ConvnetsError as error:
            told = {"error": described(error)}
            raise
        finally:
            told = self._from_main(told)
        if "error" in told:
            raise repeated(told["error"])
        return told["value"]

    def _from_main(self, value: Any) -> Any:
        text = _encoded(value)
        length = torch.tensor([len(text)])
        with self.company():
            dist.broadcast(length, 0)
            text = text if self.main else text.new_empty(int(length))
            dist.broadcast(text, 0)
        return _decoded(text)

    def tensors(self, values: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The main rank's tensors, in the memory of each rank."""
        if self.world == 1:
            return dict(values or {})
        own = values or {}
        forms = [[name, str(v.dtype), list(v.shape)] for name, v in own.items()]
        found = {}
        for name, kind, shape in self._from_main(forms):
            place = torch.empty(shape, dtype=getattr(torch, kind.removeprefix("torch.")))
            found[name] = own[name].contiguous() if self.main else place
            with self.company():
                dist.broadcast(found[name], 0)
        return found

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.any(False)

    @contextlib.contextmanager
    def company(self) -> Iterator[None]:
        """Turn what torch says of a rank that is gone into ``EnvironmentFailure``."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _lost(error):
                raise
            raise alone(
                EnvironmentFailure(
                    f"rank {self.rank} of {self.world} lost the others; start them all again, "
                    "the same command goes on"
                )
            ) from error

    def own(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """What this rank makes for itself; of what goes wrong there the others do not know."""
        try:
            yield from things
        except ConvnetsError as error:
            raise alone(error) from error.__cause__


SOLO = Ranks()
ALONE = "raised by this rank alone"


def alone(error: Failure) -> Failure:
    """Mark an error that the other ranks do not raise too."""
    error.add_note(ALONE)
    return error


def _lost(error: RuntimeError) -> bool:
    if isinstance(error, dist.DistError):
        return True
    return not isinstance(error, torch.OutOfMemoryError) and "gloo" in str(error).lower()


def _encoded(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(to_json(value, indent=None), "ascii"), dtype=torch.uint8)


def _decoded(text: Tensor) -> Any:
    return parse_json(text.numpy().tobytes())


@contextlib.contextmanager
def joined(device: str = "auto", timeout: timedelta = TIMEOUT) -> Iterator[Ranks]:
    """Join the processes that torchrun has started beside this one; ``SOLO`` where there are none.

    They talk by gloo, and on CUDA by NCCL too. Raises ``EnvironmentFailure`` where they do not
    meet.
    """
    place = os.environ
    if int(place.get("WORLD_SIZE", "1")) == 1:
        yield SOLO
        return
    try:
        numbers = (int(place[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        ranks = Ranks(*numbers)
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"WORLD_SIZE is set but {error} is not; start ranks by torchrun"
        ) from error
    on_cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    try:
        store, rank, world = next(rendezvous("env://", timeout=timeout))
        # torchrun keeps one store through all its starts: addresses of the dead would be called.
        again = place.get("TORCHELASTIC_RESTART_COUNT", "0")
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo",
            store=PrefixStore(f"start {again}", store),
            rank=rank,
            world_size=world,
            timeout=timeout,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentFailure(f"rank {ranks.rank}: cannot meet the others: {reason}") from error
    yield ranks
    # Not where something was raised: the others may wait in the middle of a sum, and only the end
    # of this process tells them.
    dist.destroy_process_group()
