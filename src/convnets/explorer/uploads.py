"""Reading an uploaded image: a raw body of a declared and bounded length, into memory alone."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from convnets.explorer.answers import CLOSE


def declared_length(request: Request, most: int) -> int:
    """How long the body says it is; raises ``HTTPException`` 411 and 413 before any of it is read.

    A body in chunks declares nothing.
    """
    declared = request.headers.get("content-length")
    if declared is None or "transfer-encoding" in request.headers:
        raise HTTPException(411, "an upload says its Content-Length", CLOSE)
    if not (declared.isascii() and declared.isdecimal()):
        raise HTTPException(400, "the Content-Length is no number", CLOSE)
    if int(declared) > most:
        limit = f"the image has {int(declared):,} bytes; the limit is {most:,}"
        raise HTTPException(413, limit, CLOSE)
    return int(declared)


async def read_body(request: Request, length: int) -> bytes:
    """The body, of exactly ``length`` bytes; raises ``HTTPException`` 400 for another length."""
    content = bytearray()
    try:
        async for piece in request.stream():
            content += piece
            if len(content) > length:
                break
    except ClientDisconnect:
        pass
    if len(content) != length:
        raise HTTPException(400, "the body is not as long as its Content-Length", CLOSE)
    return bytes(content)
