"""What machine this is."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

import torch

from convnets import __version__
from convnets.records import Machine


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
