"""Numbers as people read them: counts, shares, durations and sizes, with their units."""

from __future__ import annotations

NOTHING = "–"
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(value: float) -> str:
    """Three significant digits and a decimal prefix: 11_181_642 -> ``11.2 M``."""
    return _scaled(value, 1000, _PREFIXES)


def tick(value: float) -> str:
    """A round value without the digits it does not need: 5e6 -> ``5 M``."""
    number, _, unit = count(value).partition(" ")
    return f"{float(number):g} {unit}".rstrip()


def whole(value: float) -> str:
    """A whole number, and nothing for one between two."""
    return f"{value:.0f}" if value == round(value) else ""


def memory(size: float) -> str:
    """Three significant digits and a binary unit: 1_288_490_189 bytes -> ``1.20 GiB``."""
    return _scaled(size, 1024, _BINARY)


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    power = 0
    # 999.5 would round to a fourth digit before the point
    while power < len(units) - 1 and abs(value) >= 999.5:
        value /= base
        power += 1
    if not power:
        return f"{value:.0f} {units[0]}".rstrip()
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {units[power]}"


def percent(share: float | None, deviation: float | None = None) -> str:
    """A share in percent, without the sign: (0.7032, 0.0021) -> ``70.32 ± 0.21``."""
    if share is None:
        return NOTHING
    spread = "" if deviation is None else f" ± {deviation * 100:.2f}"
    return f"{share * 100:.2f}{spread}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: 252 -> ``4 min 12 s``."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours:02d} h"


def rate(per_second: float) -> str:
    """A rate, whole from 100 on: 5123.4 -> ``5,123``."""
    return f"{per_second:,.0f}" if per_second >= 99.95 else f"{per_second:.1f}"


def listing(names: list[str]) -> str:
    """Names as a sentence has them: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def plural(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
