"""Many clients at once, a full queue, and a stop in the middle of work."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")

from convnets.explorer.app import Explorer
from convnets.explorer.limits import Limits
from tests.explorer.conftest import Served, Serving, photo, png, received, status

CLIENTS, UPLOADS = 16, 20


def test_many_clients_at_once_each_get_their_own_answer(server: Served) -> None:
    draw = np.random.default_rng(4)
    images = [png(photo(draw, 8 * client)) for client in range(CLIENTS)]
    own = [server.look("lenet5", image).json["logits"] for image in images]
    assert len({tuple(logits) for logits in own}) == CLIENTS
    told: Counter[str] = Counter()

    def client(number: int) -> None:
        for _ in range(UPLOADS):
            answer = server.look("lenet5", images[number])
            if answer.status == 503:
                told["busy"] += int(answer.headers["retry-after"]) > 0
            else:
                told["answered"] += answer.status == 200
                told["right"] += answer.json["logits"] == own[number]

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told["answered"] + told["busy"] == CLIENTS * UPLOADS
    assert told["right"] == told["answered"] > 0


def slow(seconds: float) -> Callable[[], None]:
    """Makes looking take its time, in the process where it is called."""

    def before() -> None:
        quick = Explorer._viewer

        def late(self: Explorer, item: Any) -> Any:
            time.sleep(seconds)
            return quick(self, item)

        Explorer._viewer = late  # type: ignore[method-assign]

    return before


def test_a_full_queue_says_when_to_come_again(serve_with: Serving) -> None:
    server = serve_with(limits=Limits(waiting=1), before=slow(0.5))
    image = png(photo(np.random.default_rng(5), 0))
    statuses: list[int] = []

    def client() -> None:
        statuses.append(server.look("lenet5", image).status)

    threads = [threading.Thread(target=client) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 503, 503, 503]


@pytest.mark.parametrize(("seconds", "answers"), [(1.5, {200}), (30, {0, 500})])
def test_a_stop_lets_work_end_but_not_for_long(
    serve_with: Serving, seconds: float, answers: set[int]
) -> None:
    server = serve_with(before=slow(seconds))
    image = png(photo(np.random.default_rng(6), 0))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(server.upload_head(f"Content-Length: {len(image)}") + image)
        time.sleep(0.3)
        begun = time.monotonic()
        assert server.stop() == 143
        assert time.monotonic() - begun <= 5
        assert status(received(connection)) in answers
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_an_interrupt_ends_it_at_once(serve_with: Serving) -> None:
    server = serve_with()
    begun = time.monotonic()
    assert server.stop(signal.SIGINT) == 130
    assert time.monotonic() - begun < 3
