"""Answers in JSON, and what an error becomes: a status and one line."""

from __future__ import annotations

from typing import Any

from PIL import UnidentifiedImageError
from starlette.responses import Response

from convnets.errors import BadImage, BadInput, ConvnetsError, UnknownName, UsageError
from convnets.explorer.queue import Closing, Full
from convnets.files import to_json

CLOSE = {"Connection": "close"}


def answered(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as strict JSON in ASCII, whatever names it holds."""
    content = to_json(value, indent=None)
    return Response(content, status, headers, media_type="application/json")


def refused(status: int, reason: str, **headers: str) -> Response:
    """A refusal; the connection ends, since a body may be on its way that nobody reads."""
    return answered({"error": reason}, status, CLOSE | headers)


def failed(error: ConvnetsError, retry_seconds: int) -> Response:
    """What an expected error becomes; its text is made for a person to read."""
    # A client that is to come again keeps its connection, which then reads its body to the end.
    again = {"Retry-After": str(retry_seconds)} if isinstance(error, Full | Closing) else None
    return answered({"error": str(error)}, status_of(error), again)


def status_of(error: ConvnetsError) -> int:
    """The HTTP status of a typed error."""
    match error:
        case Full() | Closing():
            return 503
        case BadImage() if isinstance(error.__cause__, UnidentifiedImageError):
            return 415
        case UnknownName():
            return 404
        case UsageError() | BadInput():
            return 400
        case _:
            return 500
