"""The command line: each verb parses, calls one library function, renders, and returns a code.

No torch is imported until a verb needs it.
"""

from __future__ import annotations

import os
import sys

from convnets.errors import ConvnetsError, printable


def main(arguments: list[str] | None = None) -> int:
    """Run ``convnets``; return the exit code. ``--debug`` anywhere shows tracebacks."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except ConvnetsError as error:
        if debug:
            raise
        return complain(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        usage = usage_message(error)
        if debug or usage is None:
            raise
        return complain(usage, 2)
    except KeyboardInterrupt:
        return complain("interrupted", 130)


def complain(message: str, code: int) -> int:
    """Write one line to stderr; return ``code``."""
    sys.stderr.write(f"convnets: {printable(message)}\n")
    return code


def _dispatch(arguments: list[str]) -> int:
    import typer

    from convnets.cli.app import app

    # Not app(...), which has answers of its own to an interrupt and to a reader that left.
    command = typer.main.get_command(app)
    try:
        with command.make_context("convnets", arguments) as context:
            code: int = command.invoke(context)
    except typer.Exit as leaving:  # --help
        code = leaving.exit_code
    return code


def usage_message(error: Exception) -> str | None:
    """What the command-line parser says of wrong arguments; None for any other error."""
    describe = getattr(error, "format_message", None)
    if describe is None:
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "convnets"
    return f"{describe()} See '{command} --help'."
