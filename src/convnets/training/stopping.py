"""Signals become a flag that loops look at between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from convnets.errors import Stopped


class StopFlag:
    """While it is entered, SIGTERM and the first SIGINT only raise this flag.

    A second SIGINT interrupts at once. Outside the main thread, signals are left alone. A signal
    that comes after the last look at an inner flag is handed on to the flag around it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
            around = getattr(handler, "__self__", None)
            if number == self.received and kind is None and isinstance(around, StopFlag):
                around.received = number
        self._before.clear()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    @staticmethod
    def stopped(number: int, where: str) -> Stopped:
        """The error to raise once the run is safe on disk; SIGTERM counts before SIGINT."""
        interrupted = number == signal.SIGINT
        name = signal.SIGINT.name if interrupted else signal.SIGTERM.name
        return Stopped(
            f"stopped by {name} {where}; the same command goes on",
            exit_code=130 if interrupted else 143,
        )
