"""The trials of a study on disk, each a file, shared by any number of processes.

A process claims a trial by the lock of its number, which the kernel frees when the process ends:
a trial that says it is running and whose lock is free belonged to one that died.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from convnets.errors import BadInput, first_problem
from convnets.files import atomic_write, lock, read_json, remove, to_json
from convnets.records import Record

NAME = re.compile(r"trial-(\d{3,})\.json")
MOST_ATTEMPTS = 2
PAUSE = 0.2
"""Seconds between two looks at what other processes hold."""


class Trial(Record):
    """One candidate and what became of it.

    ``text`` is the string that was sampled, ``model`` the network's name. ``attempts`` counts the
    processes that began it and were not stopped by a signal; ``refused`` the samples before it that
    were no network. ``accuracy`` is the share of validation images, ``latency`` seconds of one
    image; ``training_macs`` and ``seconds`` are what its training took, None where its weights were
    shared. ``reason`` says why it failed.
    """

    number: int = Field(ge=0)
    state: Literal["queued", "running", "complete", "failed"]
    choice: tuple[int, ...]
    text: str
    model: str
    refused: int = 0
    attempts: int = 0
    reward: float | None = None
    accuracy: float | None = None
    params: int | None = None
    macs: int | None = None
    latency: float | None = None
    training_macs: int | None = None
    seconds: float | None = None
    run: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _a_reward_at_the_end(self) -> Self:
        if self.finished and self.reward is None:
            raise ValueError(f"it is {self.state} and has no reward")
        return self

    @property
    def finished(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in ("complete", "failed")

    def but(self, **changes: object) -> Trial:
        """The trial with these fields changed."""
        return Trial.model_validate({**self.model_dump(), **changes})


Ask = Callable[[list[Trial]], Trial]
"""Makes the next trial out of all before it."""


class Trials:
    """The trials of the study in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> list[Trial]:
        """All trials there are, by number; raises ``BadInput`` for one that cannot be read."""
        found = []
        for path in self.folder.glob("trial-*.json"):
            if match := NAME.fullmatch(path.name):
                trial = _read(path)
                if trial.number != int(match[1]):
                    raise BadInput(f"{path}: it is the file of trial {trial.number}")
                found.append(trial)
        return sorted(found, key=lambda trial: trial.number)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that writes in the folder itself; waits for others."""
        with lock(self.folder / ".lock", wait=True):
            for left in self.folder.glob(".tmp.*"):  # by a process that was killed while writing
                remove(left)
            yield

    def finish(self, trial: Trial) -> None:
        """Write what became of a claimed trial."""
        with self.writing():
            self._write(trial)

    def _write(self, trial: Trial) -> None:
        path = self.folder / f"trial-{trial.number:03d}.json"
        atomic_write(path, to_json(trial.model_dump(mode="json")) + "\n")

    @contextlib.contextmanager
    def claim(self, wanted: int, ask: Ask) -> Iterator[Trial | None]:
        """Hold one trial: the first that nobody works on, else the next of ``wanted``.

        ``ask`` makes a new one out of all before it. None where no trial is free. A trial whose
        process died is begun once more, and fails where that one dies too.
        """
        with contextlib.ExitStack() as held:
            with self.writing():
                trial = self._free(held) or self._next(wanted, ask, held)
                if trial is not None:
                    trial = trial.but(state="running", attempts=trial.attempts + 1)
                    self._write(trial)
            yield trial

    def _free(self, held: contextlib.ExitStack) -> Trial | None:
        for trial in self.read():
            if trial.finished or not self._taken(trial.number, held):
                continue
            if trial.attempts < MOST_ATTEMPTS:
                return trial
            reason = f"its process died {MOST_ATTEMPTS} times"
            self._write(trial.but(state="failed", reward=0.0, reason=reason))
        return None

    def _next(self, wanted: int, ask: Ask, held: contextlib.ExitStack) -> Trial | None:
        trials = self.read()
        if len(trials) >= wanted:
            return None
        trial = ask(trials)
        taken = self._taken(trial.number, held)
        assert taken
        return trial

    def _taken(self, number: int, held: contextlib.ExitStack) -> bool:
        return held.enter_context(lock(self.folder / f".trial-{number:03d}.lock")).held


def _read(path: Path) -> Trial:
    try:
        return Trial.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(f"{path}: {first_problem(error.errors())}; not a trial of ours") from error
