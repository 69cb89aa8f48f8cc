"""The verbs, in the order in which ``convnets --help`` shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets import __version__
from convnets.cli import (
    bench,
    compare,
    compress,
    data,
    distil,
    evaluate,
    explain,
    explore,
    export,
    ladder,
    lr_find,
    models,
    predict,
    recipes,
    report,
    save,
    scale,
    search,
    see,
    ship,
    show,
    shrink,
    train,
)

app = typer.Typer(
    name="convnets",
    help="Build, train, compare and explain convolutional networks, LeNet-5 to ConvNeXt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> int:
    """Exit codes: 0 ok, 2 usage, 3 bad input, 4 training or export failed, 5 environment, 130 and
    143 stopped by a signal after a checkpoint. ``--debug`` anywhere shows tracebacks.
    """
    if version:
        typer.echo(f"convnets {__version__}")
    return 0


for verb in (
    *(bench, train, lr_find, evaluate, predict, save, export, ship, see, explore, report),
    *(models, ladder, show, compare, scale, search, compress, shrink, distil, recipes, data),
):
    app.command(verb.__name__.rpartition(".")[2].replace("_", "-"))(verb.command)
app.add_typer(explain.app, name="explain")
