"""``convnets show``: what a network costs, layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets.cli import options


def command(
    model: Annotated[str, typer.Argument(help="A network's name; see 'convnets models'.")],
    size: options.Size = None,
    stem: options.Stem = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", min=1)] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of an image.", min=1)] = None,
    json: options.Json = False,
) -> int:
    """Print parameters, MACs, memory and receptive field of every layer."""
    import torch

    from convnets.analysis import profile
    from convnets.cli.console import show
    from convnets.files import to_json
    from convnets.models import create_model, find_variant
    from convnets.report.tables import profile_table

    size = size or find_variant(model)[1].input_size
    with torch.device("meta"):
        network = create_model(
            model, num_classes=classes, in_chans=channels, stem=stem or "paper", input_size=size
        )
    cost = profile(network, size, in_chans=network.in_chans)
    show(to_json(cost.to_dict()) if json else profile_table(cost, network.spec.stem))
    return 0
