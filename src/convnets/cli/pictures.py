"""The methods of ``convnets see``, one function each: what is computed, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from convnets.cli import surveys
from convnets.cli.asked import Asked, Drawn, layer_of, size_of
from convnets.cli.checking import brief, checks, named, records
from convnets.cli.console import tracked
from convnets.cli.seeing import Seen, class_index
from convnets.errors import UnknownName, UsageError
from convnets.visualize import deconvnet, figures, maps, maximise
from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import occlusion
from convnets.visualize.cam import grad_cam, grad_cam_plus_plus
from convnets.visualize.methods import METHODS, Method

SHOWN_CLASSES = 10
ABREAST = 5


def draw(how: str, seen: Seen, asked: Asked) -> Drawn:
    """The figure of a method; raises ``UnknownName`` for a method or layer that there is not."""
    if how not in HOW:
        raise UnknownName("method", how, HOW)
    if how not in WITHOUT_IMAGES and not seen.paths:
        raise UsageError(f"--how {how} looks at images: name at least one")
    return HOW[how](seen, asked)


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


def draw_maximised(seen: Seen, asked: Asked) -> Drawn:
    """Images found by ascent: for units of a layer where one is named, else for classes."""
    about = seen.about
    layer = layer_of(seen, asked) if asked.layer else None
    if layer is None and seen.wanted is not None:
        units: tuple[int, ...] = (class_index(seen.wanted, about.classes),)
    else:
        units = asked.units or tuple(range(min(SHOWN_CLASSES, size_of(seen, layer))))
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


def _in_rows(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + ABREAST] for start in range(0, len(items), ABREAST)]


LAYERED = {"grad-cam": grad_cam, "grad-cam++": grad_cam_plus_plus}
IN_COLOUR = {"deconvnet", "guided-backpropagation"}
HOW: dict[str, Callable[[Seen, Asked], Drawn]] = {
    **{how: partial(draw_attribution, how) for how in METHODS},
    "deconvnet": draw_deconvnet,
    "maps": draw_maps,
    "filters": surveys.draw_filters,
    "maximise": draw_maximised,
    "top": surveys.draw_top,
    "evolution": surveys.draw_evolution,
    "embedding": surveys.draw_embedding,
    "neighbours": surveys.draw_neighbours,
}
WITHOUT_IMAGES = {"filters", "maximise", "top", "evolution", "embedding"}
TABLED = {"filters"}  # what has a table, and needs no file
