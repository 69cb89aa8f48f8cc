"""The process's memory: how much it takes, the most it took, and what is given back."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
from pathlib import Path

import torch

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next step's maps instead of giving them back.

    By default each map above 128 KiB is fresh memory, which the system fills with zeros page by
    page in every step. Elsewhere than on glibc nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_MAX, 0)


def return_freed_memory() -> None:
    """Have glibc give freed blocks above 128 KiB back at once, so that a peak is of what is in use.

    The opposite of ``keep_freed_memory``, and slower.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 2**17)
        mallopt(M_MMAP_MAX, 2**16)
        mallopt(M_MMAP_THRESHOLD, 2**17)


def release_freed_memory() -> None:
    """Give back what an earlier run has freed, so that it is not taken for the next one's."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_in_use(device: torch.device) -> int:
    """Bytes: what the allocator has given out on an accelerator, what is resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") or peak_memory(device)


def _status(field: str) -> int:
    """Bytes of one line of Linux's account of this process, 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0
