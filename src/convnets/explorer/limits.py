"""What the explorer takes and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """``body_bytes`` of an upload, ``request_seconds`` until a request has arrived whole,
    ``waiting`` pieces of work in the queue beside the one being done, ``retry_seconds`` after which
    a client that found it full may ask again, ``drain_seconds`` for what runs at a stop."""

    body_bytes: int = 10_000_000
    request_seconds: float = 10.0
    waiting: int = 8
    retry_seconds: int = 1
    drain_seconds: int = 4


USUAL = Limits()
