"""HTML and SVG elements as text: balanced by construction, escaped unless made here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from convnets.errors import printable

VOID = {"img", "input", "meta"}


class Markup(str):
    """Text that is HTML already; every other string is escaped where it enters an element."""

    __slots__ = ()


def tag(name: str, attributes: Mapping[str, object], *children: str) -> Markup:
    """One element with its children. An attribute that is None is left out, True is bare."""
    parts = [name]
    for key, value in attributes.items():
        if value is True:
            parts.append(key)
        elif value is not None:
            parts.append(f'{key}="{_text(_number(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in VOID else f"{opening}{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Parts one after another, those that are not ``Markup`` escaped."""
    return Markup("".join(part if isinstance(part, Markup) else _text(part) for part in parts))


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _text(text: str) -> str:
    return html.escape("\n".join(printable(line) for line in text.split("\n")))
