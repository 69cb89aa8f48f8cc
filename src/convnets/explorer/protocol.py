"""HTTP connections that do not wait: a request arrives whole in time, or is cut.

uvicorn waits for ever for the rest of a request, and says nothing where a body ends before its
declared length.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from convnets.explorer.guard import HEADERS
from convnets.files import to_json


def protocol(request_seconds: float) -> type[H11Protocol]:
    """The class of connections that allow a request ``request_seconds``."""

    class Timed(TimedProtocol):
        seconds = request_seconds

    return Timed


class TimedProtocol(H11Protocol):
    """One connection; the clock runs from its begin or a request's first byte to the last one."""

    seconds: float
    clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.clock = self.loop.call_later(self.seconds, self._cut)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to stay open: a client that has said all may still wait for its answer."""
        if self.conn.their_state is h11.SEND_BODY:
            self._refuse(400, "the body is shorter than its Content-Length")
            return False
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self.cycle.keep_alive = False
        return answering

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _watch(self) -> None:
        """Stop the clock once a request is here; start it where there is a part of one."""
        begun = bool(self.conn.trailing_data[0]) and self.conn.their_state is h11.IDLE
        if not begun and self.conn.their_state is not h11.SEND_BODY:
            self._stop()
        elif self.clock is None:
            self.clock = self.loop.call_later(self.seconds, self._cut)

    def _stop(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    def _cut(self) -> None:
        self._refuse(408, f"the request did not arrive within {self.seconds:g} seconds")

    def _refuse(self, status: int, reason: str) -> None:
        """Say why, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = to_json({"error": reason}, indent=None).encode()
            told = {**HEADERS, "Content-Type": "application/json", "Connection": "close"}
            headers = [*told.items(), ("Content-Length", str(len(content)))]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=content),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
