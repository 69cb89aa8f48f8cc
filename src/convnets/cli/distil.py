"""``convnets distil``: a small network taught by a large one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnets.cli import options, tuned

if TYPE_CHECKING:
    from rich.console import Group

    from convnets.compress.distil import Distilled


def command(
    student: Annotated[str, typer.Argument(help="A network's name; see 'convnets models'.")],
    teacher: Annotated[
        Path, typer.Option("--teacher", "-t", help="A run's folder, a checkpoint, a model file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file.")],
    data: options.Data = "digits",
    temperature: Annotated[float, typer.Option(help="Of both softmaxes.")] = 4.0,
    soft_share: Annotated[
        float, typer.Option(help="Weight of the teacher's word; the rest is the labels'.")
    ] = 0.9,
    recipe: options.RecipeName = "baseline",
    epochs: options.Epochs = None,
    stem: options.Stem = None,
    changes: options.Changes = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Train a network on what a trained one says of each image, as well as on the labels.

    Both see the same images, prepared as the teacher's file says. The same command goes on where a
    stopped one left off.
    """
    from convnets.cli.console import progress_bars, say, show
    from convnets.cli.stages import StageProgress
    from convnets.compress import load_any
    from convnets.compress.distil import Distilling, distil
    from convnets.training.engine import choose_engine

    tuned.model_file(out)
    fields = tuned.training(recipe, epochs, changes)
    asked_stem = fields.pop("stem")
    word = {"temperature": temperature, "soft_share": soft_share, "seed": seed}
    settings = tuned.checked(Distilling, {**word, **fields})
    engine = choose_engine(device, precision)
    loaded = load_any(teacher)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with progress_bars() as bars:
        found = distil(
            student,
            loaded,
            image_set,
            settings,
            out,
            engine=engine,
            stem=stem or asked_stem,
            observer=StageProgress(bars),
        )
    show(found.model_dump_json(indent=2) if json else _table(found, out))
    return 0


def _table(found: Distilled, out: Path) -> Group:
    from rich.console import Group

    from convnets.report.format import percent
    from convnets.report.tables import pairs, table

    columns = [("", False), ("Network", False), ("Params", True), ("MACs", True)]
    columns += [("Top-1 %", True)]
    costs = f"{found.params:,}", f"{found.macs:,}", percent(found.top1)
    teacher = f"{found.teacher_params:,}", f"{found.teacher_macs:,}", percent(found.teacher_top1)
    body = [("teacher", found.teacher, *teacher), ("student", found.student, *costs)]
    settings = found.settings
    facts = [
        ("data", f"{found.data}, {found.test_images:,} test images"),
        ("temperature", f"{settings.temperature:g}, soft share {settings.soft_share:g}"),
        ("written", out),
    ]
    return Group(table(columns, body), pairs(facts))
