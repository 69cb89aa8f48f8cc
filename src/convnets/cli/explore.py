"""``convnets explore``: a page on this machine to look at networks, runs and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folders = Annotated[
    list[Path] | None, typer.Argument(help="Folders of runs and model files, or such files.")
]
Port = Annotated[int, typer.Option(help="Where to listen; 0 for any free port.", min=0, max=65535)]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Exposed = Annotated[
    bool, typer.Option("--i-know", help="Allow a --host that other machines can reach.")
]


def command(
    folders: Folders = None,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    exposed: Exposed = False,
) -> int:
    """Serve a page to look at networks, finished runs, and what a network sees in an image."""
    from convnets.cli.console import show
    from convnets.errors import EnvironmentFailure

    try:
        from convnets.explorer.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "h11"):
            raise
        raise EnvironmentFailure(
            "the explorer needs starlette and uvicorn: pip install 'convnets[web]'"
        ) from error
    return serve(folders or [], host=host, port=port, exposed=exposed, announce=show)
