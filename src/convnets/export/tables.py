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
    "accuracy-size.png": ("size of the file in MB", lambda form: form.size / 1e6),
    "accuracy-latency.png": ("milliseconds for one image", lambda form: 1e3 * form.latency),
}
ONE_PLACE = 1.03  # costs that differ by less than this factor share a label


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
    source = f"{plural(shipment.test_images, 'test image')} of {shipment.data}"
    return {
        name: picture(
            accuracy_against(places(shipment.forms, cost), title, source, log=True), "png"
        )
        for name, (title, cost) in COSTS.items()
    }


def places(forms: Sequence[Shipped], cost: Cost) -> list[Point]:
    """A point for each form, or for several that lie in one place; its area is the file's size."""
    groups: list[list[Shipped]] = []
    for form in sorted(forms, key=lambda each: (each.top1, cost(each))):
        last = groups[-1][-1] if groups else None
        if last and last.top1 == form.top1 and cost(form) <= cost(last) * ONE_PLACE:
            groups[-1].append(form)
        else:
            groups.append([form])
    return [
        Point(
            "\n".join(form.form for form in group),
            cost(group[0]),
            100 * group[0].top1,
            group[0].size,
        )
        for group in groups
    ]
