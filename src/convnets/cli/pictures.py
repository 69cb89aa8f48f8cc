"""The methods of ``convnets see``, one function each: what is computed, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from convnets.cli.checking import brief, checks, named, records
from convnets.cli.console import tracked
from convnets.cli.seeing import Scan, Seen, class_index
from convnets.data import ImageSet
from convnets.errors import UnknownName, UsageError
from convnets.visualize import deconvnet, embedding, figures, filters, maps, maximise, top_patches
from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import occlusion
from convnets.visualize.cam import grad_cam, grad_cam_plus_plus
from convnets.visualize.methods import METHODS, Method

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_UNITS = 9
SHOWN_CLASSES = 10
ABREAST = 5
NEIGHBOURS = 6
VOTES = 5


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a method beyond images."""

    layer: str | None = None
    units: tuple[int, ...] = ()
    data: Callable[[], ImageSet] | None = None
    limit: int = 2000
    projection: Literal["pca", "tsne"] = "pca"
    check: bool = False

    def scan(self, seen: Seen) -> Scan:
        """The data set to look through; raises ``UsageError`` where none is given."""
        if self.data is None:
            raise UsageError("this method looks through a data set: give --data")
        return Scan(seen.loaded, self.data(), self.limit, seen.inputs.device)

    def unit(self) -> int | None:
        """The one unit asked for."""
        if len(self.units) > 1:
            raise UsageError(f"{len(self.units)} units; this method takes one --unit")
        return self.units[0] if self.units else None


@dataclass(frozen=True)
class Drawn:
    """A figure, and what it shows as JSON."""

    figure: Figure
    record: dict[str, Any] = field(default_factory=dict)


def draw(how: str, seen: Seen, asked: Asked) -> Drawn:
    """The figure of a method; raises ``UnknownName`` for a method or layer that there is not."""
    if how not in HOW:
        raise UnknownName("method", how, HOW)
    if how not in WITHOUT_IMAGES and not seen.paths:
        raise UsageError(f"--how {how} looks at images: name at least one")
    return HOW[how](seen, asked)


def layer_of(seen: Seen, asked: Asked) -> str:
    """The path of the layer asked for, ``stage2`` short for ``features.stage2``; without one, the
    last stage."""
    modules = [name for name, _ in seen.network.named_modules() if name]
    if asked.layer is None:
        return stages(seen)[-1]
    for path in (asked.layer, f"features.{asked.layer}"):
        if path in modules:
            return path
    raise UnknownName("layer", asked.layer, modules)


def stages(seen: Seen) -> list[str]:
    """The paths of the network's stages."""
    return [f"features.{name}" for name, _ in seen.loaded.network.features.named_children()]


def method_of(how: str, layer: str | None = None) -> Method:
    """An attribution method; raises ``UsageError`` for a ``layer`` where the method has none."""
    if layer is None:
        return METHODS[how]
    if how not in LAYERED:
        raise UsageError(f"--how {how} is of the whole network: --layer is for others")
    return partial(LAYERED[how], layer=layer)


def attribution(how: str, seen: Seen, layer: str | None = None) -> Picture:
    """How much each pixel counts for the target class."""
    method = method_of(how, layer)
    with tracked(how) as progress:
        if how == "occlusion":
            method = partial(occlusion, progress=progress)
        return method(seen.network, seen.inputs, target=seen.target)


def draw_attribution(how: str, seen: Seen, asked: Asked) -> Drawn:
    """How much each pixel counts for the target class, with the sanity checks if asked for."""
    if asked.units:
        raise UsageError(f"--how {how} is of a class, not of a unit: give --target")
    layer = layer_of(seen, asked) if asked.layer else None
    picture = attribution(how, seen, layer)
    found = checks(how, method_of(how, layer), seen, picture) if asked.check else []
    note = "; ".join(f"{named(check)} {brief(check)}" for check in found)
    draw_it = figures.projection_figure if how in IN_COLOUR else figures.attribution_figure
    classes = {seen.about.classes[index] for index in seen.target.tolist()}
    of = classes.pop() if len(classes) == 1 else "the likeliest class"
    title = f"{seen.about.model}: {how} for {of}"
    figure = draw_it(seen.images, picture, seen.captions, title=title, note=note)
    record = {"layer": layer, "about": picture.about, "scores": records(found)}
    return Drawn(figure, record)


def draw_deconvnet(seen: Seen, asked: Asked) -> Drawn:
    """One activation of a layer led back to the pixels; without layer and unit, a class."""
    if asked.layer is None and not asked.units:
        return draw_attribution("deconvnet", seen, asked)
    layer, unit = layer_of(seen, asked), asked.unit()
    picture = deconvnet.deconvnet(seen.network, seen.inputs, layer, unit)
    title = f"{seen.about.model}: deconvnet from {layer}"
    figure = figures.projection_figure(seen.images, picture, seen.captions, title=title)
    return Drawn(figure, {"layer": layer, "unit": unit})


