"""One image through one network on one self-contained HTML page: every method, every stage.

It is made from pictures that are PNG files already and from plain text; whoever calls it drew them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from convnets.report.markup import Markup, tag
from convnets.report.matrices import png_url

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Plate:
    """Pictures (PNG, by what each shows) under a title, a sentence on them, and figures that say
    how far to trust them."""

    title: str
    pictures: Mapping[str, bytes]
    text: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
    large: bool = False


@dataclass(frozen=True)
class Section:
    """Plates that belong together."""

    title: str
    text: str
    plates: tuple[Plate, ...]


def gallery(
    title: str,
    image: bytes,
    facts: Mapping[str, str],
    probabilities: Sequence[tuple[str, float]],
    sections: Sequence[Section],
) -> str:
    """Return the page; all text is escaped, and its policy forbids any request.

    ``image`` is a PNG; ``probabilities`` are shares of 1 by class, likeliest first.
    """
    styles = "".join(
        files("convnets.report").joinpath(name).read_text("utf-8")
        for name in ("page.css", "gallery.css")
    )
    head = [
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("title", {}, title),
        tag("style", {}, Markup(styles)),
    ]
    opening = tag(
        "div",
        {"class": "opening"},
        _picture("the image", image),
        tag("div", {}, _bars(probabilities), _facts(facts)),
    )
    body = [
        tag("header", {}, tag("p", {}, "convnets see"), tag("h1", {}, title)),
        tag("main", {}, opening, *(_section(section) for section in sections)),
    ]
    document = tag("html", {"lang": "en"}, tag("head", {}, *head), tag("body", {}, *body))
    return f"<!DOCTYPE html>\n{document}\n"


def _bars(probabilities: Sequence[tuple[str, float]]) -> Markup:
    """Classes with a bar as long as the probability."""
    rows = [
        tag(
            "li",
            {"style": f"--share:{share:.4f}"},
            tag("span", {"class": "name"}, name),
            tag("span", {"class": "share"}, f"{share * 100:.1f} %"),
        )
        for name, share in probabilities
    ]
    return tag("ol", {"class": "bars"}, *rows)


def _facts(facts: Mapping[str, str]) -> Markup:
    parts = [
        tag("div", {}, tag("dt", {}, name), tag("dd", {}, value)) for name, value in facts.items()
    ]
    return tag("dl", {}, *parts)


def _section(section: Section) -> Markup:
    plates = [_plate(plate) for plate in section.plates]
    return tag(
        "section",
        {},
        tag("h2", {}, section.title),
        tag("p", {"class": "note"}, section.text),
        tag("div", {"class": "plates"}, *plates),
    )


def _plate(plate: Plate) -> Markup:
    pictures = [
        tag("div", {}, _picture(f"{plate.title}: {name}", content), tag("span", {}, name))
        for name, content in plate.pictures.items()
    ]
    parts = [tag("h4", {}, plate.title), tag("div", {"class": "pictures"}, *pictures)]
    if plate.figures:
        parts.append(_facts(plate.figures))
    if plate.text:
        parts.append(tag("figcaption", {}, plate.text))
    return tag("figure", {"class": "large plate" if plate.large else "plate"}, *parts)


def _picture(what: str, content: bytes) -> Markup:
    address = png_url(base64.b64encode(content).decode())
    return tag("img", {"alt": what, "src": address})
