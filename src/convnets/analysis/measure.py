"""What a network takes on this machine: time, the share of the processor's peak, and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from convnets.analysis.channels import input_channels
from convnets.analysis.trace import profile
from convnets.analysis.training_memory import training_bytes
from convnets.memory import (
    keep_freed_memory,
    memory_in_use,
    peak_memory,
    reset_peak_memory,
    return_freed_memory,
)

WARM_UP = 3
REPEATS = 20
SECONDS = 10.0  # no more repeats after so long
MATRIX = 2048
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Measured:
    """One batch size on one device, float32.

    ``latency`` is the median of ``repeats`` forward passes in eval mode in seconds, ``fastest`` and
    ``slowest`` the ends of the middle half. ``flops_per_second`` counts two for each multiply-add;
    ``matmul_flops_per_second`` is what a large matrix product reaches here. ``training_bytes`` is
    the peak of a training step with AdamW beyond what the process held before it built the network,
    ``predicted_training_bytes`` what the profile says; None where no step was taken.
    """

    device: str
    threads: int
    batch_size: int
    repeats: int
    latency: float
    fastest: float
    slowest: float
    images_per_second: float
    flops_per_second: float
    matmul_flops_per_second: float
    training_bytes: int | None
    predicted_training_bytes: int | None

    @property
    def utilisation(self) -> float:
        """Achieved FLOP/s as a share of a large matrix product's."""
        return self.flops_per_second / self.matmul_flops_per_second

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {**asdict(self), "utilisation": self.utilisation}


def measure(
    build: Callable[[], nn.Module],
    size: int,
    *,
    batch_sizes: Sequence[int] = (1, 32),
    device: torch.device | str = "cpu",
    training: bool = True,
) -> Iterator[Measured]:
    """Measure the network that ``build`` makes, one batch size after another.

    ``size`` is the side of an image in pixels. Memory is counted from before ``build``.
    """
    place = torch.device(device)
    peak = matmul_peak(place)
    for batch_size in batch_sizes:
        memory = _training_peak(build, size, batch_size, place) if training else None
        network = build().to(place).eval()
        cost = profile(network, size, batch_size=batch_size)
        times = _forward_times(network, batch_size, size, place)
        median = statistics.median(times)
        quarters = statistics.quantiles(times, n=4) if len(times) > 1 else [median] * 3
        yield Measured(
            device=torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
            threads=torch.get_num_threads(),
            batch_size=batch_size,
            repeats=len(times),
            latency=median,
            fastest=quarters[0],
            slowest=quarters[2],
            images_per_second=batch_size / median,
            flops_per_second=2 * cost.macs / median,
            matmul_flops_per_second=peak,
            training_bytes=memory,
            predicted_training_bytes=training_bytes(cost) if training else None,
        )


def _forward_times(
    network: nn.Module, batch_size: int, size: int, device: torch.device
) -> list[float]:
    keep_freed_memory()  # as in training
    images = torch.randn(batch_size, input_channels(network), size, size, device=device)
    with torch.inference_mode():
        return timed(lambda: network(images), device)


def timed(
    work: Callable[[], object], device: torch.device, *, repeats: int = REPEATS
) -> list[float]:
    """Seconds of each of ``repeats`` calls after a warm-up; fewer where they take long."""
    times: list[float] = []
    for turn in range(WARM_UP + repeats):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - started)
        if turn >= WARM_UP and sum(times) > SECONDS:
            break
    return times[WARM_UP:]


def matmul_peak(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of a large matrix product, measured once: the most that layers reach."""
    return _matmul_peak(device, dtype, torch.get_num_threads())


@cache
def _matmul_peak(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    left, right = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    with torch.inference_mode():
        return 2 * MATRIX**3 / min(timed(lambda: left @ right, device, repeats=10))


def _training_peak(
    build: Callable[[], nn.Module], size: int, batch_size: int, device: torch.device
) -> int:
    """Bytes that two training steps with AdamW take at most, the network included."""
    return_freed_memory()
    # The kernels' own code and tables are loaded first: they are not the network's.
    _training_steps(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), 8, 2, device)
    reset_peak_memory(device)
    before = memory_in_use(device)
    _training_steps(build(), size, batch_size, device)
    return peak_memory(device) - before


def _training_steps(network: nn.Module, size: int, batch_size: int, device: torch.device) -> None:
    network = network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=True)
    images = torch.randn(batch_size, input_channels(network), size, size, device=device)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        network(images).square().mean().backward()
        optimizer.step()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
