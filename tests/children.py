"""Work done in a forked child: what would end this process, or must be watched or bounded.

A fork costs no import of torch. The child computes with one thread and never returns to pytest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

import pytest
import torch

from convnets.errors import ConvnetsError

LIMIT = 60
"""Seconds after which a child is ended."""


def start(work: Callable[[], Any], into: int | None = None) -> int:
    """Fork and do ``work`` there; return the child's process id.

    The child's exit code is 0, or that of the error that ``work`` raises. What it returns, or the
    error's text, is written to the descriptor ``into`` as JSON.
    """
    with warnings.catch_warnings():  # other threads of this process hold nothing a child needs
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(LIMIT)
        torch.set_num_threads(1)
        code, value = _outcome(work)
        if into is not None:
            os.write(into, json.dumps(value).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _outcome(work: Callable[[], Any]) -> tuple[int, Any]:
    try:
        return 0, work()
    except ConvnetsError as error:
        return error.exit_code, str(error)
    except KeyboardInterrupt:
        return 130, "interrupted"


def wait(child: int) -> int:
    """The exit code of a child, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do ``work`` in a child; return its exit code, and its value or its error's text."""
    ours, theirs = os.pipe()
    child = start(work, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        content = pipe.read()
    return wait(child), json.loads(content) if content else None


def with_openvino(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a child that may import OpenVINO; skips where there is none."""
    if PathFinder.find_spec("openvino") is None:
        pytest.skip("OpenVINO is an extra: pip install 'convnets[openvino]'")

    def there() -> Any:
        sys.modules.pop("openvino", None)
        return work()

    code, value = in_child(there)
    assert code == 0, value
    return value
