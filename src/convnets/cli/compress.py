"""``convnets compress``: a trained network as a small file, by Deep Compression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from rich.console import Group

    from convnets.compress import Compressed

Out = Annotated[Path, typer.Option("--out", "-o", help="The compressed file, as lenet.cnz.")]
Keep = Annotated[
    list[str] | None,
    typer.Option(help="Share of weights kept, as 0.08 (0.3 without it), or 'head.*=0.05'."),
]
Rounds = Annotated[int, typer.Option(help="Rounds of pruning and training.", min=1, max=100)]
Bits = Annotated[
    list[str] | None,
    typer.Option(help="Bits of a linear layer's weight (5 without it), or 'features.*=6'."),
]
ConvBits = Annotated[int, typer.Option(help="Bits of a convolution's weight.", min=1, max=8)]
Half = Annotated[
    bool, typer.Option("--half", help="Store biases, normalisation and codebooks as float16.")
]
StageEpochs = Annotated[
    int, typer.Option(help="Epochs after each round of pruning, and after sharing.", min=0)
]


def command(
    checkpoint: options.Checkpoint,
    out: Out,
    data: options.Data = "digits",
    keep: Keep = None,
    rounds: Rounds = 3,
    bits: Bits = None,
    conv_bits: ConvBits = 8,
    half: Half = False,
    recipe: options.RecipeName = "baseline",
    epochs: StageEpochs = 2,
    changes: options.Changes = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Prune, share and Huffman-code a network's weights, and train it in between.

    Of several --keep or --bits, the last that matches a layer's name counts. The same command goes
    on after the last stage that a stopped one finished.
    """
    from convnets import compress
    from convnets.cli.console import progress_bars, say, show
    from convnets.cli.stages import StageProgress
    from convnets.cli.tuned import checked
    from convnets.training.engine import choose_engine

    shares, widths = _rules("--keep", keep or ["0.3"]), _rules("--bits", bits or [])
    fields = {
        "keep": [(pattern or "*", share) for pattern, share in shares],
        "bits": [(pattern, width) for pattern, width in widths if pattern],
        "linear_bits": [5, *(width for pattern, width in widths if not pattern)][-1],
        "conv_bits": conv_bits,
        "rounds": rounds,
        "half": half,
        "seed": seed,
    }
    settings = checked(compress.Settings, {**fields, **_training(recipe, epochs, changes)})
    engine = choose_engine(device, precision)
    loaded = compress.load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with progress_bars() as bars:
        found = compress.compress(
            loaded, image_set, settings, out, engine=engine, observer=StageProgress(bars)
        )
    show(found.model_dump_json(indent=2) if json else _table(found, out))
    return 0


def _rules(option: str, texts: list[str]) -> list[tuple[str, float]]:
    """Pairs of a pattern, empty for a number alone, and a number."""
    rules = []
    for text in texts:
        pattern, _, number = text.rpartition("=")
        try:
            rules.append((pattern, float(number)))
        except ValueError:
            raise typer.BadParameter(
                f"{option} {text!r}: neither a number nor PATTERN=NUMBER"
            ) from None
    return rules


def _training(recipe: str, epochs: int, changes: list[str] | None) -> dict[str, Any]:
    """The recipe's training, for both stages, and its augmentation."""
    from convnets.cli.tuned import training

    chosen = training(recipe, epochs or None, changes)
    stage = chosen["training"] if epochs else None
    return {"pruning": stage, "sharing": stage, "augmentation": chosen["augmentation"]}


def _table(found: Compressed, out: Path) -> Group:
    """The columns of the paper's Tables 2 to 5, and what the whole comes to."""
    from rich.console import Group

    from convnets.report.format import percent
    from convnets.report.tables import pairs, table

    columns = [("Layer", False), ("Weights", True), ("Kept %", True)]
    columns += [("Weight bits", True), ("Huffman", True), ("Index bits", True), ("Huffman", True)]
    columns += [("Of float32 %", True), ("Huffman", True)]
    body = [
        (
            layer.name,
            f"{layer.weights:,}",
            percent(layer.kept),
            layer.weight_bits,
            f"{layer.weight_bits_coded:.1f}",
            layer.index_bits,
            None if layer.index_bits_coded is None else f"{layer.index_bits_coded:.1f}",
            percent(layer.rate_packed),
            percent(layer.rate_coded),
        )
        for layer in found.layers
    ]
    facts = [
        ("network", f"{found.model}, {found.stem} stem"),
        ("weights kept", f"{percent(found.kept)} %"),
        ("float32", f"{found.float32_bytes:,} bytes"),
        ("file", f"{found.file_bytes:,} bytes, {found.rate:.1f} times smaller"),
        ("of them not weights", f"{found.other_bytes:,} bytes"),
        ("top-1 before", f"{percent(found.top1_before)} %"),
        ("top-1 after", f"{percent(found.top1_after)} %"),
        ("written", out),
    ]
    return Group(table(columns, body), pairs(facts))
