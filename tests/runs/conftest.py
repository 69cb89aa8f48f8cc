"""The trial's network while these tests run, and what its run ends with when nobody disturbs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.children import wait
from tests.runs import crash


@pytest.fixture(autouse=True)
def _pocket() -> Iterator[None]:
    with crash.pocket_model():
        yield


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with crash.pocket_model():
        assert wait(crash.fork(folder)) == 0
    return folder


@pytest.fixture(scope="session")
def expected(whole: Path) -> dict[str, Any]:
    """What that run ended with."""
    return crash.final_state(whole)
