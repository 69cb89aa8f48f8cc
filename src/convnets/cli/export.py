"""``convnets export``: a trained network as a file that runs without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnets.cli import options

To = Annotated[
    Literal["onnx", "program", "openvino"],
    typer.Option("--to", help="onnx: .onnx; program: torch.export's .pt2; openvino: .xml, .bin."),
]
Data = Annotated[
    str,
    typer.Option("--data", "-d", help="Images to compare on, and for --int8 to calibrate on."),
]
Int8 = Annotated[bool, typer.Option("--int8", help="ONNX in eight bits; needs the data it knows.")]
MaxDrop = Annotated[
    float, typer.Option(help="Points of top-1 accuracy that --int8 may lose.", min=0)
]
Images = Annotated[int, typer.Option(help="Test images for the accuracy of --int8.", min=1)]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]


def command(
    checkpoint: options.Checkpoint,
    out: Out,
    to: To = "onnx",
    data: Data = "digits",
    int8: Int8 = False,
    max_drop: MaxDrop = 1.0,
    images: Images = 1000,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    json: options.Json = False,
) -> int:
    """Write a network as one file for other runtimes, after comparing it on real images.

    It takes images as bytes and gives probabilities; an ONNX file takes images of any size.
    """
    from convnets.cli.console import say, show, tracked
    from convnets.compress import load_any
    from convnets.errors import UsageError
    from convnets.export import SUFFIXES, exported
    from convnets.export.tables import exported_table
    from convnets.files import atomic_write, to_json

    if out.suffix != SUFFIXES[to]:
        raise UsageError(f"--out {out}: a file of --to {to} ends with {SUFFIXES[to]}")
    if int8 and to != "onnx":
        raise UsageError(f"--int8 goes with --to onnx, not with {to}")
    loaded = load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with tracked("testing") as progress:
        found = exported(
            loaded,
            to,
            image_set,
            most=max_drop if int8 else None,
            images=images,
            progress=progress,
        )
    written = {out.with_suffix(suffix): content for suffix, content in found.files.items()}
    for path, content in written.items():
        atomic_write(path, content)
    record = {
        "model": loaded.description.model,
        "files": {str(path): len(content) for path, content in written.items()},
        **found.to_dict(),
    }
    show(to_json(record) if json else exported_table(record))
    return 0
