"""Uploads: their limits, hostile ones by the hundred, and the corpus of images."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")

from convnets.cli import main
from convnets.compress import load_any
from convnets.data import ImageArrays
from convnets.data.decode import decode
from convnets.data.fit import fitted
from convnets.errors import ConvnetsError
from convnets.explorer.limits import Limits
from convnets.training.engine import choose_engine
from convnets.visualize.methods import METHODS
from convnets.weights.testing import prepared
from tests.cli.conftest import tree
from tests.data import corpus
from tests.explorer.conftest import (
    Served,
    Serving,
    photo,
    png,
    raw,
    status,
)

MIB = 1 << 20


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def written(pid: int) -> int:
    """Bytes that a process has sent to disks."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


HOSTILE_UPLOADS: dict[str, tuple[int, Callable[[Served], bytes]]] = {
    "no length": (411, lambda s: s.upload_head()),
    "in chunks": (
        411,
        lambda s: s.upload_head("Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "chunks and a length": (
        411,
        lambda s: (
            s.upload_head("Transfer-Encoding: chunked", "Content-Length: 3") + b"3\r\nabc\r\n0\r\n"
        ),
    ),
    "too long, unread": (413, lambda s: s.upload_head("Content-Length: 10000001") + b"x" * 1000),
    "absurdly long": (413, lambda s: s.upload_head(f"Content-Length: {'9' * 18}")),
    "shorter than it says": (400, lambda s: s.upload_head("Content-Length: 1000") + b"x" * 10),
    "longer than it says": (415, lambda s: s.upload_head("Content-Length: 4") + b"x" * 100),
    "two lengths": (
        400,
        lambda s: s.upload_head("Content-Length: 4", "Content-Length: 5") + b"xxxx",
    ),
    "a negative length": (400, lambda s: s.upload_head("Content-Length: -4") + b"xxxx"),
    "a length in words": (400, lambda s: s.upload_head("Content-Length: four") + b"xxxx"),
}


@pytest.mark.parametrize("name", HOSTILE_UPLOADS)
def test_a_hostile_upload_is_refused(server: Served, name: str) -> None:
    wanted, made = HOSTILE_UPLOADS[name]
    begun = time.monotonic()
    answer = raw(server.port, made(server), close=name.startswith("shorter"), seconds=3)
    assert status(answer) == wanted
    assert time.monotonic() - begun < 3.5
    first_body = answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1")[0]
    assert list(json.loads(first_body)) == ["error"]
    assert server.ask("/api/start").status == 200


def test_two_hundred_of_them_leave_nothing_behind(server: Served, trained: Path) -> None:
    bad = list(corpus.bad().values())
    for content in bad[:20]:  # what is loaded once is no growth
        server.look("resnet20", content)
    files, disk, memory = tree(trained.parent), written(server.pid), resident(server.pid)
    answered = 0
    for number in range(200):
        made = list(HOSTILE_UPLOADS.values())[number % len(HOSTILE_UPLOADS)][1]
        if number % 2:
            answered += server.look("resnet20", bad[number % len(bad)]).status in (400, 415)
        else:
            answered += status(raw(server.port, made(server), close=True, seconds=3)) >= 400
    assert answered == 200
    assert resident(server.pid) - memory <= 64 * MIB
    assert written(server.pid) == disk
    assert tree(trained.parent) == files


def test_a_slow_request_is_cut(serve_with: Serving) -> None:
    assert Limits().request_seconds == 10
    server = serve_with(limits=Limits(request_seconds=1.0))
    whole = server.upload_head("Content-Length: 5000")
    cut = 0
    for start in (b"", whole[:20], whole, whole + b"x" * 100):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(start)
            answer = dripped(connection, whole if start == b"" else b"x" * 5000)
        assert 0.8 < time.monotonic() - begun < 3
        cut += status(answer) == 408
    assert cut == 4
    assert server.ask("/api/start").status == 200


def dripped(connection: socket.socket, content: bytes) -> bytes:
    """Send a few bytes a second until the other side has had enough; what it says."""
    connection.settimeout(0.2)
    found = b""
    for place in range(len(content)):
        try:
            connection.sendall(content[place : place + 1])
            piece = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not piece:
            break
        found += piece
    return found


def expected(folder: Path, content: bytes) -> list[float]:
    """The logits of an image by the library that ``convnets predict`` calls."""
    loaded, engine = load_any(folder), choose_engine("cpu")
    about = loaded.description
    pixels = decode(content, name="", channels=about.in_chans)
    split = ImageArrays(fitted(pixels[None], about.input_size), np.zeros(1, np.int64))
    (batch,) = prepared(about, split, engine, 1).epoch(0)
    with torch.no_grad():
        found: list[float] = loaded.network(batch.images).float()[0].tolist()
    return found


def run_of(trained: Path, network: str) -> Path:
    (folder,) = (each for each in trained.iterdir() if each.name.startswith(network))
    return folder


@pytest.mark.parametrize("network", ["lenet5", "resnet20"])
def test_good_images_get_the_logits_of_the_command_line(
    server: Served,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    network: str,
) -> None:
    good = corpus.good()
    for number, case in enumerate(good.values()):
        (tmp_path / f"{number:03}.png").write_bytes(case.content)
    run = run_of(trained, network)
    options = ["--batch-size", "1", "--top", "5", "--device", "cpu", "--json"]
    capsys.readouterr()
    assert main(["predict", str(run), str(tmp_path), *options]) == 0
    records = json.loads(capsys.readouterr().out)
    equal = 0
    for case, record in zip(good.values(), records, strict=True):
        answer = server.look(network, case.content)
        assert answer.status == 200
        found = answer.json
        classes = [{"name": c["name"], "probability": c["probability"]} for c in found["classes"]]
        same = classes == record["classes"]
        equal += same and found["logits"] == expected(run, case.content)
    assert (equal, len(records)) == (len(good), len(good))


def test_bad_images_are_refused_in_a_line(server: Served) -> None:
    bad = corpus.bad()
    begun = time.monotonic()
    refused = sum(server.look("resnet20", content).is_refusal(400, 415) for content in bad.values())
    assert refused == len(bad)
    assert time.monotonic() - begun < 2 * len(bad)
    assert server.look("resnet20", bad["svg"]).status == 415
    assert b"svg" not in server.look("resnet20", bad["svg"]).body
    assert server.look("resnet20", png(photo(np.random.default_rng(1), 0))).status == 200


def test_every_way_to_look_answers(server: Served) -> None:
    image = png(photo(np.random.default_rng(2), 100))
    for network in ("lenet5", "resnet20"):
        about = server.ask(f"/api/models/{server.ids[network]}").json
        side = about["input_size"]
        for how in METHODS:
            found = server.look(network, image, how=how, target=1).json["picture"]
            assert (found["height"], found["width"]) == (side, side)
        for layer in about["layers"]:
            found = server.look(network, image, how="maps", layer=layer["name"]).json
            assert found["count"] == layer["shape"][0]
            shape = (found["maps"][0]["picture"]["height"], found["maps"][0]["picture"]["width"])
            assert shape == tuple(layer["shape"][1:])
        last = about["stages"][0]
        place = {"how": "projection", "layer": last, "unit": 0, "row": 1, "column": 1}
        assert server.look(network, image, **place).json["picture"]["height"] == side


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (404, {"how": "nonsense"}),
        (404, {"how": "maps", "layer": "features.nothing"}),
        (400, {"how": "maps"}),
        (400, {"how": "saliency", "target": 99}),
        (400, {"how": "saliency", "target": "-1"}),
        (400, {"how": "saliency", "target": "1e9"}),
        (400, {"how": "projection", "layer": "features.stem", "unit": 999_999}),
        (400, {"how": "projection", "layer": "features.stem", "row": 999, "column": 0}),
    ],
)
def test_a_wrong_question_is_refused(server: Served, wanted: int, asked: dict[str, Any]) -> None:
    image = png(photo(np.random.default_rng(3), 100))
    assert server.look("resnet20", image, **asked).is_refusal(wanted)


def test_typed_errors_have_their_statuses() -> None:
    from convnets import errors
    from convnets.explorer.answers import status_of

    assert status_of(errors.BadImage("x", "y")) == 400
    assert status_of(errors.BadModelFile("x")) == 400
    assert status_of(errors.UnknownName("x", "y", ["z"])) == 404
    assert status_of(errors.EnvironmentFailure("x")) == 500
    assert status_of(ConvnetsError("x")) == 500
