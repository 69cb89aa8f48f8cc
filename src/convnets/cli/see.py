"""``convnets see``: what a network responds to, and what in an image it looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from convnets.cli import options

Images = Annotated[
    list[Path] | None,
    typer.Argument(help="Images, or folders of them; for evolution, more checkpoints."),
]
Method = Annotated[
    str,
    typer.Option(
        help="For a class: grad-cam, grad-cam++, saliency, guided-backpropagation, "
        "integrated-gradients, smooth-grad, occlusion, deconvnet. For a layer: maps, deconvnet, "
        "top, evolution, maximise. For the network: filters, embedding, neighbours."
    ),
]
Layer = Annotated[str | None, typer.Option(help="A layer's path; the last stage if none.")]
Unit = Annotated[list[int] | None, typer.Option(help="A channel of it; may be repeated.", min=0)]
Target = Annotated[str | None, typer.Option(help="A class, by name or number; the likeliest.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="A data set to look through.")]
Limit = Annotated[int, typer.Option(help="How many of its test images to look at.", min=1)]
Projection = Annotated[Literal["pca", "tsne"], typer.Option(help="How --how embedding projects.")]
Weights = Annotated[
    str | None, typer.Option(help="For a name: torchvision, timm, or a file; random without.")
]
Check = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="For a class: does the picture mean anything? A gallery checks all, which may take "
        "minutes; a figure does not.",
    ),
]
Gallery = Annotated[bool, typer.Option("--gallery", help="A page of all methods, for one image.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="A .png, .svg or .html file.")]


def command(
    network: Annotated[str, typer.Argument(help="A run's folder, a checkpoint, or a name.")],
    images: Images = None,
    how: Method = "grad-cam",
    layer: Layer = None,
    unit: Unit = None,
    target: Target = None,
    data: Data = None,
    limit: Limit = 2000,
    projection: Projection = "pca",
    weights: Weights = None,
    stem: options.Stem = None,
    size: options.Size = None,
    check: Check = None,
    gallery: Gallery = False,
    out: Out = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    json: options.Json = False,
) -> int:
    """Draw what a network sees in images, or what its units respond to."""
    from convnets.cli.asked import Asked
    from convnets.cli.console import say, show
    from convnets.cli.galleries import page
    from convnets.cli.pictures import TABLED, draw
    from convnets.cli.seeing import form_of, look, subject
    from convnets.errors import UsageError
    from convnets.files import atomic_write, to_json
    from convnets.visualize.sheets import encoded

    form = form_of(out, gallery)
    if form is None and (gallery or not json) and (gallery or how not in TABLED):
        raise UsageError("give --out FILE, or --json for what was found alone")
    loaded = subject(network, weights, stem, size)
    for note in loaded.notes:
        say(note)
    given = tuple(images or ())
    looked_at, checkpoints = ((), given) if how == "evolution" else (given, ())
    seen = look(loaded, looked_at, target, device)
    record: dict[str, Any] = {}
    if gallery:
        how, content = "gallery", page(seen, check=check is not False).encode()
    else:
        asked = Asked(
            layer=layer,
            units=tuple(unit or ()),
            data=None if data is None else lambda: options.loaded_data(data, data_dir, False),
            limit=limit,
            projection=projection,
            check=bool(check),
            checkpoints=(Path(network), *checkpoints),
        )
        drawn = draw(how, seen, asked)
        record, content = drawn.record, encoded(drawn.figure, form) if form else b""
        if drawn.table is not None and not json:
            show(drawn.table)
    if out is not None:
        atomic_write(out, content)
        say(f"{how}: {out}")
    if json:
        found = {"model": seen.about.model, "how": how, "images": seen.records(), **record}
        show(to_json(found))
    return 0
