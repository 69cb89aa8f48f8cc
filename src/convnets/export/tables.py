"""What was exported, and the forms of a network, as tables and as charts of what each costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table

from convnets.export.agreement import BATCH
from convnets.export.shipment import Shipment, Shipped
from convnets.report.comparison import Point, accuracy_against, picture
from convnets.report.format import memory, percent, plural, rate
from convnets.report.sheet import Sheet
from convnets.report.tables import pairs

Cost = Callable[[Shipped], float]
COSTS: dict[str, tuple[str, Cost]] = {
    "accuracy-size.png": ("bytes of the file", lambda form: form.size),
    "accuracy-latency.png": ("microseconds for one image", lambda form: 1e6 * form.latency),
}
SMALLER_DISCS = 16  # by which the area falls: forms lie close to each other


def exported_table(record: Mapping[str, Any]) -> Table:
    """Files, how they agree with the network, and what eight bits cost and gain."""
    found = record["agreement"]
    rows: list[tuple[str, object]] = [("network", record["model"])]
    rows += [(str(path), memory(size)) for path, size in record["files"].items()]
    rows += [
        ("compared on", f"{plural(found['images'], 'test image')} of {found['data']}, in float32"),
        ("same answers", f"{found['same']} of {found['images']}"),
        ("largest difference", f"{found['largest']:.1e} of a probability"),
    ]
    if (int8 := record["int8"]) is not None:
        rows += [
            ("tested on", f"{plural(int8['images'], 'test image')} of {int8['data']}"),
            ("top-1 %", f"{percent(int8['top1'])} in int8, {percent(int8['float_top1'])} in float"),
            ("bytes", f"{int8['size']:,} in int8, {int8['float_size']:,} in float"),
            ("one image", f"{_ms(int8['latency'])} in int8, {_ms(int8['float_latency'])} in float"),
        ]
    return pairs(rows)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms"


def shipped_sheet(shipment: Shipment) -> Sheet:
    """A form a row."""
    columns = [
        ("Form", False),
        ("Size", True),
        ("Top-1 %", True),
        ("Same answers %", True),
        ("One image, ms", True),
        ("Images/s", True),
        (f"{BATCH} images, ms", True),
        ("Images/s", True),
        ("Files", False),
    ]
    body = [
        (
            form.form,
            memory(form.size),
            percent(form.top1),
            percent(form.agreement),
            f"{1e3 * form.latency:.2f}",
            rate(1 / form.latency),
            f"{1e3 * form.batch_latency:.2f}",
            rate(BATCH / form.batch_latency),
            form.refused or ", ".join(form.files),
        )
        for form in shipment.forms
    ]
    caption = (
        f"{shipment.model} on {plural(shipment.test_images, 'test image')} of {shipment.data}, "
        f"{plural(shipment.threads, 'thread')}"
    )
    if shipment.missing:
        caption += f"; not installed: {', '.join(shipment.missing)}"
    return Sheet(columns, body, caption)


def shipped_charts(shipment: Shipment) -> dict[str, bytes]:
    """Accuracy against size and against latency: PNG files' contents by name."""
    images = plural(shipment.test_images, "test image")
    accuracy = f"top-1 accuracy in percent, {images} of {shipment.data}"
    largest = SMALLER_DISCS * max(form.size for form in shipment.forms)
    charts = {}
    for name, (title, cost) in COSTS.items():
        points = places(shipment.forms, cost)
        figure = accuracy_against(points, title, accuracy, log=True, largest=largest)
        charts[name] = picture(figure, "png")
    return charts


def places(forms: Sequence[Shipped], cost: Cost) -> list[Point]:
    """A point for each form, or for several in one place; its area is the file's size."""
    found: dict[tuple[float, float], list[Shipped]] = {}
    for form in forms:
        found.setdefault((cost(form), 100 * form.top1), []).append(form)
    return [
        Point(", ".join(form.form for form in group), *place, group[0].size)
        for place, group in found.items()
    ]
