"""The page of ``convnets see --gallery``: one image, every method, every stage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convnets.cli.asked import stages
from convnets.cli.checking import brief, checks, named
from convnets.cli.console import tracked
from convnets.cli.pictures import IN_COLOUR, LAYERED, attribution, method_of
from convnets.cli.seeing import Seen
from convnets.errors import UsageError, printable
from convnets.report.gallery import Plate, Section, gallery
from convnets.visualize import deconvnet, figures, filters, maps
from convnets.visualize.arrays import Picture
from convnets.visualize.methods import METHODS
from convnets.visualize.sheets import mosaic, png, rgb, scale_of

SHOWN_MAPS = 16
COLUMNS = 4
COLOURED = "; projections are colours around a mid-grey of 0"
CHECKED = (
    " Beside each: whether it changes when the weights are lost (randomisation), and whether the "
    "probability falls as its pixels go (deletion) and rises as they come (insertion) better than "
    "in random order. A picture that fails shows little of what the network does."
)


def page(seen: Seen, *, check: bool) -> str:
    """The whole page, with sanity checks or without; raises ``UsageError`` unless there is exactly
    one image."""
    if len(seen.paths) != 1:
        raise UsageError(f"--gallery takes one image; {len(seen.paths)} are given")
    about = seen.about
    target = about.classes[int(seen.target[0])]
    sections = [
        Section(
            f"What counts for {target}",
            "Red counts for the class and blue against it, around white; magnitudes go from black "
            f"to yellow{COLOURED if about.in_chans > 1 else ''}.{CHECKED if check else ''}",
            tuple(_attributions(seen, check)),
        ),
        Section(
            "By stage",
            "The maps that respond most, all of a stage on one scale, and what the strongest "
            "activation of it responds to, led back to the pixels by the deconvnet; and where "
            f"the stage has evidence for {target}, by Grad-CAM.",
            tuple(_stages(seen)),
        ),
        Section(
            "First filters",
            "What the first convolution looks for, all on one scale around 0.",
            (_filters(seen),),
        ),
    ]
    facts = {
        "Network": f"{about.model}, {about.stem} stem",
        "Weights": about.data,
        "Input": f"{about.input_size}×{about.input_size} pixels",
    }
    name = printable(seen.paths[0].name)
    image = png(rgb(seen.images[0]))
    return gallery(f"{about.model} sees {name}", image, facts, seen.likeliest(0), sections)


def _attributions(seen: Seen, check: bool) -> Iterator[Plate]:
    for how in METHODS:
        try:
            yield _attribution(how, seen, check)
        except UsageError as error:  # a network in which the method finds no maps
            yield Plate(how, {}, str(error))


def _attribution(how: str, seen: Seen, check: bool) -> Plate:
    picture = attribution(how, seen)
    if how in IN_COLOUR:
        pictures = {"projection": png(figures.in_colour(picture.values)[0][0])}
    else:
        pictures = _over_image(seen, picture)
    found = checks(how, method_of(how), seen, picture) if check else []
    return Plate(how, pictures, picture.about, {named(each): brief(each) for each in found})


def _over_image(seen: Seen, picture: Picture) -> dict[str, bytes]:
    values, image = figures.summed(picture)[0], rgb(seen.images)[0]
    scale = scale_of(values)
    return {"map": png(scale.paint(values)), "over the image": png(scale.overlay(image, values))}


def _stages(seen: Seen) -> Iterator[Plate]:
    layers = stages(seen)
    with tracked("stages") as progress:
        for done, layer in enumerate(layers, start=1):
            try:
                yield _stage(seen, layer)
            except UsageError as error:  # a stage that gives no maps
                yield Plate(layer.rpartition(".")[2], {}, str(error))
            progress(done, len(layers))


def _stage(seen: Seen, layer: str) -> Plate:
    values = maps.feature_maps(seen.network, seen.inputs, layer).values[0]
    strongest = values.max(axis=(1, 2))
    order = np.argsort(-strongest, kind="stable")
    unit = int(order[0])
    projection = deconvnet.deconvnet(seen.network, seen.inputs, layer, unit).values
    units, rows, columns = values.shape
    shown = order[:SHOWN_MAPS]
    painted = scale_of(values).paint(values[shown])
    pictures = {
        f"strongest {len(shown)} maps": png(mosaic(painted, COLUMNS)),
        f"projection of unit {unit}": png(figures.in_colour(projection)[0][0]),
    }
    for how in LAYERED:
        picture = attribution(how, seen, layer)
        name = how if picture.values.any() else f"{how}: zero everywhere"
        pictures[name] = _over_image(seen, picture)["over the image"]
    title = f"{layer.rpartition('.')[2]}: {units} maps of {rows}×{columns}"
    return Plate(title, pictures, figures={"activation": f"{strongest[unit]:.3g}"})


def _filters(seen: Seen) -> Plate:
    picture = filters.first_filters(seen.network)
    painted, _ = figures.in_colour(figures.visible(picture.values))
    columns = max(1, round(len(painted) ** 0.5))
    return Plate(
        picture.about, {f"{len(painted)} filters": png(mosaic(painted, columns))}, large=True
    )
