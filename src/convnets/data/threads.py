"""Work done ahead of its use, in threads that nobody has to wait for.

A read from a disk or a network that does not answer cannot be called off. Its thread is left
behind: it ends with the process and does not keep it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from convnets.errors import EnvironmentFailure

Given = TypeVar("Given")
Made = TypeVar("Made")

PATIENCE = 300.0
"""Seconds without a result after which a read is taken to hang."""


def made_ahead(wanted: Iterable[Given], make: Callable[[Given], Made]) -> Iterator[Made]:
    """Yield ``make`` of each of ``wanted``, in order; what it raises is raised here.

    As many threads as there are cores work a bounded number of entries ahead: Pillow and torch let
    go of the interpreter. Raises ``EnvironmentFailure`` where nothing comes for ``PATIENCE``.
    """
    count = os.cpu_count() or 1
    tasks: SimpleQueue[tuple[Future[Made], Given] | None] = SimpleQueue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            future, given = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(make(given))
            except BaseException as error:
                future.set_exception(error)

    for _ in range(count):
        Thread(target=work, daemon=True).start()
    pending: deque[Future[Made]] = deque()
    try:
        for given in wanted:
            pending.append(Future())
            tasks.put((pending[-1], given))
            if len(pending) > count + 1:
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    finally:
        for future in pending:
            future.cancel()
        for _ in range(count):
            tasks.put(None)


def _result(future: Future[Made]) -> Made:
    try:
        return future.result(PATIENCE)
    except TimeoutError as error:
        if future.done():  # raised by the work itself
            raise
        raise EnvironmentFailure(
            f"reading images hangs: nothing has come for {PATIENCE:.0f} seconds; see that the disk "
            "or the network they lie on answers, the same command goes on"
        ) from error
