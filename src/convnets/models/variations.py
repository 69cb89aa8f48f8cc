"""Networks beside the rows: a row's name and its changes, ``resnet50@depths=3-4-9-3,width=80``.

A change names a field of the family's ``Spec``. Numbers and words stand as they are, a tuple's
items are joined by ``-``, and the numbers of an item that has several by ``.``:
``mobilenet_v2@stages=1.16.1.1-6.24.2.2``. Whatever takes a network's name takes such a name, a
model file from elsewhere too: numbers are bounded, and a field's type is the family's own.
"""

from __future__ import annotations

import math
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields, is_dataclass, replace
from typing import Any, Literal

from convnets.catalog import Family, Variant
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet

LONGEST_NAME = 200
MOST_ITEMS = 64
GROWTH, FLOOR = 16, 64
"""A changed number is at most so many times the row's largest in that field, or this."""
LARGEST = 8192
SIZES = {int: "whole number", float: "number", bool: "true or false"}


def varied(name: str, changes: Mapping[str, object]) -> str:
    """The name of row ``name`` with these fields changed, as ``changed`` reads it."""
    parts = [f"{field}={_written(value)}" for field, value in changes.items()]
    return f"{name}@{','.join(parts)}" if parts else name


def canonical(name: str, row: Variant) -> str:
    """The one name of ``row``, changed: fields in order, those that change nothing left out."""
    base, at, _ = name.partition("@")
    if not at:
        return name
    spec = changed(name, row).spec
    own = ((field.name, getattr(spec, field.name)) for field in fields(spec))
    return varied(base, {f: value for f, value in own if value != getattr(row.spec, f)})


def changed(name: str, row: Variant) -> Variant:
    """``row`` with the changes that follow ``@`` in ``name``, its costs and figures unknown.

    Raises ``UsageError`` for a field that the spec lacks and a value of another type or size.
    """
    base, at, text = name.partition("@")
    if not at:
        return row
    if len(name) > LONGEST_NAME:
        raise UsageError(f"{name[:40]}...: a name has at most {LONGEST_NAME} characters")
    kinds = _kinds(type(row.spec))
    values: dict[str, object] = {}
    for part in text.split(","):
        field, equals, value = part.partition("=")
        if field not in kinds:
            raise UnknownName(f"field of {base}", field, kinds)
        if not equals or field in values:
            raise UsageError(f"{name}: write each change once, as {field}=VALUE")
        most = _most(getattr(row.spec, field))
        try:
            values[field] = _read(value, kinds[field], most)
        except ValueError as error:
            raise UsageError(f"{name}: {field}={value}: {error}") from error
    spec = replace(row.spec, **values)
    return replace(
        row, spec=spec, params=0, params_10=0, macs=0, counted_in="", published=None, note=""
    )


def build_varied(name: str, family: Family, spec: Any, in_chans: int, num_classes: int) -> ConvNet:
    """The network of a changed spec; raises ``UsageError`` for one that cannot be."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of layers without weights
            network: ConvNet = family.network(spec, in_chans=in_chans, num_classes=num_classes)
        for layer, parameter in network.named_parameters():
            if not parameter.numel():
                raise ValueError(f"{layer} has no weights")
    except UsageError:
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{name}: no such network can be built: {reason}") from error
    return network


def _kinds(spec: Any) -> dict[str, Any]:
    """The type of each field that a name may change: all but the stem, which is asked for apart."""
    hints = typing.get_type_hints(spec)
    return {f.name: hints[f.name] for f in fields(spec) if f.name != "stem"}


def _written(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return "-".join(_item(item) for item in value)
        case None:
            return "none"
    # Never with an exponent, which is no way to write a size.
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _item(item: object) -> str:
    values = astuple(item) if is_dataclass(item) and not isinstance(item, type) else item
    if isinstance(values, tuple):
        return ".".join(str(int(each)) for each in values)
    return _written(item)


def _most(value: object) -> float:
    """The largest number that may stand in the place of ``value``."""
    largest = max(_numbers(value), default=0)
    return min(LARGEST, max(FLOOR, GROWTH * math.ceil(largest)))


def _numbers(value: object) -> Sequence[float]:
    if is_dataclass(value) and not isinstance(value, type):
        value = astuple(value)
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []


def _read(text: str, kind: Any, most: float) -> object:
    """``text`` as a value of type ``kind``; raises ``ValueError`` with what would do."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and text == "none":
            return None
        (kind,) = (each for each in arguments if each is not type(None))
        return _read(text, kind, most)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(f"it is one of {', '.join(map(str, arguments))}")
        return text
    if origin is tuple:
        return _items(text, arguments, most)
    if kind not in SIZES:
        raise ValueError("this field cannot be changed by name")
    return _number(text, kind, most)


def _items(text: str, kinds: tuple[Any, ...], most: float) -> tuple[object, ...]:
    items = text.split("-")
    if len(items) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS} items")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(items)
    if len(items) != len(kinds):
        raise ValueError(f"{len(kinds)} items joined by '-'")
    return tuple(_part(item, kind, most) for item, kind in zip(items, kinds, strict=True))


def _part(text: str, kind: Any, most: float) -> object:
    """An item of a tuple: a number, or several of them joined by dots."""
    record = is_dataclass(kind) and isinstance(kind, type)
    if not record and typing.get_origin(kind) is not tuple:
        return _read(text, kind, most)
    inner = list(_kinds(kind).values() if record else typing.get_args(kind))
    texts = text.split(".")
    if len(texts) != len(inner) or not set(inner) <= {int, bool}:
        raise ValueError(f"{len(inner)} whole numbers joined by '.' in each item")
    numbers = (_number(each, int, most) for each in texts)
    values = tuple(each(number) for each, number in zip(inner, numbers, strict=True))
    return kind(*values) if record else values


def _number(text: str, kind: type, most: float) -> float:
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("it is true or false")
        return text == "true"
    # Digits alone, and few: "1e6", "_", other scripts' digits and "-0" are no way to write a size.
    plain = text.replace(".", "", 1) if kind is float else text
    if not (plain.isascii() and plain.isdigit() and len(text) <= 12):
        raise ValueError(f"it is a {SIZES[kind]}")
    number: float = kind(text)
    if number > most:
        raise ValueError(f"at most {most:g} here")
    return number
