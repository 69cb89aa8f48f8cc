"""``convnets explore``: what it refuses before it serves anything."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call, refused


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback on which something listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_names_the_next_free_one(call: Call, taken: int) -> None:
    pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")
    said = call("explore", "--port", taken)
    refused(said, 5, f"port {taken}", "--port")
    named = int(said.err.strip().rpartition("--port ")[2])
    assert named > taken
    with socket.socket() as free:
        free.bind(("127.0.0.1", named))


def test_other_machines_are_let_in_only_knowingly(call: Call) -> None:
    pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        refused(call("explore", "--host", host), 2, host, "--i-know")


def test_a_folder_that_is_not_there(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")
    refused(call("explore", tmp_path / "gone"), 3, "gone")


def test_without_the_extra_it_says_what_to_install(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("convnets.explorer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refused(call("explore"), 5, "pip install 'convnets[web]'")
