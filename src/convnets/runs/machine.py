"""What machine this is, and how much memory a run took on it."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

import torch

from convnets import __version__
from convnets.records import Machine
from convnets.training.engine import release_freed_memory


def this_machine() -> Machine:
    """Describe the processor, memory, accelerator and the versions that decide results."""
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
    cuda = torch.cuda.is_available()
    return Machine(
        processor=processor_name(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        accelerator=torch.cuda.get_device_name() if cuda else None,
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version(), "convnets": __version__, **versions},
    )


def processor_name() -> str:
    """The processor's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new count of the peak, where the system can."""
    release_freed_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(descriptor, b"5")  # Linux: resets VmHWM
        finally:
            os.close(descriptor)


def peak_memory(device: torch.device) -> int:
    """Bytes: the allocator's peak on an accelerator, the process's resident peak on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
