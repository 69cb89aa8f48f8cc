"""``convnets save``: a trained network as one file to keep, give away or publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options

SUFFIX = ".safetensors"


def command(
    checkpoint: options.Checkpoint,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The .safetensors file.")] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write a model card beside it, in Markdown.")
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option("--licence", "--license", help="Of the weights, as cc-by-4.0; else unknown."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Upload file and card to OWNER/NAME on the hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Only for those let in.")] = False,
    json: options.Json = False,
) -> int:
    """Write a network's weights, preprocessing, classes and origin into one safetensors file."""
    from convnets.cli.console import say, show
    from convnets.compress import load_any
    from convnets.errors import UsageError
    from convnets.files import atomic_write, to_json
    from convnets.report.card import card as written
    from convnets.report.tables import saved_table
    from convnets.weights import hub
    from convnets.weights.save import cost_of, pack

    if out is None and push is None:
        raise UsageError("give --out FILE.safetensors, --push OWNER/NAME, or both")
    if out is not None and out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a model file is a {SUFFIX} file")
    if card and out is None:
        raise UsageError("--card is written beside --out, and always goes along with --push")
    if private and push is None:
        raise UsageError("--private goes with --push")
    loaded = load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    packed = pack(loaded, licence=licence)
    content = b"".join(packed.content())
    record = packed.record.model_dump(mode="json")
    cost = cost_of(loaded.description)

    def text(source: str) -> str:
        return written(record, cost, size=len(content), source=source, result=packed.result)

    places = []
    if out is not None:
        atomic_write(out, content)
        places.append(str(out))
        if card:
            beside = out.with_suffix(".md")
            atomic_write(beside, text(out.name))
            places.append(str(beside))
    if push is not None:
        places.append(hub.push(content, text(push), push, private=private))
    show(to_json({**record, "written": places}) if json else saved_table(record, places))
    return 0
