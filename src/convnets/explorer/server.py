"""The explorer's server: one socket, one process, and an end within seconds."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from convnets.errors import BadData, EnvironmentFailure, UsageError
from convnets.explorer.app import Explorer
from convnets.explorer.guard import Gate, is_any
from convnets.explorer.limits import USUAL, Limits
from convnets.explorer.listing import Listing
from convnets.explorer.protocol import protocol

TRIED_PORTS = 100
BACKLOG = 64
GRACE = 0.8  # seconds after the drain in which a thread may still end by itself


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    exposed: bool = False,
    announce: Callable[[str], None],
    limits: Limits = USUAL,
) -> int:
    """Serve the explorer of folders until a signal; return 128 and the signal's number.

    ``announce`` is told the address, once connections are taken. Port 0 is any free one. Raises
    ``UsageError`` for a host that others can reach unless ``exposed`` says so, ``BadData`` for a
    path that is not there, ``EnvironmentFailure`` for a port that is taken.
    """
    if not exposed and not is_loopback(host):
        raise UsageError(
            f"--host {host} lets other machines in, over plain HTTP; add --i-know if that is meant"
        )
    for path in paths:
        if not path.exists():
            raise BadData(f"{path}: there is no such folder")
    listener = listen(host, port)
    gate = Gate(host, listener.getsockname()[1])
    explorer = Explorer(Listing(paths), limits)
    config = uvicorn.Config(
        explorer.application(gate),
        http=protocol(limits.request_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=limits.drain_seconds,
    )
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # we say what there is to say
    server = _Server(config, limits.drain_seconds)
    shown = "127.0.0.1" if is_any(host) else f"[{host}]" if ":" in host else host
    announce(f"http://{shown}:{gate.port}/#token={gate.token}")
    server.run([listener])
    explorer.queue.close()
    return 128 + server.stopped_by


class _Server(uvicorn.Server):
    """Stops by a signal, and at the latest soon after the drain, whatever a thread is at."""

    def __init__(self, config: uvicorn.Config, drain_seconds: int) -> None:
        super().__init__(config)
        self.drain_seconds = drain_seconds
        self.stopped_by = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.stopped_by:
            self.stopped_by = sig
            # Work in a thread cannot be stopped; it holds nothing that needs to be put in order.
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + sig))
            signal.setitimer(signal.ITIMER_REAL, self.drain_seconds + GRACE)
        super().handle_exit(sig, frame)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises ``EnvironmentFailure`` and names the next free port."""
    try:
        return _bound(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        free = next((p for p in range(port + 1, port + TRIED_PORTS) if _is_free(host, p)), None)
        hint = f"try --port {free}" if free else "try another --host or --port"
        raise EnvironmentFailure(
            f"cannot listen on {host}, port {port}: {reason}; {hint}"
        ) from error


def _is_free(host: str, port: int) -> bool:
    try:
        _bound(host, port).close()
    except (OSError, OverflowError):
        return False
    return True


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
