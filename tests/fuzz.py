"""Damaged and hostile versions of a file, drawn from a seed: of its bytes, and of JSON in it."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

NUMBERS = (0, -1, 2**31, 2**63)
DEPTH = 100_000
DIGITS = 10_000

Draw = random.Random


def mutations(seed: int, content: bytes) -> Iterator[bytes]:
    """Yield versions of ``content`` without end, each damaged in one way, none equal to it."""
    draw = Draw(seed)
    while True:
        damaged = draw.choice(DAMAGE)(draw, content)
        if damaged != content:
            yield damaged


def json_mutations(seed: int, text: str) -> Iterator[str]:
    """Yield versions of a JSON text without end, each changed at one place.

    A value becomes another, a key is given twice, renamed or dropped, a list goes deep, a number
    has thousands of digits.
    """
    draw = Draw(seed)
    whole = json.loads(text, object_pairs_hook=Pairs)
    while True:
        changed = _written(_changed_at(draw, whole, draw.choice(list(_places(whole)))))
        if changed != _written(whole):
            yield changed


# --- bytes ------------------------------------------------------------------------------------


def _flipped(draw: Draw, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 8))):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def _overwritten(draw: Draw, content: bytes) -> bytes:
    noise = draw.randbytes(min(len(content), draw.choice((1, 4, 64, 4096))))
    place = draw.randrange(len(content) - len(noise) + 1)
    return content[:place] + noise + content[place + len(noise) :]


def _truncated(draw: Draw, content: bytes) -> bytes:
    near_an_end = draw.choice((len(content), min(64, len(content))))
    kept = draw.randrange(near_an_end)
    return content[:kept] if draw.random() < 0.7 else content[: len(content) - kept]


def _extended(draw: Draw, content: bytes) -> bytes:
    return content + draw.randbytes(draw.choice((1, 8, 1000)))


def _span(draw: Draw, content: bytes) -> tuple[int, int]:
    start = draw.randrange(len(content))
    return start, min(len(content), start + draw.choice((1, 8, 100, 10_000)))


def _spliced(draw: Draw, content: bytes) -> bytes:
    """A piece of it put in, or laid over, another place."""
    start, end = _span(draw, content)
    place = draw.randrange(len(content))
    rest = place + (end - start) * draw.randrange(2)
    return content[:place] + content[start:end] + content[rest:]


def _without_a_piece(draw: Draw, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + content[end:]


def _word(draw: Draw, content: bytes) -> bytes:
    """A binary number replaced, more often than not near the start, where headers lie."""
    form = draw.choice(("<I", "<Q"))
    size = struct.calcsize(form)
    reach = draw.choice((64, 64, len(content)))
    place = draw.randrange(max(1, min(reach, len(content) - size + 1)))
    value = struct.pack(form, draw.choice(NUMBERS) % 2 ** (8 * size))
    return content[:place] + value + content[place + size :]


def _decimal(draw: Draw, content: bytes) -> bytes:
    """A number in text replaced; the text's length may change."""
    found = list(re.finditer(rb"\d{1,19}", content[:100_000]))
    if not found:
        return content
    number = draw.choice(found)
    value = str(draw.choice(NUMBERS)).encode()
    return content[: number.start()] + value + content[number.end() :]


DAMAGE: tuple[Callable[[Draw, bytes], bytes], ...] = (
    *(_flipped, _overwritten, _truncated, _extended),
    *(_spliced, _without_a_piece, _word, _decimal),
)


# --- JSON -------------------------------------------------------------------------------------


class Pairs(list[tuple[str, Any]]):
    """A JSON object that may hold a key twice."""


class Raw(str):
    """A piece of JSON text as it stands."""


Route = tuple[int, ...]


def _places(node: Any, path: Route = ()) -> Iterator[Route]:
    """The way to every value below ``node``: the number of the child at each level."""
    if isinstance(node, list):
        for number, child in enumerate(node):
            yield (*path, number)
            yield from _places(child[1] if isinstance(node, Pairs) else child, (*path, number))


def _changed_at(draw: Draw, node: Any, path: Route) -> Any:
    number, *deeper = path
    copy = Pairs(node) if isinstance(node, Pairs) else list(node)
    key, value = copy[number] if isinstance(copy, Pairs) else ("", copy[number])
    if deeper:
        value = _changed_at(draw, value, tuple(deeper))
    else:
        change = draw.random()
        if change < 0.1:
            del copy[number]
            return copy
        if change < 0.2:
            copy.insert(draw.randrange(len(copy) + 1), copy[number])
            return copy
        if change < 0.3 and isinstance(copy, Pairs):
            key = draw.choice(copy)[0]
        else:
            value = _other(draw, copy, value)
    copy[number] = (key, value) if isinstance(copy, Pairs) else value
    return copy


def _other(draw: Draw, siblings: list[Any], value: Any) -> Any:
    """Another value: hostile, or one that belongs elsewhere."""
    if isinstance(value, int) and draw.random() < 0.5:
        return draw.choice((*NUMBERS, value + 1, value - 1, 2 * value))
    sibling = draw.choice(siblings)
    strange = (
        *(None, True, "", [], Pairs(), 1.5, *NUMBERS),
        *(Raw("NaN"), Raw("1e999"), Raw("9" * DIGITS), Raw('"\\ud800"'), "x" * 1000),
        *(Raw("[" * DEPTH + "]" * DEPTH), Raw('{"a":' * DEPTH + "0" + "}" * DEPTH)),
    )
    near = sibling[1] if isinstance(siblings, Pairs) else sibling
    return near if draw.random() < 0.3 else draw.choice(strange)


def _written(node: Any) -> str:
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{_written(value)}" for key, value in node) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(_written, node)) + "]"
    return json.dumps(node)
