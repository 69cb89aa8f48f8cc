"""Options that several verbs share, and what they stand for."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from convnets.data import ImageSet
    from convnets.recipes import Recipe

Data = Annotated[str, typer.Option("--data", "-d", help="A known set's name, or a path.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where known sets lie, before $CONVNETS_DATA and the cache.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable images out.")]
RecipeName = Annotated[
    str, typer.Option("--recipe", "-r", help="A recipe's name, or a TOML file of one.")
]
Epochs = Annotated[int | None, typer.Option(help="Epochs; schedules are rescaled.", min=1)]
Stem = Annotated[
    Literal["paper", "small", "auto"] | None, typer.Option(help="The network's form; see README.")
]
Size = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.", min=1)]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a field, as optimizer.lr=0.05.")
]
Weights = Annotated[
    str | None,
    typer.Option(help="Start from these: torchvision, timm, a file, or OWNER/NAME on the hub."),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(help="Leave layers untrained: 'features*' or any pattern, or all-but-last."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder in which runs are folders.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Number format; auto is bfloat16 on an accelerator, float32 on a CPU."),
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network with torch.compile.")]
Graphs = Annotated[
    bool,
    typer.Option("--cuda-graphs", help="Replay each step as one CUDA graph, for small images."),
]
Shard = Annotated[
    bool, typer.Option("--shard", help="Under torchrun, each process keeps a part of the weights.")
]
Track = Annotated[
    list[str] | None,
    typer.Option(help="Follow runs in tensorboard or wandb too; files in OUT/tensorboard, wandb."),
]
CheckpointEvery = Annotated[
    int | None, typer.Option(help="Steps between checkpoints; 120 seconds without it.", min=1)
]
NoWeights = Annotated[
    bool, typer.Option("--no-weights", help="Keep no checkpoint of a finished run.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, exact.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")]
Checkpoint = Annotated[
    Path,
    typer.Argument(help="A run's folder, a checkpoint, a model file, or OWNER/NAME on the hub."),
]


def chosen_recipe(
    name: str,
    epochs: int | None,
    stem: str | None,
    size: int | None,
    changes: list[str] | None,
    weights: str | None = None,
    freeze: list[str] | None = None,
) -> Recipe:
    """The recipe with what the command line changes of it."""
    from convnets.files import to_json
    from convnets.recipes import load_recipe, with_changes

    shorthand = {"epochs": epochs, "stem": stem, "input_size": size}
    given = [f"{field}={value}" for field, value in shorthand.items() if value is not None]
    # As JSON, which TOML reads alike: a path or pattern may look like a number.
    quoted = {"weights": weights, "freeze": freeze or None}
    given += [f"{field}={to_json(v, indent=None)}" for field, v in quoted.items() if v is not None]
    return with_changes(load_recipe(name), [*given, *(changes or [])])


def whole_numbers(text: str) -> tuple[int, ...]:
    """Positive whole numbers with commas between them."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} is not positive whole numbers with commas, as 1,32")
    return numbers


def this_command() -> str:
    """The command line as a person would type it again."""
    return shlex.join(["convnets", *sys.argv[1:]])


def loaded_data(name: str, data_dir: Path | None, skip_bad: bool) -> ImageSet:
    """The data set, with a progress bar if reading takes a while."""
    from convnets.cli.console import loading_bar
    from convnets.data import load_data

    with loading_bar() as progress:
        return load_data(
            name,
            data_dir=data_dir,
            on_error="skip" if skip_bad else "fail",
            progress=progress,
        )
