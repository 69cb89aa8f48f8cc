"""A real server in a forked process, with two trained networks whose classes have hostile names."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from convnets.cli import main
from tests.children import start, wait

HOSTILE = "<img src=x onerror=alert(1)>"
SECRET = "quite-a-secret-of-this-machine"
LIMIT = 120  # seconds after which a server ends itself


@dataclass
class Served:
    """A running server, and requests to it."""

    pid: int
    port: int
    token: str
    folders: Path
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/#token={self.token}"

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        *,
        method: str | None = None,
    ) -> Answer:
        """One request, as our page makes it; a header that is None is left out."""
        method = method or ("GET" if body is None else "POST")
        given: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}"}
        given |= {"X-Convnets-Token": self.token} | dict(headers or {})
        if body is not None:
            given = {"Content-Length": str(len(body))} | given
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def look(self, model: str, content: bytes, **asked: Any) -> Answer:
        """Upload an image to one of the models, called by its network's name."""
        return self.ask(f"/api/models/{self.ids[model]}/look?{urlencode(asked)}", content)

    def upload_head(self, *lines: str) -> bytes:
        """The start of an upload with our token, and further header lines."""
        path = f"/api/models/{self.ids['resnet20']}/look"
        first = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        return "\r\n".join([*first, f"X-Convnets-Token: {self.token}", *lines, "", ""]).encode()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        os.kill(self.pid, number)
        return wait(self.pid)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_refusal(self, *statuses: int) -> bool:
        """Whether this is one of the statuses, with one line of JSON that shows no innards."""
        if self.status not in statuses or b"Traceback" in self.body:
            return False
        return list(self.json) == ["error"] and self.json["error"].isprintable()


def photo(draw: np.random.Generator, level: int) -> Image.Image:
    return Image.fromarray(draw.integers(level, level + 56, (24, 24, 3), dtype=np.uint8))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, beside a secret that no answer may hold."""
    top = tmp_path_factory.mktemp("explored")
    (top / "secret.txt").write_text(SECRET)
    draw = np.random.default_rng(0)
    for number in range(10):
        for level, name in ((0, "cat"), (200, HOSTILE)):
            path = top / "pets" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo(draw, level).save(path)
    for network in ("lenet5", "resnet20"):
        names = ["train", network, "--data", str(top / "pets"), "--out", str(top / "runs")]
        assert main([*names, "--epochs", "1", "--set", "batch_size=8"]) == 0
    return top / "runs"


Serving = Callable[..., Served]


def serving(folders: Path, *, before: Callable[[], None] | None = None, **options: Any) -> Served:
    """Fork a server of ``folders`` after ``before`` was done there; wait for its address."""
    ours, theirs = os.pipe()

    def work() -> int:
        from convnets.explorer.server import serve

        signal.alarm(LIMIT)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        if before is not None:
            before()

        def announce(url: str) -> None:
            os.write(theirs, f"{url}\n".encode())

        os._exit(serve([folders], port=0, announce=announce, **options))

    pid = start(work)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        url = pipe.readline().strip()
    address, _, token = url.partition("/#token=")
    served = Served(pid, int(address.rpartition(":")[2]), token, folders)
    models = served.ask("/api/runs").json["models"]
    served.ids = {each["model"] or each["name"]: each["id"] for each in models}
    return served


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Served]:
    """One server for a module's tests."""
    served = serving(trained)
    yield served
    assert served.stop() == 143


@pytest.fixture
def serve_with(trained: Path) -> Iterator[Serving]:
    """Servers with other settings, ended after the test if they still run."""
    made: list[Served] = []

    def begin(folders: Path = trained, **options: Any) -> Served:
        made.append(serving(folders, **options))
        return made[-1]

    yield begin
    for served in made:
        try:
            os.kill(served.pid, signal.SIGKILL)
            wait(served.pid)
        except (ProcessLookupError, ChildProcessError):
            pass


def raw(port: int, content: bytes, *, close: bool = False, seconds: float = 10) -> bytes:
    """Send bytes as they are and return all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(content)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except (ConnectionResetError, TimeoutError):
        pass
    return found


def status(answer: bytes) -> int:
    """The status of a raw answer, 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
