"""``convnets shrink``: fewer channels, or layers in factors of low rank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convnets.cli import options, tuned

if TYPE_CHECKING:
    from rich.console import Group

    from convnets.compress.shrink import LayerChange, Shrunk


def command(
    checkpoint: options.Checkpoint,
    how: Annotated[
        Literal["svd", "tucker", "spatial", "channels"],
        typer.Option(
            help="channels: take whole ones out; svd: linear layers in two; tucker, spatial: "
            "convolutions in three, in two."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file.")],
    data: options.Data = "digits",
    keep: Annotated[
        float, typer.Option(help="Share of a layer's weights, or of its channels, kept.")
    ] = 0.5,
    energy: Annotated[
        float | None,
        typer.Option(help="Instead: share of each weight's squared norm that its ranks keep."),
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="Only layers of this name, as 'head.*'; repeatable.")
    ] = None,
    measure: Annotated[
        Literal["filters", "scales"],
        typer.Option(help="Channels go by filters' L1 norm, or by their batch norms' scales."),
    ] = "filters",
    recipe: options.RecipeName = "baseline",
    epochs: Annotated[int, typer.Option(help="Epochs of fine-tuning; 0 for none.", min=0)] = 0,
    changes: options.Changes = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Make a trained network smaller and faster, train it on, and test it before and after.

    The file that it writes is a model file like any other.
    """
    from convnets.cli.console import progress_bars, say, show
    from convnets.cli.stages import StageProgress
    from convnets.compress import load_any
    from convnets.compress.shrink import Shrinking, shrink
    from convnets.training.engine import choose_engine

    tuned.model_file(out)
    trained = tuned.training(recipe, epochs, changes) if epochs else {}
    trained.pop("stem", None)
    fields = {"how": how, "keep": keep, "energy": energy, "measure": measure}
    settings = tuned.checked(
        Shrinking, {**fields, "layers": layers or ("*",), "seed": seed, **trained}
    )
    engine = choose_engine(device, precision)
    loaded = load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with progress_bars() as bars:
        found = shrink(
            loaded, image_set, settings, out, engine=engine, observer=StageProgress(bars)
        )
    show(found.model_dump_json(indent=2) if json else _table(found, out))
    return 0


def _table(found: Shrunk, out: Path) -> Group:
    """Each layer that is now another, and what the whole comes to."""
    from rich.console import Group

    from convnets.report.format import percent
    from convnets.report.tables import pairs, table

    columns = [("Layer", False), ("Now", False), ("Weight error %", True), ("Params", True)]
    columns += [("Before", True), ("MACs", True), ("Before", True)]
    body = [
        (
            layer.name,
            _form(layer),
            None if layer.error is None else percent(layer.error),
            f"{layer.params_after:,}",
            f"{layer.params_before:,}",
            f"{layer.macs_after:,}",
            f"{layer.macs_before:,}",
        )
        for layer in found.layers
    ]
    facts = [
        ("network", f"{found.model}, {found.stem} stem"),
        ("parameters", f"{found.params_after:,} of {found.params_before:,}"),
        ("multiply-adds", f"{found.macs_after:,} of {found.macs_before:,}"),
        ("top-1 before", f"{percent(found.top1_before)} %"),
        ("top-1 untuned", f"{percent(found.top1_untuned)} %"),
        ("top-1 after", f"{percent(found.top1_after)} %"),
        ("written", f"{out}, {found.file_bytes:,} bytes"),
    ]
    return Group(table(columns, body), pairs(facts))


def _form(layer: LayerChange) -> str:
    """``32 to 64`` channels, or ``rank 12``."""
    from convnets.weights.changes import Tucker

    parts = []
    if layer.width is not None:
        parts.append(f"{layer.width.inputs} to {layer.width.outputs}")
    if isinstance(layer.factors, Tucker):
        parts.append(f"ranks {layer.factors.inputs}, {layer.factors.outputs}")
    elif layer.factors is not None:
        parts.append(f"rank {layer.factors.rank}")
    return "; ".join(parts)
