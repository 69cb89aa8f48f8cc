"""Work ahead in threads: in order, bounded, and without a hang at the end of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from convnets.data import threads
from convnets.data.threads import made_ahead
from convnets.errors import BadImage, EnvironmentFailure


def test_results_come_in_order_and_a_bounded_number_ahead() -> None:
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        time.sleep(0.002 if number % 3 else 0)
        return number * number

    cores = os.cpu_count() or 1
    for place, found in enumerate(made_ahead(range(60), make)):
        assert found == place * place
        assert len(begun) <= place + cores + 3
    assert sorted(begun) == list(range(60))
    assert list(made_ahead([], make)) == []


@pytest.mark.parametrize("error", [BadImage("x.png", "cut off"), TimeoutError("of its own")])
def test_what_the_work_raises_is_raised_in_its_turn(error: Exception) -> None:
    def make(number: int) -> int:
        if number == 5:
            raise error
        return number

    found: list[int] = []
    with pytest.raises(type(error)) as caught:
        found.extend(made_ahead(range(20), make))
    assert caught.value is error
    assert found == [0, 1, 2, 3, 4]


def settles(count: int) -> bool:
    deadline = time.monotonic() + 5
    while threading.active_count() > count and time.monotonic() < deadline:
        time.sleep(0.01)
    return threading.active_count() <= count


def test_threads_end_with_the_work_and_where_it_is_left() -> None:
    before = threading.active_count()
    list(made_ahead(range(5), str))
    assert settles(before)
    left = made_ahead(iter(range(1000)), str)
    assert next(left) == "0"
    left.close()
    assert settles(before)


def hang(number: int) -> int:
    ours, _theirs = os.pipe()
    return os.read(ours, 1)[0]


def test_work_that_hangs_is_told_of_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PATIENCE", 0.2)
    begun = time.monotonic()
    with pytest.raises(EnvironmentFailure, match="hangs") as caught:
        list(made_ahead(range(3), hang))
    assert caught.value.exit_code == 5
    assert time.monotonic() - begun < 2


PROGRAM = """
import sys
from convnets.data import threads
from tests.data.test_threads import hang
threads.PATIENCE = 0.2
try:
    list(threads.made_ahead(range(3), hang))
except threads.EnvironmentFailure as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.fault("A9")
def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], timeout=60, check=False).returncode == 5
