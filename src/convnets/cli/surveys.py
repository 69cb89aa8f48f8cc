"""The methods of ``convnets see`` that look through a data set, or at what training left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from convnets.cli.asked import Asked, Drawn, layer_of
from convnets.cli.console import tracked
from convnets.cli.seeing import Scan, Seen, checkpoints_in, named
from convnets.errors import UsageError
from convnets.report.tables import table
from convnets.visualize import embedding, evolution, figures, filters, top_patches
from convnets.weights import load_model

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_UNITS = 9
SHOWN_CHECKPOINTS = 8
FOLLOWED_UNITS = 4
NEIGHBOURS = 6
VOTES = 5


def draw_filters(seen: Seen, asked: Asked) -> Drawn:
    """The first convolution's kernels; of the first two, where in frequency their energy lies and,
    with a data set, how many never respond to it."""
    scan = asked.scan(seen) if asked.data else None
    found = [_filters(seen, scan, layer) for layer in filters.first_convolutions(seen.network)]
    first = found[0]
    title = f"{seen.about.model}: the {first['filters']} filters of {first['layer']}"
    low, middle, high = (f"{share:.0%}" for share in first["bands"].values())
    note = f"energy: {low} at low, {middle} at middle, {high} at high frequencies"
    figure = figures.filters_figure(filters.first_filters(seen.network), title=title, note=note)
    return Drawn(figure, {"layers": found}, _table(found))


def _filters(seen: Seen, scan: Scan | None, layer: str) -> dict[str, Any]:
    """What the filters of a convolution are like; their dead ones where a ReLU follows."""
    content = filters.frequency_content(seen.network, layer)
    weak, count = filters.negligible_filters(seen.network, layer).counts
    rectifier = filters.rectifier_of(seen.network, layer)
    dead, images = None, None
    if scan is not None and rectifier is not None:
        counted = filters.dead_filters(seen.network, scan.inputs(), rectifier)
        dead, images = counted.counts[0], counted.images
    return {
        "layer": layer,
        "filters": count,
        "kernel": content.kernel,
        "stride": content.stride,
        "bands": dict(zip(filters.BANDS, np.nanmean(content.shares, axis=0).tolist(), strict=True)),
        "aliased": float(np.nanmean(content.aliased)),
        "negligible": weak,
        "dead": dead,
        "images": images,
    }


def _table(found: Sequence[dict[str, Any]]) -> Table:
    titles = ["Layer", "Filters", "Kernel", "Stride", "Low", "Middle", "High"]
    titles += ["Aliased", "Negligible", "Dead"]
    rows = []
    for each in found:
        sides = ("×".join(map(str, each[name])) for name in ("kernel", "stride"))
        shares = (f"{share:.1%}" for share in (*each["bands"].values(), each["aliased"]))
        row = each["layer"], each["filters"], *sides, *shares, each["negligible"], each["dead"]
        rows.append(row)
    images = max(each["images"] or 0 for each in found)
    caption = f"dead: no response to any of {images:,} images" if images else ""
    return table([(title, title != "Layer") for title in titles], rows, caption)


def draw_evolution(seen: Seen, asked: Asked) -> Drawn:
    """What excites a layer's units most from one checkpoint to the next."""
    layer, scan = layer_of(seen, asked), asked.scan(seen)
    paths = checkpoints_in(asked.checkpoints)
    if len(paths) < 2:
        raise UsageError("--how evolution follows a network: give two checkpoints or more of it")
    # As in the paper, more of the beginning, when most happens.
    places = np.geomspace(1, len(paths), min(len(paths), SHOWN_CHECKPOINTS)).round().astype(int)
    chosen = [paths[place - 1] for place in sorted(set(places.tolist()))]

    def states() -> Iterator[tuple[str, dict[str, Tensor]]]:
        for path in chosen:
            loaded = load_model(path)
            if loaded.description != seen.about:
                raise UsageError(f"{path}: of another network or data set than the first")
            yield named(path), loaded.network.state_dict()

    units = asked.units or _responding(seen, scan, layer, FOLLOWED_UNITS)
    found = evolution.evolution(seen.network, states(), scan.inputs, layer, units)
    title = f"{seen.about.model}: what excites {layer} most in {scan.image_set.name}, over training"
    figure = figures.evolution_figure(found, seen.about.mean, seen.about.deviation, title=title)
    record = {
        "layer": layer,
        "units": list(units),
        "checkpoints": [
            {
                "name": name,
                "strengths": top.strengths.values[:, 0].tolist(),
                "images": top.images[:, 0].tolist(),
            }
            for name, top in zip(found.names, found.tops, strict=True)
        ],
    }
    return Drawn(figure, record)


