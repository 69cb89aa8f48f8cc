"""Who is told how work on a network goes on."""

from __future__ import annotations


class Observer:
    """Told how it goes on; this one says nothing."""

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        """``done`` of ``total`` steps of ``what`` are done."""

    def note(self, text: str) -> None:
        """Something that a person should know."""
