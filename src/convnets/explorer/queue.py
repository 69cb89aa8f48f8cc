"""One piece of work at a time, a few waiting, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from convnets.errors import ConvnetsError

Value = TypeVar("Value")


class Full(ConvnetsError):
    """The queue takes no more for now."""

    exit_code = 5


class Closing(ConvnetsError):
    """The server stops, and with it work that would take long."""

    exit_code = 143


class Queue:
    """A thread that does pieces of work in the order in which they were let in."""

    def __init__(self, waiting: int) -> None:
        self._most = waiting + 1
        self._inside = 0
        self._thread = ThreadPoolExecutor(1, "explorer")
        self._closing = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, before anything large is read; raises ``Full`` where none is left."""
        if self._inside >= self._most:
            raise Full("busy: several pictures are being made; try again in a moment")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def do(self, work: Callable[[], Value]) -> Value:
        """What ``work`` returns; to be called with a place held."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Take nothing from the queue any more, and end what asks ``check``."""
        self._closing = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def check(self, done: int, total: int) -> None:
        """Raise ``Closing`` once the queue is closed; long work calls it between its steps."""
        if self._closing:
            raise Closing("the explorer is stopping")
