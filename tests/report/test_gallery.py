"""The gallery as a browser would read it: balanced, closed to the outside, complete, harmless."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from convnets.report.gallery import Plate, Section, gallery
from tests.report.test_page import HOSTILE, Reader


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), level, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def page(text: str = "plain") -> str:
    plates = tuple(
        Plate(
            f"{text} {number}",
            {"map": png(number), "over the image": png(100 + number)},
            text,
            {"deletion": "0.21", f"insertion {text}": "0.53"},
        )
        for number in range(3)
    )
    return gallery(
        text,
        png(255),
        {"network": text, "image": "a.png"},
        [(text, 0.934), ("dog", 0.05)],
        [Section("What counts", text, plates), Section("Nothing", "", ())],
    )


def test_the_page_holds_every_picture_and_figure_and_asks_for_nothing() -> None:
    document = page()
    reader = Reader(document)
    sources = [attributes["src"] for attributes in reader.all("img")]
    assert len(sources) == 1 + 3 * 2
    for source in sources:
        kind, _, encoded = source.partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert picture.size == (6, 4)
    assert all(attributes["alt"] for attributes in reader.all("img"))
    assert reader.text.count("0.21") == 3
    assert "93.4 %" in reader.text
    assert "://" not in document
    assert not reader.all("script")
    assert not reader.all("link")
    policy = next(meta for meta in reader.all("meta") if "http-equiv" in meta)["content"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "url(" not in document


def test_text_is_never_markup() -> None:
    reader = Reader(page(HOSTILE))
    assert not reader.all("script")
    assert len(reader.all("img")) == 7
    assert HOSTILE in reader.text