def draw_maps(seen: Seen, asked: Asked) -> Drawn:
    """The feature maps of a layer."""
    layer = layer_of(seen, asked)
    picture = maps.feature_maps(seen.network, seen.inputs, layer, asked.units or None)
    title = f"{seen.about.model}: feature maps of {layer}"
    figure = figures.channels_figure(seen.images, picture, seen.captions, title=title)
    units = list(asked.units or range(picture.values.shape[1]))
    strongest = picture.values.max(axis=(2, 3)).tolist()
    return Drawn(figure, {"layer": layer, "units": units, "strongest": strongest})


def draw_filters(seen: Seen, asked: Asked) -> Drawn:
    """The first convolution's kernels, and where in frequency their energy lies."""
    layer = next(iter(filters.convolutions(seen.network)))
    content = filters.frequency_content(seen.network, layer)
    weak, count = filters.negligible_filters(seen.network, layer).counts
    low, middle, high = content.shares.mean(axis=0).tolist()
    title = f"{seen.about.model}: the {count} filters of {layer}"
    note = (
        f"energy: {low:.0%} at low, {middle:.0%} at middle, {high:.0%} at high frequencies; "
        f"{weak} of negligible norm"
    )
    picture = filters.first_filters(seen.network)
    record = {
        "layer": layer,
        "filters": count,
        "negligible": weak,
        "bands": {"low": low, "middle": middle, "high": high},
        "aliased": float(content.aliased.mean()),
    }
    return Drawn(figures.filters_figure(picture, title=title, note=note), record)


def draw_maximised(seen: Seen, asked: Asked) -> Drawn:
    """Images found by ascent: for units of a layer where one is named, else for classes."""
    about = seen.about
    layer = layer_of(seen, asked) if asked.layer else None
    if layer is None and seen.wanted is not None:
        units: tuple[int, ...] = (class_index(seen.wanted, about.classes),)
    else:
        units = asked.units or tuple(range(min(SHOWN_CLASSES, _size(seen, layer))))
    shape = (about.in_chans, about.input_size, about.input_size)
    names = [about.classes[unit] if layer is None else f"unit {unit}" for unit in units]
    images, heads, scores = [], [], []
    for unit, name in zip(units, names, strict=True):
        with tracked(f"climbing: {name}") as progress:
            found = maximise.maximise(seen.network, shape, unit, layer=layer, progress=progress)
        images.append(figures.pixels(found.image.values, about.mean, about.deviation))
        first, last = float(found.scores.values[0]), float(found.scores.values[-1])
        heads.append(f"{name}: {last:.3g}")
        scores.append({"unit": unit, "name": name, "start": first, "end": last})
    figure = figures.images_figure(
        _in_rows(images),
        [""] * len(_in_rows(images)),
        _in_rows(heads),
        title=f"{about.model}: images that excite {layer or 'its classes'} most",
        note="above each, the activation it reaches",
    )
    return Drawn(figure, {"layer": layer, "scores": scores})


def _size(seen: Seen, layer: str | None) -> int:
    """How many units there are to climb."""
    if layer is None:
        return len(seen.about.classes)
    shape = (1, seen.about.in_chans, seen.about.input_size, seen.about.input_size)
    blank = seen.inputs.new_zeros(shape)
    return len(maps.feature_maps(seen.network, blank, layer).values[0])


def draw_top(seen: Seen, asked: Asked) -> Drawn:
    """The patches of a data set that excite a layer's units most, beside their projections."""
    layer, scan = layer_of(seen, asked), asked.scan(seen)
    units = asked.units or tuple(range(min(SHOWN_UNITS, _size(seen, layer))))
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
    title = (
        f"{seen.about.model} on {len(scan):,} images of {scan.image_set.name}: "
        f"{agreed:.1%} have the class of their neighbours"
    )
    figure = figures.points_figure(points, scan.labels, scan.image_set.classes, title=title)
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


def _in_rows(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + ABREAST] for start in range(0, len(items), ABREAST)]


LAYERED = {"grad-cam": grad_cam, "grad-cam++": grad_cam_plus_plus}
IN_COLOUR = {"deconvnet", "guided-backpropagation"}
HOW: dict[str, Callable[[Seen, Asked], Drawn]] = {
    **{how: partial(draw_attribution, how) for how in METHODS},
    "deconvnet": draw_deconvnet,
    "maps": draw_maps,
    "filters": draw_filters,
    "maximise": draw_maximised,
    "top": draw_top,
    "embedding": draw_embedding,
    "neighbours": draw_neighbours,
}
WITHOUT_IMAGES = {"filters", "maximise", "top", "embedding"}
