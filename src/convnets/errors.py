"""Errors that reach a user: one line with what, why and a hint, and one exit code each.

Library code raises these at its boundary; the command line prints ``str(error)`` and exits with
``error.exit_code``. A traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class ConvnetsError(Exception):
    """An expected failure: ``str()`` of it is one line for a person to act on."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(ConvnetsError, ValueError):
    """A name, field or option that does not exist or does not fit."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not in a list; says which ones are near."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        near += [n for n in names if name and name.lower() in n and n not in near][: 3 - len(near)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names[:12])}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.near = near


class PlanChanged(UsageError):
    """A run folder holds a different plan from the one asked for."""


class InputTooSmall(UsageError):
    """An image that a network's geometry shrinks to nothing."""


class BadInput(ConvnetsError):
    """Data or a file that cannot be used."""

    exit_code = 3


class BadImage(BadInput):
    """One image that cannot be decoded."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class BadData(BadInput):
    """A data set that cannot be used: missing, empty, mislabelled or unreadable."""


class BadModelFile(BadInput):
    """A checkpoint or model file that is damaged or is not one of ours."""


class TrainingFailed(ConvnetsError):
    """Training that cannot go on."""

    exit_code = 4


class NonFinite(TrainingFailed):
    """A loss or gradient that is NaN or infinite, found before the optimizer's step."""


class ExportFailed(ConvnetsError):
    """A form of a network that does not do what the network does."""

    exit_code = 4


class EnvironmentFailure(ConvnetsError):
    """The machine refuses: disk, permission, network, a lock, a missing extra."""

    exit_code = 5


class Busy(EnvironmentFailure):
    """Another process works on this run."""


class DiskFull(EnvironmentFailure):
    """A write that the disk, a quota or a permission refuses."""


class Stopped(ConvnetsError):
    """A run that a signal stopped after its checkpoint; the same command goes on."""

    exit_code = 143

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def described(error: ConvnetsError) -> dict[str, Any]:
    """An error as JSON holds it, for another process to raise once more."""
    return {"kind": type(error).__name__, "text": str(error), "code": error.exit_code}


def repeated(told: Mapping[str, Any]) -> ConvnetsError:
    """The error that was ``described``; its text is made already, so ``__init__`` is passed by."""
    kind = globals().get(told["kind"], ConvnetsError)
    error: ConvnetsError = kind.__new__(kind, told["text"])
    error.exit_code = told["code"]
    return error


def first_problem(problems: Sequence[Mapping[str, Any]]) -> str:
    """The first of the problems that pydantic found in a record: its field, and what is wrong."""
    field = ".".join(str(part) for part in problems[0]["loc"])
    return f"{field}: {problems[0]['msg']}".removeprefix(": ")


def printable(text: str) -> str:
    """Return ``text`` on one line, with control and undecodable characters escaped."""
    escaped = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
