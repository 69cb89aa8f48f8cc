"""What every request must show before anything answers it, and what every answer says.

A page of another origin can make a browser send requests here, and a name of its own can be made to
resolve to this machine. So the ``Host`` must be an address of ours; calls to ``/api/`` must come
from our page and carry the token of this start, which only whoever saw the printed address has; and
no answer may be read by another origin.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convnets.explorer.answers import refused

TOKEN = "x-convnets-token"
API = "/api/"
METHODS = ("GET", "HEAD", "POST")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
USUAL_PORT = 80  # browsers leave it out
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Gate:
    """Where the server is reached, and its token. ``host`` is what it listens on."""

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason with which a request is turned away; None for one that may pass."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this address is not the explorer's"
        if method not in METHODS:
            return 405, f"{method[:16]} is not used here"
        if not path.startswith(API):
            return None
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return 403, "asked by a page of another origin"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "asked by a page of another site"
        given = headers.get(TOKEN, "").encode("latin-1", "replace")
        if not secrets.compare_digest(given, self.token.encode()):
            return 403, "open the address that the command printed: it has this start's token"
        return None

    def _is_ours(self, host: str) -> bool:
        host = host.lower()
        name, _, port = host.rpartition(":")
        if not name or host.endswith("]"):
            name, port = host, str(USUAL_PORT)
        if port != str(self.port):
            return False
        # Rebinding needs a name: an address in the header was typed by a person.
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return name in (*LOOPBACK, shown.lower()) or (
            is_any(self.host) and _is_address(name.strip("[]"))
        )


def is_any(host: str) -> bool:
    """Whether a server on ``host`` listens on every address."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class Guard:
    """Puts the gate before an application and the headers on what it answers."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self.gate.refusal(scope["method"], scope["path"], Headers(scope=scope))
        answer = self.app if refusal is None else refused(*refusal)
        await answer(scope, receive, guarded)