def _responding(seen: Seen, scan: Scan, layer: str, count: int) -> tuple[int, ...]:
    """The first units of a layer that anything excites, and others if they are too few."""
    strongest = filters.dead_filters(seen.network, scan.inputs(), layer).strongest
    return tuple(sorted(np.argsort(strongest <= 0, kind="stable")[:count].tolist()))


def draw_top(seen: Seen, asked: Asked) -> Drawn:
    """The patches of a data set that excite a layer's units most, beside their projections."""
    layer, scan = layer_of(seen, asked), asked.scan(seen)
    units = asked.units or _responding(seen, scan, layer, SHOWN_UNITS)
    found = top_patches.top_patches(seen.network, scan.inputs(), layer, units)
    title = f"{seen.about.model}: what excites {layer} most in {scan.image_set.name}"
    figure = figures.top_figure(found, seen.about.mean, seen.about.deviation, title=title)
    record = {
        "layer": layer,
        "units": list(units),
        "strengths": found.strengths.values.tolist(),
        "images": found.images.tolist(),
        "boxes": found.boxes.tolist(),
    }
    return Drawn(figure, record)


def draw_embedding(seen: Seen, asked: Asked) -> Drawn:
    """A data set's features in the plane."""
    scan = asked.scan(seen)
    layer = layer_of(seen, asked) if asked.layer else None
    features = embedding.embed(seen.network, scan.inputs(), layer)
    with tracked("laying out") as progress:
        points = embedding.project(features, asked.projection, progress=progress)
    agreed = embedding.leave_one_out(features, scan.labels, k=min(VOTES, len(scan) - 1))
    title = f"{seen.about.model}: {len(scan):,} images of {scan.image_set.name}"
    note = f"{agreed:.1%} have the class of most neighbours"
    labels, classes = scan.labels, scan.image_set.classes
    figure = figures.points_figure(points, labels, classes, title=title, note=note)
    record = {"layer": layer, "images": len(scan), "leave_one_out": agreed}
    return Drawn(figure, record | {"points": points.values.tolist()})


def draw_neighbours(seen: Seen, asked: Asked) -> Drawn:
    """Each image before those of a data set that lie nearest to it in feature space."""
    scan = asked.scan(seen)
    layer = layer_of(seen, asked) if asked.layer else None
    known = embedding.embed(seen.network, scan.inputs(), layer)
    queries = embedding.embed(seen.network, [seen.inputs], layer)
    found = embedding.nearest(known, queries, k=min(NEIGHBOURS, len(scan)))
    names = [scan.image_set.classes[label] for label in scan.labels.tolist()]
    rows, heads, records = [], [], []
    for image, near, away in zip(seen.images, found.indices, found.distances, strict=True):
        rows.append([image, *(scan.image(index) for index in near.tolist())])
        heads.append(["image", *(names[index] for index in near.tolist())])
        records.append(
            [
                {"index": index, "class": names[index], "distance": distance}
                for index, distance in zip(near.tolist(), away.tolist(), strict=True)
            ]
        )
    title = f"{seen.about.model}: nearest in {scan.image_set.name}"
    figure = figures.images_figure(rows, seen.captions, heads, title=title, note=known.about)
    return Drawn(figure, {"layer": layer, "neighbours": records})
