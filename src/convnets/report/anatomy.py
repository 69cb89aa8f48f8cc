"""What a network costs, as tables: layer by layer, by stage, measured, and side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convnets.analysis.cost import LayerCost, Profile
from convnets.analysis.measure import Measured
from convnets.catalog import Family, Variant
from convnets.report.format import NOTHING, count, duration, memory, rate
from convnets.report.sheet import Sheet

Cell = tuple[str, bool]
COSTS: tuple[Cell, ...] = (
    ("Params", True),
    ("MACs", True),
    ("FLOPs", True),
    ("Activations", True),
    ("Kept for backward", True),
)


def layers(cost: Profile, about: str, depth: int | None = None) -> Sheet:
    """A network's layers as a tree in order of execution, the sums of its stages, and the whole.

    ``depth`` folds the tree: a row at that depth holds the sum of all below it. Memory is of
    float32.
    """
    shown = _folded(cost, depth)
    body: list[Sequence[object]] = [
        (
            "  " * (layer.depth - 1) + (layer.name.rpartition(".")[2] or "(network)"),
            layer.kind,
            "x".join(str(side) for side in layer.output_shape[1:]),
            *_costs(sums),
            _extent(layer.receptive_field),
            _extent(layer.stride),
            f"{sums['flops'] / sums['moved_bytes']:.1f}" if sums["moved_bytes"] else None,
        )
        for layer, sums in shown
    ]
    body += [(f"sum of {name}", "", "", *_costs(sums), "", "", "") for name, sums in _stages(cost)]
    body.append(("total", "", "", *_costs(vars(cost)), "", "", ""))
    left = ", ".join(f"{name} ({runs})" for name, runs in cost.uncounted) or "nothing"
    shape = "x".join(str(side) for side in cost.input_shape)
    columns: list[Cell] = [("Layer", False), ("Kind", False), ("Output", False), *COSTS]
    columns += [("Field", True), ("Stride", True), ("FLOPs/byte", True)]
    return Sheet(columns, body, f"{about}input {shape}, float32; not counted: {left}")


def _stages(cost: Profile) -> Iterator[tuple[str, dict[str, int]]]:
    """Sums of each stage of ``features``, and of each other child of the network."""
    for name, sums in cost.subtotals(1).items():
        if name == "features":
            inner = cost.subtotals(2).items()
            yield from (each for each in inner if each[0].startswith("features."))
        elif name:
            yield name, sums


def _folded(cost: Profile, depth: int | None) -> list[tuple[LayerCost, dict[str, int]]]:
    """Rows down to ``depth``, each with its own sums and, at that depth, those below it."""
    columns = ("params", "macs", "flops", "activation_bytes", "kept_bytes", "moved_bytes")
    found: list[tuple[LayerCost, dict[str, int]]] = []
    place: dict[int, int] = {}
    for index, layer in enumerate(cost.layers):
        own = {column: getattr(layer, column) for column in columns}
        if depth is None or layer.depth <= depth:
            place[index] = len(found)
            found.append((layer, own))
            continue
        assert layer.parent is not None
        place[index] = place[layer.parent]
        sums = found[place[index]][1]
        for column in columns:
            sums[column] += own[column]
    return found


def _costs(sums: Mapping[str, Any]) -> list[str]:
    counts = [sums[name] for name in ("params", "macs", "flops")]
    sizes = [sums[name] for name in ("activation_bytes", "kept_bytes")]
    return [count(value) if value else NOTHING for value in counts] + [
        memory(value) if value else NOTHING for value in sizes
    ]


def _extent(pixels: float | tuple[float, ...] | None) -> str | None:
    if pixels is None:
        return None
    return "x".join(f"{side:g}" for side in (pixels if isinstance(pixels, tuple) else (pixels,)))


def measurements(rows: Sequence[Measured]) -> Sheet:
    """Latency, throughput, the share of the machine's peak, and training memory by batch size."""
    columns = [
        ("Batch", True),
        ("Latency", True),
        ("Middle half", True),
        ("Images/s", True),
        ("FLOP/s", True),
        ("Of matmul peak", True),
        ("Training peak", True),
        ("Predicted", True),
    ]
    body = [
        (
            row.batch_size,
            duration_short(row.latency),
            f"{duration_short(row.fastest)} to {duration_short(row.slowest)}",
            rate(row.images_per_second),
            count(row.flops_per_second),
            f"{row.utilisation:.0%}",
            None if row.training_bytes is None else memory(row.training_bytes),
            None if row.predicted_training_bytes is None else memory(row.predicted_training_bytes),
        )
        for row in rows
    ]
    first = rows[0]
    about = (
        f"{first.device}, {first.threads} threads, float32, median of up to "
        f"{max(row.repeats for row in rows)}; a large matrix product reaches "
        f"{count(first.matmul_flops_per_second)} FLOP/s; training with AdamW"
    )
    return Sheet(columns, body, about)


def duration_short(seconds: float) -> str:
    """Milliseconds below a second."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else duration(seconds)


def comparison(
    rows: Mapping[str, tuple[Family, Variant]],
    costs: Mapping[str, Profile],
    measured: Mapping[str, Measured],
) -> Sheet:
    """Networks side by side: published error, cost, memory and, where measured, latency."""
    columns: list[Cell] = [("Network", False), ("Year", True), ("Input", True)]
    columns += [("Top-1 error %", True), *COSTS, ("Field", True)]
    if measured:
        columns += [("Latency", True), ("Images/s", True)]
    body = []
    for name, (family, variant) in rows.items():
        cost = costs[name]
        fields = [
            _extent(layer.receptive_field) for layer in cost.layers if layer.name == "features"
        ]
        cells: list[object] = [
            name,
            family.year,
            "x".join(str(side) for side in cost.input_shape[2:]),
            variant.published and variant.published.top1_error,
            *_costs(vars(cost)),
            fields[0] if fields else None,
        ]
        if measured:
            one = measured[name]
            cells += [duration_short(one.latency), rate(one.images_per_second)]
        body.append(cells)
    errors = "; ".join(
        dict.fromkeys(
            f"{name}: {variant.published.source}"
            for name, (_, variant) in rows.items()
            if variant.published and variant.published.top1_error
        )
    )
    return Sheet(columns, body, f"float32; published errors from {errors}" if errors else "float32")
