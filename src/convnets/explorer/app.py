"""The explorer's few fixed routes, as an application of Starlette."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from convnets import __version__
from convnets.errors import ConvnetsError, UsageError, printable
from convnets.explorer import networks, painting, runs
from convnets.explorer.answers import answered, failed
from convnets.explorer.guard import Gate, Guard
from convnets.explorer.limits import Limits
from convnets.explorer.listing import Contents, Item, Listing
from convnets.explorer.looking import Question, Viewer, Viewers
from convnets.explorer.queue import Queue
from convnets.explorer.uploads import declared_length, read_body

log = logging.getLogger("convnets.explorer")
INDEX = "index.html"
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
ASSETS = (
    INDEX,
    "icon.svg",
    "style.css",
    *("main.js", "api.js", "elements.js", "format.js", "charts.js", "tables.js", "painting.js"),
    *("networks.js", "anatomy.js", "runs.js", "matrix.js", "curves.js", "look.js", "maps.js"),
)
"""Files of the page. They are read at the start, and a request chooses among their names."""


class Explorer:
    """What the routes share: the folders as last looked through, the networks, and the queue."""

    def __init__(self, listing: Listing, limits: Limits) -> None:
        self.listing, self.limits = listing, limits
        self.queue, self.viewers = Queue(limits.waiting), Viewers()
        self.contents: Contents = listing.contents()
        folder = files("convnets.explorer").joinpath("page")
        self.assets = {name: folder.joinpath(name).read_bytes() for name in ASSETS}
        self.networks: list[dict[str, Any]] = networks.networks()

    def application(self, gate: Gate) -> ASGIApp:
        """The routes behind the gate."""
        routes = [
            Route("/", self.page),
            Route("/page/{name}", self.asset),
            Route("/api/start", self.start),
            Route("/api/networks", self.all_networks),
            Route("/api/networks/{name}", self.anatomy),
            Route("/api/runs", self.overview),
            Route("/api/runs/{id}", self.run),
            Route("/api/models/{id}", self.model),
            Route("/api/models/{id}/look", self.look, methods=["POST"]),
        ]
        handlers: Mapping[Any, Callable[..., Response]] = {
            ConvnetsError: self._failed,
            HTTPException: self._refused,
            Exception: self._unexpected,
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), gate)

    async def page(self, request: Request) -> Response:
        return self._file(INDEX)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.assets:
            raise HTTPException(404, "there is no such page")
        return self._file(name)

    async def start(self, request: Request) -> Response:
        limit = self.limits.body_bytes
        told = {"version": __version__, "largest_upload": limit, "colours": painting.colours()}
        return answered(told)

    async def all_networks(self, request: Request) -> Response:
        return answered(self.networks)

    async def anatomy(self, request: Request) -> Response:
        asked, name = request.query_params, request.path_params["name"]
        size = whole(asked, "size")
        return await self._in_turn(
            lambda: networks.anatomy(name, size, asked.get("stem"), asked.get("level", "layers"))
        )

    async def overview(self, request: Request) -> Response:
        self.contents = await run_in_threadpool(self.listing.contents)
        return answered(runs.overview(self.contents))

    async def run(self, request: Request) -> Response:
        item = self._item(request)
        if item.result is None:
            raise UsageError(f"{item.name} is no finished run")
        return answered(runs.detail(item))

    async def model(self, request: Request) -> Response:
        item = self._item(request)
        mistakes = item.result.mistakes if item.result else ()
        about = {"id": item.id, "name": item.name, "mistakes": [m.model_dump() for m in mistakes]}
        return await self._in_turn(lambda: {**about, **self._viewer(item).about()})

    async def look(self, request: Request) -> Response:
        item, question = self._item(request), asked_question(request)
        length = declared_length(request, self.limits.body_bytes)
        with self.queue.place():
            content = await read_body(request, length)
            found = await self.queue.do(
                lambda: self._viewer(item).look(content, question, self.queue.check)
            )
        return answered(found)

    async def _in_turn(self, work: Callable[[], Any]) -> Response:
        with self.queue.place():
            return answered(await self.queue.do(work))

    def _item(self, request: Request) -> Item:
        return self.contents.find(request.path_params["id"])

    def _viewer(self, item: Item) -> Viewer:
        if item.weights is None:
            raise UsageError(f"{item.name} has no weights; was it trained with --no-weights?")
        return self.viewers.of(item.weights)

    def _file(self, name: str) -> Response:
        return Response(self.assets[name], media_type=KINDS[name.rpartition(".")[2]])

    def _failed(self, request: Request, error: ConvnetsError) -> Response:
        return failed(error, self.limits.retry_seconds)

    def _refused(self, request: Request, error: HTTPException) -> Response:
        return answered({"error": error.detail}, error.status_code, dict(error.headers or {}))

    def _unexpected(self, request: Request, error: Exception) -> Response:
        log.error("%s", printable(f"convnets: {type(error).__name__}: {error}"))
        return answered({"error": "something went wrong; the terminal says what"}, 500)


def asked_question(request: Request) -> Question:
    """What a request's address asks of its image; raises ``UsageError`` for what is no number."""
    asked = request.query_params
    row, column = whole(asked, "row"), whole(asked, "column")
    return Question(
        how=asked.get("how", "classes"),
        target=whole(asked, "target"),
        layer=asked.get("layer"),
        unit=whole(asked, "unit"),
        position=None if row is None or column is None else (row, column),
    )


def whole(asked: Mapping[str, str], name: str) -> int | None:
    """A number of the address, None where it is not there."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{name} is {printable(text)[:20]!r}; it must be a whole number")
    return int(text)
